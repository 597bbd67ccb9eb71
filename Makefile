# botec's commands. Each sets up what it needs in .venv, from nothing, and is quiet when all is well.
#
#   make demo    one page about ResNet-50          make lint      ruff and mypy
#   make test    lint and the tests, as CI does    make test-all  the slow tests too
#   make test-page  the page in a browser          make accuracy, coverage, bench, rules: docs/

PYTHON  ?= python3
WORKERS ?= 2

VENV  := .venv
RUN   := $(VENV)/bin/python
READY := $(VENV)/.ready
PIP   := $(RUN) -m pip --disable-pip-version-check install -qq --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format docs accuracy counters coverage bench rules test-page clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(READY)
	@$(VENV)/bin/botec estimate torchvision:resnet50 B=32 --train --optimizer adamw

test: lint
	@$(RUN) -m pytest -n $(WORKERS) -m "not slow"

test-all: lint
	@$(RUN) -m pytest -n $(WORKERS)

# The page's tests need Chromium, which pip does not have: Debian's, where it is not there yet.
test-page: $(READY)
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }
	@$(RUN) -m pytest tests/write/test_to_html.py tests/write/test_*_in_browser.py

lint: $(READY)
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --check --quiet . || { echo "lint: run make format" >&2; exit 1; }
	@$(RUN) -m mypy --no-error-summary

format: $(READY)
	@$(RUN) -m ruff check --quiet --fix .
	@$(RUN) -m ruff format --quiet .

docs: $(READY)
	@$(RUN) docs/make_cli.py
	@$(RUN) docs/make_readme.py

accuracy: $(READY)
	@$(RUN) benchmarks/zoo.py -o docs/zoo.md
	@$(RUN) -m benchmarks.accuracy -o docs/accuracy.md
	@$(RUN) benchmarks/real_steps.py -o docs/real-steps.md

coverage: $(READY)
	@$(RUN) benchmarks/coverage.py -o docs/coverage.md

bench: $(READY)
	@$(RUN) benchmarks/performance.py -o docs/performance.md

rules: $(READY)
	@$(RUN) benchmarks/rules.py -o docs/rules.md

counters: $(READY)
	@$(RUN) benchmarks/counters.py -o docs/counters.md

# The environment: made when missing, made new when what it is made from changes. A fresh machine's
# pip is too old for dependency groups, hence the first line of pip.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
	  "botec needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1);" \
	  "name one: make PYTHON=python3.11" >&2; exit 1; }
	@echo "setting up $(VENV) (once; torch is large)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) pip setuptools
	@$(PIP) --no-build-isolation --group dev --editable ".[all]"
	@touch $@

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
