# `make demo` and `make test` are all there is to know; `make help` lists the rest.
# The first that runs and is new enough: a name on PATH may be a shim of pyenv's for a version that is not switched on.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && exit; done; echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
# Byte code is written at set-up: without it TensorFlow, MLflow and scikit-learn take three times as long to import.
UV = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m uv

# Four processes for two cores, for tests wait for leases, servers and other processes. One of them has the tests of
# Spark, and its one session (tests/conftest.py).
PARALLEL = -n 4 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow soak bench bench-growth bench-latency bench-increments fmt lint setup setup-test lock \
	check-lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: setup ## set up, run the whole lakehouse on FRUITS_IMAGES or drawn photographs, and show what is in it
	@$(BIN)/fruits demo

test: setup-test ## set up and run the tests; those of Spark need Java, and say so where they skip
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: setup-test ## run the tests that take a minute each or install packages, as .ci/run does after `make test`
	$(BIN)/python -m pytest $(PARALLEL) -m 'slow and not soak'

soak: setup-test ## run the tests that take long: every crash from an empty lake, hundreds of random steps
	$(BIN)/python -m pytest $(PARALLEL) -m soak

bench: setup-test ## hold runs against the budgets, beside the bare loop and today's pipeline (half an hour; needs FRUITS_IMAGES)
	$(BIN)/python -m bench.run --large

bench-growth: setup-test ## measure how each operation's cost grows up to 100,000 photographs (ten minutes, 4 GB of disk)
	$(BIN)/python -m bench.growth --work build/growth --sizes 1000 10000 100000

bench-latency: setup-test ## measure how reading from S3 hides 30 ms a request (needs FRUITS_IMAGES and Go)
	$(BIN)/python -m bench.latency

bench-increments: setup-test ## run 1,000 increments of 5 photographs with a reader beside them (two hours; needs FRUITS_IMAGES)
	$(BIN)/python -m bench.increments

lint: setup-test ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup-test ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.runtime ## set up the virtual environment, Java not needed; quick the second time
	@$(BIN)/fruits setup

# Where there is Java, Spark's jars are fetched here, and not by two processes of tests at once.
JAVA = "$${JAVA_HOME:+$$JAVA_HOME/bin/}java"

setup-test: $(VENV)/.test
	@$(BIN)/fruits setup
	@! $(JAVA) -version >/dev/null 2>&1 || $(BIN)/fruits setup --engine spark

$(VENV)/.uv:
	@sh bootstrap/check.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

$(VENV)/.runtime: bootstrap/requirements.lock setup.py $(VENV)/.uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r $<
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.test: bootstrap/requirements-test.lock $(VENV)/.runtime
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r $<
	@touch $@

LOCK = $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command "make lock" setup.py

# A cluster's nodes get the same versions. Spark is there, nobody packs from there (uv), and TensorFlow has a lock of its
# own, with what only it needs.
# backports-strenum, of ai-edge-litert, is for Pythons before 3.11, and pip refuses it on those after.
EMR = bootstrap/requirements-emr.lock
MODEL = bootstrap/requirements-emr-model.lock

lock: $(VENV)/.uv ## resolve the dependencies anew
	$(LOCK) -o bootstrap/requirements.lock
	$(LOCK) --extra test -c bootstrap/requirements.lock -o bootstrap/requirements-test.lock
	printf '%s\n' pyspark uv backports-strenum >$(VENV)/not-on-nodes
	printf '%s\n' tensorflow tensorflow-cpu >$(VENV)/not-on-workers
	$(LOCK) -c bootstrap/requirements.lock --excludes $(VENV)/not-on-nodes --excludes $(VENV)/not-on-workers -o $(EMR)
	$(LOCK) -c bootstrap/requirements.lock --excludes $(VENV)/not-on-nodes -o $(MODEL) \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(EMR))
	$(MAKE) check-lock

# Amazon Linux 2023 has glibc 2.34: every wheel must be there, for Intel and for Graviton. Nothing is downloaded.
check-lock: $(VENV)/.uv
	for machine in x86_64 aarch64; do $(UV) pip install --quiet --dry-run --target $(VENV)/none --python-version 3.11 \
		--python-platform $$machine-manylinux_2_34 --only-binary :all: --no-deps --require-hashes -r $(EMR) -r $(MODEL) || exit; done

clean: ## remove what was made here: the virtual environment, the demo and the caches
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .import_linter_cache
