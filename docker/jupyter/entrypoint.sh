#!/bin/sh
# Runs a command, such as JupyterLab, with the services up, and ends them in order
# when the container is to stop.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
# shellcheck source=lakekit/jupyter/env.sh
. "$root/lakekit/jupyter/env.sh"
PATH=$root/.venv/bin:$PATH

lakekit up
"$@" &
command=$!
trap 'kill -TERM $command 2>/dev/null || true' TERM INT HUP
status=0
wait $command || status=$?
# A signal has ended the wait, not yet the command.
while kill -0 $command 2>/dev/null; do
	status=0
	wait $command || status=$?
done
lakekit down
exit $status
