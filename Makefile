PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo embed-demo test bench bench-peers docs lint format soak constraints clean

# An active environment or a stray PYTHONPATH must not leak into ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("trouper needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: $(READY) ## make .venv with all that the other targets need

demo: $(READY) ## run the system monitor for 15 s, with failures thrown in
	$(BIN)/trouper run examples/system_monitor.py --for 15 --override chaos=true

embed-demo: $(READY) ## put load on a FastAPI service with a workflow inside, and drain it
	$(BIN)/python examples/embedding/load.py

test: $(READY) ## run every test with branch coverage, then hold the limits
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet
	$(BIN)/coverage report
	$(BIN)/python tools/coverage_gate.py coverage.json

soak: $(READY) ## run the soak tests, a minute each (TROUPER_SOAK_SECONDS)
	seconds=$${TROUPER_SOAK_SECONDS:-60}; TROUPER_SOAK_SECONDS=$$seconds \
		$(BIN)/python -m pytest -m soak --timeout $$((seconds + 60)) -o faulthandler_timeout=$$((seconds + 160)) $(ARGS)

.venv/.ready-bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	touch $@

bench: .venv/.ready-bench ## measure side by side with peers
	$(BIN)/python -m benchmarks $(ARGS)

.venv-peers/.ready: benchmarks/original/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-peers: $(READY) .venv-peers/.ready ## measure tasks beside the original SDK
	$(BIN)/python -m benchmarks.original --peer .venv-peers/bin/python $(ARGS)

docs: $(READY) ## build the pages into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# mypy refuses a folder that has no Python file in it.
PROGRAMS = $(patsubst %/,%,$(sort $(dir $(wildcard examples/*.py benchmarks/*.py))))

lint: $(READY) docs ## check style, types and pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy src tests tools $(PROGRAMS)
	$(BIN)/basedpyright

format: $(READY) ## rewrite the code in the house's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Choose the oldest Python at hand (PYTHON=...): what it gets, a newer one can install too.
constraints: ## resolve the newest allowed versions and write constraints.txt
	fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT \
		&& $(PYTHON) -m venv "$$fresh" \
		&& "$$fresh"/bin/python -m pip install --quiet '.[dev,bench,monitor]' \
		&& "$$fresh"/bin/python -m pip freeze --exclude trouper > "$$fresh"/frozen \
		&& cp "$$fresh"/frozen constraints.txt

clean: ## remove everything that the targets made
	rm -rf .venv .venv-peers site dist build htmlcov .coverage .coverage.* coverage.json
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
