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
is_repository "$root" || root=$(dirname "$0")/../..
root=$(cd "$root" && pwd -P)

# Editors started from a desktop do not have the shell's PATH.
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin:/opt/homebrew/bin:/usr/local/bin:/snap/bin
# shellcheck source=lakekit/jupyter/env.sh
. "$root/lakekit/jupyter/env.sh"
go=$(command -v go) || true
case $go in */jupyter/path/go) ;; *) LAKEKIT_GO=$go ;; esac # the former: in a kernel that a cell has started
export LAKEKIT_GO LAKEKIT_HOME="$root"
# In a cell, !pip and !python are the repository's; the machine's pip refuses to install.
export VIRTUAL_ENV="$root/.venv" PIP_REQUIRE_VIRTUALENV=1
export PATH="$root/lakekit/jupyter/path:$root/.bin:$root/.venv/bin:$PATH"

# Cells are linked anew each time: without symbols, and by lld, in half the time.
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
exec "$root/.bin/gonb" -kernel "$1" -go_work="$root" </dev/null >>"$log" 2>&1
