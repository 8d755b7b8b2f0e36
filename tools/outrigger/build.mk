# SPDX-License-Identifier: BSD-2-Clause
# The `outrigger` command.
$(eval $(call user_program,outrigger,$(wildcard tools/outrigger/*.c),$(LOADER_LIBS)))
$(O)/bin/outrigger: $(LOADER_LIB)
