# The commands of the project; `make` lists them. GNU make.

CARGO ?= cargo
target := $(or $(CARGO_TARGET_DIR),target)
nestwalk := $(target)/release/nestwalk

.DEFAULT_GOAL := help
# The checks of `test` run in their order, cheap ones first; cargo uses all cores by itself.
.NOTPARALLEL:
.PHONY: help setup setup-all setup-formal build cosim fmt-check clippy lint rtl-read cargo-test setup-test test bench mutants formal formal-quick formal-mutants clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## look for Rust, a C++ compiler and Verilator; install into .tools what can be
	@tools/setup.sh

setup-all:
	@tools/setup.sh --with-yosys

setup-formal:
	@tools/setup.sh --with-formal

build: setup ## build the release binary
	$(CARGO) build --release --locked

cosim: build ## build, then run the co-simulation: a scenario and two fuzz campaigns
	$(nestwalk) run scenarios/exercise.toml
	$(nestwalk) fuzz --profile handout --count 100000
	$(nestwalk) fuzz --profile classic32 --count 100000
	@echo
	@echo 'Rust and RTL agree on all of the above. From here:'
	@echo '  README.md, docs/                what it is and how it works'
	@echo '  $(nestwalk) walk    one translation, step by step'
	@echo '  $(nestwalk) wave    the same as waves'
	@echo '  make test                       every check'

fmt-check: ## check the format of the Rust code
	$(CARGO) fmt --all --check

clippy: setup ## lint the Rust code
	$(CARGO) clippy --release --all-targets --locked -- -D warnings

lint: setup ## lint the RTL with Verilator
	@tools/lint-rtl.sh

rtl-read: setup-all ## read the RTL with a second front end (Yosys, slang)
	@tools/read-rtl.sh

cargo-test: setup
	$(CARGO) test --release --locked

setup-test:
	@tests/setup.sh

test: setup-formal fmt-check setup-test lint rtl-read formal-quick clippy cargo-test ## run every check

bench: setup ## measure the bench beside a hand-written C++ harness, and the golden model
	$(CARGO) bench --locked --features cpp-harness --bench throughput
	$(CARGO) bench --locked --features cpp-harness --bench golden

mutants: setup ## plant the bugs of tests/mutants, one by one, and look whether each is found (long)
	@tools/mutants.sh

formal: setup-formal ## prove the properties of formal/; FORMAL=--list: what there is, FORMAL=JOB: one of it
	@formal/run.py $(FORMAL)

formal-quick: setup-formal
	@formal/run.py --quick

formal-mutants: setup-formal ## plant bugs, and look whether the proofs find them
	@formal/run.py --mutants

clean: ## remove what was built
	$(CARGO) clean
	rm -rf out

distclean: clean ## remove .tools as well
	rm -rf .tools
