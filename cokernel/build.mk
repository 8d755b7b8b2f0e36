# SPDX-License-Identifier: BSD-2-Clause
# The co-kernel image, $(O)/outrigger.elf.

COKERNEL_SRC := $(wildcard cokernel/arch/x86_64/*.c cokernel/arch/x86_64/*.S \
                  cokernel/core/*.c cokernel/ipc/*.c cokernel/mm/*.c cokernel/sched/*.c libpoxis/*.c libpoxis/files/*.c) \
                libpoxis/vdso/image.S cokernel/lib/string.c cokernel/lib/format.c cokernel/lib/tree.c
COKERNEL_SRC := $(filter-out %_test.c,$(COKERNEL_SRC))
COKERNEL_OBJ := $(call objs,cok,$(COKERNEL_SRC))
COKERNEL_LDS := cokernel/arch/x86_64/link.ld
COKERNEL_LD  := $(LD) -nostdlib -static -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments --build-id=none -T $(COKERNEL_LDS)

IMAGES += $(O)/outrigger.elf

# Linked twice: the symbol table of the first pass goes into the second.
$(O)/outrigger.elf: $(COKERNEL_OBJ) $(COKERNEL_LDS) cokernel/mksymbols
	$(call say,LD,$@)
	$(Q)cokernel/mksymbols > $(O)/cok/symbols0.S
	$(Q)$(CC) -c $(O)/cok/symbols0.S -o $(O)/cok/symbols0.o
	$(Q)$(COKERNEL_LD) -o $(O)/cok/pass1.elf $(COKERNEL_OBJ) $(O)/cok/symbols0.o
	$(Q)cokernel/mksymbols $(O)/cok/pass1.elf > $(O)/cok/symbols1.S
	$(Q)$(CC) -c $(O)/cok/symbols1.S -o $(O)/cok/symbols1.o
	$(Q)$(COKERNEL_LD) -o $@ $(COKERNEL_OBJ) $(O)/cok/symbols1.o

$(eval $(call unit_test,tree_test,cokernel/lib/tree_test.c cokernel/lib/tree.c))
