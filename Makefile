# SPDX-License-Identifier: GPL-3.0-or-later
export PYTHONDONTWRITEBYTECODE :=
PYTHON := build/venv/bin/python
.DEFAULT_GOAL := help

##@ Demonstration
.PHONY: demo
demo: ## two bare nodes become a cluster before your eyes (PRODUCT=gluu, csync2, deploy)
	@python3 -m lab demo $(PRODUCT)

.PHONY: demo-down
demo-down: ## stop and remove exactly what the demonstration, the tests and their set-up brought to this machine
	@python3 -m lab down

##@ Tests
.PHONY: test
test: setup ## the core tier: static gates, unit tests, a scenario for each capability
	$(PYTHON) tests/run.py

.PHONY: test-deep
test-deep: ## the long tier, or a part of it: make test-deep PART="scenario deep_…"; renews docs/results/deep.md
	@python3 -m lab setup --deep
	$(PYTHON) tests/run.py --deep $(if $(PART),--only $(PART))

.PHONY: test-unit
test-unit: setup ## the unit tests
	$(PYTHON) tests/run.py --only units

.PHONY: lint
lint: setup ## the static gates
	$(PYTHON) tests/run.py --only static

.PHONY: scenario
scenario: setup ## one molecule scenario: make scenario NAME=csync2
	@test -n "$(NAME)" || { echo "which one? make scenario NAME=…"; exit 2; }
	$(PYTHON) tests/run.py --only scenario $(NAME)

.PHONY: bench
bench: setup ## one benchmark of tests/benchmarks/: make bench NAME=…
	@test -f "tests/benchmarks/$(NAME).py" || { echo "no tests/benchmarks/$(NAME).py: make bench NAME=…"; exit 2; }
	$(PYTHON) tests/benchmarks/$(NAME).py

##@ Upkeep
.PHONY: setup
setup: ## install and start what the tests and the demonstration need (says first what that is)
	@python3 -m lab setup

.PHONY: format
format: ## lay out the Python code as the gates want it
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix-only .

.PHONY: lock
lock: ## resolve requirements/*.in into requirements/*.txt, with hashes
	for name in dev core-2.16; do \
		build/venv/bin/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			--upgrade requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
