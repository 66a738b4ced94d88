# Thin: what is done is said in packaging/setup/ and by cargo.

TARGET := $(or $(CARGO_TARGET_DIR),target)
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)
ifneq ($(SUDO),)
AS_ROOT := $(SUDO) --preserve-env=HOME,CARGO_HOME,RUSTUP_HOME,CARGO_TARGET_DIR,EBPFIX_SHARED,EBPFIX_BIN env "PATH=$$PATH"
endif

.PHONY: help run build test lint unit e2e deb rpm fuzz fuzz-short bench setup setup-run setup-build setup-bench

help:
	@echo "make run    install what is missing, build, show this machine's flows"
	@echo "make test   install what is missing, run every check and test (as root)"
	@echo "make build  install what is missing, build target/release/ebpfix"
	@echo "make bench  install what is missing, race against other exporters and libraries (as root)"
	@echo "make deb    build a Debian package; make rpm likewise"
	@echo "also: setup lint unit e2e fuzz"

run: setup-run
	cargo build --release -p ebpfix
	$(SUDO) $(TARGET)/release/ebpfix run

build: setup-build
	cargo build --release -p ebpfix

test: setup lint unit e2e fuzz-short

setup:
	packaging/setup/install.sh test

setup-run:
	packaging/setup/install.sh run

setup-build:
	packaging/setup/install.sh build

setup-bench:
	packaging/setup/install.sh bench

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo fmt --manifest-path ipfix/bench/Cargo.toml --check
	cargo fmt --manifest-path ipfix/fuzz/Cargo.toml --check
	cargo clippy --manifest-path ipfix/fuzz/Cargo.toml --target-dir $(TARGET)/fuzz/seeds-build --all-targets -- -D warnings
	cargo fmt --manifest-path probes/fuzz/Cargo.toml --check
	cargo clippy --manifest-path probes/fuzz/Cargo.toml --target-dir $(TARGET)/fuzz/seeds-build --all-targets -- -D warnings

unit: setup
	cargo test --workspace --exclude ebpfix-tests

e2e: setup
	cargo build --release -p ebpfix
	cargo test -p ebpfix-tests --no-run
	# Root: they build network namespaces and load programs into the kernel.
	$(AS_ROOT) tests/run.sh

deb: setup-build
	packaging/build.sh deb

rpm: setup-build
	packaging/build.sh rpm

fuzz: setup
	ipfix/fuzz/run.sh
	probes/fuzz/run.sh

fuzz-short: setup
	ipfix/fuzz/run.sh 15
	probes/fuzz/run.sh 15

# Figures, not verdicts: nothing here decides whether a build is good.
bench: setup-bench
	cargo bench --manifest-path ipfix/bench/Cargo.toml --target-dir $(TARGET)/bench
	cargo build --release -p ebpfix -p ebpfix-bench
	# Root: they load programs into the kernel.
	$(AS_ROOT) cargo bench -p ebpfix-bench --bench stages
	$(AS_ROOT) $(TARGET)/release/packet-cost --per-cpu-hash
	$(AS_ROOT) $(TARGET)/release/export-speed
	$(AS_ROOT) $(TARGET)/release/race
	$(AS_ROOT) $(TARGET)/release/replay-race
