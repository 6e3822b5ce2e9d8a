# SPDX-License-Identifier: Apache-2.0
# The commands of the project; `make` lists them. GNU make.

CARGO ?= cargo
# A cargo whose build script prints a line on standard error for each model of the RTL that it
# compiles (build.rs).
cargo_says := NESTWALK_PROGRESS=9 $(CARGO)
says := 9>&2
target := $(or $(CARGO_TARGET_DIR),target)
nestwalk := $(target)/release/nestwalk
# Devices that are built on first use, by the tests and by campaigns.
export NESTWALK_CACHE ?= $(abspath $(target))/devices

.DEFAULT_GOAL := help
# The checks of `test` run in order, cheap ones first. cargo uses all cores by itself.
.NOTPARALLEL:
.PHONY: fuzz-parsers pages try help setup setup-all setup-formal setup-fusesoc setup-foreign \
  build synth pnr foreign \
  cosim coverage reach campaigns fmt-check clippy doc lint lint-package licence rtl-read \
  rtl-verible cargo-test setup-test test bench soak slurm mutants automutants formal formal-quick \
  formal-mutants clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## find Rust, a C++ compiler and Verilator; install what is missing into .tools
	@tools/setup.sh

setup-all:
	@tools/setup.sh --with-yosys

setup-formal:
	@tools/setup.sh --with-formal

setup-fusesoc:
	@tools/setup.sh --with-fusesoc

# The tests check RTL of other projects where it can be had.
setup-foreign:
	@tools/setup.sh --with-foreign || echo 'make: the RTL of other projects cannot be installed' \
	  'here: tests/foreign_rtl.rs does NOT check it'

build: setup ## build the release binary
	$(cargo_says) build --release --locked $(says)

try: setup ## after an edit: build and fuzz its devices (file=, profile= or device= select)
	@CARGO='$(CARGO)' file='$(file)' profile='$(profile)' device='$(device)' tools/try.sh

cosim: build ## build, then run the co-simulation: a scenario and two fuzz campaigns
	$(nestwalk) run scenarios/exercise.toml
	$(nestwalk) fuzz --profile handout --seed 1 --count 100000
	$(nestwalk) fuzz --profile classic32 --seed 1 --count 100000
	@echo
	@echo 'Golden model and RTL agree on all of the above. See also:'
	@echo '  README.md, docs/                the documentation'
	@echo '  $(nestwalk) walk    one translation, step by step'
	@echo '  $(nestwalk) wave    the same translation as a wave'
	@echo '  make test                       every check'

fmt-check: ## check the format of the Rust code
	$(CARGO) fmt --all --check

clippy: setup ## lint the Rust code
	$(cargo_says) clippy --release --all-targets --locked -- -D warnings $(says)

doc: setup ## make the documentation of the Rust code; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(cargo_says) doc --release --no-deps --locked $(says)

lint: setup ## lint the RTL with Verilator
	@tools/lint-rtl.sh

lint-package: setup-fusesoc ## lint the RTL from another folder, by file list and FuseSoC core
	@tools/lint-package.sh

licence: ## check that every source file has an SPDX line
	@tools/spdx.py

pages: ## check the Markdown pages: line width, links, tables against docs/measurements
	@tools/check_docs.py
	@tools/render_tables.py --check
	@tests/pages.py

rtl-read: setup-all ## read the RTL with a second front end (Yosys, slang)
	@tools/read-rtl.sh

rtl-verible: ## parse each SystemVerilog file by itself, with Verible
	@tools/setup.sh --with-verible
	@tools/verible.sh

synth: setup-all ## area and depth of the RTL, by configuration (Yosys, LUT6; long)
	@tools/synth.py

pnr: ## place and route on an ECP5, with its clock (nextpnr; SEEDS=n placements of each; long)
	@tools/setup.sh --with-nextpnr
	@tools/pnr.py $(if $(SEEDS),--seeds $(SEEDS))

