# SPDX-License-Identifier: Apache-2.0
# The commands of the project; `make` lists them. GNU make.

CARGO ?= cargo
# A cargo whose build script prints a line on standard error for each model of the RTL that it compiles (build.rs).
cargo_says := NESTWALK_PROGRESS=9 $(CARGO)
says := 9>&2
target := $(or $(CARGO_TARGET_DIR),target)
nestwalk := $(target)/release/nestwalk
# Devices that are built on first use, by the tests and by campaigns.
export NESTWALK_CACHE ?= $(abspath $(target))/devices

.DEFAULT_GOAL := help
# The checks of `test` run in their order, cheap ones first; cargo uses all cores by itself.
.NOTPARALLEL:
.PHONY: fuzz-parsers try help setup setup-all setup-formal setup-fusesoc build synth pnr cosim coverage reach campaigns fmt-check clippy doc lint lint-package licence rtl-read rtl-verible cargo-test setup-test test bench soak slurm mutants automutants formal formal-quick formal-mutants clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## look for Rust, a C++ compiler and Verilator; install into .tools what can be
	@tools/setup.sh

setup-all:
	@tools/setup.sh --with-yosys

setup-formal:
	@tools/setup.sh --with-formal

setup-fusesoc:
	@tools/setup.sh --with-fusesoc

build: setup ## build the release binary
	$(cargo_says) build --release --locked $(says)

try: setup ## after an edit: build and fuzz what the edited files belong to (file=rtl/tlb.sv; profile=rv64, device=rv64_s1: that one alone)
	@CARGO='$(CARGO)' file='$(file)' profile='$(profile)' device='$(device)' tools/try.sh

cosim: build ## build, then run the co-simulation: a scenario and two fuzz campaigns
	$(nestwalk) run scenarios/exercise.toml
	$(nestwalk) fuzz --profile handout --seed 1 --count 100000
	$(nestwalk) fuzz --profile classic32 --seed 1 --count 100000
	@echo
	@echo 'Rust and RTL agree on all of the above. From here:'
	@echo '  README.md, docs/                what it is and how it works'
	@echo '  $(nestwalk) walk    one translation, step by step'
	@echo '  $(nestwalk) wave    the same as waves'
	@echo '  make test                       every check'

fmt-check: ## check the format of the Rust code
	$(CARGO) fmt --all --check

clippy: setup ## lint the Rust code
	$(cargo_says) clippy --release --all-targets --locked -- -D warnings $(says)

doc: setup ## make the documentation of the Rust code; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(cargo_says) doc --release --no-deps --locked $(says)

lint: setup ## lint the RTL with Verilator
	@tools/lint-rtl.sh

lint-package: setup-fusesoc ## lint the RTL by its file list and its FuseSoC core, from another folder
	@tools/lint-package.sh

licence: ## check that every source file names its licence
	@tools/spdx.py

rtl-read: setup-all ## read the RTL with a second front end (Yosys, slang)
	@tools/read-rtl.sh

rtl-verible: ## parse each SystemVerilog file by itself, with Verible
	@tools/setup.sh --with-verible
	@tools/verible.sh

synth: setup-all ## area and depth of the RTL, by configuration (Yosys, LUT6; long)
	@tools/synth.py

pnr: ## place and route on an ECP5, with the clock that it reaches (nextpnr; SEEDS=n: placements of each; long)
	@tools/setup.sh --with-nextpnr
	@tools/pnr.py $(if $(SEEDS),--seeds $(SEEDS))

cargo-test: setup
	$(cargo_says) test --release --locked $(says)

# Long enough to find nearly every planted bug; `make soak` is the long one.
test_count ?= 400000
# Devices drawn from all legal parameters of a format, and requests of each profile on them.
drawn_devices ?= 2
drawn_count ?= 50000

campaigns: build
	for profile in handout handout-rights classic32 classic32-rights rv32 rv64; do \
	  $(nestwalk) fuzz --profile $$profile --seed 1 --count $(test_count) || exit; \
	  $(nestwalk) fuzz --profile $$profile --seed 1 --count $(drawn_count) --devices $(drawn_devices) || exit; \
	done

setup-test:
	@tests/setup.sh

test: setup-formal fmt-check licence setup-test lint lint-package rtl-read formal-quick clippy doc cargo-test campaigns ## run every check

# Mutated inputs in all.
fuzz_inputs ?= 120000

fuzz-parsers: setup ## feed mutated inputs to every parser (fuzz_inputs=n, NESTWALK_FUZZ_SEED=n): no panic, abort, hang, or more than 1 GiB
	NESTWALK_FUZZ_INPUTS=$(fuzz_inputs) $(CARGO) test --release --locked --test parsers

bench: setup ## measure the bench beside a hand-written C++ harness, and the golden model
	$(CARGO) bench --locked --features cpp-harness --bench throughput
	$(CARGO) bench --locked --features cpp-harness --bench golden

soak: build ## the long campaign: more than 200 million cycles, no mismatch, no memory growth
	@tools/soak.sh

slurm: build ## run a campaign as a job array on a Slurm of this machine, and compare it with one run
	@tools/setup.sh --with-slurm
	@tools/slurm/try-on-one-machine.sh

mutants: setup ## plant the bugs of tests/mutants, one by one, and look whether each is found (long)
	@tools/mutants.sh

# Accesses of each profile: as many as reach every line and branch, and most of the functional bins.
coverage_count ?= 200000
coverage_out := out/coverage

coverage: setup ## count what campaigns of all profiles reach, of the functions and of the RTL's code, into out/coverage (long)
	NESTWALK_COVERAGE=1 CARGO_TARGET_DIR=$(target)/coverage $(CARGO) build --release --locked
	rm -rf $(coverage_out)
	mkdir -p $(coverage_out)/runs
	for profile in handout handout-rights classic32 classic32-rights rv32 rv64; do \
	  $(target)/coverage/release/nestwalk fuzz --profile $$profile --seed 1 --count $(coverage_count) -o $(coverage_out) \
	    --coverage $(coverage_out)/runs/$$profile.json --rtl-coverage $(coverage_out)/runs || exit; \
	done
	$(target)/coverage/release/nestwalk cover $(coverage_out)/runs/*.json $(coverage_out)/runs/*.dat \
	  --waivers tests/coverage-waivers.toml -o $(coverage_out)

reach: build ## run campaigns in rounds until every reachable bin of functional coverage is reached
	for profile in rv32 rv64; do tools/reach.sh $$profile || exit; done

automutants: ## plant small bugs all over the RTL, one by one, and look whether each is found (ALL=1: every one; long)
	@tools/setup.sh --with-mutation
	@tools/automutants.py $(if $(ALL),--all)

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
