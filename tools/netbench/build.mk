# SPDX-License-Identifier: BSD-2-Clause
# netbench: instructions and time per operation, with lwIP and Linux as yardsticks.
# Both stacks have a pbuf_free() and a tcp_write(): ours are made local to one
# object, so that they do not stand in for those of the shared library.

NETBENCH_OBJ := $(call objs,user,$(filter-out tools/netbench/lwip.c,$(wildcard tools/netbench/*.c)) \
                  $(filter-out %_test.c,$(wildcard cokernel/net/*.c)))
$(O)/user/tools/netbench/lwip.o: USER_CFLAGS += -I/usr/include/lwip

$(O)/user/tools/netbench/ours-alone.o: $(NETBENCH_OBJ)
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@ $^
	$(Q)objcopy -w --keep-global-symbol='bench_*' --keep-global-symbol=main --keep-global-symbol=dut_step $@

PROGRAMS += $(O)/bin/netbench
$(O)/bin/netbench: $(O)/user/tools/netbench/ours-alone.o $(O)/user/tools/netbench/lwip.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ -llwip

# `make bench`, host part: against lwIP under callgrind, against Linux in the test machine.
.PHONY: bench-net
bench-net: all
	$(Q)mkdir -p $(O)/bench
	$(Q)tools/netbench/report | tee $(O)/bench/net-lwip.txt
	$(Q)tools/netbench/report-linux | tee $(O)/bench/net-linux.txt
bench: bench-net
