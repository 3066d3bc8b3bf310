# The commands of the kit; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
JUPYTER := lakekit/jupyter
LAKEKIT := .bin/lakekit

.PHONY: help setup run lab up down reset status doctor test bench lint clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

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

status: setup ## show the services, the topic, the stream and the table
	@$(LAKEKIT) status

doctor: setup ## look for what keeps the kit from working, and say how to mend it
	@$(LAKEKIT) doctor

test: setup ## run all tests: lint, Go with the race detector, notebooks, their pages in a browser
	@$(JUPYTER)/test.sh

bench: ## run the benchmarks one after the other, five times each, and print medians
	@$(JUPYTER)/bench.sh

lint: setup ## check formatting, vet, staticcheck, notebooks without outputs, shell scripts
	@$(JUPYTER)/lint.sh

clean: down ## delete what setup and run have built; data in .lakekit stays
	@if [ -x $(LAKEKIT) ] && [ -d out/state ]; then LAKEKIT_STATE="$(CURDIR)/out/state" $(LAKEKIT) down; fi
	rm -rf .bin .cache .jupyter .venv out $(JUPYTER)/node_modules
