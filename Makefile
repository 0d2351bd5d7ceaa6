# Two commands do everything, set-up included: `make reproduce` and `make test`. `make` alone lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CORES ?= all
STUDY ?= embedded
RESULTS ?= reproduced
SEED ?= 99
PYTEST ?= -n auto --dist loadfile
# Looked for only when the environment is created. The lock is solved for 3.11; never an interpreter of an environment.
PYTHON ?= $(shell PATH='$(SYSTEM_PATH)'; for p in python3.11 python3 python3.12; do $$p -c \
	'import sys; print(sys._base_executable); sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done)
SYSTEM_PATH := $(PATH)

VENV := .venv
ENVIRONMENT := $(VENV)/package.txt
SNAKEMAKE := snakemake --cores $(CORES) --workflow-profile workflow/profiles/default
KILT ?= kilt @ git+https://github.com/facebookresearch/KILT@2664322b9a994be686e4c3a9e8f75a0b70927f22
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help reproduce study smoke sample figures test test-slow test-all test-parity test-oldest test-newest advisories \
	bench bench-gpu lint format kilt lock clean

help: ## what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

## Studies. Results go to $(RESULTS)/<study>, so that committed ones in results/ are compared with and not overwritten.
# What `reproduce` measures: one more replicate of the pilot, FiD, LUMEN and GLIMMER of Figure 2 at SEED, from the corpus on.
PART := artifacts=figure2 baselines=[] seeds=$(SEED)

reproduce: $(ENVIRONMENT) ## figures of all cached runs, Figure 2 in one more world from its corpus on, and whether it fits them
	@$(SNAKEMAKE) report --forceall
	@$(SNAKEMAKE) --config study=pilot results=$(RESULTS) work=$(RESULTS)/work $(PART)
	@echo "The report of the cached runs lies at results/pilot/report.html; what was made here against them:"
	@glimmer verify $(RESULTS)/pilot --against results/pilot

study: $(ENVIRONMENT) ## the whole study $(STUDY), from corpus to report; a second call does nothing
	@$(SNAKEMAKE) --config study=$(STUDY) results=$(RESULTS)
	@echo "The report lies at $(RESULTS)/$(STUDY)/report.html"

smoke: ## every stage at the smallest size
	@$(MAKE) study STUDY=smoke

sample: $(ENVIRONMENT) ## real KILT data and T5.1.1 weights: make sample DATA=dir CHECKPOINT=dir
	@: $${DATA:?a folder of KILT files, DATA=dir} $${CHECKPOINT:?a Hugging Face T5.1.1 folder, CHECKPOINT=dir}
	@$(SNAKEMAKE) --config study=sample results=$(RESULTS) data=$(DATA) checkpoint=$(CHECKPOINT)
	@echo "The report lies at $(RESULTS)/sample/report.html"

figures: $(ENVIRONMENT) ## figures and tables of all committed results, without any training
	@$(SNAKEMAKE) figures

## Checks
test: $(ENVIRONMENT) ## the quick tests
	@pytest $(PYTEST)

test-slow: $(ENVIRONMENT) ## the tests that take longer
	@pytest $(PYTEST) -m "slow and not parity"

test-all: test test-slow ## both

test-parity: $(VENV)/parity.txt ## comparison with PyTorch, transformers and sentence-transformers (installs them)
	@pytest -m parity

test-oldest: .venv-oldest/made.txt .venv-core/made.txt ## the quick tests on the oldest versions that pyproject.toml admits; TESTS=... for some
	@PATH=$(CURDIR)/.venv-oldest/bin:$$PATH pytest $(PYTEST) $(TESTS)
	@PATH=$(CURDIR)/.venv-core/bin:$$PATH pytest $(PYTEST) $(CORE_TESTS)

test-newest: .venv-newest/made.txt ## the same on the newest ones
	@PATH=$(CURDIR)/.venv-newest/bin:$$PATH pytest $(PYTEST) $(TESTS)

advisories: .venv-advisories/made.txt ## known vulnerabilities of what requirements/lock.txt names (asks PyPI)
	@.venv-advisories/bin/pip-audit --requirement requirements/lock.txt --require-hashes --disable-pip --strict

lint: $(ENVIRONMENT) ## style of Python and of the workflow
	@ruff check
	@ruff format --check
	@snakefmt --check Snakefile workflow
	@$(SNAKEMAKE) --quiet --lint

format: $(ENVIRONMENT) ## rewrite to that style
	@ruff check --fix
	@ruff format
	@snakefmt Snakefile workflow

## The environment. Its stamps are copies of what it was made from: touching a file costs nothing, changing one rebuilds.
$(VENV)/locked.txt: requirements/uv.txt requirements/lock.txt
	@if cat $^ | cmp -s - $@; then touch $@; exit; fi; \
	echo "Creating $(VENV) from requirements/lock.txt: about half a minute, two where uv cannot reach an index and pip can"; \
	test -n "$(PYTHON)" || { echo "No Python of 3.11 or later found; name one: make PYTHON=/path/to/python" >&2; exit 2; }; \
	$(PYTHON) -m venv --clear $(VENV) || { echo "python -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 2; }; \
	pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/uv.txt; \
	uv pip install --quiet --python $(VENV) --no-deps --require-hashes -r requirements/lock.txt \
	|| pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/lock.txt; \
	cat $^ > $@

$(ENVIRONMENT): pyproject.toml setup.py $(VENV)/locked.txt
	@if cat pyproject.toml setup.py | cmp -s - $@; then touch $@; exit; fi; \
	pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .; \
	cat pyproject.toml setup.py > $@

$(VENV)/parity.txt: requirements/parity.txt $(ENVIRONMENT)
	@pip freeze --exclude-editable > $(VENV)/constraints.txt
	@pip install --quiet --disable-pip-version-check -r $< -c $(VENV)/constraints.txt
	@cp $< $@

## Versions beside the lock, each in an environment of its own: oldest and newest with every extra, core with none but test's.
TESTS ?= tests
CORE_TESTS ?= tests/analysis tests/results tests/experiments
EXTRAS := build crate fetch kilt slurm test train
.venv-oldest/made.txt .venv-core/made.txt: RESOLUTION := lowest-direct
.venv-newest/made.txt: RESOLUTION := highest
.venv-core/made.txt: EXTRAS := build test

.venv-oldest/made.txt .venv-core/made.txt .venv-newest/made.txt: pyproject.toml setup.py requirements/uv.txt
	@if cat $^ | cmp -s - $@; then touch $@; exit; fi; \
	$(PYTHON) -m venv --clear $(@D); \
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/uv.txt; \
	$(@D)/bin/uv pip compile pyproject.toml $(addprefix --extra ,$(EXTRAS)) --resolution $(RESOLUTION) \
		--python $(@D)/bin/python --quiet --output-file $(@D)/versions.txt > $(@D)/solved.log; \
	$(@D)/bin/uv pip install --quiet --compile-bytecode --python $(@D)/bin/python --no-deps -r $(@D)/versions.txt; \
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .; \
	cat $^ > $@

.venv-advisories/made.txt:
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check pip-audit
	@$(@D)/bin/pip freeze > $@

## Speed beside peers, in an environment of its own: the peers never enter $(VENV).
BENCH_VENV := .venv-bench

bench: $(BENCH_VENV)/made.txt ## speed beside peers into docs/performance.md (two idle cores); BENCH=--missing goes on
	@$(BENCH_VENV)/bin/python -m benchmarks.peers --into docs/performance.md $(BENCH)

bench-gpu: BENCH += --bfloat16
bench-gpu: bench ## the same where jax and torch of $(BENCH_VENV) find a GPU, with the rows of bfloat16

$(BENCH_VENV)/made.txt: requirements/benchmarks.txt requirements/lock.txt
	@if cat $^ | cmp -s - $@; then touch $@; exit; fi; \
	$(PYTHON) -m venv --clear $(BENCH_VENV); \
	$(BENCH_VENV)/bin/pip install --quiet --no-deps --require-hashes -r requirements/lock.txt; \
	$(BENCH_VENV)/bin/pip freeze > $(BENCH_VENV)/constraints.txt; \
	$(BENCH_VENV)/bin/pip install --quiet -r requirements/benchmarks.txt -c $(BENCH_VENV)/constraints.txt; \
	$(BENCH_VENV)/bin/pip install --quiet --no-deps --no-index --no-build-isolation --editable .; \
	cat $^ > $@

kilt: $(ENVIRONMENT) ## KILT's own package, to check our scores against: from GitHub, or make kilt KILT=CHECKOUT
	@from='$(KILT)'; case "$$from" in *://*) ;; *) test -f "$$from/setup.py" || { \
	echo "make kilt: $$from: no checkout of facebookresearch/KILT; expected a folder with its setup.py" >&2; exit 2; }; \
	from=$$(realpath "$$from") ;; esac; \
	pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$$from"
	@python -c 'import kilt.eval_downstream'
	@echo "KILT's package is importable: every evaluation uses it from now on, and glimmer crosscheck on what is measured"

lock: $(ENVIRONMENT) ## solve requirements/ again from pyproject.toml: make lock UPGRADE=--upgrade for newer versions
	@uv pip compile pyproject.toml $(addprefix --extra ,$(EXTRAS)) $(UPGRADE) --generate-hashes \
		--python-version 3.11 --custom-compile-command "make lock" --quiet --output-file requirements/lock.txt
	@echo uv | uv pip compile - $(UPGRADE) --generate-hashes \
		--python-version 3.11 --custom-compile-command "make lock" --quiet --output-file requirements/uv.txt

clean: ## remove what runs left behind; results/ and $(VENV) stay
	rm -rf work reproduced .snakemake build dist .pytest_cache .ruff_cache .hypothesis
