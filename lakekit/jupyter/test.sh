#!/bin/sh
# Runs all tests; goes on after a failure, so that one run shows all of them.
# The last line is the count of the whole.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$root/lakekit/jupyter
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$here/env.sh"

out=$root/out/test
export COUNTS="$out/counts"
export LAKEKIT_STATE="$out/state"

stop_services() {
	[ ! -d "$LAKEKIT_STATE" ] || lakekit down
}

finish() {
	status=$?
	trap '' INT TERM HUP
	trap - EXIT
	stop_services || true
	exit $status
}

heading() { printf '\n== %s\n' "$1"; }

gotest() {
	go test -json -count=1 "$@" 2>&1 | "$PYTHON" "$here/gotest.py"
}

# lessons executes the notebooks with less traffic than make run and counts each
# as a test, and the verdict on what they left as one more.
lessons() {
	verdict=0
	if lakekit up && .venv/bin/python "$here/run.py" --out "$out" -p records=100000 notebooks/0[0-4]_*.ipynb; then
		lakekit verify --wait && verdict=1
	fi
	"$PYTHON" - "$out/run.json" "$verdict" notebooks/0[0-4]_*.ipynb <<-'END'
		import json, os, sys
		runs = json.load(open(sys.argv[1])) if os.path.exists(sys.argv[1]) else []
		passed = sum(not run["failed"] for run in runs) + int(sys.argv[2])
		failed = len(sys.argv) - 3 + 1 - passed
		with open(os.environ["COUNTS"], "a") as file:
		    print(passed, failed, 0, file=file)
		print(f"notebooks and their verdict: {passed} passed, {failed} failed, 0 skipped")
	END
}

stop_services
rm -rf "$out"
mkdir -p "$out"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

heading "Lint"
"$here/lint.sh" || true
heading "Go tests with the race detector"
gotest -race -timeout 20m -skip '^TestLessonPages$' ./... || true
heading "Notebooks"
lessons
heading "Pages of the notebooks in a browser without a network"
LAKEKIT_PAGES=$out gotest -run '^TestLessonPages$' ./lakekit/jupyter || true

awk '{ passed += $1; failed += $2; skipped += $3 }
	END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }' "$COUNTS"
