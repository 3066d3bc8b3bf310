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
# shellcheck source=lakekit/jupyter/tests.sh
. "$here/tests.sh"

# Whatever .env and the environment say, these tests need no other service than the
# kit's own, and no network.
offline
drop LAKEKIT_
drop KAFKA_
drop OSS_
export LAKEKIT_STATE="$out/state" LAKEKIT_PROFILE='' LAKEKIT_WORKSPACE='' LAKEKIT_TIMEZONE='' LAKEKIT_LISTEN=''

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

stop_services
rm -rf "$out"
mkdir -p "$out"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

heading "Lint"
"$here/lint.sh" || true
heading "Go tests with the race detector"
gotest -race -timeout 60m -skip '^TestLessonPages$' ./... || true
heading "Bounds of memory, without the race detector, which takes memory of its own"
gotest -run '^TestBounds$' ./lakekit/broker || true
heading "Notebooks"
lessons 100000
heading "Pages of the notebooks in a browser without a network"
LAKEKIT_PAGES=$out gotest -run '^TestLessonPages$' ./lakekit/jupyter || true

total
