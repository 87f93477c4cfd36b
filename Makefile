# Two commands to start with: `make demo` shows it at work, `make test` checks everything.
# Both install what is missing (scripts/setup.sh); neither touches a PostgreSQL that is there.

CARGO ?= cargo

.PHONY: help build demo test servers soak twin fuzz long lint oracle bench bench-jobs instructions deb packages setup clean

help:
	@echo 'make demo          a private PostgreSQL, the proxy in front of it, and a short story; then it serves'
	@echo 'make demo ONCE=1   the same, and it ends by itself'
	@echo 'make test          formatting, lints and every test, the live ones included'
	@echo 'make servers       live tests on PostgreSQL 13 and 18; SERVERS="14 16" for others, SERVERS= for all'
	@echo 'make soak          sessions that die at random, SECONDS=600 of them'
	@echo 'make twin          statements at random on a plaintext and an encrypted database, SECONDS=600 of them'
	@echo 'make fuzz          everything that reads what a peer or a person wrote, by libFuzzer, SECONDS=60 for each target'
	@echo 'make long          tests that take minutes each: columns with a million rows are encrypted under load'
	@echo 'make build         target/release/pgseal'
	@echo 'make instructions  instructions of scripted exchanges, compared with benches/instructions.txt (valgrind)'
	@echo 'make deb           a Debian package in target/debian (needs cargo-deb)'
	@echo 'make packages      what is in packaging/, checked and tried: an empty root directory, the package, the unit, the manifests'
	@echo 'make bench         pgbench directly and through the proxy, and the in-process benches'
	@echo 'make bench-jobs    encrypt and rotate, compared with a plain UPDATE; WRITE=1 puts the table into README.md'

build:
	$(CARGO) build --release

demo:
	@scripts/setup.sh server
	@scripts/demo.sh $(if $(ONCE),--once)

test: setup lint
	tests/packaging/run files
	$(CARGO) test
	$(CARGO) test --manifest-path tests/oracle/Cargo.toml

# The oldest and the newest that is supported; `make servers SERVERS=` for all of them.
SERVERS ?= 13 18
servers:
	@scripts/setup.sh server npm
	tests/servers $(SERVERS)

# Sessions that die at random.
soak:
	@scripts/setup.sh server
	PGSEAL_SECONDS=$(or $(SECONDS),600) PGSEAL_SEED=$(or $(SEED),$$(date +%s)) $(CARGO) test --test soak -- --nocapture

twin:
	@scripts/setup.sh server
	PGSEAL_SECONDS=$(or $(SECONDS),600) PGSEAL_SEED=$(or $(SEED),$$(date +%s)) $(CARGO) test --test live generated -- --nocapture

fuzz:
	@scripts/setup.sh cplusplus
	PGSEAL_FUZZ_SECONDS=$(or $(SECONDS),60) fuzz/run

# Tests that are too long for each run.
long:
	@scripts/setup.sh server
	$(CARGO) test --release --test million --test retype -- --ignored --nocapture --test-threads 1

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --lib --no-default-features -- -D warnings

bench:
	@scripts/setup.sh server pgbouncer
	$(CARGO) build --release
	benches/e2e.py
	$(CARGO) bench

bench-jobs:
	@scripts/setup.sh server
	benches/jobs.py $(if $(ROWS),--rows $(ROWS)) $(if $(WRITE),--write)

# Fails if a change makes an exchange slower; BLESS=1 writes the new counts down.
instructions:
	@scripts/setup.sh callgrind
	benches/instructions.py $(if $(BLESS),--bless)

deb: build
	rm -rf target/package
	target/release/pgseal man --out target/package/man
	target/release/pgseal completions bash > target/package/pgseal.bash
	target/release/pgseal completions zsh > target/package/_pgseal
	target/release/pgseal completions fish > target/package/pgseal.fish
	$(CARGO) deb --no-build --strip

packages:
	@scripts/setup.sh server packaging
	PATH="$$HOME/.cargo/bin:$$PATH" tests/packaging/run

setup:
	@scripts/setup.sh server components libclang softhsm moto prometheus chromium packaging pgbouncer

clean:
	$(CARGO) clean
	rm -rf .demo
