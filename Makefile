# Everything that is done with this project, one target each.

PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests

.PHONY: help setup demo up down chaos scale test lint types imports storm check lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/' | sort

# The stamp is newer than the requirements only once everything was installed.
.venv/.installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Halftone needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt > .venv/uv.txt  # uv, of the lock as everything
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.installed ## Make .venv with everything installed

demo: setup ## Mirror the sample site and leave it up to look at
	$(BIN)/halftone demo

# SERVICES: which of compose.yaml's to run; empty: all. COMPOSE: or `docker compose`.
COMPOSE ?= docker-compose
SERVICES ?=
up: secrets ## Build and run everything in containers; wait until it is healthy
	$(COMPOSE) up --detach --build $(SERVICES)
	deploy/wait-healthy

secrets: deploy/make-secrets
	deploy/make-secrets secrets

down: ## Stop the containers; what they keep stays
	$(COMPOSE) down

chaos: setup ## Kill everything in turn while feeds are mirrored; nothing may be lost or there twice
	$(BIN)/python bench/chaos.py

scale: setup ## Measure what images and polls cost, and how that grows with transcoders
	$(BIN)/python bench/scale.py

test: setup ## Run the tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)  # what a file shares is made once

lint: setup ## Check the style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## Check the types
	$(BIN)/pyright

imports: setup ## Check who imports whom
	$(BIN)/lint-imports

SEED ?= 4
storm: setup ## Store 5,000 renditions in 20 GitHub accounts on bad days, uploaders killed meanwhile (3 min)
	$(BIN)/python bench/uploader_storm.py --seed $(SEED)

check: lint types imports test ## Everything that must hold before a commit

lock: setup ## Pin the dependencies anew, with hashes, without hosts
	for part in "standalone requirements.txt" "dev requirements-dev.txt" \
	  "fetcher requirements-fetcher.txt" "transcoder requirements-transcoder.txt" \
	  "uploader requirements-uploader.txt" "api requirements-api.txt" "tracing requirements-tracing.txt"; do set -- $$part; \
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --extra $$1 pyproject.toml -o $$2; done

clean: ## Remove what was built and installed
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
