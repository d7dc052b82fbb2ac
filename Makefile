# Each target does its own set-up, in virtual environments below .venv.
PYTHON ?= python3
# Only what is locked, by its hash. Of empy alone there is no wheel: its setup.py is run.
INSTALL := -m pip install --quiet --no-deps --no-build-isolation
LOCKED := $(INSTALL) --require-hashes --only-binary :all: --no-binary empy --requirement
OUT ?= out
# ROS's Python packages live outside of any virtual environment: let the tests see them.
SITE := $(shell $(PYTHON) -c 'import rclpy' 2>/dev/null && echo --system-site-packages)

# A file's tests stay together: they share what is expensive. ARGS='-n 0' is one process.
PYTEST := .venv/test/bin/python -m pytest -n logical --maxprocesses 8 --dist loadscope \
	--no-loadscope-reorder

.PHONY: demo test coverage mutants lint docs audit lock clean help

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

demo: .venv/demo/ready ## Depth and labels of a day and a night drive
	.venv/demo/bin/dsn replay demo/street --compare --out $(OUT)/demo

test: .venv/test/ready ## All tests, on all cores (those that need ROS run where rclpy imports)
	$(PYTEST) $(ARGS)

coverage: .venv/test/ready ## What the tests reach, to be read from $(OUT)/coverage/index.html
	COVERAGE_FILE=$(CURDIR)/.coverage $(PYTEST) --cov=dsn_core --cov=dsn_ros \
		--cov-report=html:$(OUT)/coverage --cov-report=json:$(OUT)/coverage/coverage.json $(ARGS)
	.venv/test/bin/python test/coverage_by_package.py $(OUT)/coverage/coverage.json

mutants: .venv/mutation/ready ## Whether the tests notice changes of the code (half an hour)
	.venv/mutation/bin/python test/mutation_run.py $(ARGS)

lint: .venv/test/ready ## Style, types, and who imports whom
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/mypy
	.venv/test/bin/lint-imports

docs: .venv/docs/ready ## The site, to be read from $(OUT)/site/index.html
	.venv/docs/bin/python docs/build.py $(OUT)/site

audit: .venv/audit/ready ## Locked releases against the advisory database
	.venv/audit/bin/python requirements/audit.py

lock: ## Write the lock files anew (needs uv)
	$(PYTHON) requirements/lock.py

.venv/audit/ready: requirements/audit.txt
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python $(LOCKED) requirements/audit.txt
	touch $@

.venv/docs/ready: requirements/docs.txt
	$(PYTHON) -m venv .venv/docs
	.venv/docs/bin/python $(LOCKED) requirements/docs.txt
	touch $@

.venv/mutation/ready: .venv/test/ready requirements/mutation.txt
	$(PYTHON) -m venv $(SITE) .venv/mutation
	.venv/mutation/bin/python $(LOCKED) requirements/mutation.txt
	@# What the tests import is taken from where they have it.
	.venv/test/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$(.venv/mutation/bin/python -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')/tests.pth"
	touch $@

.venv/demo/ready: setup.py requirements/build.txt requirements/demo.txt
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python $(LOCKED) requirements/build.txt
	.venv/demo/bin/python $(LOCKED) requirements/demo.txt
	.venv/demo/bin/python $(INSTALL) --editable .
	touch $@

.venv/test/ready: setup.py $(wildcard requirements/*.txt)
	$(PYTHON) -m venv $(SITE) .venv/test
	.venv/test/bin/python $(LOCKED) requirements/build.txt
	.venv/test/bin/python $(LOCKED) requirements/test.txt
	@# The build for the CPU where this machine is offered it, else the registry's, which may be
	@# the one for NVIDIA and not load without its libraries.
	.venv/test/bin/python $(LOCKED) requirements/torch-cpu.txt 2>/dev/null || \
		.venv/test/bin/python $(LOCKED) requirements/torch.txt
	.venv/test/bin/python -c 'import torch' 2>/dev/null || \
		.venv/test/bin/python $(LOCKED) requirements/torch-cuda.txt
	.venv/test/bin/python $(INSTALL) --editable .
	touch $@

clean: ## Remove the environments and what the demo wrote
	rm -rf .venv $(OUT)/demo $(OUT)/site $(OUT)/coverage mutants
