# SPDX-License-Identifier: BSD-2-Clause
# netrun: the network stack in a process over a TAP device.

NETRUN_SRC := $(wildcard tools/netrun/*.c)
$(eval $(call user_program,netrun,$(NETRUN_SRC) $(filter-out %_test.c,$(wildcard cokernel/net/*.c)),-ljson-c))
