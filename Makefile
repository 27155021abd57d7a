# A thin layer over meson: what to type. The executable is build/polyvisor.

BUILD ?= build

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# In lib/ itself, where an installed polyvisor looks for its runtimes.
$(BUILD)/build.ninja:
	meson setup --libdir=lib $(BUILD)

packages:
	tools/install-packages build run

test-packages:
	tools/install-packages build run test

# Installs what is missing, builds, serves on 127.0.0.1:8480, and shows the examples.
run: packages
	$(MAKE) all
	BUILD=$(BUILD) tools/run-examples

# Installs what is missing, builds, and runs every test.
test: test-packages
	$(MAKE) all
	BUILD=$(BUILD) tools/run-tests

# What takes too long for every change: fuzzing, endurance, faults at random moments, large libraries.
test-long: test-packages
	tools/install-packages long bench
	$(MAKE) all
	BUILD=$(BUILD) tools/run-fuzz
	BUILD=$(BUILD) tools/run-tests long

# Measures everything beside its floor and its rivals, in 20 minutes at most, and writes docs/performance.md.
bench: packages
	tools/install-packages bench
	$(MAKE) all
	-timeout 300 $(BUILD)/polyvisor bench peers --prepare --report $(BUILD)/bench-report/prepare
	timeout 1260 $(BUILD)/polyvisor bench all --report $(BUILD)/bench-report --write docs

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD)-undefined $(BUILD)-address-undefined $(BUILD)-fuzz

.PHONY: all packages test-packages run test test-long bench install clean
