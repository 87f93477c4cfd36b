# Two commands to start with: `make demo` shows it at work, `make test` checks everything.
# Both install what is missing (scripts/setup.sh); neither touches a PostgreSQL that is there.

CARGO ?= cargo

.PHONY: help build demo test lint oracle bench setup clean

help:
	@echo 'make demo          a private PostgreSQL, the proxy in front of it, and a short story; then it serves'
	@echo 'make demo ONCE=1   the same, and it ends by itself'
	@echo 'make test          formatting, lints and every test, the live ones included'
	@echo 'make build         target/release/pgseal'
	@echo 'make bench         pgbench directly and through the proxy, and the in-process benches'

build:
	$(CARGO) build --release

demo:
	@scripts/setup.sh server
	@scripts/demo.sh $(if $(ONCE),--once)

test: setup lint
	$(CARGO) test
	$(CARGO) test --manifest-path tests/oracle/Cargo.toml

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

bench:
	@scripts/setup.sh server
	$(CARGO) build --release
	benches/e2e.py
	$(CARGO) bench

setup:
	@scripts/setup.sh server components libclang

clean:
	$(CARGO) clean
	rm -rf .demo
