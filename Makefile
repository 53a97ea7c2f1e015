# `make help` lists the targets. Each sets up the environment first, and does nothing where nothing is to be done.
SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test test-all check verify faults bench bench-scale lock clean setup

PYTHON ?= python3.11
# DVC runs the stages with the `python` that it finds on PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

run: setup .venv/params-checked ## run the pipeline: download, preprocess, train, evaluate
	@exec 9>.venv/run.lock; flock --nonblock 9 || { echo "another make run is at work here: waiting for its end"; flock 9; }; \
		python -m checks.mend || exit; \
		if $(call MARKS,dvc.lock data metrics) | cmp -s - .venv/up-to-date; then \
			echo "Nothing has changed since the last run."; \
		else \
			$(MARKS) >.venv/inputs; dvc repro || exit; \
			$(MARKS) | cmp -s - .venv/inputs && $(call MARKS,dvc.lock data metrics) >.venv/up-to-date; \
		fi; \
		python -m checks.summary

# What DVC itself goes by: each file's name, inode, size and time. It needs a second to see that nothing has changed.
MARKS = find .dvc/config dvc.yaml params.yaml data/sources.yaml stages $(1) \
	-name __pycache__ -prune -o -type f -printf '%p %i %s %T@\n' 2>/dev/null | sort

test: setup ## run the tests, less the slow ones
	@python -m pytest -m "not slow"

test-all: setup ## run all tests; those on emulated CPUs need qemu-user
	@python -m pytest

check: setup ## format, lint, types, params.yaml, dvc.yaml
	ruff format --check .
	ruff check .
	mypy
	python -m stages.params
	python -m checks.status

verify: setup ## derive the committed result again, and compare every bit
	@python -m checks.verify

faults: setup ## kill the running pipeline N times (default 20), and compare every bit at the end
	@python -m checks.faults --kills $(or $(N),20)

bench: setup ## measure the recipes side by side with plain Keras (an hour)
	@python -m benchmarks.speed

bench-scale: setup ## measure each stage on 1, 2, 4 and 8 times MNIST (six minutes)
	@python -m benchmarks.scale

lock: setup ## renew requirements.txt from requirements.in
	pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt requirements.in

clean: ## remove the environment and all that the pipeline can make again
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dvc_plots data/raw data/processed data/model data/checkpoint

# The environment is made anew when the content of requirements.txt changed, or when an earlier attempt broke off.
setup:
	@cmp -s requirements.txt .venv/requirements.txt || { \
		$(PYTHON) checks/machine.py || exit; \
		echo "setting up .venv from requirements.txt (a few minutes, once)"; \
		rm -rf .venv && $(PYTHON) -m venv .venv && \
		.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.txt && \
		cp requirements.txt .venv/requirements.txt; }

# Faults in params.yaml are reported before DVC removes the outputs that it is about to make again.
.venv/params-checked: params.yaml data/sources.yaml stages/params.py stages/strict_yaml.py stages/catalogue.py | setup
	@python -m stages.params && touch $@
