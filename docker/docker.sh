#!/bin/sh
# The work behind make's docker targets:
#
#   docker.sh up       start Kafka, MinIO and JupyterLab, wait until they answer
#   docker.sh run      the whole course inside of the jupyter container
#   docker.sh down     end them; VOLUMES=1: delete their data too, after asking (YES=1: without)
#   docker.sh logs     follow what they write
#   docker.sh class alice bob ...   credentials for students, one .env each
#   docker.sh save     write all images into one file, for a room without a network
#   docker.sh load     read them from it
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
images=out/taxilake-images.tar
loaded=.cache/docker-loaded

HOST_UID=$(id -u)
HOST_GID=$(id -g)
export HOST_UID HOST_GID

# setting NAME is its value in the environment, else in .env, else nothing.
setting() {
	eval "value=\${$1-}"
	if [ -z "$value" ] && [ -f .env ]; then
		value=$(awk -v name="$1" '
			{ sub(/\r$/, ""); sub(/^[ \t]*(export[ \t]+)?/, "") }
			index($0, name) == 1 && substr($0, length(name) + 1) ~ /^[ \t]*=/ {
				sub(/^[^=]*=[ \t]*/, "")
				if (!/^["'\'']/) sub(/[ \t]+#.*$/, "")
				sub(/[ \t]+$/, "")
				if (/^".*"$/ || /^'\''.*'\''$/) $0 = substr($0, 2, length($0) - 2)
				value = $0
			}
			END { print value }' .env)
	fi
	printf '%s' "$value"
}

address() { echo "127.0.0.1:$(value=$(setting "$1"); echo "${value:-$2}")"; }

random() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

# ensure NAME VALUE adds a setting to .env that is not there yet.
ensure() {
	[ -z "$(setting "$1")" ] || return 0
	# The last line of a file that an editor has left may be open.
	[ ! -s .env ] || [ -z "$(tail -c 1 .env)" ] || echo >>.env
	printf '%s=%s\n' "$1" "$2" >>.env
}

secrets() {
	(umask 077 && touch .env)
	chmod 600 .env
	ensure OSS_ACCESS_KEY_ID "lake$(random 8)"
	ensure OSS_ACCESS_KEY_SECRET "$(random 20)"
	ensure JUPYTER_TOKEN "$(random 20)"
}

compose() {
	[ -z "$(setting CLASS_ADDRESS)" ] || set -- --file docker/compose.class.yaml "$@"
	docker compose --env-file .env --file docker/compose.yaml "$@"
}

# engine says what is missing of Docker, if anything is.
engine() {
	if ! command -v docker >/dev/null 2>&1; then
		cat >&2 <<-'END'
			Docker is needed (docker not found). To install it:
			  Linux           https://docs.docker.com/engine/install, with its compose plugin
			  macOS, Windows  Docker Desktop, https://docs.docker.com/desktop
			The course runs without Docker too: make lab.
		END
		return 1
	fi
	if ! docker compose version >/dev/null 2>&1; then
		cat >&2 <<-'END'
			Docker's compose plugin is needed (docker compose does not run). To install it:
			  Debian, Ubuntu  sudo apt-get install docker-compose-plugin, from Docker's packages
			  others          https://docs.docker.com/compose/install
		END
		return 1
	fi
	if ! problem=$(docker info 2>&1 >/dev/null); then
		cat >&2 <<-END
			Docker is installed, but does not answer:
			  $(printf '%s' "$problem" | head -n 1)
			To start it:
			  Linux           sudo systemctl start docker
			  macOS, Windows  open Docker Desktop and wait until it says that it is running
			If it says "permission denied": sudo usermod -aG docker $(id -un), then log in again.
		END
		return 1
	fi
}

up() {
	secrets
	mkdir -p out # or Docker makes it, for root
	# The image's user reads and copies it, also from a folder of a careful umask.
	chmod 755 docker/kafka
	chmod 644 docker/kafka/server.properties
	build=--build
	[ "${BUILD-}" != 1 ] || rm -f "$loaded"
	[ ! -f "$loaded" ] || build=--no-build
	compose up --wait "$build"
}

addresses() {
	echo
	echo "JupyterLab    http://$(address JUPYTER_PORT 8888)/lab/tree/00_start_here.ipynb?token=$(setting JUPYTER_TOKEN)"
	# The page asks for the token that the server has made.
	token=$(compose exec -T jupyter .bin/lakekit status </dev/null | sed -n 's/.*[?]token=\([^ ]*\).*/\1/p' | head -n 1)
	echo "Workshop      http://$(address LAKEKIT_PORT 8080)/?token=$token"
	echo "Kafka         $(address KAFKA_PORT 9092)"
	echo "MinIO         http://$(address OSS_PORT 9000), its console http://$(address MINIO_CONSOLE_PORT 9001) (user and password: OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET in .env)"
	case ",$(setting COMPOSE_PROFILES)," in *,control-center,*)
		echo "Kafka's topics  http://$(address KAFKA_UI_PORT 8082)"
		;;
	esac
	if class=$(setting CLASS_ADDRESS) && [ -n "$class" ]; then
		echo "For students  make docker-class STUDENTS=\"alice bob\" writes the .env of each"
	fi
}

run() {
	up
	set -- jupyter make run
	[ -t 0 ] || set -- -T "$@"
	compose exec "$@"
}

down() {
	if [ ! -f .env ]; then
		echo "Nothing is running: make docker-up has not been run."
		return 0
	fi
	if [ "${VOLUMES-}" = 1 ]; then
		if [ "${YES-}" != 1 ]; then
			printf 'This deletes the topics, the tables and the streams of the Docker stack. Go on? [y/N] '
			read -r answer || answer=
			case $answer in y | Y | yes) ;; *)
				echo "Nothing is deleted."
				return 1
				;;
			esac
		fi
		set -- --volumes
	fi
	compose --profile '*' down "$@"
}

class() { compose exec -T jupyter .bin/lakekit class "$@"; }

save() {
	secrets
	compose --profile '*' build
	mkdir -p out
	# shellcheck disable=SC2046 # a word for each image
	docker save --output "$images" $(compose --profile '*' config --images | sort -u)
	echo "$images holds the images. On a machine without a network: copy it to the same place, make docker-load, make docker-up."
}

load() {
	if [ ! -f "$images" ]; then
		echo "$images is not there: make docker-save writes it on a machine with a network; copy it here." >&2
		return 1
	fi
	docker load --input "$images"
	mkdir -p .cache
	: >"$loaded"
	echo "make docker-up now starts these images without building (BUILD=1: builds again)."
}

command=${1-}
[ $# -eq 0 ] || shift
case $command in
up) engine && up && addresses ;;
run | down | class | save | load) engine && "$command" "$@" ;;
logs) engine && compose logs --follow --tail 100 "$@" ;;
*)
	sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
