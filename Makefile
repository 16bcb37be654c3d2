# Everything from a checkout: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
# Where pip's default build of torch carries CUDA and you want the CPU one, set PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL.
TORCH ?= torch==2.13.0
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Processes that run tests, a core and up to 5 GiB of memory each.
TEST_JOBS ?= 2

# Order of the test files and of the tests in them: as they are, or random with this number as seed.
ORDER ?=

# One thread for each process that runs tests, or the tutorial for the docs.
test-quick test test-e2e fuzz docs: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),1)

DEMO_ENV := .venv/demo
QUICK_ENV := .venv/quick
TEST_ENV := .venv/test
WHEELS := .venv/wheels
BUILD_NEEDS := 'setuptools>=77,<81' wheel packaging ninja
# What the tests need next to `cris` or `all`.
TEST_EXTRAS := mim,export,demo,siglip,lora,pascal,ray,docs,dev
PYTEST := -m pytest -n $(TEST_JOBS) --dist loadfile -rs $(if $(ORDER),-p randomly --randomly-seed=$(ORDER))
DEMO_DIR := work_dirs/cris_tiny_toyparts
TOYPARTS := data/toyparts

.PHONY: help demo test-quick test test-e2e announce-quick announce announce-e2e fuzz lint audit docs clean
help:
	@echo 'make demo        draw ToyParts, train a small CRIS on it, evaluate it, write overlays (CPU, minutes)'
	@echo 'make test-quick  the fast tests on mmcv-lite, nothing compiled'
	@echo 'make test        compile full mmcv once and run all tests but the end-to-end ones'
	@echo 'make test-e2e    servers, browsers, wheels in fresh environments, killed processes, notebooks'
	@echo 'make lint        ruff, mypy, and the schema of the workflows'
	@echo 'make audit       known vulnerabilities of the installed packages (pip-audit; queries api.osv.dev)'
	@echo 'make fuzz        10,000 generated pickle programs against the reader of checkpoints'
	@echo 'make docs        the documentation as web pages, in docs/_build/html'
	@echo 'make clean       remove the environments and the demo'"'"'s output'
	@echo 'ORDER=1 make test runs the tests in the random order of seed 1'

$(DEMO_ENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/pip install -q $(TORCH) $(BUILD_NEEDS)
	$(DEMO_ENV)/bin/pip install -q --no-build-isolation -e '.[cris]'
	touch $@

$(QUICK_ENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(QUICK_ENV)
	$(QUICK_ENV)/bin/pip install -q $(TORCH) $(BUILD_NEEDS)
	$(QUICK_ENV)/bin/pip install -q --no-build-isolation -e '.[cris,$(TEST_EXTRAS)]'
	touch $@

$(TEST_ENV)/ready: setup.cfg pyproject.toml .ci/build_mmcv.py
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/pip install -q $(TORCH) $(BUILD_NEEDS)
	$(TEST_ENV)/bin/python .ci/build_mmcv.py --wheels $(WHEELS) --jobs $(JOBS)
	$(TEST_ENV)/bin/pip install -q --no-build-isolation -e '.[all,$(TEST_EXTRAS)]'
	touch $@

# timm and open_clip import torchvision, which has no build for every torch. Its Python part is enough for the
# tests of their encoders, which run in a separate process with this folder; nothing else may see it.
$(TEST_ENV)/torchvision/ready: $(TEST_ENV)/ready
	rm -rf $(TEST_ENV)/torchvision
	$(TEST_ENV)/bin/pip install -q --no-deps --target $(TEST_ENV)/torchvision \
	    torchvision==0.28.0 timm==1.0.31 open_clip_torch==3.3.0
	touch $@

# A server that the tests of the Label Studio backend talk to; its packages do not fit those of the tests.
$(TEST_ENV)/label-studio/ready: $(TEST_ENV)/ready
	rm -rf $(TEST_ENV)/label-studio
	$(PYTHON) -m venv $(TEST_ENV)/label-studio
	$(TEST_ENV)/label-studio/bin/pip install -q label-studio==1.23.2
	touch $@

demo: $(DEMO_ENV)/ready
	$(DEMO_ENV)/bin/python tools/make_toyparts.py $(TOYPARTS)
	$(DEMO_ENV)/bin/python tools/train.py configs/cris_tiny_toyparts.py --work-dir $(DEMO_DIR) --seed 0
	$(DEMO_ENV)/bin/python tools/test.py configs/cris_tiny_toyparts.py "$$(ls -t $(DEMO_DIR)/best_*.pth | head -n 1)" \
	    --work-dir $(DEMO_DIR) --dump $(DEMO_DIR)/predictions.json --show-dir $(DEMO_DIR)/overlays
	@echo
	@echo 'Look at the overlays in $(DEMO_DIR)/overlays, and segment parts of another image with'
	@echo '  $(DEMO_ENV)/bin/python tools/infer.py IMAGE "car tire" --config configs/cris_tiny_toyparts.py --checkpoint '"$$(ls -t $(DEMO_DIR)/best_*.pth | head -n 1)"

# What follows and how long it takes on 2 CPU cores; a step that is done is not listed.
announce-quick:
	@test -e $(QUICK_ENV)/ready || echo 'Next: install torch, mmcv-lite and the test tools (2 min)'
	@echo 'Next: the fast tests (1 min)'

announce announce-e2e:
	@test -e $(TEST_ENV)/ready || echo 'Next: install torch, OpenMMLab and the test tools (2 min)'
	@test -e $(TEST_ENV)/ready || ls $(WHEELS)/mmcv-*.whl > /dev/null 2>&1 || \
	    echo 'Next: compile mmcv once, unless pip finds a wheel of it (1 min)'

test-quick: announce-quick $(QUICK_ENV)/ready
	$(QUICK_ENV)/bin/python $(PYTEST) -m 'not slow and not e2e and not full_mmcv'

test: announce $(TEST_ENV)/ready $(TEST_ENV)/torchvision/ready
	@echo 'Next: all tests but the end-to-end ones (6 min)'
	$(TEST_ENV)/bin/python $(PYTEST) -m 'not e2e'

test-e2e: announce-e2e $(TEST_ENV)/ready $(TEST_ENV)/torchvision/ready $(TEST_ENV)/label-studio/ready
	@echo 'Next: the end-to-end tests (10 min)'
	$(TEST_ENV)/bin/python $(PYTEST) -m e2e

fuzz: $(TEST_ENV)/ready
	MMPARTREF_FUZZ=10000 $(TEST_ENV)/bin/python -m pytest -rs tests/robustness/test_pickle_programs.py

lint: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/mypy
	$(TEST_ENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

audit: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python .ci/audit.py $(AUDIT)

# Warnings are errors, and so is a reference to a class that has no page.
docs: $(TEST_ENV)/ready
	rm -rf docs/api/generated
	$(TEST_ENV)/bin/python -m sphinx -E -W --keep-going -q docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

clean:
	rm -rf .venv docs/_build $(DEMO_DIR) $(TOYPARTS)
