# `make` alone explains the commands. Torch stays outside the hashed lock: its build differs by machine (requirements/README.md).
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   := .venv
DOCS   := .venv-docs
PY     := $(VENV)/bin/python
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOCKED_STAMP := $(VENV)/.locked
PIP    := $(PY) -m pip --disable-pip-version-check
LOCKED := --quiet --no-deps --require-hashes --only-binary :all:
SOURCES := components flows tests benchmarks infra examples

# pip asks rustc for its version, and rustup answers by writing into the home folder: give it one of ours.
export RUSTUP_HOME := $(CURDIR)/$(VENV)/rustup

.PHONY: help setup run docs example test test-faults test-stories lint ui team-local team-local-stop lock lock-images clean

help:  ## explain these commands
	@echo "Stillhouse: a student is promoted only with a receipt."; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make the virtual environment from the lock (about two minutes, once)

run: $(STAMP)  ## set up, then the whole retraining flow: data to promoted student
	@$(BIN)/stillhouse run $(ARGS)

test: lint  ## set up, then lint, types, layers and every test but the fault suite
	@$(PY) -m pytest --numprocesses auto --maxprocesses 4 --no-loadscope-reorder $(ARGS)

test-faults: $(STAMP)  ## kill, race and starve it at every point (half an hour); writes docs/reliability.json
	@$(PY) -m pytest tests/faults -m "not stories" --numprocesses auto --maxprocesses 4 --maxschedchunk 1 $(ARGS)

test-stories: $(STAMP)  ## long stories with real servers and real data (STILLHOUSE_DATA)
	@$(PY) -m pytest -m stories $(ARGS)

lint: $(STAMP)  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

example: $(STAMP)  ## NAME=adult: one of examples/ on real data (STILLHOUSE_DATA), from data to its measured table
	@$(PY) examples/run.py $(NAME)

docs: $(DOCS)/.installed  ## the documentation as a site in site/, which needs no network to be read
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet
	@echo "site/index.html"

# Not in the lock: nothing that runs needs it.
$(DOCS)/.installed: pyproject.toml $(LOCKED_STAMP)
	@test -x $(DOCS)/bin/python || "$(PYTHON)" -m venv $(DOCS)
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' > $(DOCS)/requirements.txt
	@$(DOCS)/bin/python -m pip --disable-pip-version-check install --quiet -r $(DOCS)/requirements.txt
	@touch "$@"

ui: $(STAMP)  ## MLflow's and Prefect's pages on loopback
	@$(BIN)/stillhouse ui

team-local: $(STAMP)  ## PostgreSQL, MLflow, Prefect and a worker as plain processes on loopback
	@$(PY) infra/local/team.py start

team-local-stop: $(STAMP)  ## stop them; their data stays
	@$(PY) infra/local/team.py stop

$(LOCKED_STAMP): requirements.lock requirements/build.lock
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "Stillhouse needs Python 3.11-3.13; '$(PYTHON)' was not found. Try: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v=sys.version_info[:2]; sys.exit(0 if (3,11)<=v<(3,14) else "Stillhouse needs Python 3.11-3.13; %s is %d.%d. Try: make PYTHON=/path/to/python3.12" % ((sys.executable,)+tuple(v)))'
	@echo "Installing locked dependencies into $(VENV) (about two minutes, once)..." >&2
	@rm -rf "$(VENV)"
	@"$(PYTHON)" -m venv "$(VENV)" || { echo "venv failed; on Debian/Ubuntu install python3-venv" >&2; exit 1; }
	@$(PIP) install $(LOCKED) -r requirements/build.lock
	@$(PIP) install $(LOCKED) --no-binary antlr4-python3-runtime --no-build-isolation -r requirements.lock
	@$(PIP) install --quiet "$(TORCH)"
	@touch "$@"

$(STAMP): $(LOCKED_STAMP) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	@$(PIP) check
	@$(PY) -m stillhouse_flows.databases
	@touch "$@"

lock:  ## resolve requirements/*.in again (needs uv)
	@command -v uv >/dev/null 2>&1 || { echo "make lock needs uv" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --no-emit-package torch --excludes requirements/excludes.txt requirements/runtime.in requirements/dev.in requirements/build.in -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" -c requirements.lock requirements/build.in -o requirements/build.lock
	@! grep -nE '://|^--' requirements.lock requirements/build.lock

lock-images:  ## resolve infra/images/*.in again, to the versions of requirements.lock (needs uv)
	@for name in mlflow prefect; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock-images" -c requirements.lock infra/images/$$name.in -o infra/images/$$name.lock || exit 1; done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock-images" --no-emit-package torch --excludes requirements/excludes.txt -c requirements.lock requirements/runtime.in infra/images/worker.in -o infra/images/worker.lock
	@! grep -nE '://|^--' infra/images/*.lock

clean:  ## remove the virtual environment (data, artifacts and the registry stay)
	rm -rf "$(VENV)"
