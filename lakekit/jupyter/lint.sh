#!/bin/sh
# Checks the sources without running them. Ends with the counts, and appends
# them to the file named by COUNTS.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$root/lakekit/jupyter
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$here/env.sh"
offline

passed=0 failed=0 skipped=0

# check NAME COMMAND... passes when the command succeeds and prints nothing.
check() {
	name=$1
	shift
	if output=$("$@" 2>&1) && [ -z "$output" ]; then
		passed=$((passed + 1))
		printf '  ok       %s\n' "$name"
	else
		failed=$((failed + 1))
		printf '  FAILED   %s\n%s\n' "$name" "$output"
	fi
}

skip() {
	skipped=$((skipped + 1))
	printf '  skipped  %s: %s\n' "$1" "$2"
}

no_registry() { ! grep '"resolved"' "$1"; }

check "gofmt" gofmt -l lakekit datasets docker
check "go vet" go vet ./...
check "staticcheck" staticcheck ./...
check "notebooks without outputs" "$PYTHON" "$here/notebooks_clean.py" notebooks/*.ipynb "$here"/*.ipynb
check "package-lock.json names no registry" no_registry "$here/package-lock.json"
if command -v shellcheck >/dev/null 2>&1; then
	check "shellcheck" shellcheck -x "$here"/*.sh docker/*.sh docker/jupyter/*.sh "$here/path/go" .ci/run .ci/fuzz .ci/sbom .ci/vulncheck
else
	skip "shellcheck" "not installed"
fi
if [ -x .venv/bin/hadolint ]; then
	check "hadolint" .venv/bin/hadolint docker/minio/Dockerfile .binder/Dockerfile
else
	skip "hadolint" "PyPI had none for this machine when set-up installed Jupyter"
fi

echo "$passed $failed $skipped" >>"${COUNTS:-/dev/null}"
printf 'lint: %d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
