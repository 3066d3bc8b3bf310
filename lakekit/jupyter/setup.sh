#!/bin/sh
# Sets the kit up inside the repository: programs in .bin, Jupyter in .venv and
# .jupyter, echarts in node_modules. Outside of it only the caches of the
# languages grow. A part is built again only when what it is made from changes, or
# when it is gone; one that was interrupted has no stamp and starts over. Only set-up
# needs the network: a part that is in place, or a folder that was moved, does not.
#
#   setup.sh          check what must be installed, then set up
#   setup.sh --check  check only
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$root/lakekit/jupyter
stamps=$root/.cache/setup
log=$root/.cache/setup.log
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$here/env.sh"

# check says for every program that is missing what to install.
check() {
	missing=0
	case $root in *[:,]* | *'
'*)
		printf 'This folder cannot be used: %s\nPATH and GoNB divide lists at : and , so call it something without.\n' "$root" >&2
		return 1
		;;
	esac
	case $(uname -s) in MINGW* | MSYS* | CYGWIN*)
		missing "Linux or macOS" "this is $(uname -s)" \
			"Windows" "wsl --install, then clone and run make inside of it"
		return 1
		;;
	esac

	want_go=$(awk '$1 == "go" { print $2; exit }' go.mod)
	have_go=$(go env GOVERSION 2>/dev/null) || have_go=$(go version 2>/dev/null | awk '{ print $3 }') || true
	at_least "${have_go#go}" "$want_go" || missing "Go $want_go or newer" "${have_go:-not found}" \
		"Debian, Ubuntu" "sudo snap install go --classic, or unpack https://go.dev/dl into /usr/local" \
		"Fedora" "sudo dnf install golang" \
		"macOS" "brew install go"

	have_cc=$(go env CC 2>/dev/null || echo cc)
	command -v "${have_cc%% *}" >/dev/null 2>&1 || missing "A C compiler" "$have_cc not found" \
		"Debian, Ubuntu" "sudo apt-get install build-essential" \
		"Fedora" "sudo dnf install gcc gcc-c++" \
		"macOS" "xcode-select --install"

	have_python=$("$PYTHON" -c 'import platform; print(platform.python_version())' 2>/dev/null) || true
	if ! at_least "$have_python" 3.9; then
		missing "Python 3.9 or newer" "${have_python:-$PYTHON not found}" \
			"Debian, Ubuntu" "sudo apt-get install python3 python3-venv" \
			"Fedora" "sudo dnf install python3" \
			"macOS" "brew install python"
	elif ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
		missing "Python's venv module" "not in $PYTHON $have_python" \
			"Debian, Ubuntu" "sudo apt-get install python3-venv" \
			"Fedora" "sudo dnf install python3" \
			"macOS" "brew install python"
	fi

	have_node=$(node --version 2>/dev/null) || true
	if ! at_least "${have_node#v}" 18 || ! command -v npm >/dev/null 2>&1; then
		[ -z "$have_node" ] || command -v npm >/dev/null 2>&1 || have_node="npm not found"
		missing "Node 18 or newer with npm" "${have_node:-not found}" \
			"Debian, Ubuntu" "sudo apt-get install nodejs npm" \
			"Fedora" "sudo dnf install nodejs npm" \
			"macOS" "brew install node"
	fi
	return $missing
}

# at_least HAVE WANT compares versions number by number; an empty HAVE is less than any.
at_least() {
	awk -v have="$1" -v want="$2" 'BEGIN {
		if (have == "") exit 1
		split(have, h, /[^0-9]+/); n = split(want, w, /[^0-9]+/)
		for (i = 1; i <= n; i++) if (h[i] + 0 != w[i] + 0) exit (h[i] + 0 < w[i] + 0)
	}'
}

