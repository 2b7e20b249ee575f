# A fresh machine needs make, git and Python 3.11 or later with venv and pip; everything else is installed into .venv.
# CDK needs node besides: without it, make synth cannot be run, and the test that synthesises is skipped.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
ARGS ?=
UV_VERSION := 0.13.9

LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
# What only the infrastructure's templates and checks need: make demo does without.
INFRA := $(VENV)/.infra
# checkov asks for versions of its own of what everything else uses too.
CHECKOV := $(VENV)/checkov/.locked
TEMPLATE := src/aurora_restore/cloudformation/template.json
# CDK runs in node: where it unpacks itself, and that it is not to speak of node's age at every run.
export JSII_RUNTIME_PACKAGE_CACHE_ROOT := $(CURDIR)/$(VENV)/jsii
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20

# Every check reports, even when an earlier one has failed.
MAKEFLAGS += --keep-going --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo packages test faults check check-format check-lint check-types check-imports check-workflow check-template synth permissions bench bench-embedded bench-orchestration bench-users bench-cold-import format lock clean

help:
	@echo 'make demo    restore a real database on this machine, start to end (ARGS="--rows 1000000 --keep")'
	@echo 'make test    run every test on $(WORKERS) cores (WORKERS=n), then the coverage gate'
	@echo 'make faults  let every call of an operation fail in every way (ARGS="--only ID" runs one again)'
	@echo 'make check   formatting, lint, types, import rules, state machine, template; silent where all is well'
	@echo 'make synth   write the CloudFormation template that the package ships, from the CDK app (needs node)'
	@echo 'make permissions  write docs/reference/permissions.md, from the table of permissions and whole operations'
	@echo 'make bench   measure the embedded account, waiting, a thousand users, a cold start (bench-embedded, …)'
	@echo 'make format  format the code and mend what ruff can mend'
	@echo 'make lock    write requirements.lock anew (developers; needs the network)'
	@echo 'make clean   remove .venv and everything else that is made here'
	@echo
	@echo 'The first of them installs requirements.lock into .venv: a minute or two, once.'

demo: $(INSTALLED)
	@$(BIN)/aurora-restore demo $(ARGS)

# What tests need and no Python package brings: MariaDB's server, the program alone, and pg_cron where PostgreSQL 15 is.
# Where they cannot be had, those tests are skipped, and say so.
CRON := /usr/share/postgresql/15/extension/pg_cron.control
packages:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec"; wanted=; as=; \
	command -v mariadbd >/dev/null || wanted=mariadb-server-core; \
	test ! -x /usr/lib/postgresql/15/bin/postgres || test -e $(CRON) || wanted="$$wanted postgresql-15-cron"; \
	test -n "$$wanted" || exit 0; \
	test "$$(id -u)" = 0 || as='sudo -n'; \
	if command -v apt-get >/dev/null && $$as true 2>/dev/null; then \
	  echo "Installing for the tests:" $$wanted; \
	  install="$$as env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$wanted"; \
	  $$install >/dev/null 2>&1 || { $$as apt-get update -qq && $$install; } >/dev/null 2>&1 || true; \
	fi; \
	command -v mariadbd >/dev/null || echo 'No mariadbd, so the tests of Aurora MySQL are skipped.' \
	  'Install it as root: apt-get install --no-install-recommends mariadb-server-core'

test: $(INSTALLED) $(INFRA) packages
	@echo 'Running the tests on $(WORKERS) cores'
	@rm -f .coverage
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --cov --cov-report= $(ARGS)
	@echo 'Checking that 95 % of the branches of the pure modules and the steps are covered'
	@$(BIN)/coverage json --quiet -o .coverage.json
	@$(BIN)/python tests/coverage_gate.py .coverage.json 95

faults: $(INSTALLED)
	@$(BIN)/python -m tests.faults --jobs $(WORKERS) $(ARGS)

check: check-format check-lint check-types check-imports check-workflow check-template

check-format: $(INSTALLED)
	@$(BIN)/ruff format --quiet --check . || { echo 'not formatted: run make format' >&2; exit 1; }

check-lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .

check-types: $(INSTALLED) $(INFRA)
	@$(BIN)/mypy --no-error-summary

check-imports: $(INSTALLED)
	@report=$$($(BIN)/lint-imports 2>&1) || { echo "$$report" >&2; exit 1; }

check-workflow: $(INSTALLED)
	@report=$$($(BIN)/statelint src/aurora_restore/workflow/restore.asl.json 2>&1) || { echo "$$report" >&2; exit 1; }

# What the synthesis itself checks, cdk-nag above all, a test holds. What checkov finds and may stands in the module.
check-template: $(INSTALLED) $(INFRA) $(CHECKOV)
	@report=$$($(BIN)/cfn-lint -- $(TEMPLATE) 2>&1) || { echo "$$report" >&2; exit 1; }
	@$(BIN)/python -m infra.checkov_findings $(VENV)/checkov/bin/checkov

synth: $(INSTALLED) $(INFRA)
	@command -v node >/dev/null || { echo 'CDK needs node: install Node.js 20 or later' >&2; exit 1; }
	@$(BIN)/python -m infra.shipped

permissions: $(INSTALLED) $(INFRA)
	@$(BIN)/python -m tests.infra.permissions_page

bench: bench-orchestration bench-embedded bench-users bench-cold-import

bench-cold-import: $(INSTALLED)
	@$(BIN)/python -m benchmarks.cold_import $(ARGS)

bench-embedded: $(INSTALLED)
	@$(BIN)/python -m benchmarks.embedded $(ARGS)

bench-orchestration: $(INSTALLED)
	@$(BIN)/python -m benchmarks.orchestration $(ARGS)

bench-users: $(INSTALLED)
	@$(BIN)/python -m benchmarks.users $(ARGS)
	@$(BIN)/python -m benchmarks.users_mysql $(ARGS)

format: $(INSTALLED)
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

# The lock names no index and no host, so that it serves behind a mirror too. pyproject.toml says what; the lock says which.
lock: $(LOCKED)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra embedded --group dev --output-file requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --constraints requirements.lock --output-file infra/requirements.lock infra/requirements.in
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --output-file infra/checkov.lock infra/checkov.in
	@$(BIN)/uv pip compile --quiet --python-version 3.13 --python-platform aarch64-manylinux_2_28 --only-binary :all: \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --constraints requirements.lock \
	  --output-file src/aurora_restore/cloudformation/bundle.lock pyproject.toml
	@echo 'The four locks are written: look at the difference, then run make check test'

clean:
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
	  .hypothesis benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo '$(PYTHON) is not there or older than Python 3.11. Install Python 3.11 or later, or name one:' >&2; \
	  echo '  make PYTHON=python3.13 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '$(PYTHON) lacks the modules venv and ensurepip. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing requirements.lock into $(VENV) (once; a minute or two)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# Built with the hatchling of the lock: nothing that is not named there is fetched.
$(INSTALLED): $(LOCKED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(INFRA): $(LOCKED) infra/requirements.lock
	@echo 'Installing infra/requirements.lock into $(VENV) (once; half a minute)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements.lock
	@touch $@

$(CHECKOV): $(LOCKED) infra/checkov.lock
	@echo 'Installing infra/checkov.lock into $(VENV)/checkov (once; a minute)'
	@$(PYTHON) -m venv $(VENV)/checkov
	@$(VENV)/checkov/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/checkov.lock
	@touch $@
