# Two commands: `make demo` runs the whole system on this machine, `make test` proves it.
# Both install what they need: Python packages into .venv, the servers into a cache folder.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=

.PHONY: help demo test lint format lock clean

help:
	@echo "make demo    the whole system: real Kafka, real Letta, a simulated game (ARGS=\"--npcs 30\")"
	@echo "make test    all tests (ARGS=\"-k name\")"
	@echo "make lint    format, lint, types, layers"
	@echo "make format  mend format and lint"
	@echo "make lock    pin the newest packages that pyproject.toml allows"
	@echo "make clean   remove .venv"

demo: $(INSTALLED)
	$(BIN)/rollcall demo $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy topics streams ops tests
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("rollcall needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages of requirements.lock ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --extra embedded --extra plots --extra tracing --group dev --group build \
		--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--no-annotate --upgrade --output-file requirements.lock

clean:
	rm -rf $(VENV)
