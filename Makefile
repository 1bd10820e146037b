# Two commands on a machine that has Python 3.11 (or later) and make: `make run` and `make test`.
# PYTHON=python3.12 chooses another interpreter, ENV=amazon_subset another environment of conf/, PROCESSES=8 more tests at a
# time.

PYTHON ?= python3
VENV ?= .venv
ENV ?= local
PIPELINE ?= __default__
PROCESSES ?= 2
BIN := $(VENV)/bin
# The pip that comes with Python 3.11 takes three times as long to find versions that fit.
PIP := --quiet --upgrade "pip>=25.1,<27"
STAMP := $(VENV)/installed
DEV_STAMP := $(VENV)/installed-dev

export DO_NOT_TRACK = 1
export NO_MKDOCS_2_WARNING = 1
# With it, each of the hundred interpreters that the tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test lint audit lock docs docs-serve pictures viz viz-build clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(DEV_STAMP) ## make the virtual environment with all that development needs, in the versions of the lock file

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable ".[lightgbm]"
	@touch $@

$(DEV_STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable ".[dev]"
	@touch $(STAMP) $@

run: $(STAMP) ## prices from raw files; fabricates sample data where there is none
	@test -e data/01_raw/dataset/train.csv || test "$(ENV)" != local || $(BIN)/kedro run --pipelines fabricate
	$(BIN)/kedro run --env $(ENV) --pipelines $(PIPELINE)

test: $(DEV_STAMP) ## all tests but the slow ones and those for GPUs, PROCESSES=2 at a time
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(DEV_STAMP) ## style, types, the direction of imports, and packages that fit each other
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check

audit: ## known weaknesses of the versions in the lock file; needs the network
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	$(VENV)-audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

docs: $(DEV_STAMP) ## the documentation as a site in build/docs; a dead link is an error
	$(BIN)/mkdocs build --strict --quiet

docs-serve: $(DEV_STAMP) ## the documentation in a browser while you write it
	$(BIN)/mkdocs serve

pictures: $(DEV_STAMP) ## take the documentation's pictures anew; needs Chromium
	$(BIN)/python docs/make_pictures.py

# Kedro-Viz warns of FastAPI's plans for a class that it uses, which nothing here can change.
viz viz-build: export PYTHONWARNINGS = ignore:ORJSONResponse is deprecated

viz: $(STAMP) ## the lineage in a browser
	$(BIN)/kedro viz run --env $(ENV) --include-hooks

viz-build: $(STAMP) ## the lineage, with previews, as a static site in build/viz
	rm -rf build/viz build.others/viz; test -d build.others || test ! -d build || mv build build.others
	KEDRO_ENV=$(ENV) $(BIN)/kedro viz build --include-hooks --include-previews; mkdir -p build.others; \
	  test ! -d build || mv build build.others/viz; mv build.others build; test -d build/viz
	@echo "Moved to build/viz: serve that folder, or open it with python -m http.server --directory build/viz"

lock: $(DEV_STAMP) ## write what is installed now into requirements.lock
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable ".[dev,tabicl]"
	$(BIN)/python -m pip freeze --exclude-editable > requirements.new
	{ grep '^#' requirements.lock; \
	  grep -vE '^(nvidia|cuda|triton)' requirements.new | sed -E 's/^(torch==[0-9.]+)\+cpu$$/\1/'; } > requirements.partial
	mv requirements.partial requirements.lock && rm requirements.new

clean: ## remove the virtual environment and all that pipelines wrote; raw data stays
	rm -rf $(VENV) $(VENV)-audit data/0[2-8]_* data/amazon_subset
