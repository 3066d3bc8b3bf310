#!/bin/sh
# Apache Kafka and MinIO without Docker: ordinary processes on loopback, with
# the settings of the compose stack. Data, logs, pids and addresses are in DIR.
#
#   real.sh up DIR    install what is missing into .cache/real, start both, and
#                     write their addresses into DIR/real.env
#   real.sh down DIR  end them; the data stays
#   real.sh install   install all of it, so that up and engines need no network
#   real.sh engines   install delta-rs, and Spark with Delta, into .cache/real/engines:
#                     the tests let them read our tables, and take over our streams
#   real.sh clients   install clients of OSS for Python and Node.js, and of Kafka for Python, into
#                     .cache/real/clients: the tests let them call the embedded store and broker,
#                     and those of Kafka for Java, which are compiled with a JDK
#
#   REAL_PORTS=free   free ports, instead of KAFKA_PORT and OSS_PORT
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
here=$root/docker
cache=$root/.cache/real
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
# shellcheck source=lakekit/jupyter/env.sh
. "$root/lakekit/jupyter/env.sh"

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
kafka_version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/real/pom.xml")
kafka_user=lakekit

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

up() {
	if running kafka && running minio && [ -f "$dir/real.env" ]; then
		printf 'Apache Kafka and MinIO are running already.\n'
		announce
		return
	fi
	check kafka minio
	install kafka minio
	down # the one that is left when the other was killed
	umask 077
	trap abort EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	choose_ports
	kafka_password=$(openssl rand -hex 16)
	minio_key=$(kept OSS_ACCESS_KEY_ID 10)
	minio_secret=$(kept OSS_ACCESS_KEY_SECRET 20)
	mkdir -p "$dir/log"
	start_kafka
	start_minio
	await kafka "$kafka_port"
	await minio "$minio_port"
	write_profile
	write_addresses

	trap - EXIT INT TERM HUP
	printf 'Apache Kafka %s and MinIO are up.\n' "$kafka_version"
	announce
}

down() {
	rm -f "$dir/real.env"
	for name in kafka minio; do
		if running $name; then kill -TERM "$pid" || true; fi
	done
	for name in kafka minio; do
		tries=0
		while running $name; do
			tries=$((tries + 1))
			[ $tries -ne 300 ] || kill -KILL "$pid" || true
			sleep 0.1
		done
		rm -f "$dir/$name.pid"
	done
}

abort() {
	status=$?
	trap '' INT TERM HUP
	trap - EXIT
	down
	exit $status
}

# running NAME sets pid. A pid that another process has got in the meantime
# does not count: the command line must be the one we start.
running() {
	pid=$(cat "$dir/$1.pid" 2>/dev/null) || return 1
	case $1 in
	kafka) arguments="kafka.Kafka $dir/kafka/server.properties" ;;
	minio) arguments="--certs-dir $dir/minio/certs $dir/minio/data" ;;
	esac
	case $(ps -ww -o command= -p "$pid" 2>/dev/null) in
	*" $arguments") ;;
	*) return 1 ;;
	esac
}

# check NAME... says what must be installed first. Maven and Go are needed only to install.
check() {
	missing=0
	version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
	[ "${version:-0}" -ge 17 ] || [ "$*" = clients ] || missing "Java 17 or newer" \
		"sudo apt-get install openjdk-21-jre-headless (Debian 12: openjdk-17-jre-headless)" \
		"sudo dnf install java-21-openjdk-headless" "brew install --cask temurin"
	"$PYTHON" -c '' 2>/dev/null || missing "Python 3" \
		"sudo apt-get install python3" "sudo dnf install python3" "brew install python"
	case " $* " in *" clients "*)
		"${java}c" -version >/dev/null 2>&1 || missing "the compiler of Java (JDK) 17 or newer" \
			"sudo apt-get install openjdk-21-jdk-headless (Debian 12: openjdk-17-jdk-headless)" \
			"sudo dnf install java-21-openjdk-devel" "brew install --cask temurin"
		;;
	esac
	case " $* " in *" kafka "*)
		openssl version >/dev/null 2>&1 || missing "openssl" \
			"sudo apt-get install openssl" "sudo dnf install openssl" "brew install openssl"
		ps -ww -o command= -p $$ >/dev/null 2>&1 || missing "ps with the option -p" \
			"sudo apt-get install procps" "sudo dnf install procps-ng" "it comes with the system"
		;;
	esac
	for name; do
		installed "$name" || case $name in
		minio) go version >/dev/null 2>&1 || missing "Go" \
			"sudo snap install go --classic" "sudo dnf install golang" "brew install go" ;;
		clients) npm -v >/dev/null 2>&1 || missing "Node.js with npm" \
			"sudo apt-get install nodejs npm" "sudo dnf install nodejs npm" "brew install node" ;;
		*) mvn -v >/dev/null 2>&1 || missing "Maven" \
			"sudo apt-get install maven" "sudo dnf install maven" "brew install maven" ;;
		esac
	done
	[ $missing -eq 0 ] || exit 1
}

