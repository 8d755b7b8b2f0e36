# SPDX-License-Identifier: BSD-2-Clause
# outrigger.ko for every test kernel whose headers are installed, and for the
# running kernel if it has headers: $(O)/module/VERSION/outrigger.ko. Kbuild
# writes beside its sources, so each version gets a folder of links to them.

MODULE_SOURCES := $(wildcard host-module/*.[chS]) host-module/Kbuild
MODULE_VERSIONS := $(sort $(if $(wildcard $(O)/kernels/versions),\
    $(shell sed -n 's/^[^=]*=//p' $(O)/kernels/versions), \
    $(patsubst /usr/src/linux-headers-%,%,$(wildcard /usr/src/linux-headers-*-amd64))))
MODULE_VERSIONS := $(foreach v,$(MODULE_VERSIONS),$(if $(wildcard /usr/src/linux-headers-$(v)/Makefile),$(v)))

define module_for
EXTRA += $(O)/module/$(1)/outrigger.ko
$(O)/module/$(1)/outrigger.ko: $(MODULE_SOURCES) $(wildcard abi/*.h)
	$$(call say,KBUILD,$$@)
	@mkdir -p $$(@D)
	$$(Q)ln -sf $$(addprefix $$(CURDIR)/,$(MODULE_SOURCES)) $$(@D)/
	$$(Q)$$(MAKE) -s -C /usr/src/linux-headers-$(1) M=$$(abspath $$(@D)) OTR_ROOT=$$(CURDIR) \
	    modules >$$(@D)/build.log 2>&1 || { cat $$(@D)/build.log; rm -f $$@; exit 1; }
	@touch $$@
endef
$(foreach v,$(MODULE_VERSIONS),$(eval $(call module_for,$(v))))
