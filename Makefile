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
OTHER_ENGINES = $(if $(findstring --engine,$(ARGS))$(findstring --peers,$(ARGS)),$(VENV)/engines.stamp)
unexport PYTHONDONTWRITEBYTECODE  # set in some containers: every process would then recompile all its imports

.PHONY: help
help:  ## print this list
	@echo "The 500 ms workbook. Usage: make TARGET [ARGS=\"...\"]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Options go through ARGS, for instance: make bench ARGS=\"--users 1,20,100\""
	@echo "What an option does: make bench ARGS=--help"

.DEFAULT:
	@echo "There is no target '$@'. make alone lists them." >&2; exit 2

# ---- look ------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/demo.stamp  ## watch both readers side by side; ARGS=--tour tells the story
	@$(RUN) -m loadtests demo $(ARGS)

.PHONY: bench
bench: $(VENV)/bench.stamp $(OTHER_ENGINES)  ## how many users each reader holds, with a report (8 minutes)
	@$(RUN) -m loadtests bench $(ARGS)

.PHONY: bench-full
bench-full: $(VENV)/bench.stamp  ## the same with repeats, open load, a burst (40 minutes)
	@$(RUN) -m loadtests bench --full --floor $(ARGS)

.PHONY: bench-queue
bench-queue: $(VENV)/bench.stamp $(OTHER_ENGINES)  ## measure jobqueue beside the plain drivers (13 minutes)
	@$(RUN) -m loadtests queue $(ARGS)

.PHONY: engines
engines: $(VENV)/bench.stamp $(VENV)/engines.stamp  ## compare the engines under the same reader (15 minutes)
	@$(RUN) -m loadtests engines $(ARGS)

.PHONY: torture
torture: $(VENV)/bench.stamp  ## harm jobqueue's workers, and count the jobs (10 minutes)
	@$(RUN) -m loadtests torture $(ARGS)

.PHONY: sync
sync: $(VENV)/bench.stamp  ## start the synchronous reader and its feed server, until Ctrl-C
	@$(RUN) -m loadtests stack sync $(ARGS)

.PHONY: queued
queued: $(VENV)/bench.stamp $(OTHER_ENGINES)  ## start the queued reader, its worker and feed server, until Ctrl-C
	@$(RUN) -m loadtests stack queued $(ARGS)

.PHONY: locust
locust: $(VENV)/bench.stamp $(OTHER_ENGINES)  ## open Locust's own page on a reader: ARGS="--app queued"
	@$(VENV)/bin/locust -f loadtests/feeds.py $(ARGS)

.PHONY: diff
diff:  ## show the lesson: what a queue changes in the app
	@diff -U1 sync_app/app.py queued_app/app.py || test $$? -eq 1

# notebooks/jupyter/: opens the contents first, asks nothing about news, sends no traffic beyond this machine.
.PHONY: notebooks
notebooks: $(VENV)/notebooks.stamp $(VENV)/engines.stamp  ## open your own copy of the workbook in JupyterLab
	@$(RUN) notebooks/copies.py
	@cd notebooks/mine && JUPYTER_CONFIG_PATH="$(CURDIR)/notebooks/jupyter" ../../$(VENV)/bin/jupyter lab $(ARGS)

.PHONY: book
book: $(VENV)/book.stamp  ## build the workbook as an offline site: var/book/index.html
	@$(RUN) notebooks/book.py $(ARGS)

.PHONY: docs
docs: $(VENV)/book.stamp  ## build jobqueue's documentation as a site: var/docs/index.html
	@rm -rf var/docs
	@$(RUN) -m sphinx --quiet --fail-on-warning --keep-going jobqueue/docs var/docs $(ARGS)
	@echo "The site: var/docs/index.html"

# ---- keep in order ---------------------------------------------------------------------------------------

.PHONY: check
check: $(VENV)/test.stamp $(VENV)/demo.stamp  ## run the linter and the type checker
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check .
	@$(RUN) -m mypy

.PHONY: test
test: $(VENV)/test.stamp  ## run the tests that start no process (2 minutes)
	@$(RUN) -m pytest --numprocesses 4 --dist worksteal $(ARGS)

.PHONY: test-live
test-live: $(VENV)/test.stamp $(VENV)/book.stamp $(VENV)/demo.stamp $(VENV)/engines.stamp  ## run those that start processes, and the slow ones (15 minutes)
	@$(RUN) -m pytest -m "live or slow" --numprocesses 4 --dist worksteal $(ARGS)

# jobqueue comes from the wheel, not from this folder, in the tests and in the processes they start (PYTHONSAFEPATH).
.PHONY: test-wheel
test-wheel: $(VENV)/test.stamp  ## run jobqueue's tests against its wheel, as pip installs it
	@rm -rf var/wheel
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
		--target var/wheel ./jobqueue
	@PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)/var/wheel" $(RUN) -m pytest --numprocesses 4 --dist worksteal \
		tests/test_jobqueue_*.py $(ARGS)

.PHONY: format
format: $(VENV)/test.stamp  ## format the code
	@$(RUN) -m ruff check --quiet --fix .
	@$(RUN) -m ruff format --quiet .

.PHONY: chapters
chapters: $(VENV)/test.stamp $(VENV)/engines.stamp  ## build the notebooks from notebooks/source/; --check runs them
	@$(RUN) notebooks/build.py $(ARGS)

.PHONY: schema
schema: $(VENV)/bench.stamp  ## write loadtests/results.schema.json from the types
	@$(RUN) -m loadtests.records.schema

.PHONY: wc
wc:  ## count lines: the library is meant to stay small
	@echo "the core, blank lines and all:"
	@wc -l jobqueue/*.py | sort -n
	@echo "what one may leave out:"
	@wc -l jobqueue/tools/*.py | sort -n

# ---- set-up ----------------------------------------------------------------------------------------------

# The pip that comes with Python may be too old: with an extra, it installed a newer release than the pinned one.
$(VENV)/pip.stamp: requirements/pip.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; '$(PYTHON)' is not. Name another: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) \
		|| { echo "Python's venv module is incomplete here (Debian and Ubuntu keep it in a package of its own)." >&2; exit 2; }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pip.txt
	@touch $@

# One stamp per set of requirements: a changed file is installed again. The workbook itself is no package: a .pth file
# adds this folder to where .venv looks for modules. (setuptools only warns that the install is editable.)
$(VENV)/%.stamp: requirements/%.txt jobqueue/pyproject.toml | $(VENV)/pip.stamp
	@echo "Installing requirements/$*.txt (once, about a minute) ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt -r $<
	@PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --no-index -e ./jobqueue
	@echo "$(CURDIR)" > "$$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/workbook.pth"
	@touch $@

# These have what they need beyond bench's requirements, which come first: the tests run several makes at once, and
# those must find bench.stamp up to date.
$(VENV)/test.stamp $(VENV)/notebooks.stamp $(VENV)/book.stamp $(VENV)/demo.stamp $(VENV)/engines.stamp: $(VENV)/bench.stamp

LOCK := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

.PHONY: lock
lock:  ## re-pin requirements/*.txt from requirements/*.in (needs uv)
	@for set in pip bench; do $(LOCK) requirements/$$set.in -o requirements/$$set.txt; done
	@for set in notebooks test book demo engines; do $(LOCK) requirements/$$set.in \
		| $(PYTHON) requirements/besides.py requirements/bench.txt > requirements/$$set.new; \
		mv requirements/$$set.new requirements/$$set.txt; done

.PHONY: clean
clean:  ## remove .venv, caches and var/ (your reports/ stay)
	@rm -rf $(VENV) var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