missing() {
	missing=1
	printf '%s is needed. To install it:\n  %-15s %s\n  %-15s %s\n  %-15s %s\n' \
		"$1" "Debian, Ubuntu" "$2" "Fedora" "$3" "macOS" "$4" >&2
}

install() {
	for name; do
		installed "$name" || case $name in
		kafka) part kafka "downloading Apache Kafka $kafka_version" ;;
		minio) part minio "building MinIO (some minutes)" ;;
		engines) part engines "downloading delta-rs and Spark with Delta" ;;
		clients) part clients "downloading clients of OSS and of Kafka" ;;
		esac
	done
}

# key NAME is what an installed part was made from.
key() {
	case $1 in
	kafka) cksum <"$here/real/pom.xml" ;;
	minio) echo "$minio_version" ;;
	engines) "$PYTHON" -V | cat - "$here/real/engines/pom.xml" "$here/real/engines/requirements.txt" | cksum ;;
	clients) "$PYTHON" -V | cat - "$here/real/clients/requirements.txt" "$here/real/clients/package-lock.json" | cksum ;;
	esac
}

installed() { [ "$(cat "$cache/$1/installed" 2>/dev/null)" = "$(key "$1")" ]; }

# part NAME DESCRIPTION installs something into a folder that gets its name only
# when it is complete.
part() {
	into=$cache/$1.new
	log=$cache/$1.log
	rm -rf "$into"
	mkdir -p "$into"
	printf '  %-56s' "$2"
	begin=$(date +%s)
	if ! "make_$1" >"$log" 2>&1 </dev/null; then
		printf 'failed\n\n' >&2
		tail -n 30 "$log" >&2
		fail "" "The whole output is in $log; the same command goes on from here."
	fi
	key "$1" >"$into/installed"
	rm -rf "${cache:?}/$1"
	mv "$into" "$cache/$1"
	printf '%4d s\n' $(($(date +%s) - begin))
}

make_kafka() {
	mvn -B -C -f "$here/real/pom.xml" dependency:copy-dependencies -DoutputDirectory="$into/lib"
}

make_minio() {
	GOBIN=$into CGO_ENABLED=0 GOFLAGS='' go install -trimpath -ldflags='-s -w' "github.com/minio/minio@$minio_version"
}

make_engines() {
	mvn -B -C -f "$here/real/engines/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DexcludeTransitive=true -DoutputDirectory="$into/lib" &&
		"$PYTHON" -m venv "$into/venv" &&
		"$into/venv/bin/python" -m pip install --disable-pip-version-check -r "$here/real/engines/requirements.txt"
}

make_clients() {
	cp "$here/real/clients/package.json" "$here/real/clients/package-lock.json" "$into" &&
		npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund --no-update-notifier &&
		"$PYTHON" -m venv "$into/venv" &&
		"$into/venv/bin/python" -m pip install --disable-pip-version-check -r "$here/real/clients/requirements.txt"
}

# setting NAME DEFAULT is looked up as lakekit does: environment, then .env.
setting() {
	value=$(printenv "$1") ||
		value=$(sed -n "s/^ *\(export  *\)*$1 *= *[\"']*\([^ #\"']*\).*/\2/p" "$root/.env" 2>/dev/null | tail -n 1) || true
	printf '%s\n' "${value:-$2}"
}

