# das-bot: everything one types. `make` alone shows this list.
# Each target makes what it needs first and is quick when nothing changed.

PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: demo
demo: .venv/.run ## Open a Slack-like workspace with the bot in it, in a browser (ARGS="--pace 0.5" and so on)
	@$(BIN)/das-bot demo $(ARGS)

.PHONY: test
test: .venv/.test system ## Run the whole test suite (ARGS="-k name" and so on)
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: lint
lint: .venv/.test ## Ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: bench
bench: .venv/.test ## Measure speed; prints ratios against a baseline of the same run
	@$(BIN)/python tests/bench/run.py $(ARGS)

.PHONY: chaos
chaos: .venv/.test system ## Ask hundreds of questions while everything is killed, frozen, cut and reordered by a seeded plan
	@$(BIN)/python tests/chaos/run.py $(ARGS)

.PHONY: image-check
image-check: .venv/.test ## Build the container image and run it locked down (needs a Docker Engine, or root and docker.io)
	@$(BIN)/python -m pytest -n 0 -q -s tests/image/checks.py $(ARGS)

.PHONY: screenshot
screenshot: .venv/.test system ## Take the README's picture of the demo anew
	@$(BIN)/python tests/e2e/screenshot.py docs --only demo

.PHONY: gallery
gallery: .venv/.test system ## Take the pictures of every state of a reply anew
	@$(BIN)/python -m tests.e2e.camera

.PHONY: page
page: ## Build the demo's page anew (needs node)
	@cd bot/demo/page && npm ci --silent && npm run --silent build

.PHONY: lock
lock: .venv/.test ## Resolve the dependencies anew into the lock files
	@$(PIP) install uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra test \
		pyproject.toml -o requirements-test.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		pyproject.toml -c requirements-test.lock -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra otel \
		pyproject.toml -c requirements-test.lock -o requirements-otel.lock
	@echo 'setuptools>=77' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		- -o requirements-build.lock

.PHONY: system
system: ## Install what the tests need of the system, where that is allowed
	@sh tools/system.sh

.PHONY: clean
clean: ## Remove what these targets made
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "das-bot needs Python 3.11 or newer; none was found." >&2; exit 2; fi
	@$(PYTHON) -m venv .venv || { rm -rf .venv; sh tools/system.sh venv && $(PYTHON) -m venv .venv; } || { \
		rm -rf .venv; echo "Python's venv module is missing: install the package python3-venv." >&2; exit 2; }

# An environment whose making was cut off has a python and no pip.
.venv/.run: .venv/bin/python requirements.lock pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; $(MAKE) --no-print-directory .venv/bin/python; }
	@echo "Installing what das-bot needs into .venv …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

.venv/.test: .venv/.run requirements-test.lock
	@echo "Installing what its tests need …"
	@$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@
