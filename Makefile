# Everything here sets itself up: the first call makes .venv and installs pinned, hashed requirements.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: help
help:  ## print this list
	@echo "The 500 ms workbook. Usage: make TARGET [ARGS=\"...\"]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Options go through ARGS, for instance: make bench ARGS=\"--users 1,20,100\""
	@echo "What an option does: make bench ARGS=--help"

# ---- set-up ----------------------------------------------------------------------------------------------

$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; '$(PYTHON)' is not. Name another: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) \
		|| { echo "Python's venv module is incomplete here (Debian and Ubuntu keep it in a package of its own)." >&2; exit 2; }
	@touch $@

# One stamp for each set of requirements: a change of the file installs it again.
$(VENV)/%.stamp: requirements/%.txt pyproject.toml | $(VENV)/pip.stamp
	@echo "Installing requirements/$*.txt (once, about a minute) ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

.PHONY: lock
lock:  ## pin requirements/*.txt anew from requirements/*.in (needs uv)
	@for set in bench notebooks test; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			--no-emit-index-url --no-emit-find-links requirements/$$set.in -o requirements/$$set.txt; done

.PHONY: clean
clean:  ## remove .venv, caches and var/ (your reports/ stay)
	@rm -rf $(VENV) var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