# choose_ports takes free ones from below those that systems give to outgoing connections.
choose_ports() {
	set -- free free
	[ "${REAL_PORTS-}" = free ] || set -- "KAFKA_PORT=$(setting KAFKA_PORT 9092)" "OSS_PORT=$(setting OSS_PORT 9000)"
	ports=$("$PYTHON" - "$@" free free free <<-'END'
		import random, socket, sys

		def taken(port):
		    with socket.socket() as client, socket.socket() as server:
		        if client.connect_ex(("127.0.0.1", port)) == 0:
		            return True
		        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		        try:
		            server.bind(("127.0.0.1", port))
		        except OSError:
		            return True

		fixed = [want for want in sys.argv[1:] if want != "free"]
		for want in fixed:
		    name, _, port = want.partition("=")
		    if not port.isdigit() or not 0 < int(port) < 65536:
		        sys.exit(f"{want} is not a port: mend it in .env or in the environment.")
		    if taken(int(port)):
		        sys.exit(f"Port {port} is taken. End what listens there, set another {name} in .env, or start with REAL_PORTS=free.")
		ports = [int(want.partition("=")[2]) for want in fixed]
		for port in random.sample(range(20000, 30000), 10000):
		    if len(ports) == len(sys.argv) - 1:
		        break
		    if port not in ports and not taken(port):
		        ports.append(port)
		print(*ports)
	END
	) || exit 1
	# shellcheck disable=SC2086
	set -- $ports
	kafka_port=$1 minio_port=$2 class_port=$3 cloud_port=$4 controller_port=$5
}

start_kafka() {
	mkdir -p "$dir/kafka"
	make_certificate >"$dir/log/openssl.log" 2>&1 ||
		fail "No certificate could be made; $dir/log/openssl.log says why."
	kafka_settings >"$dir/kafka/server.properties"
	if [ ! -f "$dir/kafka/data/meta.properties" ]; then
		format_kafka 2>"$dir/log/format.log" ||
			fail "Apache Kafka's folder could not be set up; $dir/log/format.log says why."
	fi
	start kafka "$java" -Xms256m -Xmx512m -Dlog4j2.level=INFO -cp "$cache/kafka/lib/*" kafka.Kafka "$dir/kafka/server.properties"
}

format_kafka() {
	cluster=$(storage_tool random-uuid) && storage_tool format --cluster-id="$cluster" -c "$dir/kafka/server.properties" >&2
}

storage_tool() { "$java" -cp "$cache/kafka/lib/*" kafka.tools.StorageTool "$@"; }

# kafka_settings adds to the shared ones where this Kafka listens and keeps its
# data, and a listener like Confluent Cloud's.
kafka_settings() {
	cat "$here/kafka/server.properties" - <<-END

		# From here on: docker/real.sh.
		log.dirs=$dir/kafka/data
		controller.quorum.voters=1@127.0.0.1:$controller_port
		listeners=CONTROLLER://127.0.0.1:$controller_port,HOST://127.0.0.1:$kafka_port,CLASS://127.0.0.1:$class_port,CLOUD://127.0.0.1:$cloud_port
		listener.security.protocol.map=CONTROLLER:PLAINTEXT,HOST:PLAINTEXT,CLASS:SASL_PLAINTEXT,CLOUD:SASL_SSL
		inter.broker.listener.name=HOST
		super.users=User:ANONYMOUS;User:$kafka_user
		listener.name.cloud.ssl.keystore.type=PEM
		listener.name.cloud.ssl.keystore.location=$dir/kafka/server.pem
		listener.name.cloud.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
		listener.name.cloud.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$kafka_user="$kafka_password";
		listener.name.cloud.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	END
}

# make_certificate leaves ca.pem and server.pem (key and certificate). They are
# made anew at each start, so that none expires and no CA's key is kept.
make_certificate() (
	cd "$dir/kafka"
	cat >openssl.cnf <<-'END'
		[req]
		prompt = no
		distinguished_name = name
		x509_extensions = ca
		[name]
		CN = taxilake test CA
		[ca]
		basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign
		subjectKeyIdentifier = hash
		[server]
		basicConstraints = CA:false
		extendedKeyUsage = serverAuth
		subjectAltName = IP:127.0.0.1, DNS:localhost
	END
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key &&
		openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key &&
		openssl req -x509 -new -config openssl.cnf -key ca.key -days 365 -out ca.pem &&
		openssl req -new -config openssl.cnf -subj /CN=127.0.0.1 -key server.key -out server.csr &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 365 \
			-extfile openssl.cnf -extensions server -out server.crt &&
		cat server.key server.crt >server.pem &&
		rm openssl.cnf ca.key server.key server.csr server.crt
)

start_minio() (
	export MINIO_ROOT_USER="$minio_key" MINIO_ROOT_PASSWORD="$minio_secret" MINIO_BROWSER=off MINIO_UPDATE=off
	start minio "$cache/minio/minio" server --quiet --address "127.0.0.1:$minio_port" \
		--certs-dir "$dir/minio/certs" "$dir/minio/data"
)

