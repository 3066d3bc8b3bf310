# Sourced by the scripts that run tests, with $root, $here and $out set: each
# part appends its counts to $COUNTS, and total prints their sum.
# shellcheck shell=sh disable=SC2154
export COUNTS="$out/counts"

heading() { printf '\n== %s\n' "$1"; }

gotest() {
	go test -json -count=1 "$@" 2>&1 | "$PYTHON" "$here/gotest.py"
}

# lessons executes the notebooks with as many records as given, and counts each
# as a test; so are the verdict on what they left, and that no secret of the
# services is in a log, an output or a page.
lessons() {
	verdict=0
	if lakekit up && .venv/bin/python "$here/run.py" --out "$out" -p records="$1" notebooks/0[0-4]_*.ipynb; then
		lakekit verify --wait && verdict=1
	fi
	"$PYTHON" "$here/leaks.py" "$LAKEKIT_STATE" "$out" && verdict=$((verdict + 1))
	"$PYTHON" - "$out/run.json" "$verdict" notebooks/0[0-4]_*.ipynb <<-'END'
		import json, os, sys
		runs = json.load(open(sys.argv[1])) if os.path.exists(sys.argv[1]) else []
		passed = sum(not run["failed"] for run in runs) + int(sys.argv[2])
		failed = len(sys.argv) - 3 + 2 - passed
		with open(os.environ["COUNTS"], "a") as file:
		    print(passed, failed, 0, file=file)
		print(f"notebooks, their verdict, no secret told: {passed} passed, {failed} failed, 0 skipped")
	END
}

# total is the last line of a run, and its exit status.
total() {
	awk '{ passed += $1; failed += $2; skipped += $3 }
		END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }' "$COUNTS"
}
