# Two commands do everything from a checkout: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
# Where pip's default build of torch carries CUDA and you want the CPU one, set PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL.
TORCH ?= torch==2.13.0
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Processes that run tests, a core and up to 5 GiB of memory each.
TEST_JOBS ?= 2

DEMO_ENV := .venv/demo
TEST_ENV := .venv/test
BUILD_NEEDS := 'setuptools>=77,<81' wheel packaging ninja
DEMO_DIR := work_dirs/cris_tiny_toyparts
TOYPARTS := data/toyparts

.PHONY: help demo test lint audit docs clean
help:
	@echo 'make demo   draw ToyParts, train a small CRIS on it, evaluate it, write overlays (CPU, minutes)'
	@echo 'make test   install everything with full mmcv (compiles it once, 8 minutes on 2 cores) and run every test'
	@echo 'make lint   ruff and mypy'
	@echo 'make audit  known vulnerabilities of the installed packages (pip-audit; asks api.osv.dev)'
	@echo 'make docs   the documentation as web pages, in docs/_build/html'
	@echo 'make clean  remove the environments and the demo'"'"'s output'

$(DEMO_ENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/pip install -q $(TORCH) $(BUILD_NEEDS)
	$(DEMO_ENV)/bin/pip install -q --no-build-isolation -e '.[cris]'
	touch $@

$(TEST_ENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/pip install -q $(TORCH) $(BUILD_NEEDS)
	@echo 'installing mmcv with its compiled operations; without a wheel for this machine this takes minutes'
	CFLAGS=-g0 MAX_JOBS=$(JOBS) $(TEST_ENV)/bin/pip install -q --no-build-isolation mmcv==2.1.0
	$(TEST_ENV)/bin/python -c 'import mmcv.ops'
	$(TEST_ENV)/bin/pip install -q --no-build-isolation -e '.[all,mim,export,demo,siglip,lora,pascal,docs,dev]'
	touch $@

# timm and open_clip import torchvision, of which there is no build for every torch. Its Python part is enough for the
# tests of their encoders, which run in a process of their own with this folder; nothing else may see it.
$(TEST_ENV)/torchvision/ready: $(TEST_ENV)/ready
	rm -rf $(TEST_ENV)/torchvision
	$(TEST_ENV)/bin/pip install -q --no-deps --target $(TEST_ENV)/torchvision \
	    torchvision==0.28.0 timm==1.0.31 open_clip_torch==3.3.0
	touch $@

demo: $(DEMO_ENV)/ready
	$(DEMO_ENV)/bin/python tools/make_toyparts.py $(TOYPARTS)
	$(DEMO_ENV)/bin/python tools/train.py configs/cris_tiny_toyparts.py --work-dir $(DEMO_DIR) --seed 0
	$(DEMO_ENV)/bin/python tools/test.py configs/cris_tiny_toyparts.py "$$(ls -t $(DEMO_DIR)/best_*.pth | head -n 1)" \
	    --work-dir $(DEMO_DIR)/test --dump $(DEMO_DIR)/predictions.json --show-dir $(DEMO_DIR)/overlays
	@echo
	@echo 'Look at the overlays in $(DEMO_DIR)/overlays and the curves with'
	@echo '  $(DEMO_ENV)/bin/tensorboard --logdir $(DEMO_DIR)'
	@echo 'and ask for a part yourself:'
	@echo '  $(DEMO_ENV)/bin/python tools/infer.py PHOTO "car tire" --config configs/cris_tiny_toyparts.py --checkpoint '"$$(ls -t $(DEMO_DIR)/best_*.pth | head -n 1)"

test: $(TEST_ENV)/ready $(TEST_ENV)/torchvision/ready
	OMP_NUM_THREADS=1 $(TEST_ENV)/bin/python -m pytest -n $(TEST_JOBS) --dist loadfile

lint: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/mypy

audit: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python .ci/audit.py $(AUDIT)

# Warnings are errors, and so is a reference to a class that has no page.
docs: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python -m sphinx -E -W --keep-going -q docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

clean:
	rm -rf .venv docs/_build $(DEMO_DIR) $(TOYPARTS)
