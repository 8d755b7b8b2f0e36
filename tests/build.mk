# SPDX-License-Identifier: BSD-2-Clause
# `make deps` installs what is missing, `make test` runs all tests, `make vm-test`
# those in the test machine (FILES= picks some), `make soak` what takes longer
# than a CI run (SHARD= picks one).
.SECONDEXPANSION:

.PHONY: deps test vm-test soak
deps:
	$(Q)scripts/setup
# The second expansion sees the unit tests of the folders read after this one.
test: all $$(UNIT_TESTS)
	$(Q)UNIT_TESTS="$(UNIT_TESTS)" tests/run
vm-test: all
	$(Q)tests/run $(or $(FILES),vm)
soak: all
	$(Q)tests/run-soak $(SHARD)

# For tools/vm.
$(eval $(call user_program,vm-tsc,tools/vm-tsc.c))

# The main job in the test machine: a program on a co-kernel and on Linux beside it.
DEMO_KERNEL ?= 6.1
$(O)/demo/modules.tar:
	@mkdir -p $(@D)
	$(Q)tar -cf $@ build/kernels/*/lib/modules/*/kernel/drivers/net
demo: all $(O)/demo/modules.tar
	$(Q)tools/vm --kernel $(DEMO_KERNEL) --check-log --timeout 300 -- scripts/demo $(O)/outrigger.elf $(O)/demo/modules.tar
.PHONY: demo

# Static checks.
.PHONY: check
check: all
	$(Q)tests/check
