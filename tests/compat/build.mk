# SPDX-License-Identifier: BSD-2-Clause
# The runner's helper, and programs that scenarios run on both kernels, as a user
# would compile them: they do odd things on purpose, so there are no warnings.
$(eval $(call user_program,outcome,tests/compat/outcome.c))

COMPAT_PROGRAMS := $(patsubst tests/compat/programs/%.c,$(O)/compat/%,$(wildcard tests/compat/programs/*.c))
PROGRAMS += $(COMPAT_PROGRAMS)

$(O)/compat/%: tests/compat/programs/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -w -D_GNU_SOURCE $< -o $@ -lpthread
