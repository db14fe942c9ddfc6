# The one list of tasks. People, pre-commit and CI call these targets and nothing else.
# A fresh machine needs make and Python 3.11 or newer: every target brings the environment first.

PYTHON ?= python3
T ?=
ARGS ?=
WORKERS ?= 2
S ?=
N ?= 20
SEED ?= 1

BIN := .venv/bin
MEMBERS := libs/common services/booking services/payment services/claims services/documents deploy/simulators deploy/local
MANIFESTS := pyproject.toml $(MEMBERS:%=%/pyproject.toml)
SOURCES := $(wildcard libs services deploy tools bench tests)
TYPED := $(wildcard $(MEMBERS:%=%/src) tools bench tests/support)
# ONCE=0 means no, like an empty one
on = $(filter-out 0 no false,$($(1)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup lock fmt lint types imports contracts migrations contracts-lint rules check test run bench docs release migrate migration \
	drill documents-check image-check servers fuzz clients examples contract-stage clean

help:  ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*##/ {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use it
run: .state/setup  ## the platform on this machine: ONCE=1 ends after the journeys, AGAIN=1 plays them anew, REPORT=file, PROCESSES=1, PORT=n
	@exec $(BIN)/python -m local $(if $(call on,ONCE),--once) $(if $(call on,PROCESSES),--processes) $(if $(call on,AGAIN),--again) \
		$(if $(REPORT),--report "$(REPORT)") $(if $(PORT),--port $(PORT))

test: .state/setup  ## every test; T=tests/booking narrows, ARGS="-k word -x" is passed on, WORKERS=0 runs in one process
	@$(BIN)/pytest $(if $(call on,WORKERS),-n $(WORKERS) --dist loadscope --no-loadscope-reorder) $(ARGS) $(T)

bench: .state/setup  ## ratios against baselines of the same run; REPORT=file writes them too
	@$(BIN)/python -m bench $(if $(REPORT),--report "$(REPORT)") $(ARGS)

drill: .state/setup  ## kills the running platform N times at points that SEED picks, and counts what was lost
	@$(BIN)/python -m local.drill --runs $(N) --seed $(SEED) $(ARGS)

documents-check: .state/setup  ## mentions, PDF/A, PDF/UA, signature and QR code of every document of the journeys
	@$(BIN)/python -m local.documents_check $(ARGS)

image-check: .state/setup  ## the image of every service, or of S=booking, built and run as deploy/Dockerfile says, without Docker
	@for service in $(or $(S),booking payment claims documents); do $(BIN)/python -m tools.image $$service || exit 1; done

servers: .state/setup  ## Kafka, Keycloak and an S3 server into var/cache, for the tests of a production; needs java, mvn, go, postgresql
	@PYTHONPATH=tests $(BIN)/python -m support.production

fuzz: .state/setup build/fuzz/.ready  ## schemathesis on every service with tokens of every role; SEED=n, ARGS=--deep tries more
	@$(BIN)/python -m tools.fuzz --seed $(SEED) $(ARGS)

clients: .state/setup build/clients/env/.ready  ## clients in four languages, compiled; two play the journeys through a proxy; needs node, java, mvn
	@$(BIN)/python -m tools.clients $(ARGS)

##@ Work on it
setup: .state/setup  ## the environment in .venv, from requirements.lock

.state/setup: requirements.lock $(MANIFESTS) tools/setup.sh
	@PYTHON="$(PYTHON)" MEMBERS="$(MEMBERS)" sh tools/setup.sh
	@touch $@

# tools that want other versions than the services have get environments of their own
build/fuzz/.ready: tools/fuzz/requirements.txt | .state/setup
build/clients/env/.ready: tools/clients/requirements.txt | .state/setup
build/fuzz/.ready build/clients/env/.ready:
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@VIRTUAL_ENV=$(@D) $(BIN)/uv pip install --quiet --requirement $<
	@touch $@

lock: .state/setup  ## requirements.lock anew from the pyproject.toml files; ARGS="--upgrade" takes newer versions
	@$(BIN)/uv pip compile $(MANIFESTS) --group dev --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --quiet \
		$(foreach member,$(MEMBERS),--no-emit-package $(notdir $(member))) $(ARGS) --output-file requirements.lock
	@! grep -nE '://|file:|^-e' requirements.lock || { echo "lock: requirements.lock holds an address" >&2; exit 1; }

fmt: .state/setup  ## format, and mend what can be mended
	@$(BIN)/ruff format --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet --fix $(SOURCES)

check: lint types imports rules contracts migrations  ## lint types imports rules contracts migrations: everything but the tests

lint: .state/setup  ## ruff
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES)

types: .state/setup  ## mypy strict
	@$(BIN)/mypy $(TYPED)

imports: .state/setup  ## who may import what
	@$(BIN)/lint-imports --no-logo

rules: .state/setup  ## the rules that ruff cannot say
	@$(BIN)/python -m tools.lint_rules

contracts: .state/setup  ## generated files are current and compatible with what was released
	@$(BIN)/python -m tools.contracts --check

migrations: .state/setup  ## the migrations make what the models say, from one head, and go back
	@$(BIN)/pytest --quiet --no-header tests/contracts/test_migrations.py

contracts-lint:  ## spectral, redocly and the AsyncAPI parser find nothing in the documents; needs node
	@sh tools/openapi_rules/lint.sh

examples: .state/setup  ## docs/openapi/examples from a platform that is called; ARGS=--check writes none, ARGS=--all all
	@$(BIN)/python -m tools.examples $(ARGS)

contract-stage: .state/setup  ## contracts-lint, examples, clients and fuzz with their figures; ARGS="--document docs/contracts.md" writes them there
	@$(BIN)/python -m tools.contract_stage $(ARGS)

docs: .state/setup  ## schemas, examples, events.md, AsyncAPI and OpenAPI from the models; the site in build/site
	@$(BIN)/python -m tools.contracts
	@$(BIN)/python -m mkdocs build --quiet --strict
	@echo "docs: build/site/index.html; its search needs a server: python3 -m http.server --bind 127.0.0.1 -d build/site"

release: .state/setup  ## the contract as it is now becomes the baseline of compatibility: REASON="why"
	@$(BIN)/python -m tools.contracts --release "$$REASON"

##@ Databases
migrate: .state/setup  ## migrations of every service, or of S=booking, with the settings of the environment
	@for service in $(or $(S),booking payment claims documents); do $(BIN)/python -m $$service migrate || exit 1; done

migration: .state/setup  ## a new migration: S=booking M="add a column"
	@test -n "$(S)" -a -n "$(M)" || { echo 'migration: say S=booking M="what changes"' >&2; exit 2; }
	@cd services/$(S) && ../../$(BIN)/alembic revision --message "$(M)"

clean:  ## the environment and what tools wrote; keeps the data in var/
	@rm -rf .venv .state .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