# missing WHAT FOUND [SYSTEM COMMAND]... writes the message for one program.
missing() {
	missing=1
	printf '%s is needed (%s). To install it:\n' "$1" "$2" >&2
	shift 2
	while [ $# -gt 0 ]; do
		printf '  %-15s %s\n' "$1" "$2" >&2
		shift 2
	done
}

# fingerprint FILE... is a checksum of the files' contents and of the words on stdin.
fingerprint() {
	{ cat; [ $# -eq 0 ] || cat "$@"; } | cksum
}

# part NAME KEY RESULT DESCRIPTION does NAME unless its stamp holds KEY and RESULT is there.
part() {
	! [ -e "$3" ] || [ "$(cat "$stamps/$1" 2>/dev/null)" != "$2" ] || return 0
	mkdir -p .bin "$stamps" 2>/dev/null || true
	if ! [ -w "$stamps" ] || ! [ -w . ]; then
		printf 'Set-up writes into this folder, and may not: %s\n' "$root" >&2
		printf 'Copy it to where you may write, for example into your home folder, and run make there.\n' >&2
		exit 1
	fi
	rm -f "$stamps/$1"
	printf '  %-56s' "$4"
	start=$(date +%s)
	# Not a condition: there, set -e would be off inside of the part.
	set +e
	(
		set -e
		"make_$1"
	) >"$log" 2>&1 </dev/null
	status=$?
	set -e
	if [ $status -ne 0 ]; then
		printf 'failed\n\n' >&2
		tail -n 30 "$log" >&2
		if grep -qiE 'dial tcp|no such host|name resolution|unreachable|lookup disabled|ENOTFOUND|EAI_AGAIN|ECONN|TIMEDOUT|ENOTCACHED' "$log"; then
			printf '\nThis step downloads what this machine does not have yet, and the network did not answer. A network is needed once.\n' >&2
		fi
		printf '\nThe whole output is in %s; make setup goes on from here.\n' "$log" >&2
		exit 1
	fi
	printf '%4d s\n' $(($(date +%s) - start))
	printf '%s\n' "$2" >"$stamps/$1"
}

# make_tools also gets the modules of the tests.
make_tools() {
	GOBIN=$root/.bin go install tool
	go list -deps -test ./... >/dev/null
}

make_lakekit() {
	# lakekit version names the commit, wherever there is one.
	go build -buildvcs=auto -o .bin/lakekit ./lakekit/cmd/lakekit
}

# make_python also gets hadolint, which PyPI carries ready built for most machines.
make_python() {
	rm -rf .venv
	"$PYTHON" -m venv .venv
	# Not where the user's pip.conf says: nothing goes before what it says of the network.
	for section in global install; do
		printf '[%s]\ntarget =\nprefix =\nroot =\nuser =\npython =\ndry-run =\n' $section
	done >.venv/pip.conf
	# The file lists all that is needed, so nothing is to be resolved.
	if .venv/bin/python -m pip install --disable-pip-version-check --no-deps -r "$here/requirements.txt"; then
		"$PYTHON" "$here/relocate.py" .venv/bin
		.venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: -r "$here/lint-requirements.txt" ||
			echo "hadolint is not to be had for this machine; make lint does without."
		return 0
	fi
	echo "The package index is out of reach; trying Debian's packages."
	rm -rf .venv
	if /usr/bin/python3 -c 'import notebook, nbclient, nbconvert, nbformat'; then
		/usr/bin/python3 -m venv --without-pip --system-site-packages .venv
		return 0
	fi
	cat <<-END

		Jupyter could not be installed: pip's package index is out of reach (pip config
		list shows another one, if one is set), and Debian's packages are not installed.
		Either connect to the network, or on Debian and Ubuntu:
		  sudo apt-get install jupyter-notebook jupyter-nbconvert python3-nbclient python3-venv
	END
	return 1
}

make_echarts() {
	cd "$here"
	npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --no-global --location=project --no-dry-run --package-lock
	test -s node_modules/echarts/dist/echarts.min.js
}

# make_kernel is done again when the folder has moved: only here are its paths. It
# makes the programs in .venv start the python beside them, and puts echarts on
# JupyterLab's page, as an extension without a build step, and on the classic
# notebook's: charts there need no network.
make_kernel() {
	shared=$(grep -q '^include-system-site-packages = true' .venv/pyvenv.cfg && echo --system-site-packages) || true
	# shellcheck disable=SC2086
	"$PYTHON" -m venv --without-pip $shared .venv
	"$PYTHON" "$here/relocate.py" .venv/bin

	mkdir -p .jupyter/kernels/gonb
	"$PYTHON" - "$here/kernel.sh" >.jupyter/kernels/gonb/kernel.json <<-'END'
		import json, sys
		print(json.dumps({
		    "argv": [sys.argv[1], "{connection_file}"],
		    "display_name": "Go (gonb)",
		    "language": "go",
		    "interrupt_mode": "message",
		}, indent=1))
	END

	# RequireJS on a page must not catch echarts: it is to be a global.
	{
		echo '(function () { var define, exports, module;'
		cat "$here/node_modules/echarts/dist/echarts.min.js"
		echo '}).call(window);'
	} >.jupyter/echarts.js

	extension=.jupyter/labextensions/taxilake-echarts
	mkdir -p "$extension/static" .jupyter/config/custom .jupyter/config/labconfig
	cp .jupyter/echarts.js .jupyter/config/custom/custom.js
	cat >"$extension/package.json" <<-'END'
		{
		  "name": "taxilake-echarts",
		  "version": "1.0.0",
		  "jupyterlab": {"_build": {"load": "static/remoteEntry.js", "extension": "./extension"}}
		}
	END
	cat .jupyter/echarts.js - >"$extension/static/remoteEntry.js" <<-'END'
		(window._JUPYTERLAB = window._JUPYTERLAB || {})["taxilake-echarts"] = {
		  init: function () {},
		  get: function () {
		    return Promise.resolve(function () {
		      return {__esModule: true, default: {id: "taxilake-echarts:plugin", autoStart: true, activate: function () {}}};
		    });
		  }
		};
	END
	# JupyterLab's news would be fetched from the network.
	echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
		>.jupyter/config/labconfig/page_config.json
}

make_warm() {
	mkdir -p .cache/warm
	.venv/bin/python "$here/run.py" --out .cache/warm --no-html --timeout 900 "$here/warm.ipynb"
}

check || exit 1
[ "${1-}" != --check ] || exit 0

go=$(go env GOVERSION GOOS GOARCH CC)

sources() {
	find lakekit datasets -path lakekit/jupyter -prune -o -path '*/testdata' -prune -o \
		-type f ! -name '*_test.go' -print | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cksum
}

part tools "$(echo "$go" | fingerprint go.mod go.sum)" .bin/gonb \
	"building gonb, goimports, staticcheck"
part lakekit "$({ echo "$go"; sources; } | fingerprint go.mod go.sum)" .bin/lakekit \
	"building lakekit"
part python "$(echo "${have_python%.*}" | fingerprint "$here/requirements.txt" "$here/lint-requirements.txt")" .venv/bin/python \
	"installing JupyterLab into .venv"
part echarts "$(fingerprint "$here/package-lock.json" </dev/null)" "$here/node_modules/echarts/dist/echarts.min.js" \
	"installing echarts into node_modules"
part kernel "$(echo "$root" | fingerprint "$here/setup.sh" "$here/package-lock.json")" .jupyter/kernels/gonb/kernel.json \
	"registering the Go kernel in .jupyter"
part warm "$(echo "$go $root" | fingerprint go.mod go.sum "$here/kernel.sh" "$here/env.sh" "$here/path/go" "$here/warm.ipynb")" .cache/warm \
	"compiling what notebooks import, for fast first cells"
