# SPDX-License-Identifier: BSD-2-Clause
# Images that only the tests boot: $(O)/tests/images/NAME.elf.

STUB_OBJS := $(call objs,cok,$(addprefix tests/images/stub/,entry.S stub.c proc.c hostile.c))
IMAGES += $(O)/tests/images/stub.elf
$(O)/tests/images/stub.elf: tests/images/stub/stub.ld $(STUB_OBJS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LD) -nostdlib -static -z noexecstack --build-id=none -T $< -o $@ $(STUB_OBJS)
