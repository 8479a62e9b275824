# One command from a fresh clone: `make train prompt="a ripe strawberry"`. Needs make and Python >= 3.11 with venv.

PYTHON ?= python3
TORCH_INDEX ?=# e.g. PyTorch's own CPU index: saves the several GB of CUDA inside Linux's plain torch

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TRITON := $(if $(filter Linux,$(shell uname -s)),$(VENV)/.triton) # it has wheels for Linux alone

# The prompt travels through the environment as typed: pasted into a recipe, `$`, quotes and backticks would be obeyed.
export PROMPT := $(value prompt)
unexport prompt

.DEFAULT_GOAL := help
.PHONY: help setup train studio test test-gpu test-browser test-tour test-gltf campaign gpu-report check bench bench-peer clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

setup: $(INSTALLED) ## make .venv and install the pinned packages

train: $(INSTALLED) ## train one prompt and leave its turntable: make train prompt="a ripe strawberry"
	@test -n "$$PROMPT" || { echo 'make train needs a prompt: make train prompt="a ripe strawberry"' >&2; exit 2; }
	@$(BIN)/python -m src.train "prompt=$$PROMPT"

studio: $(INSTALLED) ## open a page to make objects in
	@$(BIN)/python -m src.studio

test: $(INSTALLED) $(TRITON) ## run the whole CPU test suite, a process on each core
	@$(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist loadfile

test-gpu: $(INSTALLED) ## run the tests that need a CUDA device
	@$(BIN)/python -m pytest -q -m gpu

test-browser: $(INSTALLED) ## run the tests that need Chromium
	@$(BIN)/python -m pytest -q -m browser

test-tour: $(INSTALLED) ## do docs/first-hour from top to bottom at preset=smoke: minutes
	@$(BIN)/python -m pytest -q -m tour

test-gltf: $(INSTALLED) ## run the Khronos validator on exported meshes; needs Node
	@test -d $(VENV)/node_modules/gltf-validator || npm install --silent --no-save --prefix $(VENV) gltf-validator@2.0.0-dev.3.10
	@$(BIN)/python -m pytest -q -m node

campaign: $(INSTALLED) ## kills, failing disks, flipped bits, bad input, NaN, a long run: hours (docs/reliability.md)
	@$(BIN)/python -m pytest -q -m campaign
gpu-report: $(INSTALLED) ## try and time everything on a GPU and write one file to send (device=cpu: a small rehearsal)
	@$(BIN)/python -m src.gpu_report device=$(or $(device),cuda)

check: $(INSTALLED) ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED) ## time the parts of a step against their references
	@$(BIN)/python -m src.bench

bench-peer: $(INSTALLED) ## the same beside nerfstudio's hash encoding, fetched without its dependencies
	@test -d $(VENV)/peer || $(BIN)/python -m pip install --no-deps --target $(VENV)/peer nerfstudio==1.1.5
	@$(BIN)/python -m src.bench peer=$(VENV)/peer

clean: ## remove the environment and caches; runs in outputs/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is taken up again and a finished one costs nothing.
$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/pip
ifneq ($(TORCH_INDEX),)
	grep '^torch==' requirements.lock > $(VENV)/torch.txt
	$(BIN)/python -m pip install --disable-pip-version-check --index-url "$(TORCH_INDEX)" -r $(VENV)/torch.txt
endif
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Triton's interpreter runs our kernels without a GPU: 286 MB that only tests need, and that torch for CUDA brings.
$(VENV)/.triton: $(INSTALLED)
	$(BIN)/python -c "import triton" 2>/dev/null || $(BIN)/python -m pip install --disable-pip-version-check triton==3.9.0
	touch $@

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No $(PYTHON) here: sudo apt install python3 python3-venv, or name another with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than Python 3.11: install a newer one and name it, as in make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
