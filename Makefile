# make: the experiment of config.yaml, installed and run. make test: lint and tests. make docs: the site.
PYTHON ?= python3
BIN = .venv/bin
# Processes of tests.
WORKERS ?= 2

# Snakemake gives the path of its Python, which is put here, to a shell as it is.
ifneq ($(shell pwd | LC_ALL=C tr -d 'A-Za-z0-9@%+=:,./_\200-\377\n-' | wc -c | tr -d ' '),0)
$(error The path of this folder has spaces or other characters that a shell does not take as they are: $(CURDIR); rename or move it)
endif

.PHONY: all install test lint docs lock clean

all: install
	$(BIN)/snakemake --cores all

install: .venv/installed

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/snakemake --lint

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

docs: install
	$(BIN)/python docs/rulegraph.py
	$(BIN)/sphinx-build -W --keep-going -q -c docs . docs/_build

lock: install
	$(BIN)/python scripts/lock.py

clean:
	rm -rf .venv .snakemake .pytest_cache .ruff_cache .mypy_cache docs/_build .hypothesis results/*/
	find . -name __pycache__ -prune -exec rm -rf {} +
