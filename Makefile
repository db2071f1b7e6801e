# What can be done here; `make` alone lists it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo test test-parts bench clean-test

SHELL := /bin/bash
CARGO ?= cargo
BIN := target/debug/keyfob
# What is off by default, and looked at all the same.
FEATURES := keyfob-client/blocking
# Most tests wait for a database, a disk or a clock: more of them at once than there are cores.
TEST := RUST_TEST_THREADS=6 $(CARGO) test

heading = @printf '\n== %s\n' '$(1)'

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do printf 'make %-11s %s\n' "$$name" "$$text"; done

run: ## build in release mode and serve on the embedded database
	$(CARGO) build --release -p keyfob
	target/release/keyfob serve

demo: ## build in release mode and show the main job end to end on a throwaway instance
	$(CARGO) build --release -p keyfob -p keyfob-testkit
	bash tests/demo.sh target/release/keyfob

test: ## install what the tests need where it is missing, then run every test
	$(call heading,what the tests need)
	bash tests/install.sh test
	bash tests/with-postgres.sh $(MAKE) --no-print-directory test-parts

test-parts: ## every test, on tools that are there and the PostgreSQL of tests/with-postgres.sh
	@test -n "$$KEYFOB_TEST_POSTGRES_URL" || { echo 'KEYFOB_TEST_POSTGRES_URL is not set: run "make test", or "bash tests/with-postgres.sh make test-parts"' >&2; exit 1; }
	$(call heading,formatting)
	$(CARGO) fmt --all --check
	$(call heading,lints)
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES) --locked -- -D warnings
	$(call heading,documentation)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --features $(FEATURES) --locked
	$(call heading,tests)
	$(TEST) --workspace --features $(FEATURES) --locked
	$(call heading,service tests on PostgreSQL)
	KEYFOB_TEST_DATABASE=postgres $(TEST) --locked -p keyfob-server
	$(call heading,the binaries)
	$(CARGO) build --locked -p keyfob -p keyfob-testkit
	$(CARGO) build --locked -p keyfob-client --examples
	$(call heading,published clients on SQLite)
	KEYFOB_BIN=$(BIN) bash tests/clients/run.sh sqlite
	$(call heading,published clients on PostgreSQL)
	KEYFOB_BIN=$(BIN) bash tests/clients/run.sh postgres
	$(call heading,published MCP clients and the conformance suite)
	KEYFOB_BIN=$(BIN) bash tests/mcp/run.sh
	$(call heading,the pages in Chromium on SQLite)
	KEYFOB_BIN=$(BIN) bash tests/browser/run.sh sqlite
	$(call heading,the pages in Chromium on PostgreSQL)
	KEYFOB_BIN=$(BIN) bash tests/browser/run.sh postgres
	$(call heading,the API with Schemathesis)
	KEYFOB_BIN=$(BIN) bash tests/openapi/run.sh
	$(call heading,demo)
	bash tests/demo.sh $(BIN)
	$(call heading,all tests passed)

bench: ## build as for a release to others (--profile dist), run the benchmarks, print ratios, write bench/results/
	bash tests/install.sh bench
	$(CARGO) build --profile dist -p keyfob -p keyfob-bench
	target/dist/bench

clean-test: ## remove the packages that the tests installed under tests/clients, tests/mcp, tests/browser and tests/openapi
	rm -rf tests/clients/node_modules tests/clients/.venv tests/mcp/node_modules tests/mcp/.venv tests/browser/node_modules tests/openapi/.venv
