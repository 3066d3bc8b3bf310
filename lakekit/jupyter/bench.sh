#!/bin/sh
# Runs the benchmarks of all packages, or of those given, one after the other,
# five times each, and prints the medians. Where delta-rs can be installed, ours
# are measured against it in the same run. BENCH=regexp: those only.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$root/lakekit/jupyter/env.sh"

docker/real.sh engines && export LAKEKIT_REAL_ENGINES="$root/.cache/real/engines"
offline

[ $# -gt 0 ] || set -- ./...
[ -n "${BENCH-}" ] || set -- -skip '^BenchmarkSpark$' "$@" # half an hour of its own: make bench-spark
mkdir -p out
go test -run '^$' -bench "${BENCH:-.}" -benchmem -count 5 -p 1 -timeout 60m "$@" >out/bench.txt || {
	cat out/bench.txt
	exit 1
}
"$PYTHON" "$root/lakekit/jupyter/medians.py" <out/bench.txt
echo "Every measurement: out/bench.txt"
