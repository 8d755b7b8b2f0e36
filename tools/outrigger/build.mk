# SPDX-License-Identifier: BSD-2-Clause
# The `outrigger` command, the proxy (tools/proxy/) included.
OUTRIGGER_SRC := $(filter-out %_test.c,$(wildcard tools/outrigger/*.c tools/proxy/*.c))
$(eval $(call user_program,outrigger,$(OUTRIGGER_SRC),$(LOADER_LIBS)))
$(O)/bin/outrigger: $(LOADER_LIB)
