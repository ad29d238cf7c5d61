# Everything a fresh machine needs: python 3.10-3.13, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests

.PHONY: help setup asr ks test test-slow lint docs clean

help:
	@echo "make asr        set up, then train and test a speech recogniser on the built-in corpus: two minutes"
	@echo "make ks         the same for keywords: half a minute"
	@echo "make test       set up, then run the tests"
	@echo "make test-slow  the slow ones: many kills, real corpora at length"
	@echo "make lint       ruff check and format"
	@echo "make docs       the pages as a site, in build/site, with a reference made of the docstrings"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not ((3, 10) <= v <= (3, 13)) and \
	  "Soundstage needs Python 3.10 to 3.13, but %s is %d.%d: make PYTHON=python3.12 ..." % (sys.executable, *v))'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[toy,bpe]'
	@touch $@

# resemblyzer for its weights alone: what it depends on needs a compiler
$(TEST_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[toy,bpe,hf,peft,g2p,textgrid,hub,remote,onnx,serve,docs,dev]'
	$(BIN)/python -m pip install --quiet --no-deps resemblyzer
	@touch $@

asr: $(STAMP)
	$(BIN)/python -m problems.asr run --config toy $(ARGS)

ks: $(STAMP)
	$(BIN)/python -m problems.ks run --budget 30s $(ARGS)

test: $(TEST_STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(TEST_STAMP)
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(TEST_STAMP)
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: $(TEST_STAMP)
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
