# SPDX-License-Identifier: BSD-2-Clause
# gdb's remote protocol; part of the command's program, see tools/outrigger/build.mk.

$(eval $(call unit_test,rsp_test,tools/gdb/rsp_test.c tools/gdb/rsp.c tools/gdb/registers.c tools/gdb/signals.c))
