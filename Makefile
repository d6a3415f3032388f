# Forwards to Meson. `make help` lists the targets.
BUILD ?= build
MESON_FLAGS ?=
PREFIX ?= /usr/local

.PHONY: all help deps demo check check-asan check-tsan check-arm64 bench fuzz oracle install uninstall format layers clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

help:
	@sed -n 's/^## //p' Makefile

## make            build into build/
## make demo       set up, build, and count a real command's system calls in a shared map
## make check      set up, build, and run every test
## make check-asan the tests under ASan and UBSan; check-tsan: under TSan
## make check-arm64 the tests of native code for arm64, under qemu-user, and what they need
## make oracle     a million random operations per map type against the kernel (root)
## make bench      each operation beside the kernel's bpf(2), as ratios (root)
## make fuzz       the libFuzzer targets, FUZZ_SECONDS each (default 600)
## make install    into PREFIX (default /usr/local)

deps:
	@tools/deps

$(BUILD)/build.ninja: meson.build meson_options.txt | deps
	@test -f $@ || meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_FLAGS) >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

demo: deps all
	@tools/demo $(BUILD)

check: deps layers all
	@tools/check $(BUILD)

check-asan: deps
	@$(MAKE) --no-print-directory BUILD=build-asan \
		MESON_FLAGS="-Db_sanitize=address,undefined -Db_lundef=false" all
	@tools/check build-asan

check-tsan: deps
	@$(MAKE) --no-print-directory BUILD=build-tsan \
		MESON_FLAGS="-Db_sanitize=thread -Db_lundef=false" all
	@tools/check build-tsan

check-arm64:
	@tools/deps arm64
	@test ! -f $(BUILD)/build.ninja || meson setup --reconfigure $(BUILD) >/dev/null
	@$(MAKE) --no-print-directory all
	@tools/check $(BUILD) --suite arm64

oracle: deps all
	@SHMAP_TEST_OPS=1000000 tools/check $(BUILD) --suite oracle

bench: all
	@tools/deps bench
	@tools/bench $(BUILD)

FUZZ_SECONDS ?= 600
fuzz: deps
	@test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address -Db_lundef=false >/dev/null
	@ninja -C build-fuzz
	@tools/fuzz build-fuzz $(FUZZ_SECONDS)

install: all
	@meson install -C $(BUILD)

uninstall:
	@ninja -C $(BUILD) uninstall

layers:
	@tools/check-layers

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf build build-asan build-tsan build-fuzz
