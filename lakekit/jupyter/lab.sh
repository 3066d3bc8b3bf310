#!/bin/sh
# Opens the notebooks in JupyterLab, on loopback and behind a token, with the
# services up.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$root/lakekit/jupyter/env.sh"

lakekit up

set -- --notebook-dir="$root/notebooks" --ip=127.0.0.1 --log-level=WARN "$@"
[ "$(id -u)" -ne 0 ] || set -- --allow-root "$@"
if .venv/bin/python -c 'import jupyterlab' 2>/dev/null; then
	set -- jupyterlab --LabApp.default_url=/lab/tree/00_start_here.ipynb "$@"
else # of Debian's packages
	set -- notebook --NotebookApp.default_url=/notebooks/00_start_here.ipynb "$@"
fi
printf '\nJupyter opens at the address below; Ctrl-C ends it. The services stay up: make down ends them.\n'
exec .venv/bin/python -m "$@"
