# `make help` tells what there is. Needs Debian 12, Rust (by rustup), and root for `demo` and for all of `test`.

NAMES := dist/edgelay-linux-amd64 dist/edgelay-linux-arm64

.PHONY: help setup demo test test-boards dist check-dist size bench bench-long timeline clean \
        lint lint-format lint-clippy lint-docs lint-shell
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the Debian packages that demo and test use (root)
	tests/setup

demo: ## build edgelay, make an offline bundle, install an edge node from it in a throw-away Debian with no network
	tests/demo

test: ## run all tests: unit, wire, real containerd, whole installs
	tests/run

test-boards: dist ## all virtual machines: sticks, faults, power cuts, first boots, hooks, on amd64 and arm64 (root)
	tests/setup
	tests/vm/run --all

dist: ## static musl binaries for amd64 and arm64 in dist/
	tools/musl cargo build --release --bin edgelay
	mkdir -p dist
	cp target/x86_64-unknown-linux-musl/release/edgelay dist/edgelay-linux-amd64
	cp target/aarch64-unknown-linux-musl/release/edgelay dist/edgelay-linux-arm64
	tools/check-static $(NAMES)

check-dist: ## judge the binaries in dist/: static, stripped, within the size budget, and they run
	tools/check-dist $(NAMES)

size: ## what costs what in the amd64 binary
	CARGO_PROFILE_RELEASE_STRIP=none MUSL_TARGETS=x86_64-unknown-linux-musl \
	    tools/musl cargo build --release --bin edgelay --target-dir target/size
	tools/size-table target/size/x86_64-unknown-linux-musl/release/edgelay

bench: dist ## compare importing with ctr and tar: a few cases, in under five minutes; results in target/bench (root)
	tests/setup
	tests/bench/bench

bench-long: dist ## the whole comparison, an hour or two; writes docs/benchmarks.md (root)
	tests/setup
	tests/bench/bench --long --out docs

timeline: dist ## where the time of an installation goes: writes docs/install-timeline.svg from one in a throw-away Debian (root)
	mkdir -p target/bench
	tests/demo --binary dist/edgelay-linux-amd64 --events target/bench/install.jsonl
	tests/bench/timeline target/bench/install.jsonl docs/install-timeline.svg

lint: lint-format lint-clippy lint-docs lint-shell ## formatting, clippy, documentation, shell scripts; warnings denied

lint-format:
	cargo fmt --all --check

lint-clippy:
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings

lint-docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --all-features

# Every file whose first line says that it is a shell script. SC2034: variables of a sourced file look unused.
lint-shell:
	git ls-files | xargs awk 'FNR == 1 && /^#!.*[\/ ](ba)?sh$$/ { print FILENAME } { nextfile }' | \
	    xargs shellcheck -x -P SCRIPTDIR -S warning -e SC2034

clean: ## remove what was built (downloads in the cache stay)
	cargo clean
	rm -rf dist
