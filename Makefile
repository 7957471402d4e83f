# `make help` lists the targets. Every one of them sets up what is missing first.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCKED ?=
ARGS ?=
RUN ?=
COMPARE ?=
# Two torch threads on two busy cores were 8 times slower than one.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup lock check format test test-all test-vllm train sweep slurm slurm-sweep slurm-status report plan claim results slurm-claims doctor bench chaos gpu-check docs clean

# Of the slurm targets: nodes, and GPUs on each (0: one process a node, without). What is empty is the cluster's to say.
NODES ?= 1
GPUS ?= 0
PARTITION ?=
TIME ?=
ACCOUNT ?=
QOS ?=
# How several processes share a model; one process on one GPU has it whole.
PROCESSES = $(shell echo $$(( $(NODES) * ($(GPUS) > 1 ? $(GPUS) : 1) )))
COMPUTE ?= $(if $(filter 1,$(PROCESSES)),$(if $(filter 0,$(GPUS)),,ddp),zero2)
CLUSTER = $(if $(COMPUTE),$(if $(findstring compute=,$(ARGS)),,compute=$(COMPUTE)) \
	$(if $(filter cpu,$(COMPUTE)),,compute.num_processes=$(PROCESSES) compute.num_nodes=$(NODES)) slurm.gpus=$(GPUS)) \
	$(addprefix slurm.partition=,$(PARTITION)) $(addprefix slurm.time=,$(TIME)) \
	$(addprefix slurm.account=,$(ACCOUNT)) $(addprefix slurm.qos=,$(QOS))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done ## .venv with rlx and everything for development (PYTHON=python3.12 for another Python, LOCKED=1: hashes checked)

# LOCKED=1: each file's hash must be that of requirements.lock. Of torch, which every platform has another file of, the version is.
$(VENV)/.done: pyproject.toml $(if $(LOCKED),requirements.lock)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifneq ($(LOCKED),)
	$(PIP) install --require-hashes --no-deps -r requirements.lock
	$(PIP) install "$$(sed -n 's/^# \(torch==.*\)/\1/p' requirements.lock)"
	$(PIP) install --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
else
	$(PIP) install -e '.[dev]'
endif
	touch $@

lock: setup ## requirements.lock anew, of what is installed in .venv and of what other platforms need beside it
	test -x build/uv/bin/uv || $(PIP) install --target build/uv uv
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9]*$$//' > build/installed.txt
	printf 'hatchling\neditables\n' | build/uv/bin/uv pip compile --quiet pyproject.toml - --extra dev --universal --python-version 3.11 \
		--generate-hashes -c build/installed.txt --no-emit-index-url --no-annotate --no-header -o build/all.lock
	awk '/^torch==/ {print "# " $$1} /^[a-z0-9]/ {kept = !/^(torch|triton|nvidia-|cuda-)/} kept' build/all.lock > requirements.lock

check: setup ## style, types and the layers of the architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

format: setup ## mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## the fast tests and one end-to-end run, a few minutes on two cores
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not vllm"

test-all: setup ## all tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-vllm: setup ## sampler=vllm in an environment of its own (docs/scale.md): make test-vllm RLX_VLLM_PYTHON=DIR/bin/python
	RLX_VLLM_PYTHON=$(or $(RLX_VLLM_PYTHON),$(error say where vLLM is: RLX_VLLM_PYTHON=DIR/bin/python)) \
		$(BIN)/python -m pytest -q -m vllm tests/sampler

train: setup ## the main job; ARGS="reward=single seed=1" for another
	$(BIN)/rlx train $(or $(ARGS),reward=warm reference=soup)

sweep: setup ## all combinations: make sweep ARGS="reward=single,warm seed=0,1,2"
	$(BIN)/rlx train -m $(or $(ARGS),reward=single,warm reference=frozen,soup)

slurm: setup ## the main job on a cluster: make slurm ARGS="reward=warm reference=soup" NODES=2 GPUS=8 PARTITION=... TIME=...
	$(BIN)/rlx submit $(or $(ARGS),reward=warm reference=soup) $(CLUSTER)

slurm-sweep: setup ## a job for each combination, behind one that builds what they share; NODES, GPUS, ... as above
	$(BIN)/rlx submit -m $(or $(ARGS),reward=single,warm reference=frozen,soup) $(CLUSTER)

slurm-status: setup ## how runs stand: done, running, in the queue, failed and why (RUN=runs/... for one)
	$(BIN)/rlx status $(RUN)

report: setup ## write a run's report again: make report RUN=runs/...
	$(BIN)/rlx report $(or $(RUN),$(error say which run: make report RUN=runs/...))

plan: setup ## what the main job would build and cost (ARGS= as for train)
	$(BIN)/rlx plan $(or $(ARGS),reward=warm reference=soup)

claim: setup ## test what a paper claims: make claim ARGS="uwo_bon"; ARGS=--list shows all
	$(BIN)/rlx claim $(or $(ARGS),--list)

results: setup ## test every claim (hours on two cores; resumes) and write docs/results.md
	$(BIN)/rlx claim all --to docs $(ARGS)

slurm-claims: setup ## the runs of claims as jobs: make slurm-claims ARGS=all PARTITION=...; then make results
	$(BIN)/rlx submit claim $(or $(ARGS),all) $(CLUSTER)

doctor: setup ## is this machine ready?
	$(BIN)/rlx doctor

bench: setup ## PPO beside TRL's on two works, and what logit fusion costs; minutes (COMPARE=FILE: an earlier build/bench.json)
	test -d build/trl-1.12 || $(BIN)/python -m pip install --quiet --no-deps --target build/trl-1.12 trl==1.12.0
	$(BIN)/python scripts/bench_ppo.py --trl build/trl-1.12 $(addprefix --compare ,$(COMPARE)) $(ARGS)
	$(BIN)/python scripts/bench_fusion.py

chaos: setup ## kill and damage N runs at random, then compare with undisturbed ones; minutes (SEED=1 for others)
	$(BIN)/python scripts/chaos.py --cases $(or $(N),50) --seed $(or $(SEED),0) $(ARGS)

gpu-check: setup ## correctness and speed on this machine's GPU; ARGS="--device cpu --small" without one
	scripts/gpu_check.sh $(ARGS)

docs: setup ## the pages of docs/ as a site, in build/docs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/mkdocs build --quiet --strict

clean: ## remove the environment and caches; runs and artefacts stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
