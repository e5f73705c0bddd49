PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
STAMP = $(READY)

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench docs lint format soak constraints clean

# An active environment or a stray PYTHONPATH must not leak into ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("trouper needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