# kept NAME BYTES is a secret of the last start, or a new one of so many bytes.
kept() {
	value=$(sed -n "s/^$1=//p" "$dir/profile.env" 2>/dev/null) || true
	printf '%s\n' "${value:-$(openssl rand -hex "$2")}"
}

# start NAME COMMAND... starts a process in a session of its own, and returns when
# its command line and its pid file are there: Ctrl-C waits until down knows it.
start() {
	"$PYTHON" - "$dir" "$@" <<-'END'
		import signal, subprocess, sys
		for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
		    signal.signal(number, lambda *_: None)
		folder, name, *command = sys.argv[1:]
		with open(f"{folder}/log/{name}.log", "ab") as log, open(f"{folder}/{name}.pid", "w") as file:
		    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
		    print(process.pid, file=file)
	END
}

# await NAME PORT waits for an answer in the service's own protocol.
await() {
	tries=0
	until "ask_$1" "$2" 2>/dev/null; do
		tries=$((tries + 1))
		if [ $tries -eq 300 ] || ! running "$1"; then
			tail -n 20 "$dir/log/$1.log" >&2
			fail "" "$1 did not come up; the whole of its log is in $dir/log/$1.log."
		fi
		sleep 0.2
	done
}

# ask_kafka wants a Metadata response (v1) that names a broker: from then on
# topics can be created.
ask_kafka() {
	"$PYTHON" - "$1" <<-'END'
		import socket, struct, sys
		request = struct.pack(">hhihi", 3, 1, 0, -1, 0) # Metadata, v1, correlation id, no client id, no topic
		with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as connection:
		    connection.sendall(struct.pack(">i", len(request)) + request)
		    size, correlation, brokers = struct.unpack(">iii", connection.makefile("rb").read(12))
		sys.exit(brokers != 1)
	END
}

ask_minio() {
	"$PYTHON" - "$1" <<-'END'
		import http.client, sys
		connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
		connection.request("GET", "/minio/health/ready")
		sys.exit(connection.getresponse().status != 200)
	END
}

# write_profile writes what a notebook needs, as it stands in .env.
write_profile() {
	cat >"$dir/profile.env" <<-END
		LAKEKIT_PROFILE=docker
		KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$kafka_port
		OSS_ENDPOINT=http://127.0.0.1:$minio_port
		OSS_ACCESS_KEY_ID=$minio_key
		OSS_ACCESS_KEY_SECRET=$minio_secret
	END
}

# write_addresses writes what tests need. The file is there as long as both are up.
write_addresses() {
	cat >"$dir/real.env.new" <<-END
		LAKEKIT_REAL_KAFKA=127.0.0.1:$kafka_port
		LAKEKIT_REAL_KAFKA_SASL=127.0.0.1:$class_port
		LAKEKIT_REAL_KAFKA_SASL_SSL=127.0.0.1:$cloud_port
		LAKEKIT_REAL_KAFKA_CA='$dir/kafka/ca.pem'
		LAKEKIT_REAL_KAFKA_USERNAME=$kafka_user
		LAKEKIT_REAL_KAFKA_PASSWORD=$kafka_password
		LAKEKIT_REAL_S3=http://127.0.0.1:$minio_port
		LAKEKIT_REAL_S3_ACCESS_KEY_ID=$minio_key
		LAKEKIT_REAL_S3_ACCESS_KEY_SECRET=$minio_secret
	END
	mv "$dir/real.env.new" "$dir/real.env"
}

announce() {
	printf 'The notebooks use them with these lines in .env, which are in %s:\n' "$dir/profile.env"
	sed 's/^/  /; s/\(SECRET=\).*/\1.../' "$dir/profile.env"
	printf 'Logs are in %s. To end them: docker/real.sh down %s\n' "$dir/log" "$dir"
}

case ${1-}:$# in
up:* | down:*) ;;
install:1)
	check kafka minio engines clients
	install kafka minio engines clients
	exit 0
	;;
engines:1 | clients:1)
	check "$1"
	install "$1"
	exit 0
	;;
*) fail "usage: docker/real.sh up DIR | down DIR | install | engines | clients" ;;
esac
if [ $# -ne 2 ] || [ -z "$2" ]; then fail "usage: docker/real.sh $1 DIR"; fi
[ "$1" = up ] || [ -d "$2" ] || exit 0
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
case $dir in *[,\\\"\']*) fail "$dir: Kafka takes no folder with a comma, a quote or a backslash in its name." ;; esac
"$1"
[ "$1" = up ] || printf 'Apache Kafka and MinIO are down; their data stays in %s.\n' "$dir"
