# Two commands matter: `make demo` and `make test`. Each sets up what it needs, on a machine with Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.installed

.PHONY: setup browser demo serve test check bench lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("signoff needs Python 3.11 or newer; set PYTHON=python3.x") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

browser: $(STAMP)
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "tests"); from browser import ensure; ensure()'

demo: setup
	@$(BIN)/signoff demo

serve: setup
	@$(BIN)/signoff serve

test: browser
	@$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m compileall -q src
	@cp requirements.lock $(VENV)/lock.now && $(MAKE) -s lock LOCK=$(VENV)/lock.now && cmp requirements.lock $(VENV)/lock.now \
		|| { echo 'requirements.lock is out of date: run make lock'; exit 1; }

bench: setup
	@$(BIN)/python -m benchmarks

LOCK ?= requirements.lock
lock:
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--group dev pyproject.toml -o $(LOCK)

clean:
	rm -rf $(VENV)
