# SPDX-License-Identifier: BSD-2-Clause
# The proxy behind `outrigger run`, a program of its own; main.c says why it is static.
PROXY_SRC := $(filter-out %_test.c %_app.c,$(wildcard tools/proxy/*.c tools/gdb/*.c) tools/outrigger/usage.c)
$(eval $(call user_program,outrigger-run,$(PROXY_SRC),-static-pie $(LOADER_LIB) -ljson-c -lm))
$(O)/bin/outrigger-run: $(LOADER_LIB)

$(eval $(call unit_test,elf_test,tools/proxy/elf_test.c tools/proxy/elf.c loader/error.c))
$(eval $(call unit_test,stack_test,tools/proxy/stack_test.c tools/proxy/stack.c loader/error.c))
$(eval $(call unit_test,trace_format_test,tools/proxy/trace_format_test.c tools/proxy/trace_format.c))
$(eval $(call unit_test,facts_test,tools/proxy/facts_test.c tools/proxy/facts.c))
$(eval $(call static_app,self,tools/proxy/self_app.c))
$(eval $(call unit_test,core_file_test,tools/proxy/core_file_test.c tools/proxy/core_file.c tools/proxy/core_name.c))
