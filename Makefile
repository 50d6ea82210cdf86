# The commands of this project. Each works in a fresh clone: .venv is made when it is missing or older than its lock.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed

# Commands that tests start compile nothing anew, whatever the shell asks for.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check format bench bench-growth bench-live bench-writers bench-attacks fuzz soak lock install contracts clean

run: $(STAMP)  ## start everything and serve http://127.0.0.1:8000/graphql
	@$(BIN)/crm-graph dev

test: $(STAMP)  ## the one command that proves everything
	@$(BIN)/python -m pytest -n 3 --dist loadgroup

check: $(STAMP)  ## format, lint, strict types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP)
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

bench: $(STAMP)  ## measure every server on one data set: BENCH_CUSTOMERS, BENCH_OPERATIONS, BENCH_SERVERS ...
	@$(BIN)/python -m tests.benchmarks

bench-growth: $(STAMP)  ## how lists take a workspace that is a hundred times larger: BENCH_GROWTH_SIZES=10000,1000000
	@$(BIN)/python -m tests.benchmarks.growth

bench-live: $(STAMP)  ## many subscribers on one process: LIVE_SUBSCRIBERS, LIVE_GROUPS, LIVE_RATE, LIVE_SECONDS, LIVE_SERVERS
	@$(BIN)/python -m tests.benchmarks.live

bench-writers: $(STAMP)  ## what subscribers cost writers: LIVE_SUBSCRIBERS, LIVE_GROUPS, WRITERS, WRITERS_SECONDS, WRITERS_ROUNDS
	@$(BIN)/python -m tests.benchmarks.writers

bench-attacks: $(STAMP)  ## what others notice of somebody who does their worst: ATTACK_SECONDS, ATTACK_ONLY, ATTACK_COMMAND
	@$(BIN)/python -m tests.benchmarks.attacks

fuzz: $(STAMP)  ## 20,000 generated operations under both executors
	@$(BIN)/python -m tests.executor.fuzz

soak: $(STAMP)  ## writers, clients and faults at once; nothing may be lost: SOAK_SECONDS, SOAK_SEED
	@$(BIN)/python -m tests.faults

install: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "crm-graph needs Python 3.11, 3.12 or 3.13 on the PATH"; exit 2; }
	@if command -v uv >/dev/null; then \
		uv venv -q --allow-existing --python $(PYTHON) .venv && \
		uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.lock && \
		uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		$(PYTHON) -m venv .venv && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $(STAMP)

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock:  ## write the locks anew, for every supported Python: what runs, and with it what builds and tests
	$(LOCK) --extra traces pyproject.toml -o requirements.lock
	$(LOCK) --extra traces --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

contracts: $(STAMP)  ## write schema/ anew
	@$(BIN)/python -m crm_graph.api.contracts

clean:
	rm -rf .venv build dist
