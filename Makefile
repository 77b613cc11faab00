# The commands of the house. `make help` lists them; each is a line or two that can also be typed by hand.

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench load pages load-all report

# For `make run`: what follows `anteroom dev`, as in `make run ARGS="--fresh --port 9000"`.
ARGS ?=
# For `make load`: which test of k6/, as in `make load TEST=contention USERS=1000 SEATS=50` (see k6/README.md). USERS, SEATS, DURATION and RATE
# are taken from the environment, as is PROGRAM.
TEST ?= smoke

# Programs that scripts/setup put beside the source come after those of the machine.
export PATH := $(PATH):$(CURDIR)/.tools/bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: redis-server, PostgreSQL, nginx, haproxy, Prometheus, k6, wrk
	@scripts/setup

# A release build takes twice as long as a debug one, once; what a newcomer then measures is the real thing.
run: ## run the service with stores of its own and demo data, until Ctrl-C
	@scripts/setup stores
	cargo run --release -- dev $(ARGS)

test: ## every test, on real Redis, PostgreSQL, nginx, haproxy and Prometheus
	@scripts/setup tests
	cargo test

check: ## format, lints, the rules of the house, documentation, licences
	@scripts/setup check
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps
	cargo test --test it -- tidy
	cargo deny --locked check licenses bans sources

bench: ## measure the choices that were made by measuring
	@scripts/setup stores bench
	cargo bench --bench ratios

load: ## a load test against a service of its own, or against BASE_URL: TEST=smoke, staged, spike, … (k6/README.md)
	@scripts/setup stores load
	k6/run $(TEST)

load-all: ## every load test in full, one after the other, hours in all; what has a verdict for this commit is left out
	@scripts/setup stores load
	k6/all

report: ## the load tests' runs side by side: target/load/compare.html
	k6/compare

pages: ## the pages in a real browser: what people see and do, with pictures in target/pages
	@scripts/setup stores pages
	cargo build
	tests/pages/run
