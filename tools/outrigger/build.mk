# SPDX-License-Identifier: BSD-2-Clause
# The `outrigger` command with its server for gdb (tools/gdb/); what `outrigger run` becomes is in tools/proxy/.
OUTRIGGER_SRC := $(filter-out %_test.c %_app.c,$(wildcard tools/outrigger/*.c tools/gdb/*.c))
$(eval $(call user_program,outrigger,$(OUTRIGGER_SRC),$(LOADER_LIBS) -ljson-c -lsmartcols -lm))
$(O)/bin/outrigger: $(LOADER_LIB)
$(eval $(call unit_test,parse_test,tools/outrigger/parse_test.c tools/outrigger/parse.c loader/error.c,-lm))
