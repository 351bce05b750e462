# make demo: the main job, end to end.  make test: every test.  make check: what a change is held to besides the tests.
# Each does all of its own set-up; a second run needs no network.
SHELL := /bin/bash
BUILD := build
LIBTORCH := $(or $(SOTTO_LIBTORCH),$(CURDIR)/.deps/libtorch/torch)
JOBS ?= $(shell nproc)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_SLOPPINESS = pch_defines,time_macros,include_file_mtime,include_file_ctime
# Cold, the cache costs nothing then: dependencies come from the compiler instead of a second run of the preprocessor.
export CCACHE_DEPEND := 1
export OMP_WAIT_POLICY ?= passive

.PHONY: all programs setup browser configure demo test check bench clean
all: configure
	ninja -C $(BUILD) -j$(JOBS)

programs: configure
	ninja -C $(BUILD) -j$(JOBS) sotto-client sotto-coordinator sotto-audit

setup:
	@deploy/setup.sh

browser:
	@deploy/setup.sh browser

configure: setup
	@test -e $(BUILD)/build.ninja || cmake --preset release -B $(BUILD) -DSOTTO_LIBTORCH="$(LIBTORCH)" >$(BUILD).log 2>&1 || \
	  { cat $(BUILD).log; rm -f $(BUILD)/build.ninja; exit 1; }
	@rm -f $(BUILD).log

demo: programs
	python3 configs/demo/demo.py --privacy $(or $(PRIVACY),on) $(ARGS)

test: all browser
	ctest --test-dir $(BUILD) -j$(JOBS) --output-on-failure --no-tests=error

check: configure
	@deploy/setup.sh check
	tests/check.sh format
	tests/check.sh architecture
	tests/check.sh asan
	tests/check.sh tsan
	tests/check.sh tidy

bench: all
	$(MAKE) --no-print-directory bench-demo

bench-%: all
	python3 bench/$*.py

clean:
	rm -rf $(BUILD) $(BUILD).log
