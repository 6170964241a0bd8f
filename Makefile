# leomix: the everyday commands. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   ?= runs/demo
SHELL  := /bin/bash
WHICH  ?= not slow and not process and not wide

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench soak mutants accuracy site docs pictures papers dist-check sbom flower lowest newest clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

$(VENV)/installed: setup.cfg constraints.txt
	@echo "installing leomix, its tools and PyTorch into $(VENV), once: two minutes and more, 3 GB of disk"
	@$(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
		-c constraints.txt -e ".[dev]" | sed -un 's/^Collecting \([^ <>=!~;(]*\).*/  \1/p; s/^Installing.*/  installing/p'
	@touch $@

install: $(VENV)/installed ## make .venv with leomix and its tools

demo: install ## four ways to learn through one satellite, three seeds each: a table, a sentence and a page
	@echo "12 runs: 4 methods, 3 seeds each"
	@$(BIN)/leomix sweep quickstart-8b --variants docs/demo.yaml --replications 3 \
		--set learning.targets=[0.8,0.85,0.9] --set stop.cycles=12 --jobs 2 --resume -o $(RUNS) > /dev/null
	@$(BIN)/leomix compare $(RUNS)
	@$(BIN)/leomix report $(RUNS) > /dev/null
	@printf '\n  open $(RUNS)/report.html  the replay, the curves, every figure\n'
	@printf '  leomix new mine            your own cities, satellites and data\n'

test: install ## run the quick tests (about four minutes on two cores; WHICH="not slow or pages" for those of CI)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "$(WHICH)" $(PYTEST)

lint: install ## ruff, mypy and the import rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## let ruff format and sort
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## time contact windows against Skyfield, and training against Flower and pfl-research
	@echo "== Skyfield"; $(BIN)/python docs/benchmarks/bench_orbit.py
	@if [ -n "$(FLOWER)" ]; then echo "== Flower"; $(BIN)/python docs/benchmarks/against_flower.py $(FLOWER); \
	else echo "Flower: make bench FLOWER=PYTHON compares with it, in an environment of its own"; fi
	@if [ -n "$(PFL)" ]; then echo "== pfl-research"; $(BIN)/python docs/benchmarks/against_pfl.py $(PFL); \
	else echo "pfl-research: make bench PFL=PYTHON compares with it, in an environment of its own"; fi

soak: install ## slow tests, many examples, kills, fuzzed files, random scenarios, a week (hours; SHORT=1: less)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow
	@if [ -z "$(SHORT)" ]; then $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not process" --deep; fi
	$(BIN)/python tests/soak/kills.py --count $(if $(SHORT),10,100)
	$(BIN)/python tests/soak/fuzz.py --count $(if $(SHORT),1000,20000)
	$(BIN)/python tests/soak/random_scenarios.py --count $(if $(SHORT),25,500)
	$(BIN)/python docs/benchmarks/bench_week.py $(if $(SHORT),1)

mutants: install ## small changes of the core that a test must notice (hours; AGAIN=20: as many of them)
	$(BIN)/python tests/soak/mutants.py $(if $(AGAIN),--again $(AGAIN))

accuracy: install ## compare windows, link budgets and transfers with others: docs/trust.md
	$(BIN)/python tests/truth/accuracy.py
	$(BIN)/python papers/link_budgets.py
	$(BIN)/python papers/transfers.py

site: install ## build the site (build/docs)
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

docs: site ## build the site, draw the pictures of README, and run every block of the pages
	@if command -v chromium > /dev/null; then $(MAKE) --no-print-directory pictures; \
	else echo "docs/report.png and docs/replay.png stay as they are: drawing them needs chromium"; fi
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "" tests/docs

pictures: demo ## draw docs/report.png and docs/replay.png from today's pages, with headless Chromium
	$(BIN)/leomix run plain-fedavg -o runs/plain-fedavg --resume --quiet > /dev/null
	$(BIN)/leomix report runs/plain-fedavg > /dev/null
	$(BIN)/python -m tests.docs.screenshots $(RUNS) runs/plain-fedavg

papers: install accuracy ## print the figures of papers and the tables of the annex again (hours; runs that are in runs/papers are kept)
	$(BIN)/python papers/ems_fl_fig_4.py
	$(BIN)/python papers/ems_fl_fig_5_6.py
	$(BIN)/python papers/alignment.py
	$(BIN)/python papers/outside.py crosatfl
	$(BIN)/python papers/outside.py dove
	$(BIN)/python papers/outside.py fedsat
	$(BIN)/python papers/outside.py fedsatschedule
	$(BIN)/python papers/planes.py
	$(BIN)/python papers/paper_numbers.py
	$(BIN)/python papers/full_size.py
	$(BIN)/python papers/heterogeneity.py 10
	$(BIN)/python papers/theory.py 10
	$(BIN)/python papers/theory.py 10 1
	$(BIN)/python papers/experts.py paper-exp2-small 5 20
	$(BIN)/python papers/resplit.py 10
	$(BIN)/python papers/gain.py 5
	$(BIN)/python papers/gates.py nmoe-digits 5
	$(BIN)/python papers/reach.py 5
	$(BIN)/python papers/local_sets.py paper-exp1-small 5 30
	$(BIN)/python papers/local_sets.py paper-exp2-small 5 20
	$(BIN)/python papers/targets.py paper-exp1-small 5
	$(BIN)/python papers/targets.py paper-exp2-small 5
	$(BIN)/python papers/lora.py paper-exp1-small 5 20
	$(BIN)/python papers/fair.py 10
	$(BIN)/python papers/ablation.py 10
	$(BIN)/python papers/satellites.py 7 1 3
	$(BIN)/python papers/satellites.py 1 13
	$(BIN)/python papers/mesh.py 1 10 100
	@if [ -f cifar10.npz ]; then $(BIN)/python papers/local_sets.py paper-exp2-cifar 3 60; \
	$(BIN)/python papers/gates.py nmoe-cifar10 1 learning.options.inference_samples=0 learning.data.path=cifar10.npz; \
	$(BIN)/python papers/gates.py nmoe-cifar10 1 learning.options.inference_samples=0 learning.data.path=cifar10.npz learning.data.split=null; \
	else echo "images: needs cifar10.npz in this folder"; fi
	@if [ -d variants-3 ]; then $(BIN)/python papers/experiment_1.py . variants variants-2 variants-3; \
	$(BIN)/python papers/real_orbit.py variants; \
	else echo "experiment_1, real_orbit: need the variants that examples/real_models makes"; fi
	@if [ -d minilm ]; then $(BIN)/python papers/experiment_2.py minilm tasks; \
	else echo "experiment_2: needs the model and tasks that docs/annex/results.md names"; fi

dist-check: install ## build sdist and wheel (build/dist), check them, and run them in a bare environment
	.ci/dist build/dist

sbom: dist-check ## list what is installed with leomix, in CycloneDX (build/sbom.cdx.json)

flower: install ## run the tests of Flower apps with the oldest and the newest flwr of leomix[flower] (makes .venv-flower)
	FLWR=$(FLWR) .ci/flower

lowest: ## run the quick tests with the lowest versions of the requirements (needs uv; some GB)
	.ci/libraries lowest $(PYTEST)

newest: ## run the quick tests with the newest versions of the requirements (needs uv; some GB)
	.ci/libraries newest $(PYTEST)

clean: ## remove the environments and all of runs/: of the demo and of papers
	rm -rf $(VENV) .venv-flower runs *.egg-info
