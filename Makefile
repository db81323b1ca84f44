# The commands people type. Each installs what it needs.
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
# The compile commands are g++'s: what clang does not know, and what it says of RapidJSON's iterators.
TIDY_GCC := --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ambiguous-reversed-operator

.PHONY: help demo test e2e bench format lint build configure clean
help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

configure:
	@tools/install_packages
	@cmake --preset $(PRESET) --log-level=WARNING

build: configure ## build everything into build/release (PRESET=debug, asan, tsan for others)
	cmake --build --preset $(PRESET) -j $(JOBS)

demo: build ## the main job against a simulated cluster; no GPU, no Kubernetes needed
	$(BUILD)/bin/tessera-sim demo

test: build ## all tests
	ctest --preset $(PRESET) -j $(JOBS)

e2e: build ## the same on a real Kubernetes control plane (tests/e2e/README.md); needs Go
	tests/e2e/run

bench: build ## benchmarks; Google Benchmark JSON in build/release/bench/
	tools/run_benchmarks $(BUILD)

format: ## clang-format on the whole tree
	@tools/install_packages clang-format-14
	git ls-files '*.h' '*.cc' '*.def' | grep -v hooks.def | xargs clang-format-14 -i

lint: build ## clang-format and clang-tidy as errors, layers
	@tools/install_packages clang-format-14 clang-tidy-14 clang-14
	git ls-files '*.h' '*.cc' | xargs clang-format-14 --dry-run --Werror
	git ls-files '*.cc' | grep -v '^tests/' | xargs -P $(JOBS) -n 4 clang-tidy-14 --quiet -p $(BUILD) $(TIDY_GCC)
	python3 tests/check_layers.py .

clean: ## remove build/
	rm -rf build
