# SPDX-License-Identifier: BSD-2-Clause
# The whole build. Each folder says in its own build.mk what it is made of;
# the rules for the three worlds (co-kernel, Linux user space, host-side unit
# tests) stand here. Kbuild is used in host-module/ only.

O       ?= build
CC      ?= gcc
V       ?= 0
KERNELS ?= 6.1 6.12

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
        -Wundef -Wno-unused-parameter -Werror
DEPFLAGS = -MMD -MP
COMMON  := -std=gnu11 -g -I. $(WARN) -fno-strict-aliasing

# Linux user space: loader/, tools/, apps/ (static).
USER_CFLAGS := $(COMMON) -O2 -D_GNU_SOURCE
# Unit tests run on the host, under ASan and UBSan, against arch/hosted.
UNIT_CFLAGS := $(COMMON) -O1 -D_GNU_SOURCE -DOTR_HOSTED=1 -fno-omit-frame-pointer \
               -fsanitize=address,undefined -fno-sanitize-recover=all
# The co-kernel and its drivers: freestanding, ring 0, linked at -2 GiB.
COK_CFLAGS := $(COMMON) -O2 -ffreestanding -fno-common -fno-pic -fno-pie \
              -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
              -fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fcf-protection=none \
              -fno-tree-loop-distribute-patterns -mindirect-branch=thunk-extern \
              -mindirect-branch-register
COK_ASFLAGS := -g -I. -fcf-protection=none

.PHONY: all
all:

# objs WORLD,SOURCES: object names of sources in a world (cok, user, unit).
objs = $(patsubst %,$(O)/$(1)/%.o,$(basename $(2)))

$(O)/cok/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COK_CFLAGS) $(DEPFLAGS) -c $< -o $@
$(O)/cok/%.o: %.S
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COK_ASFLAGS) $(DEPFLAGS) -c $< -o $@
$(O)/user/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CFLAGS) $(DEPFLAGS) -c $< -o $@
$(O)/unit/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $(DEPFLAGS) -c $< -o $@

# user_program NAME,SOURCES,LIBS: a dynamic program $(O)/bin/NAME.
define user_program
PROGRAMS += $(O)/bin/$(1)
$(O)/bin/$(1): $(call objs,user,$(2))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$^ $(3)
endef

# static_app NAME,SOURCES,LIBS: a static program $(O)/apps/NAME to run on both kernels.
define static_app
PROGRAMS += $(O)/apps/$(1)
$(O)/apps/$(1): $(call objs,user,$(2))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -static -o $$@ $$^ $(3)
endef

# unit_test NAME,SOURCES,LIBS: a cmocka test $(O)/tests/NAME, run by `make unit`.
define unit_test
UNIT_TESTS += $(O)/tests/$(1)
$(O)/tests/$(1): $(call objs,unit,$(2))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -fsanitize=address,undefined -o $$@ $$^ -lcmocka $(3)
endef

include $(sort $(wildcard */build.mk */*/build.mk))

all: $(IMAGES) $(PROGRAMS) $(EXTRA)

.PHONY: unit
# Runs every unit test; each prints its own result.
unit: $(UNIT_TESTS)
	$(Q)scripts/run-unit $(UNIT_TESTS)

.PHONY: clean
clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
