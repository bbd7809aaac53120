# Each target sets up what it needs by itself; what is in place is not done again.
# PYTHON=… names the interpreter, ARGS=… is handed to the command.
.DEFAULT_GOAL := help
.PHONY: help install run test lint bench bench-smoke soak constraints

# The environment's tools first; Node is there too when the system has none.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
npm := npm --prefix frontend --silent

help: ## Say what can be made (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Set up everything that testing and developing needs
	@tools/bootstrap test

run: ## Run the monitor: dashboard, admin, router and an agent for this machine
	@tools/bootstrap run
	@heliograph monitor run $(ARGS)

test: ## Run every test: Python, front end, browser
	@tools/bootstrap test
	@python -m pytest $(ARGS)
	@$(npm) run typecheck
	@$(npm) test

lint: ## Check style, types and the rooms' import rules
	@tools/bootstrap dev
	@ruff check
	@ruff format --check
	@mypy
	@lint-imports
	@$(npm) run lint --if-present

bench: ## Measure everything beside others, 25 minutes; ARGS=rpc one question, ARGS=setup installs the others
	@tools/bootstrap dev
	@python -m benchmarks $(or $(ARGS),all)

bench-smoke: ## See in a minute that the benchmarks themselves work; part of `make test`
	@tools/bootstrap dev
	@python -m pytest tests/benchmarks

soak: ## Run the long tests that `make test` leaves out
	@tools/bootstrap test
	@python -m pytest -m soak $(ARGS)

constraints: ## Pin anew the versions that a checkout installs
	@tools/bootstrap constraints