cargo-test: setup
	$(cargo_says) test --release --locked $(says)

# Accesses of each profile: enough to find nearly every planted bug. `make soak` runs longer.
test_count ?= 400000
# The number of devices drawn from all legal parameters of a format, and of accesses on each.
drawn_devices ?= 2
drawn_count ?= 50000

campaigns: build
	for profile in handout handout-rights classic32 classic32-rights rv32 rv64; do \
	  $(nestwalk) fuzz --profile $$profile --seed 1 --count $(test_count) || exit; \
	  $(nestwalk) fuzz --profile $$profile --seed 1 --count $(drawn_count) \
	    --devices $(drawn_devices) || exit; \
	done

foreign: build ## check RTL of other projects (from the Python package index), and print the table
	@tools/setup.sh --with-foreign
	@NESTWALK=$(nestwalk) tools/foreign.py run

setup-test:
	@tests/setup.sh

test: ## run every check
test: setup-formal fmt-check licence pages setup-test lint lint-package rtl-read formal-quick \
  clippy doc setup-foreign cargo-test campaigns

# The number of mutated inputs.
fuzz_inputs ?= 120000

fuzz-parsers: setup ## feed mutated inputs to every parser (fuzz_inputs=n, NESTWALK_FUZZ_SEED=n)
	NESTWALK_FUZZ_INPUTS=$(fuzz_inputs) $(CARGO) test --release --locked --test parsers

bench: setup ## measure the testbench against a hand-written C++ harness, and the golden model
	$(CARGO) bench --locked --features cpp-harness --bench throughput
	$(CARGO) bench --locked --features cpp-harness --bench golden

soak: build ## the long campaign: more than 200 million cycles, no mismatch, no memory growth
	@tools/soak.sh

slurm: build ## run a campaign as a job array on a Slurm of this machine, and compare with one run
	@tools/setup.sh --with-slurm
	@tools/slurm/try-on-one-machine.sh

mutants: setup ## plant the bugs of tests/mutants, one by one, and check that each is found (long)
	@tools/mutants.sh

# Accesses of each profile: enough to hit every line and branch, and most of the functional bins.
coverage_count ?= 200000
coverage_out := out/coverage

coverage: setup ## functional and code coverage of campaigns of all profiles, in out/coverage (long)
	NESTWALK_COVERAGE=1 CARGO_TARGET_DIR=$(target)/coverage $(CARGO) build --release --locked
	rm -rf $(coverage_out)
	mkdir -p $(coverage_out)/runs
	for profile in handout handout-rights classic32 classic32-rights rv32 rv64; do \
	  $(target)/coverage/release/nestwalk fuzz --profile $$profile --seed 1 \
	    --count $(coverage_count) -o $(coverage_out) \
	    --coverage $(coverage_out)/runs/$$profile.json --rtl-coverage $(coverage_out)/runs || exit; \
	done
	$(target)/coverage/release/nestwalk cover $(coverage_out)/runs/*.json $(coverage_out)/runs/*.dat \
	  --waivers tests/coverage-waivers.toml -o $(coverage_out)

reach: build ## run campaigns in rounds until every reachable bin was hit
	for profile in rv32 rv64; do tools/reach.sh $$profile || exit; done

automutants: ## plant generated bugs, and check that each is found (ALL=1: all of them; long)
	@tools/setup.sh --with-mutation
	@tools/automutants.py $(if $(ALL),--all)

formal: setup-formal ## prove the properties of formal/ (FORMAL=--list: the jobs, FORMAL=JOB: one)
	@formal/run.py $(FORMAL)

formal-quick: setup-formal
	@formal/run.py --quick

formal-mutants: setup-formal ## plant bugs, and check that the proofs find them
	@formal/run.py --mutants

clean: ## remove what was built
	$(CARGO) clean
	rm -rf out

distclean: clean ## remove .tools as well
	rm -rf .tools
