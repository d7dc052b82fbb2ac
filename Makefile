# Each target does its own set-up, in virtual environments below .venv.
PYTHON ?= python3
LOCK := requirements/lock.txt
OUT ?= out
# ROS's Python packages live outside of any virtual environment: let the tests see them.
SITE := $(shell $(PYTHON) -c 'import rclpy' 2>/dev/null && echo --system-site-packages)

.PHONY: demo test lint clean help

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

demo: .venv/demo/ready ## Depth and labels of a day and a night drive
	.venv/demo/bin/dsn replay demo/street --compare --out $(OUT)/demo

test: .venv/test/ready ## All tests (those that need ROS run where rclpy imports)
	.venv/test/bin/python -m pytest $(ARGS)

lint: .venv/test/ready ## Style and types
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/mypy

.venv/demo/ready: setup.py $(LOCK)
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python -m pip install --quiet --constraint $(LOCK) --editable .
	touch $@

.venv/test/ready: setup.py $(LOCK)
	$(PYTHON) -m venv $(SITE) .venv/test
	.venv/test/bin/python -m pip install --quiet --constraint $(LOCK) \
		--editable '.[train,teachers,sim,cluster,test,dev]'
	touch $@

clean: ## Remove the environments and what the demo wrote
	rm -rf .venv $(OUT)/demo
