#!/bin/sh
# Runs the course: sets up, starts the services with a state folder of their
# own, executes the lessons, compares the table with what was produced, and
# sums up. Ends what it started, also when it fails or is interrupted.
#
#   KEEP=1           leave services and data
#   OUT=FOLDER       of results, instead of out
#   LAKEKIT_PROFILE  on Kafka and an object store that others use too, the run
#                    has a workspace of its own, which it deletes at both ends
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$root/lakekit/jupyter
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$here/env.sh"
out=${OUT:-out}
export LAKEKIT_STATE="$root/$out/state"

finish() {
	status=$?
	trap '' INT TERM HUP
	trap - EXIT
	if [ "${KEEP-}" != 1 ] && [ $status -eq 0 ] && [ -n "$elsewhere" ]; then
		lakekit reset --yes >/dev/null || true
	fi
	if [ "${KEEP-}" = 1 ]; then
		printf '\nThe services stay up. To end them: LAKEKIT_STATE="%s" .bin/lakekit down\n' "$LAKEKIT_STATE"
		lakekit status || true
	else
		lakekit down || true
		# After a failure the logs are to be read.
		[ $status -ne 0 ] || rm -rf "$LAKEKIT_STATE"
	fi
	exit $status
}

# timed NAME COMMAND... notes the seconds that the command took.
timed() {
	name=$1
	shift
	printf '\n== %s\n' "$name"
	start=$(date +%s)
	"$@"
	printf '%s\t%d\n' "$name" $(($(date +%s) - start)) >>"$out/parts.tsv"
}

mkdir -p "$out"
: >"$out/parts.tsv"
timed "Set-up" "$here/setup.sh"
offline

# elsewhere is set when Kafka and the object store are no processes of this run.
elsewhere=
case $(lakekit settings LAKEKIT_PROFILE) in embedded) ;; *)
	elsewhere=1
	export LAKEKIT_WORKSPACE="${COURSE_WORKSPACE-course-run}"
	;;
esac

[ ! -d "$LAKEKIT_STATE" ] || lakekit down
rm -rf "$out"/*.ipynb "$out"/*.html "$out"/*.json "$LAKEKIT_STATE"

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cp -R notebooks/images "$out/"
timed "Services" lakekit up
[ -z "$elsewhere" ] || lakekit reset --yes >/dev/null
timed "Lessons" .venv/bin/python "$here/run.py" --out "$out" notebooks/0[0-4]_*.ipynb
lakekit status --json >"$out/status.json" || true
lakekit traffic list --json >"$out/traffic.json" || true
lakekit table history --json >"$out/history.json" || true

verify() {
	if lakekit verify --wait --json >"$out/verify.json"; then return 0; fi
	cat "$out/verify.json"
	echo "The table does not hold what was produced, or that could not be compared. Logs to read: $LAKEKIT_STATE/log"
	return 1
}
timed "Verdict" verify

"$PYTHON" "$here/summary.py" "$out"
