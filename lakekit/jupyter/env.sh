# Sourced by the scripts of this folder and by the kernel, with $root set: one
# environment for the kit's own tools, whatever the user's shell holds. All that
# they write is inside the repository, but the caches of the languages. Of the
# user's settings, those that say how to reach the network hold: set-up needs it.
# shellcheck shell=sh disable=SC2154
: "${PYTHON:=python3}"

# drop PREFIX [NAME...] unsets all variables of a prefix but those named.
drop() {
	prefix=$1
	shift
	for name in $(env | sed -n "s/^\(${prefix}[A-Za-z0-9_]*\)=.*/\1/p"); do
		case " $* " in *" $name "*) ;; *) unset "$name" ;; esac
	done
}

# offline is for what comes after set-up: what would look something up fails at once.
offline() {
	export GOPROXY=off PIP_NO_INDEX=1
}

# Go. Where modules come from and are kept holds, and the C compiler, also as `go
# env -w` has it; flags, a workspace or another system would build something else.
# The Go in PATH, where it is new enough, and none that is downloaded.
unset GOFLAGS GOROOT GOBIN GOWORK GO111MODULE GOOS GOARCH GOEXPERIMENT GODEBUG CGO_CFLAGS CGO_CXXFLAGS CGO_LDFLAGS
[ "${GOENV-}" = off ] || {
	names="GOPATH GOMODCACHE GOCACHE GOTMPDIR GOPROXY GONOPROXY GOPRIVATE GOSUMDB GONOSUMDB GOINSECURE GOVCS GOAUTH CC CXX"
	# shellcheck disable=SC2086
	values=$(cd / && GOTOOLCHAIN=local go env $names 2>/dev/null) || true
	while IFS= read -r value; do
		[ -z "$value" ] || export "${names%% *}=$value"
		names=${names#* }
	done <<-END
		$values
	END
}
export GOENV=off GOWORK=off CGO_ENABLED=1 GOFLAGS=-buildvcs=false
(cd "$root" && GOTOOLCHAIN=local go env GOVERSION) >/dev/null 2>&1 && export GOTOOLCHAIN=local

# Python, in an environment of the repository's. pip's index, proxy, certificates
# and cache hold; where it installs is not the user's to say.
drop PYTHON PYTHON
drop PIP_ PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS PIP_TRUSTED_HOST PIP_PROXY PIP_CERT PIP_CLIENT_CERT \
	PIP_KEYRING_PROVIDER PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_RETRIES PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_CONFIG_FILE
unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT CONDA_PREFIX CONDA_DEFAULT_ENV
export PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1

# Jupyter. JUPYTER_TOKEN is the container's.
drop JUPYTER JUPYTER_TOKEN
drop IPYTHON
export JUPYTER_PATH="$root/.jupyter"
export JUPYTER_CONFIG_DIR="$root/.jupyter/config"
export JUPYTER_DATA_DIR="$root/.jupyter/data"
export JUPYTER_RUNTIME_DIR="$root/.jupyter/runtime"
export IPYTHONDIR="$root/.jupyter/ipython"

# Node.
unset NODE_OPTIONS NODE_PATH NODE_ENV

# A proxy is for the network, never for the services of this machine.
no_proxy=${no_proxy:-${NO_PROXY-}}
case $no_proxy in '*' | *localhost,127.0.0.1,::1) ;; *) no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1,::1 ;; esac
export no_proxy NO_PROXY="$no_proxy"

# This repository, not the one that the shell was set up for.
unset LAKEKIT_HOME
export PATH="$root/.bin:$PATH"
