#!/bin/sh
# Runs the tests that need what the kit stands in for: starts Apache Kafka and
# MinIO as ordinary processes, installs delta-rs, Spark and clients of OSS and Kafka, runs the Go
# tests that want them and the whole course on Kafka and MinIO, and ends them. The last line is the count of the whole.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$root/lakekit/jupyter
cd "$root"
# shellcheck source=lakekit/jupyter/env.sh
. "$here/env.sh"
out=$root/out/real
# shellcheck source=lakekit/jupyter/tests.sh
. "$here/tests.sh"

drop LAKEKIT_
drop KAFKA_
drop OSS_
export LAKEKIT_STATE="$out/state" LAKEKIT_PROFILE='' LAKEKIT_TIMEZONE='' LAKEKIT_LISTEN=''

finish() {
	status=$?
	trap '' INT TERM HUP
	trap - EXIT
	[ ! -d "$LAKEKIT_STATE" ] || lakekit down || true
	docker/real.sh down "$out/services" || true
	exit $status
}

[ ! -d "$out/services" ] || docker/real.sh down "$out/services"
rm -rf "$out"
mkdir -p "$out"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

heading "Apache Kafka, MinIO, delta-rs, Spark and clients of OSS and Kafka"
REAL_PORTS=free docker/real.sh up "$out/services"
set -a
# shellcheck disable=SC1091
. "$out/services/real.env"
set +a
docker/real.sh engines
docker/real.sh clients
offline
export LAKEKIT_REAL_ENGINES="$root/.cache/real/engines" LAKEKIT_REAL_CLIENTS="$root/.cache/real/clients"

heading "Go tests against Apache Kafka, MinIO, delta-rs, Spark and clients of OSS and Kafka, with the race detector"
# Suites that run on the real services beside the kit's own, and tests of real ones only.
gotest -race -timeout 20m ./lakekit/kafka ./lakekit/oss || true
LAKEKIT_KILLS=100 gotest -race -timeout 60m -run '^TestReal|^TestFaults$' ./lakekit/... || true

heading "Notebooks on Apache Kafka and MinIO"
set -a
# shellcheck disable=SC1091
. "$out/services/profile.env"
set +a
export LAKEKIT_WORKSPACE=test-real
lessons 1000000

total
