# Python 3.11, make and (for a browser in the tests) apt are all that must be there.
#   make setup   install what is locked         make run    start the application
#   make test    run every test                 make lint   check style, types, imports, settings
#   make bench   NAME=serving ARGS="..."        make lock   renew requirements.lock

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := setup
.SILENT:
.PHONY: setup run test lint bench lock clean browser

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done

# Not in requirements.lock: a CPU build from a local file and the registry's build differ in their hashes.
TORCH := torch==2.13.0
TORCHVISION := torchvision==0.28.0
UV := uv==0.13.9

BENCHMARKS := $(filter-out _%,$(basename $(notdir $(wildcard benchmarks/*.py))))
PRODUCTION := ANNOTATOR_HTTPS=on DEBUG=off ALLOWED_HOSTS=label.example.org \
	SECRET_KEY=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-checks-only

setup: $(DONE)/python $(DONE)/browser-modules

$(DONE)/venv:
	if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	  echo "Python 3.11 or newer is needed: install it, or name it with 'make PYTHON=/path/to/python3.11'." >&2; exit 1
	fi
	if ! "$(PYTHON)" -m venv $(VENV); then
	  echo "The virtual environment could not be made: on Debian and Ubuntu install python3-venv." >&2; exit 1
	fi
	mkdir -p $(DONE)
	touch $@

$(DONE)/torch-$(subst ==,-,$(TORCH)-$(TORCHVISION)): $(DONE)/venv
	echo "Installing $(TORCH) and $(TORCHVISION)"
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(TORCHVISION)
	touch $@

$(DONE)/python: $(DONE)/torch-$(subst ==,-,$(TORCH)-$(TORCHVISION)) requirements.lock
	echo "Installing requirements.lock"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	touch $@

# Node comes with the locked Python packages: one version everywhere.
$(DONE)/node: $(DONE)/python package.json package-lock.json
	echo "Installing package-lock.json"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --ignore-scripts --silent
	touch $@

# The files a browser gets, out of packages that hold much more.
$(DONE)/browser-modules: $(DONE)/node Makefile
	rm -rf static/vendor
	mkdir -p static/vendor/uplot
	cp node_modules/uplot/dist/uPlot.esm.js node_modules/uplot/dist/uPlot.min.css static/vendor/uplot/
	touch $@

run: setup
	exec $(BIN)/python -m annotator.supervisor

browser: setup
	if command -v chromium chromium-browser google-chrome >/dev/null; then exit 0; fi
	sudo=$$([ "$$(id -u)" = 0 ] || command -v sudo || true)
	if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
	  $$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends chromium
	else
	  $(BIN)/playwright install chromium
	fi

test: setup browser
	$(BIN)/pytest -n 2
	$(BIN)/node --test 'tests/js/**/*.test.js'

lint: setup
	step() { echo "-- $$*"; "$$@"; }
	step $(BIN)/ruff check --quiet .
	step $(BIN)/ruff format --quiet --check .
	step $(BIN)/mypy --no-error-summary
	step $(BIN)/lint-imports --no-logo
	step $(BIN)/djlint --quiet --lint templates
	export $(PRODUCTION)
	step $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	step $(BIN)/python manage.py check --deploy --fail-level WARNING
	step $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	find static/js tests/js -name '*.js' -print0 | step xargs -0 -r -n 1 $(BIN)/node --check
	$(BIN)/python -m annotator.env | step diff docs/reference/settings.md - \
	  || { echo "docs/reference/settings.md is old: python -m annotator.env > docs/reference/settings.md" >&2; exit 1; }

bench: setup
	for name in $(or $(NAME),$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$name $(ARGS); done

# Hashes of every platform's files and no addresses; what torch brings stays out with torch.
lock: setup
	$(BIN)/python -m venv $(VENV)/.lock
	$(VENV)/.lock/bin/pip install --quiet --disable-pip-version-check $(UV)
	$(VENV)/.lock/bin/uv pip compile --quiet pyproject.toml --group dev --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file $(VENV)/.lock/requirements.txt
	awk '/^[a-z]/ { keep = $$0 !~ /^(torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*)==/ } keep' \
	  $(VENV)/.lock/requirements.txt > requirements.lock

clean:
	rm -rf $(VENV) node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -not -path './var/*' -exec rm -rf {} +
