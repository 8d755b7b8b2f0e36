# SPDX-License-Identifier: BSD-2-Clause
# `make install`, `make uninstall`: DESTDIR, PREFIX (/usr/local), SYSCONFDIR (/etc).
# The module goes to each kernel of this machine for which it was built; with
# DESTDIR, to all for which it was built.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
MANDIR     ?= $(PREFIX)/share/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system
COMPLETION ?= $(PREFIX)/share/bash-completion/completions
D := $(DESTDIR)

# Kernels that get the module: those with modules of their own.
INSTALL_KERNELS = $(foreach v,$(MODULE_VERSIONS),$(if $(DESTDIR)$(wildcard /lib/modules/$(v)/modules.builtin),$(v)))

.PHONY: install uninstall
install: all
	install -D -m 755 $(O)/bin/outrigger $(D)$(PREFIX)/bin/outrigger
	install -D -m 755 $(O)/bin/outrigger-run $(D)$(PREFIX)/lib/outrigger/outrigger-run
	install -D -m 644 $(O)/outrigger.elf $(D)$(PREFIX)/lib/outrigger/outrigger.elf
	install -D -m 644 docs/man/outrigger.8 $(D)$(MANDIR)/man8/outrigger.8
	install -D -m 644 tools/install/outrigger.bash $(D)$(COMPLETION)/outrigger
	install -D -m 644 tools/install/example.conf $(D)$(SYSCONFDIR)/outrigger/example.conf
	install -d $(D)$(UNITDIR)
	sed -e 's|@bindir@|$(PREFIX)/bin|g' -e 's|@sysconfdir@|$(SYSCONFDIR)|g' \
	    tools/install/outrigger@.service.in > $(D)$(UNITDIR)/outrigger@.service
	set -e; for v in $(INSTALL_KERNELS); do \
	    install -d $(D)/lib/modules/$$v/updates; \
	    strip --strip-debug -o $(D)/lib/modules/$$v/updates/outrigger.ko $(O)/module/$$v/outrigger.ko; \
	    [ ! -e $(D)/lib/modules/$$v/modules.builtin ] || depmod $(if $(D),-b $(D)) $$v; \
	done
	@$(if $(INSTALL_KERNELS),,echo "the module was built for no kernel of this machine: install linux-headers-$$(uname -r) and make again")

uninstall:
	rm -f $(D)$(PREFIX)/bin/outrigger $(D)$(MANDIR)/man8/outrigger.8 $(D)$(COMPLETION)/outrigger \
	    $(D)$(SYSCONFDIR)/outrigger/example.conf $(D)$(UNITDIR)/outrigger@.service \
	    $(D)$(PREFIX)/lib/outrigger/outrigger.elf $(D)$(PREFIX)/lib/outrigger/outrigger-run
	-rmdir $(D)$(PREFIX)/lib/outrigger $(D)$(SYSCONFDIR)/outrigger 2>/dev/null
	set -e; for m in $(D)/lib/modules/*/updates/outrigger.ko; do \
	    [ -e "$$m" ] || continue; \
	    rm -f "$$m"; \
	    v=$${m%/updates/outrigger.ko}; v=$${v##*/}; \
	    [ ! -e $(D)/lib/modules/$$v/modules.builtin ] || depmod $(if $(D),-b $(D)) $$v; \
	done
