# maglev: see README.md. `make help` lists the targets.

SHELL := /bin/bash
# A newcomer's shell may not have it on its path yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
TARGET_DIR = $${CARGO_TARGET_DIR:-target}
PLUGIN = build/maglev_plugin.so
API_JSON = build/maglev.api.json

.DEFAULT_GOAL := help
.PHONY: help bench run test plugin install-plugin lint deny fuzz sanitize valgrind models miri threads simulate clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r t h; do printf '  make %-16s %s\n' "$$t" "$$h"; done

run: ## the demo, without VPP
	@vpp-plugin/need build
	@if found=$$(vpp-plugin/find-vpp); then eval "$$found"; \
	  echo "VPP $$VPP_VERSION found in $$VPP_PREFIX; to load the plugin there: make install-plugin, then plugins { plugin lb_plugin.so { enable } plugin maglev_plugin.so { enable } } in its startup.conf"; \
	else echo "no VPP found under $${VPP_PREFIX:-/usr or /usr/local}: the demo needs none"; fi
	$(CARGO) run --release --locked -- demo

test: ## all tests; those in VPP where one is installed
	@vpp-plugin/need build
	$(CARGO) test --locked
	@if command -v python3 >/dev/null; then python3 -m unittest discover -q -s benches; else echo "no python3: the tests of benches/ did not run"; fi
	@if found=$$(vpp-plugin/find-vpp); then \
	  vpp-plugin/need plugin vpp-tests && $(MAKE) --no-print-directory plugin && tests/vpp/run; \
	else echo "no VPP found under $${VPP_PREFIX:-/usr or /usr/local}: the tests in VPP did not run"; fi

plugin: ## build/maglev_plugin.so, for the installed VPP
	@vpp-plugin/need build plugin
	@eval "$$(vpp-plugin/find-vpp)"; export VPP_PREFIX; set -x; \
	$(CARGO) build --release --locked --lib --features vpp
	@mkdir -p build
	@vpp-plugin/place "$(TARGET_DIR)/release/libmaglev.so" $(PLUGIN)
	@install -m 644 "$(TARGET_DIR)/release/maglev.api.json" $(API_JSON)
	@echo "$(PLUGIN) is for VPP $$(eval "$$(vpp-plugin/find-vpp)"; echo "$$VPP_VERSION")"

bench: ## against HAProxy and a bare loop in C: docs/benchmarks.md, 30 minutes; QUICK=1: six, build/benches/benchmarks.md; AGAIN=cpu: that part anew
	@vpp-plugin/need build
	$(CARGO) build --release --locked --bin maglev
	@if vpp-plugin/find-vpp >/dev/null; then $(MAKE) --no-print-directory plugin; else echo "no VPP found: its parts are left out"; fi
	python3 benches/bench.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(AGAIN),--again $(AGAIN))

install-plugin: plugin ## into VPP's folders of plugins and of API files, below DESTDIR
	@eval "$$(vpp-plugin/find-vpp)"; set -x; \
	install -D -m 644 $(PLUGIN) "$(DESTDIR)$$VPP_PLUGIN_DIR/maglev_plugin.so" && \
	install -D -m 644 $(API_JSON) "$(DESTDIR)$$VPP_PREFIX/share/vpp/api/plugins/maglev.api.json"

lint: ## format and lints, with VPP's part where one is installed
	@vpp-plugin/need build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if found=$$(vpp-plugin/find-vpp); then eval "$$found"; export VPP_PREFIX; \
	  vpp-plugin/need plugin && set -x && $(CARGO) clippy --locked --all-targets --features vpp -- -D warnings; \
	else echo "no VPP found under $${VPP_PREFIX:-/usr or /usr/local}: the plugin's own part was not linted"; fi
	@.ci/deny --no-install

deny: ## what the project depends on: licences, duplicates, sources, yanked crates, advisories
	@vpp-plugin/need build
	@.ci/deny

fuzz: ## all fuzzing programs, T seconds each (default 120); installs cargo-fuzz
	@fuzz/run $(or $(T),120)

simulate: ## the simulator, STEPS steps (default 10000000) from SEED (default 1) on
	@vpp-plugin/need build
	$(CARGO) run --release --locked --bin maglev -- simulate --seed $(or $(SEED),1) --steps $(or $(STEPS),10000000)

sanitize: ## the tests in VPP, with the plugin under AddressSanitizer; K="-k name" for some of them
	@vpp-plugin/need build
	@tests/vpp/sanitize $(K)

valgrind: ## the simulator (STEPS of SEED), and VPP with the plugin, under valgrind's memcheck; K="-k name" for other tests in VPP
	@vpp-plugin/need build valgrind
	$(CARGO) build --locked --bin maglev
	valgrind --error-exitcode=1 --track-origins=yes --leak-check=full --errors-for-leak-kinds=definite \
	  "$(TARGET_DIR)/debug/maglev" simulate --seed $(or $(SEED),1) --steps $(or $(STEPS),5000)
	@tests/vpp/valgrind $(K)

models: ## every order of steps in which threads wake each other, with loom
	@vpp-plugin/need build
	cd tests/loom && $(CARGO) test --locked --target-dir ../../target/loom

miri: ## the plugin's side of the boundary under Miri, which finds undefined behaviour; installs it into a nightly Rust
	@vpp-plugin/need build plugin
	@rustup component add --toolchain nightly miri rust-src 2>/dev/null || rustup toolchain install nightly --profile minimal -c miri -c rust-src
	@eval "$$(vpp-plugin/find-vpp)"; export VPP_PREFIX MIRIFLAGS=-Zmiri-disable-isolation; set -x; \
	$(CARGO) +nightly miri test --locked --features vpp --lib --target-dir target/miri plugin::

threads: ## what runs on threads of its own under ThreadSanitizer; installs rust-src into a nightly Rust
	@vpp-plugin/need build
	@rustup component add --toolchain nightly rust-src 2>/dev/null || rustup toolchain install nightly --profile minimal -c rust-src
	@target=$$(rustc -vV | sed -n 's/^host: //p'); \
	export CARGO_TARGET_DIR=target/tsan RUSTFLAGS=-Zsanitizer=thread CC=gcc "CFLAGS_$${target//-/_}=-fsanitize=thread"; set -x; \
	$(CARGO) +nightly test --locked -Zbuild-std --target "$$target" --test probe_engine --test probe_standing --test engine_prober && \
	$(CARGO) +nightly test --locked -Zbuild-std --target "$$target" --lib -- probe:: control::loader control::engine

clean: ## everything that was built
	$(CARGO) clean
	rm -rf build
