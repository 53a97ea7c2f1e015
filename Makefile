# `make help` lists the targets. Each sets up the environment first, which does nothing where nothing is to be done.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:  # a recipe is one script
.DEFAULT_GOAL := help
.PHONY: help run test test-all check compare report dataset verify noise sweep faults power screenshot bench bench-scale
.PHONY: predict distributed push pull lock clean setup bench-all

# The first that works is taken: a name on PATH may be a broken shim, or a Python without venv.
PYTHONS := python3.13 python3.12 python3.11 python3
LOCKS := requirements.txt requirements-dev.txt
# DVC runs the stages with the `python` that it finds on PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Python's own variables can hide our modules, turn warnings into errors, or have TensorFlow compiled anew by each stage.
unexport $(filter-out PYTHONUNBUFFERED,$(filter PYTHON%,$(.VARIABLES)))
# Held by what must not be disturbed: a pipeline that runs, and a set-up.
ALONE = exec 9>>.make.lock; flock --nonblock 9 || { echo "another make is at work here: waiting for its end"; flock 9; }

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do
		printf '  make %-12s %s\n' "$$name" "$$text"
	done

# Faults in params.yaml are reported before DVC removes the outputs that it is about to make again.
run: setup ## run the pipeline: download, preprocess, train, evaluate
	@$(ALONE)
	python -m cnn.settings.params
	python -m checks.mend
	dvc repro
	python -m checks.summary | cat  # which ends quietly where the reader has gone: make run | head

dataset: setup ## look at the pictures in data/local/NAME, and enter them in the catalogue
	@python -m checks.dataset "$(NAME)"

test: setup ## run the tests, less the slow ones
	@python -m pytest -m "not slow"

# A file of tests stays with one process: what it has set up serves them all.
test-all: setup ## run all tests; those on emulated CPUs need qemu-user
	@python -m pytest --numprocesses auto --dist loadfile

check: setup ## format, lint, types, workflows, and whether what is committed is true; BASE=main: no worse than main; OFFLINE=1: asks no remote
	@set -x
	ruff format --check .
	ruff check .
	mypy
	check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	zizmor --quiet --offline .github
	python -m checks.status $(if $(BASE),--base "$(BASE)") $(if $(filter-out 0,$(OFFLINE)),--offline)

compare: setup ## is the work tree (or REV=…) better than HEAD (or BASE=…)? OPTIONS: `python -m checks.compare --help`
	@python -m checks.compare $(or $(BASE),HEAD) $(REV) $(OPTIONS)

verify: setup ## derive the committed result again, and compare every bit
	@python -m checks.verify

noise: setup ## measure how much of a result is luck: SEEDS=5 values of train.seed; SPLITS=1: of preprocess.seed too
	@python -m checks.noise --seeds "$(or $(SEEDS),5)" $(if $(filter-out 0,$(SPLITS)),--splits)

sweep: setup ## try TRIALS=20 values out of the space in sweep.yaml; again: go on; several at once share the work
	@python -m checks.sweep --trials "$(or $(TRIALS),20)"

faults: setup ## kill the running pipeline N times (default 20), and compare every bit at the end
	@python -m checks.faults --kills $(or $(N),20)

push: setup ## send what was made here, in every run, to the remote storage (docs/sharing.md)
	@python -m checks.share push

pull: setup ## fetch what dvc.lock names from there, and the records of all runs
	@python -m checks.share pull

distributed: setup ## train with WORKERS=2 processes that meet over loopback, and compare every bit with one
	@python -m checks.distributed --workers $(or $(WORKERS),2)

predict: setup ## say what is on pictures: PICTURES="seven.png folder/"; more: `python -m cnn.predict --help`
	@python -m cnn.predict $(PICTURES)

report: setup ## write report.html, a page about the last run; BASE=… names a revision to compare with
	@python -m cnn.report $(if $(BASE),--base '$(BASE)')

screenshot: report ## take docs/report.png of it again (needs Chromium)
	@python -m checks.screenshot

bench: setup ## the same network and `fast` beside plain Keras, three pairs (a quarter of an hour); TORCH=…/python: and PyTorch
	@TORCH="$(TORCH)" python -m benchmarks.speed --quick

bench-all: setup ## all recipes but photos, seven pairs (an hour): writes the README's table
	@TORCH="$(TORCH)" python -m benchmarks.speed

bench-scale: setup ## measure each stage on 1, 2, 4 and 8 times MNIST (six minutes)
	@python -m benchmarks.scale

power: setup ## simulate what difference a test set can show (two minutes)
	@python -m benchmarks.power

# One version of each package for all three Pythons: `fewest`. No address of a registry goes into a lock.
lock: setup ## renew requirements.txt and requirements-dev.txt from their .in files
	@compile() {
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
			--no-header --no-emit-index-url --no-emit-find-links --no-emit-index-annotation "$$@"
	}
	compile --output-file requirements.txt requirements.in
	compile --constraints requirements.txt --output-file requirements-dev.txt requirements-dev.in

clean: ## remove the environment and all that the pipeline can make again
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dvc_plots report.html tests/report/node_modules data/raw data/processed data/model data/checkpoint

setup: ## set up .venv; PYTHON=… names the Python, else the newest of 3.11 to 3.13 is taken
	@made_from() { cat $(LOCKS); echo "$(CURDIR)"; }  # the scripts in .venv hold its path
	ready() {
		made_from | cmp --silent - .venv/made-from && [ -x .venv/bin/python ] || return
		[ -z "$(PYTHON)" ] || [ "$$($(PYTHON) checks/machine.py --python 2>/dev/null)" = "$$(python checks/machine.py --python)" ]
	}
	ready && exit
	$(ALONE)
	ready && exit
	names="$(or $(PYTHON),$(PYTHONS))"
	python=$$(for name in $$names; do $$name checks/machine.py --python 2>/dev/null && break; done) || {
		echo "this machine: expected Python 3.11, 3.12 or 3.13 with venv and pip (in Debian: apt install python3-venv)." \
			"Received: none among $$names. Name one: make PYTHON=…/python3.12" >&2
		exit 1
	}
	$$python checks/machine.py
	echo "setting up .venv with $$python from requirements.txt (half a minute where the network is fast)"
	rm -f .venv/made-from  # first: a removal that is broken off must not look complete
	rm -rf .venv
	$$python -m venv .venv
	# uv is the first to be installed, by its hash, and installs the rest. What it builds, it builds with pinned tools.
	awk '/^[^ ]/ {mine = /^uv==/} mine' requirements-dev.txt >.venv/uv.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-user --require-hashes --no-deps -r .venv/uv.txt
	[ -t 2 ] && quiet= || quiet=--quiet
	.venv/bin/uv pip sync $$quiet --python .venv/bin/python --require-hashes --require-build-hashes \
		--build-constraints requirements.txt $(LOCKS)
	made_from >.venv/made-from
