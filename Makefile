# `make help` lists the targets. Every target sets up what it needs first; that takes a fraction of a second when it is there.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

VENV := .venv
BIN := $(VENV)/bin
# PYTHON=, CONSTRAINTS= and EXTRAS= are remembered in the environment that they made.
CHOSEN := $(if $(PYTHON),--this-python) $(if $(CONSTRAINTS),--constraints "$(CONSTRAINTS)") $(if $(EXTRAS),--extras "$(EXTRAS)")
# The first of these that is Python 3.10 to 3.13.
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
endif
# The oldest versions have wheels for 3.10 to 3.12 only.
ifndef OLDEST_PYTHON
OLDEST_PYTHON := $(shell for p in python3.10 python3.11 python3.12 $(PYTHON); do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
endif
OLDEST_TESTS := $(addprefix tests/unit/,audio codes evaluate export infer loading media metrics models quantize shards sweeps/test_space.py \
  sweeps/test_samplers.py submit test_config.py test_job.py test_plan.py)
TESTBED = $(PYTHON) -m slurm.testbed $(if $(CLUSTER_DIR),--dir "$(CLUSTER_DIR)")
PYTEST = $(BIN)/python -m pytest

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { gsub(/\$$\$$/, "$$"); printf "  make %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: ## virtual environment, Python packages, Horovod, system packages; skipped when nothing changed
	@[ -n "$(PYTHON)" ] || { echo "setup: found no Python 3.10 to 3.13; install one (apt-get install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { echo "setup: '$(PYTHON)' is not a Python 3.10 to 3.13; name one that is: make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) .ci/bootstrap.py $(CHOSEN) $(if $(filter setup,$(MAKECMDGOALS)),--verbose)

.PHONY: test test-fast test-slow test-oldest lint types unit distributed cluster
test: lint types unit distributed cluster ## everything: lint, types, unit, two real ranks, the real test cluster
test-fast: lint types unit ## the inner loop, under a minute
test-slow: setup ## the checks that take long, those with the oldest versions too; run before a release
	$(PYTEST) -m slow tests
	@$(MAKE) test-oldest
test-oldest: ## fast tests with the oldest versions that pyproject.toml allows, in build/oldest (constraints/oldest.txt)
	@[ -n "$(OLDEST_PYTHON)" ] || { echo "test-oldest: needs a Python 3.10 to 3.12, since the oldest numpy has no wheel for 3.13: make test-oldest OLDEST_PYTHON=python3.11" >&2; exit 1; }
	@$(OLDEST_PYTHON) .ci/bootstrap.py --this-python --venv build/oldest --constraints constraints/oldest.txt --extras sweeps,test --no-horovod
	build/oldest/bin/python -m pytest -q -m "not slow" $(OLDEST_TESTS)
lint: setup ## ruff and shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if [ "$$(id -u)" != 0 ] && ! command -v shellcheck >/dev/null; then echo "lint: there is no shellcheck; shell scripts are left out"; \
	else shellcheck .ci/run $$(find slurm -name '*.sh') && echo "shellcheck: all passed"; fi
types: setup ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy .ci/bootstrap.py
unit: setup ## fast tests in one process
	$(PYTEST) -q -m "not slow" tests/unit tests/house
distributed: setup ## tests on two real Horovod ranks
	$(PYTEST) -m "not slow" tests/distributed
cluster: setup ## end-to-end tests on the one-machine Slurm cluster (needs root)
	$(PYTEST) -m "not slow" tests/cluster

.PHONY: demo demo-cluster
demo: setup ## twelve minutes: a model trained here, sound for videos it never heard, a page that shows both (VIDEOS=DIR OUT=DIR: your own; GROUP=REGEX: cuts of one film)
	@$(BIN)/python -m hpc.demo $(if $(VIDEOS),--videos "$(VIDEOS)") $(if $(OUT),--out "$(OUT)") $(if $(GROUP),--group '$(subst ','\'',$(GROUP))')
demo-cluster: setup ## train something small for real on four hosts of the test cluster
	@bash slurm/demo.sh

.PHONY: cluster-up cluster-down cluster-shell cluster-env cluster-status cluster-fault
cluster-up: setup ## a real Slurm cluster of five hosts on this machine (CLUSTER_DIR=, SHARE=)
	@$(TESTBED) up $(if $(SHARE),--share "$(SHARE)")
cluster-down: ## end it; nothing is left behind
	@$(TESTBED) down
cluster-shell: ## a shell that speaks to it; NODE=t4-2: a shell on that node
	@$(TESTBED) shell $(NODE)
cluster-env: ## for eval "$$(make -s cluster-env)": srun, sbatch, sacct of this shell speak to it
	@$(TESTBED) env
cluster-status: ## its nodes and jobs
	@$(TESTBED) status
cluster-fault: ## break it: DO='cut t4-2' | 'heal t4-2' | 'kill t4-3' | 'restart t4-3' | 'kill slurmctld' | …
	@[ -n "$(DO)" ] || { echo "say what to break: make cluster-fault DO='cut t4-2' (cut, heal, kill or restart; a node, NODE/slurmd or slurmctld …)" >&2; exit 2; }
	@$(TESTBED) fault $(DO)

.PHONY: wheel
wheel: setup ## the wheel of all three packages, in dist/ (DIST=)
	@rm -rf build/lib build/bdist.*  # setuptools would pack what an earlier build left there
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$(or $(DIST),dist)" .
	@rm -rf build/lib build/bdist.*

.PHONY: docs
docs: setup ## the site of the documentation with its API, in build/site; a warning is an error
	@$(BIN)/python -m properdocs build --quiet --config-file mkdocs.yml && echo "build/site/index.html"

.PHONY: bench
bench: setup ## the measurements of benchmarks/
	@for b in $(filter-out benchmarks/fault_bed.py,$(wildcard benchmarks/*.py)); do echo "== $$b"; $(BIN)/python "$$b" || exit 1; done

.PHONY: clean
clean: cluster-down ## remove everything that was built here, the virtual environment too
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache *.egg-info
