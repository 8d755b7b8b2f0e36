# SPDX-License-Identifier: BSD-2-Clause
# liboutrigger.a; a program that links it also needs LOADER_LIBS.

LOADER_OBJS := $(call objs,user,$(addprefix loader/,error.c open.c device.c image.c sys.c module.c))
LOADER_LIB  := $(O)/liboutrigger.a
LOADER_LIBS := $(LOADER_LIB) -lelf -lkmod

EXTRA += $(LOADER_LIB)
$(LOADER_LIB): $(LOADER_OBJS)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(eval $(call unit_test,image_test,loader/image_test.c loader/image.c loader/error.c loader/open.c loader/device.c loader/module.c,-lelf -lkmod))
