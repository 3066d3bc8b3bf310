#!/bin/sh
# Starts GoNB for a notebook, with the repository's module in its Go workspace,
# so that cells import taxilake/lakekit without a download. Jupyter calls it in
# the notebook's folder: kernel.sh CONNECTION_FILE.
set -eu

is_repository() { grep -qs '^module taxilake$' "$1/go.mod"; }

root=$PWD
until is_repository "$root" || [ "$root" = / ]; do
	root=$(dirname "$root")
done
is_repository "$root" || root=$(cd "$(dirname "$0")/../.." && pwd -P)

PATH=$root/.bin:$PATH
# Editors started from a desktop do not have the shell's PATH.
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin:/opt/homebrew/bin:/usr/local/bin:/snap/bin
export PATH

# Cells are linked anew each time: without symbols, and by lld, in half the time.
# Set here, not added to: -mod=mod or a GOWORK of the user's would break the workspace.
link='-s -w'
if [ "$(uname -s)" = Linux ] && command -v ld.lld >/dev/null; then
	link="$link -extldflags=-fuse-ld=lld"
fi
export GOFLAGS="-buildvcs=false '-ldflags=$link'"
unset GOWORK

# Whatever started Jupyter must not wait for a cell's child that holds its output.
log=$root/.jupyter/gonb.log
mkdir -p "$root/.jupyter"
[ ! -f "$log" ] || [ "$(wc -c <"$log")" -lt 1000000 ] || : >"$log"
LAKEKIT_HOME=$root exec "$root/.bin/gonb" -kernel "$1" -go_work="$root" </dev/null >>"$log" 2>&1
