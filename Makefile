# `make` lists the targets. Works with GNU make 3.81 (macOS) and later; needs Python 3.11 to 3.14 and nothing else.

.DEFAULT_GOAL := help
BIN := .venv/bin
COMPOSE = $$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
EXTRAS := worker dashboard
SERVICES := worker control
SOURCES := config producer workers simulator tests benchmarks examples

# The tools of the environment come first, whatever is active in the shell that calls make.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

.PHONY: help setup demo test mutants simulate soak bench bench-scheduling check audit format clean sbom test-containers compose-up compose-down compose-roll

help: ## list the targets
	@printf 'make TARGET, where TARGET is one of\n\n'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)$$/  \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

setup: ## make .venv with all that is needed, also for development
	@./scripts/setup.sh dev

demo: ## run batches of real IDs through a simulated X, with a server and workers of their own
	@./scripts/setup.sh
	@$(BIN)/complyq demo

test: ## run the whole test suite, three files at a time; ARGS='-k upload -n 0' for a part of it
	@./scripts/setup.sh dev
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

mutants: ## take each guard out of the code in turn, a test must notice; ONLY='create poll' for some, JOBS=2 at once
	@./scripts/setup.sh dev
	@PYTHONPATH=tests $(BIN)/python -m mutants $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

simulate: ## play histories of a simulated world: every fault at every call, then SECONDS=60 of seeds from SEED=1
	@./scripts/setup.sh dev
	@PYTHONPATH=tests $(BIN)/python -m simulation --every-call $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

soak: ## run workers among faults of all kinds and judge what comes of it; SECONDS=600, SEED=7 to repeat a run
	@./scripts/setup.sh dev
	@PYTHONPATH=tests $(BIN)/python -m soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

bench: ## race ten million IDs against what people use today, hours; ARGS='--row 1 --ids 2000000'
	@./scripts/setup.sh dev
	@$(BIN)/python benchmarks/transfer.py $(ARGS)

bench-scheduling: ## replay six hours of arrivals with merging and without, about ten minutes; ARGS='--hours 1 --check'
	@./scripts/setup.sh dev
	@$(BIN)/python benchmarks/scheduling.py $(ARGS)

check: ## check format, lint, types and the directions of imports
	@./scripts/setup.sh dev
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: ## look for known vulnerabilities in all that is installed; needs the network, fails without
	@./scripts/setup.sh dev
	@$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable >.venv/audit.txt
	@$(BIN)/pip-audit --strict --progress-spinner off --no-deps --disable-pip --requirement .venv/audit.txt

format: ## format the code and mend what ruff can mend
	@./scripts/setup.sh dev
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

sbom: ## list what is in the image as CycloneDX, from uv.lock, in dist/sbom.json; EXTRAS='worker dashboard parquet'
	@./scripts/setup.sh dev
	@mkdir -p dist
	@$(BIN)/uv export --quiet --frozen --no-dev $(EXTRAS:%=--extra %) --preview-features sbom-export --format cyclonedx1.5 --output-file dist/sbom.json
	@echo "dist/sbom.json: $$(grep -c '"purl"' dist/sbom.json) packages"

test-containers: ## run images and compose file on both brokers: kill a worker, roll to a new image (Docker); BROKERS=redis
	@if ! docker info >/dev/null 2>&1; then echo "Skipped: no container engine answers here (docker info)."; \
	elif ! $(COMPOSE) version >/dev/null 2>&1; then echo "Skipped: there is neither docker compose nor docker-compose."; \
	else ./scripts/setup.sh dev && PYTHONPATH=tests $(BIN)/python -m containers; fi

compose-up: ## build the images and start redis, an s3 server, control and transfer workers (Docker); settings in .env
	@$(COMPOSE) up --build --detach

compose-roll: ## build the image and put it in the place of running workers, new ones first; SERVICES='worker control'
	@$(COMPOSE) build worker
	@scripts/roll-containers.sh $(SERVICES)

compose-down: ## stop them; what they stored stays in its volumes
	@$(COMPOSE) down

clean: ## remove what was built and cached; .venv stays
	@rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +
