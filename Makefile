# Two commands matter: `make run` starts the server, `make test` checks everything.
# Both first install what is missing; neither asks anything.

.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := /bin/bash

# What takes long to build lives outside the clone, so that a fresh one starts from it.
CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/strata
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(PATH):$(HOME)/.cargo/bin

# RocksDB is built once for every profile; with these two set, its crate only links the archive.
ifndef ROCKSDB_LIB_DIR
ROCKSDB_LIB_DIR := $(shell .ci/rocksdb path)
endif
export ROCKSDB_LIB_DIR
export ROCKSDB_STATIC := 1

# One profile for everything: hashing in the debug profile is some twenty times slower.
CARGO_FLAGS := --release --locked
STRATA := $(CARGO_TARGET_DIR)/release/strata
RUN_ARGS ?=
TEST_ARGS ?=
SOAK_MINUTES ?= 60
CLIENT_ARGS ?=
FUZZ_MINUTES ?= 16

.PHONY: help run test soak fuzz schedules bench instructions instructions-record scaling background plots clean build fmt licences clippy
.PHONY: doc unit clients

help:
	@echo 'make run      build the server and start it; data in ./strata-data (RUN_ARGS=)'
	@echo 'make test     check everything, as continuous integration does'
	@echo 'make soak     crash, race, compare and fuzz, with new seeds, each for SOAK_MINUTES ($(SOAK_MINUTES)) minutes'
	@echo 'make fuzz     give what nobody would write to every parser, for FUZZ_MINUTES ($(FUZZ_MINUTES)) minutes'
	@echo 'make schedules run the races of the engine under schedules that are chosen, not met'
	@echo 'make bench    run the benchmarks'
	@echo 'make instructions         count what requests execute, compared with the record (instructions-record writes it)'
	@echo 'make scaling RECORD=DIR   measure 10 k to 10 M objects (SCALING_ARGS=); make plots RECORD=DIR draws a record'
	@echo 'make background RECORD=DIR   measure what lifecycle rules do a second (BACKGROUND_ARGS=)'
	@echo 'make clean    remove what was built; stored data is kept'
	@echo
	@echo 'Parts of make test: fmt licences clippy doc unit (TEST_ARGS=) schedules clients (CLIENT_ARGS=)'
	@echo 'Built files are in $(CARGO_TARGET_DIR)'

run: build
	@exec "$(STRATA)" serve $(RUN_ARGS)

# The cheap checks come first; the real clients come last.
test: fmt licences clippy doc unit schedules clients

build:
	@.ci/packages build
	@.ci/rocksdb build
	@.ci/step 'Release build (some minutes the first time)' cargo build $(CARGO_FLAGS)

fmt:
	@.ci/packages build lint
	@.ci/step 'Format' cargo fmt --all --check

licences:
	@.ci/packages build
	@.ci/step 'Licences and sources of dependencies' .ci/licences

clippy:
	@.ci/packages build lint
	@.ci/rocksdb build
	@.ci/step 'Clippy, all targets (some minutes the first time)' \
		cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

doc:
	@.ci/packages build
	@.ci/rocksdb build
	@RUSTDOCFLAGS='-D warnings' .ci/step 'Documentation' cargo doc $(CARGO_FLAGS) --workspace --no-deps

unit:
	@.ci/packages build brokers
	@.ci/rocksdb build
	@.ci/step 'Tests (some minutes the first time)' cargo test $(CARGO_FLAGS) --workspace $(TEST_ARGS)

# The suites go on one after the other, every test of them for a part of the time. Each prints its seed, which repeats what
# it has found: STRATA_CRASH_SEED, STRATA_LINEAR_SEED, STRATA_WORLD_SEED.
SOAK := cargo test $(CARGO_FLAGS) --package strata-storage
soak:
	@.ci/packages build
	@.ci/rocksdb build
	@STRATA_CRASH_MINUTES=$(SOAK_MINUTES) .ci/step 'Crashes, failing calls and flipped bits for $(SOAK_MINUTES) minutes' \
		$(SOAK) --test crash -- --nocapture --test-threads 4
	@STRATA_LINEAR_MINUTES=$(SOAK_MINUTES) .ci/step 'Everything at once for $(SOAK_MINUTES) minutes' \
		$(SOAK) --test linear -- --nocapture --test-threads 1 whatever
	@STRATA_WORLD_MINUTES=$(SOAK_MINUTES) .ci/step 'Histories beside the model for $(SOAK_MINUTES) minutes' \
		$(SOAK) --test world -- --nocapture --test-threads 4 random_histories
	@cd tests/schedules && STRATA_SCHEDULES_SECONDS=$$(($(SOAK_MINUTES) * 60 / 15)) \
		../../.ci/step 'Schedules for $(SOAK_MINUTES) minutes' $(SCHEDULES) -- --test-threads 1 holds
	@$(MAKE) --no-print-directory fuzz FUZZ_MINUTES=$(SOAK_MINUTES)

# The engine built anew, with shuttle's tokio. Each case prints its seed and how many schedules it saw; STRATA_SCHEDULES_SEED
# repeats a run.
SCHEDULES := cargo test $(CARGO_FLAGS)
schedules:
	@.ci/packages build
	@.ci/rocksdb build
	@cd tests/schedules && ../../.ci/step 'Schedules (some minutes the first time)' $(SCHEDULES) $(TEST_ARGS)

# Needs a nightly compiler and cargo-fuzz, and says so.
fuzz:
	@.ci/packages build
	@.ci/rocksdb build
	@.ci/step 'Fuzz targets for $(FUZZ_MINUTES) minutes (the first build takes some more)' .ci/fuzz $(FUZZ_MINUTES)

# pytest's own last line says how long it took.
clients: build
	@.ci/packages clients brokers
	@venv=$$(.ci/venv) \
		&& .ci/step 'Real clients against the release binary (about five minutes)' \
		&& STRATA_BIN="$(STRATA)" "$$venv/bin/python" -m pytest tests/clients $(CLIENT_ARGS)

bench:
	@.ci/packages build
	@.ci/rocksdb build
	@.ci/step 'Benchmarks' cargo bench --locked --bench '*' $(BENCH_ARGS)

# The load generator is built by the scripts themselves, as `make bench` does.
instructions instructions-record: build
	@.ci/packages counts
	@STRATA_BIN="$(STRATA)" .ci/step 'Instructions of each request (some minutes)' \
		benches/instructions.py $(if $(findstring record,$@),--record) $(INSTRUCTIONS_ARGS)

scaling: build
	@STRATA_BIN="$(STRATA)" .ci/step 'The store as it grows (about twenty minutes)' \
		benches/scaling.py --record "$(or $(RECORD),$(error name a directory: RECORD=DIRECTORY))" $(SCALING_ARGS)

background: build
	@STRATA_BIN="$(STRATA)" .ci/step 'What rules do in the background (about twenty minutes)' \
		benches/background.py --record "$(or $(RECORD),$(error name a directory: RECORD=DIRECTORY))" $(BACKGROUND_ARGS)

plots:
	@benches/plots.py "$(or $(RECORD),$(error name a directory: RECORD=DIRECTORY))"

# RocksDB's archive stays: it only changes with its version, and takes long.
clean:
	cargo clean
	rm -rf "$(CACHE)"/venv-*
