# The two commands of the README: `make demo` and `make test`. Both begin from nothing but python3 (3.11 or newer).
# CI runs `make check test`. Options to a command: make test ARGS="tests/chat -k drain".

SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Most tests wait for sockets, clocks and programs: on 2 cores three at a time take half as long as one.
JOBS ?= 3

export PYTHON
# A slow mirror is waited for, a broken connection tried again: an install that gives up after 15 s is no install.
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_RETRIES ?= 5
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Each test process and each program that the tests start would compile every module anew: a third of collecting them.
export PYTHONDONTWRITEBYTECODE :=
# Settings of the caller that would lead the virtual environment astray.
export PIP_USER := 0
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.DEFAULT_GOAL := help
# apt and pip take locks; the tools share 2 cores anyway.
.NOTPARALLEL:
.PHONY: help demo test check bench load soak constraints clean runtime dev

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: runtime ## run it all on this machine: server, shop, a synthetic host and shoppers
	$(BIN)/siyu demo $(ARGS)

test: ## install what the tests need, then run all of them but the soak
	@sh tools/debian-packages.sh test
	@$(MAKE) --no-print-directory dev
	$(BIN)/python -m pytest -m "not soak" -n $(JOBS) --dist loadfile $(ARGS)

check: dev ## lint, format, types, import laws, tidiness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_laws.py

bench: dev ## each benchmark beside its baseline
	$(BIN)/siyu bench $(ARGS)

load: dev ## Locust against a server of its own, then: was anything oversold? (ARGS="--users 500 --seconds 120")
	$(BIN)/python -m loadtest $(ARGS)

# The fuzzer has wheels for some platforms only; without it the tests that it guides are skipped and say so.
soak: dev ## the long hammers
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fuzz]' || echo "no atheris here: fuzzing by coverage is skipped"
	$(BIN)/python -m pytest -m soak $(ARGS)

constraints: ## resolve every dependency anew and write constraints.txt
	@sh tools/debian-packages.sh demo
	sh tools/constraints.sh constraints.txt

clean: ## remove the virtual environment and every cache (data stays)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A sound environment first, then (in a second make, which looks at the stamps afresh) what it lacks.
runtime dev:
	@sh tools/venv.sh $(VENV)
	@$(MAKE) --silent $(VENV)/.$@

$(VENV)/.runtime: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): siyu-live"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): siyu-live with what tests and tools need"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,load,redis,postgres]'
	@touch $(VENV)/.runtime $@
