# Two commands for a stranger: `make demo` and `make test`. `make` alone lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
DEMO   ?= demo
# One more than cores: many tests wait for a server, a browser or a process of their own.
WORKERS ?= 3
# Whatever the machine says: every process that tests start would compile the whole package anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers tests slow torture mutants docs site clean browser decoder

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

demo: $(VENV)/.serving ## draw a small shop, fill a catalog, search it, write a result grid (no torch); SERVE=1 also serves the page
	$(BIN)/osoroi demo $(DEMO)
	@if [ -n "$(SERVE)" ]; then $(BIN)/osoroi serve $(DEMO)/shop; fi

test: ## install what tests need; then lint, types, layers, documentation and tests, two at a time
	@$(MAKE) --no-print-directory -j2 $(VENV)/.testing decoder
	@$(MAKE) --no-print-directory -j2 lint types tests

lint: $(VENV)/.testing ## ruff: style and formatting
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools

types: $(VENV)/.testing ## mypy, strict for the package, looser for the tests; politely, beside the tests
	nice -n 19 $(BIN)/mypy

layers: $(VENV)/.testing ## imports point only downwards; `make tests` runs it too
	$(BIN)/lint-imports

tests: $(VENV)/.warm browser decoder ## every unmarked test, doctest and README command
	TMPDIR=$${TMPDIR:-$$(tools/fast_tmp.sh)} OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	  --no-loadscope-reorder -m "not slow and not gpu and not network"

slow: $(VENV)/.testing ## the tests that take longer than ten seconds each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

torture: $(VENV)/.testing ## kill the writer of a catalog at 1,000 points; nothing acknowledged may be lost
	$(BIN)/python benchmarks/torture.py --kills 1000

mutants: $(VENV)/.testing ## plant a sample of faults in the code; count how many the tests notice
	TMPDIR=$${TMPDIR:-$$(tools/fast_tmp.sh)} OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python tools/mutants.py

docs: $(VENV)/.testing ## write the generated pages docs/cli.md and docs/api.md anew
	$(BIN)/python tools/make_docs.py

site: $(VENV)/.testing ## build the documentation site into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove the environment, caches and the demo
	rm -rf $(VENV) $(DEMO) site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "osoroi needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "no virtual environment could be made; on Debian or Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.serving: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.testing: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python tools/install.py $(VENV) '.[test]'
	@touch $@ $(VENV)/.serving

# One process writes the bytecode that all workers would else write at once, of what tests import; not of every package.
$(VENV)/.warm: $(VENV)/.testing
	@$(BIN)/python -m pytest --collect-only -q -p no:cacheprovider >$@.log || { tail -40 $@.log; exit 1; }
	@touch $@

browser:
	@tools/browser.sh

decoder: browser
	@tools/decoder.sh
