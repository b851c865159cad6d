# make: the experiment of config.yaml, installed and run. make test: lint and tests.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: all install test lint lock clean

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
	$(BIN)/snakemake --lint

test: lint
	$(BIN)/python -m pytest

lock: install
	$(BIN)/python scripts/lock.py

clean:
	rm -rf .venv .snakemake .pytest_cache .ruff_cache .hypothesis results/*/
	find . -name __pycache__ -prune -exec rm -rf {} +
