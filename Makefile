# Everything runs from .venv/ in this checkout: no system ffmpeg, no GPU, nothing installed outside.
PYTHON ?= python3
# Tests side by side; 1 runs them in one process.
JOBS ?= 2
# A second package index for torch, such as the PyTorch project's list of CPU wheels (see README).
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt
SETUP := $(VENV)/.setup.stamp
TEST_SETUP := $(VENV)/.test.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check format docs samples clean-build

help:
	@echo "make setup        .venv/ with vidrain in it (about two minutes the first time)"
	@echo "make demo         take the rain out of a sample clip and show where the results lie"
	@echo "make test         the test suite; make test-slow: kills, soaks, installs, real footage"
	@echo "make check        ruff and mypy;  make format: let ruff rewrite"
	@echo "make docs         write docs/promises.md and docs/cli.txt anew"
	@echo "make samples      render samples/ anew"
	@echo "make clean-build  remove what builds and tests left behind"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "vidrain needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 || true). Try: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }

$(SETUP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing vidrain into $(VENV)/ ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(TEST_SETUP): $(SETUP)
	@echo "installing the test extra into $(VENV)/ ..."
	@$(PIP_INSTALL) -e '.[test]'
	@touch $@

setup: $(SETUP)

demo: $(SETUP)
	@mkdir -p demo
	$(BIN)/vidrain clean samples/street.mp4 -o demo/street.clean.mp4 --rain demo/street.rain.mp4 \
		--rain-preview demo/street.rain-preview.mp4 --force
	$(BIN)/python tools/sheet.py samples/street.mp4 --clean demo/street.clean.mp4 \
		--rain demo/street.rain.mp4 -o demo/street.png
	@echo
	@echo "clean video              $(CURDIR)/demo/street.clean.mp4"
	@echo "rain video, exact        $(CURDIR)/demo/street.rain.mp4"
	@echo "rain video, for the eye  $(CURDIR)/demo/street.rain-preview.mp4"
	@echo "before | after | rain    $(CURDIR)/demo/street.png"

# Threads that wait must sleep: tests and the programs they start share the cores. Side by side each has its own.
test test-slow: export OMP_WAIT_POLICY := PASSIVE
test: export OMP_NUM_THREADS := 1

# In both the last line printed is pytest's own count.
test: $(TEST_SETUP)
	@$(BIN)/python -m pytest -q -n $(JOBS)

# These look at what comes out alone and run side by side; the rest measures time and memory, one after the other.
TOGETHER := $(patsubst %,tests/slow/test_%.py,switched_off goes_on real_clips footage_roundtrip fuzz \
	eval make_weights real_dimensions without_library exports segment_tasks dockerfile \
	viewer pages_are_readable pages_of_many page_sizes) \
	tests/train/test_ablate.py tests/pipeline/test_crash_points.py tests/pipeline/test_adapt.py

test-slow: $(TEST_SETUP)
	@$(BIN)/python -m pytest -q -m slow -n $(JOBS) $(TOGETHER)
	@$(BIN)/python -m pytest -q -m slow $(TOGETHER:%=--ignore=%)

check: $(TEST_SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TEST_SETUP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(SETUP)
	$(BIN)/python -m tools.make_docs

samples: $(TEST_SETUP)
	$(BIN)/python tools/make_samples.py

clean-build:
	rm -rf build dist demo vidrain.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find vidrain tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
