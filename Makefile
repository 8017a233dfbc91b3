# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_RECORDINGS ?= recordings/quickstart
DEMO_WORKSPACE ?= workspaces/quickstart
PUBLISHED ?= published

export TF_USE_LEGACY_KERAS := 1
# Set by some images; without compiled files every process would compile its imports again, 18 s of CPU each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install product dependencies demo test lint typecheck unit e2e web bench-features bench-training bench-memory \
  bench-kills bench-search bench-scaling bench-kubeflow bench-gates bench-web findings lock clean

# What is installed: everything, or, for an image, requirements/runtime.txt.
REQUIREMENTS ?= requirements/lock.txt

install: $(VENV)/.installed
product: $(VENV)/.product
dependencies: $(VENV)/.dependencies

$(VENV)/.dependencies: requirements/bootstrap.txt $(REQUIREMENTS) web/package-lock.json
	@command -v $(PYTHON) >/dev/null || { echo "TinyTimbre needs Python 3.11 with venv: got no '$(PYTHON)'. \
	Way out: apt-get install python3.11-venv python3.11-dev g++, or make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode $(REQUIREMENTS)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm ci --prefix web --no-audit --no-fund
	@touch $@

$(VENV)/.product: $(VENV)/.dependencies pyproject.toml setup.py
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q tinytimbre components pipelines
	@touch $@

$(VENV)/.installed: $(VENV)/.product web/tools/fetch_clients.py
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python web/tools/fetch_clients.py
	@touch $@

demo: install
	$(BIN)/tinytimbre pull --to $(DEMO_RECORDINGS)
	$(BIN)/tinytimbre run configs/quickstart.yaml --recordings $(DEMO_RECORDINGS) --workspace $(DEMO_WORKSPACE) \
	  --publish-to $(PUBLISHED)

test: install lint typecheck
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: install
	$(BIN)/mypy

unit: install
	$(BIN)/python -m pytest -m "not e2e"

e2e: install
	$(BIN)/python -m pytest -m e2e

RECORDINGS ?= $(DEMO_RECORDINGS)
JOBS ?= 2
bench-features: install
	$(BIN)/python -m benchmarks.features $(RECORDINGS) --jobs $(JOBS) $(ARGS)

bench-training: install
	$(BIN)/python -m benchmarks.training

# CONFIG, RECORDINGS and INSTRUMENT say which sweep; ARGS takes further options, see --help of the program.
CONFIG ?= configs/full.yaml
INSTRUMENT ?= cello
bench-kills: install
	$(BIN)/python -m benchmarks.kills $(CONFIG) $(RECORDINGS) --instrument $(INSTRUMENT) $(ARGS)

# In a workspace where the sweep has run.
SWEPT ?= workspaces/full
bench-search: install
	$(BIN)/python -m benchmarks.search $(CONFIG) $(SWEPT) --instrument $(INSTRUMENT) $(ARGS)

# In a workspace where a sweep has run undisturbed.
bench-scaling: install
	$(BIN)/python -m benchmarks.scaling --workspace $(SWEPT) $(ARGS)

bench-kubeflow: install
	$(BIN)/python -m benchmarks.kubeflow $(CONFIG) $(RECORDINGS) $(ARGS)

bench-memory: install
	$(BIN)/python benchmarks/memory.py

bench-gates: install
	$(BIN)/python benchmarks/gates.py --jobs $(JOBS) --figure docs/power.png

# The page that plays the models: http://localhost:8000. Your own where there are any, else those of the repository.
PORT ?= 8000
MODELS ?= $(if $(wildcard $(PUBLISHED)/index.json),$(PUBLISHED),web/models)
web: install
	$(BIN)/python web/tools/serve.py --models $(MODELS) --port $(PORT)

# Tables, figures and pictures of finished sweeps: of those behind web/models, or of the workspaces that SWEEPS names.
# ARGS takes further options, see --help of the program.
SWEEPS ?= docs/sweeps
findings: install
	$(BIN)/python -m benchmarks.findings $(SWEEPS) --output docs --into README.md $(ARGS)

MINUTES ?= 10
bench-web: install
	$(BIN)/python benchmarks/web.py $(PUBLISHED) --minutes $(MINUTES)

# The lock: exact versions with hashes. Run it after a change of pyproject.toml and commit the result.
lock:
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade -o requirements/lock.txt
	$(BIN)/uv pip compile pyproject.toml --constraint requirements/lock.txt --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/runtime.txt
	$(BIN)/uv pip compile requirements/bootstrap.in --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade -o requirements/bootstrap.txt

clean:
	rm -rf $(VENV) web/node_modules .mypy_cache .ruff_cache .pytest_cache
