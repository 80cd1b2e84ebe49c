# Everything a person types. `make setup` is quick when nothing is missing, so the other targets simply ask for it.
SHELL := /bin/bash
SLOTS ?= 96
FABRIC ?= embedded
PY := .venv/bin/python
PYTEST := $(PY) -m pytest -q
TOLD := --durations=15 --durations-min=2
# Networks of real processes wait for blocks most of the time: some side by side, each in one process (tests/networks.py).
SIDE_BY_SIDE := --dist loadscope --no-loadscope-reorder $(TOLD)

.PHONY: help setup check test test-fabric demo bench clean lock format

help:
	@echo "make setup   what is missing: .venv and .tools"
	@echo "make demo    the main job, SLOTS=96 slots (SLOTS=8 takes three minutes), FABRIC=embedded|real|none"
	@echo "make check   formatter, linter, type checker, style tests"
	@echo "make test    every test that has to pass before a change lands"
	@echo "make test-fabric  a real Hyperledger Fabric network: built once into ~/.cache/bsmg, about four minutes"
	@echo "make bench   transfers a second, and blocks under queries: docs/performance.md"
	@echo "make interop clients that others wrote, against real chains; needs Go, node and npm"
	@echo "make format  let the formatter and the linter repair what they can"
	@echo "make lock    choose versions anew and pin them"
	@echo "make clean   remove what was made here, .venv and .tools too"

setup:
	@tools/setup.sh

check: setup
	@$(PY) -m ruff format --check --quiet . || { $(PY) -m ruff format --check .; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy --no-error-summary
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) proto/generate.py --check 2>&1 | grep -v "^Writing mypy"; exit $${PIPESTATUS[0]}
	@$(PYTEST) tests/style

test: setup
	@$(PYTEST) -n 2 --dist worksteal $(TOLD) -m "not slow and not e2e and not interop and not fabric" tests
	@$(PYTEST) -n 3 $(SIDE_BY_SIDE) -m "e2e and not slow and not interop" tests

test-fabric: setup
	@$(PYTEST) -n 2 $(SIDE_BY_SIDE) -m "fabric and not slow" tests

interop: setup
	@$(PYTEST) -m "interop or e2e" tests/interop

demo: setup
	@.venv/bin/bsmg demo --slots $(SLOTS) --fabric $(FABRIC)

bench: setup
	@$(PY) -m bench

format: setup
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet --fix .

lock: setup
	@tools/lock.sh

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build demo *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
