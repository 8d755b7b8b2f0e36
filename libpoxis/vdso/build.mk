# SPDX-License-Identifier: BSD-2-Clause
# The vDSO, a shared object without a C library, and the co-kernel's copy of it.

VDSO := $(O)/vdso.so
$(VDSO): libpoxis/vdso/vdso.c libpoxis/vdso/vdso.lds abi/status.h abi/types.h
	$(call say,VDSO,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) -O2 -fPIC -shared -nostdlib -ffreestanding -fno-stack-protector \
	    -fcf-protection=none -fasynchronous-unwind-tables -fno-builtin -mno-red-zone \
	    -Wl,-T,libpoxis/vdso/vdso.lds -Wl,-soname,linux-vdso.so.1 -Wl,--hash-style=both \
	    -Wl,-Bsymbolic -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,--eh-frame-hdr \
	    -Wl,-z,noexecstack -Wl,--no-undefined -s -o $@ $<

$(O)/cok/libpoxis/vdso/image.o: libpoxis/vdso/image.S $(VDSO)
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COK_ASFLAGS) -DOTR_VDSO='"$(VDSO)"' -c $< -o $@
