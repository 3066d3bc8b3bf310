# The commands of the kit; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
JUPYTER := lakekit/jupyter
LAKEKIT := .bin/lakekit
# The workshop of this folder, not the one that the shell was set up for.
unexport LAKEKIT_HOME

.PHONY: help setup run lab up down reset status doctor test test-real real-up real-down dataset bench bench-spark lint sbom vulncheck fuzz clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## set everything up inside this folder; does nothing when all is in place
	@$(JUPYTER)/setup.sh

run: ## run the whole course and check that every record arrived once (KEEP=1: leave the services up)
	@$(JUPYTER)/course.sh

lab: setup ## open the notebooks in JupyterLab, with the services up
	@$(JUPYTER)/lab.sh

up: setup ## start the services
	@$(LAKEKIT) up

down: ## end the services; their data stays
	@if [ -x $(LAKEKIT) ]; then $(LAKEKIT) down; else echo "Nothing is running: make setup has not been run."; fi

reset: setup ## delete topic, table, checkpoint and dead letters, after asking (YES=1: without)
	@$(LAKEKIT) reset $(if $(YES),--yes)

status: setup ## show the services, their addresses, streams and runs of traffic
	@$(LAKEKIT) status

doctor: setup ## look for what keeps the kit from working, and say how to mend it
	@$(LAKEKIT) doctor

test: setup ## run all tests: lint, Go with the race detector, notebooks, their pages in a browser
	@$(JUPYTER)/test.sh

test-real: setup ## run the tests that need real services, engines and clients, and the course: Apache Kafka, MinIO, Spark, delta-rs, clients of OSS and Kafka
	@$(JUPYTER)/test-real.sh

real-up: ## start Apache Kafka and MinIO without Docker, and say how the notebooks use them
	@docker/real.sh up .lakekit/real

real-down: ## end Apache Kafka and MinIO; their data stays
	@docker/real.sh down .lakekit/real

dataset: setup ## write taxi records to out/taxi.csv (ROWS=1000000 FROM=0 SEED=1 FORMAT=csv, json or parquet)
	@mkdir -p out
	@$(LAKEKIT) dataset generate --records $(or $(ROWS),1000000) --from-row $(or $(FROM),0) --seed $(or $(SEED),1) --format $(or $(FORMAT),csv) --out out/taxi.$(or $(FORMAT),csv)
	@ls -l out/taxi.$(or $(FORMAT),csv)

bench: ## run the benchmarks one after the other, five times each, and print medians
	@$(JUPYTER)/bench.sh

bench-spark: setup ## drain one topic with the kit and with Spark Structured Streaming, five times each
	@BENCH='^BenchmarkSpark$$' $(JUPYTER)/bench.sh ./lakekit/ingest

lint: setup ## check formatting, vet, staticcheck, notebooks without outputs, shell scripts
	@$(JUPYTER)/lint.sh

sbom: setup ## list what the kit is built from, in CycloneDX: out/sbom
	@.ci/sbom

vulncheck: ## look for known vulnerabilities in what the kit reaches
	@.ci/vulncheck

fuzz: ## run all fuzz targets, a minute each (FUZZTIME=60s)
	@.ci/fuzz

clean: down real-down ## delete what setup and run have built; data in .lakekit stays
	@if [ -x $(LAKEKIT) ] && [ -d out/state ]; then LAKEKIT_STATE="$(CURDIR)/out/state" $(LAKEKIT) down; fi
	rm -rf .bin .cache .jupyter .venv out $(JUPYTER)/node_modules

# Kafka, MinIO and JupyterLab in containers: docker/README.md
DOCKER := docker/docker.sh

.PHONY: docker-up docker-run docker-down docker-logs docker-class docker-save docker-load

docker-up: ## start the Docker stack and wait until it answers (COMPOSE_PROFILES=control-center: with Kafka's web page)
	@$(DOCKER) up

docker-run: ## run the whole course inside of the Docker stack
	@$(DOCKER) run

docker-down: ## end the Docker stack; its data stays (VOLUMES=1: goes, after asking)
	@$(DOCKER) down

docker-logs: ## follow what the Docker stack writes (SERVICE=kafka: of one)
	@$(DOCKER) logs $(SERVICE)

docker-class: ## let students into the Docker stack: STUDENTS="alice bob"
	@$(DOCKER) class $(STUDENTS)

docker-save: ## write the images into out/taxilake-images.tar, for a room without a network
	@$(DOCKER) save

docker-load: ## read the images from out/taxilake-images.tar
	@$(DOCKER) load
