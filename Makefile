# SPDX-License-Identifier: Apache-2.0
# A thin front: Meson and Ninja build, scripts/ do the rest. `make demo` and `make test` need nothing
# but Debian 12, git and make; each target first installs what it lacks (scripts/setup).
BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
SOAK_ROUNDS ?= 500
SOAK_HISTORIES ?= 20000

.PHONY: all build test lint format bench fuzz soak demo docs clean install help
all: build

build: ## build the sluice program into build/
	@scripts/setup build
	@scripts/build $(BUILD)

test: ## build, then run every test; the last line is the count
	@scripts/setup test
	@scripts/build $(BUILD) -Dtests=enabled
	@scripts/test --build $(BUILD)

lint: ## formatting, clang-tidy, layers, documents, shell scripts
	@scripts/setup lint
	@scripts/build $(BUILD)
	@scripts/lint $(BUILD)

format: ## let clang-format rewrite the C sources
	@scripts/setup lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

bench: ## measure against nginx, Redis, JetStream, RabbitMQ and faas-js-runtime in one run; bench/results.json
	@scripts/setup bench
	@scripts/build $(BUILD)
	@bench/run

fuzz: ## run each fuzzer for FUZZ_SECONDS (60) from its corpus
	@scripts/setup fuzz
	@scripts/fuzz $(FUZZ_SECONDS)

soak: ## the fault and property tests at length: SOAK_ROUNDS (500) kills, SOAK_HISTORIES (20000) random histories
	@scripts/setup test
	@scripts/build $(BUILD) -Dtests=enabled
	@SLUICE_PROPERTY_RUNS=$(SOAK_HISTORIES) tests/soak/histories $(BUILD)
	@SLUICE_CRASHES=$(SOAK_ROUNDS) SLUICE_BIN=$(abspath $(BUILD))/sluice tests/soak/run

demo: ## the example from event to WebAssembly, shown as it happens
	@scripts/setup build
	@scripts/build $(BUILD)
	@scripts/demo $(BUILD)/sluice

docs: ## write docs/cli.md and docs/metrics.md anew from the program's tables
	@scripts/setup build
	@scripts/build $(BUILD)
	@$(BUILD)/sluice help --markdown >docs/cli.md
	@$(BUILD)/sluice help --metrics >docs/metrics.md

install: ## install into PREFIX (/usr/local), under DESTDIR when that is set
	@scripts/setup build
	@scripts/build $(BUILD) --prefix $(abspath $(PREFIX))
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove what was built; fetched packages stay in build/npm
	@rm -rf build-asan build-tsan build-fuzz
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name '*npm*' -exec rm -rf {} +; fi

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12
