# Two commands to start with: `make demo` shows it at work, `make test` checks everything.
# Both install what is missing (scripts/setup.sh); neither touches a PostgreSQL that is there.

CARGO ?= cargo

.PHONY: help build demo test twin lint oracle bench instructions setup clean

help:
	@echo 'make demo          a private PostgreSQL, the proxy in front of it, and a short story; then it serves'
	@echo 'make demo ONCE=1   the same, and it ends by itself'
	@echo 'make test          formatting, lints and every test, the live ones included'
	@echo 'make twin          statements at random on a plaintext and an encrypted database, SECONDS=600 of them'
	@echo 'make build         target/release/pgseal'
	@echo 'make instructions  instructions of scripted exchanges, compared with benches/instructions.txt (valgrind)'
	@echo 'make bench         pgbench directly and through the proxy, and the in-process benches'

build:
	$(CARGO) build --release

demo:
	@scripts/setup.sh server
	@scripts/demo.sh $(if $(ONCE),--once)

test: setup lint
	$(CARGO) test
	$(CARGO) test --manifest-path tests/oracle/Cargo.toml

twin:
	@scripts/setup.sh server
	PGSEAL_SECONDS=$(or $(SECONDS),600) PGSEAL_SEED=$(or $(SEED),$$(date +%s)) $(CARGO) test --test live generated -- --nocapture

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --lib --no-default-features -- -D warnings

bench:
	@scripts/setup.sh server
	$(CARGO) build --release
	benches/e2e.py
	$(CARGO) bench

# Fails if a change makes an exchange slower; BLESS=1 writes the new counts down.
instructions:
	@scripts/setup.sh callgrind
	benches/instructions.py $(if $(BLESS),--bless)

setup:
	@scripts/setup.sh server components libclang softhsm moto chromium

clean:
	$(CARGO) clean
	rm -rf .demo
