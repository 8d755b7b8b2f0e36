/* SPDX-License-Identifier: BSD-2-Clause */
/* gdb's numbers for signals are those of no system (gdb/signals.def of its sources). */
#ifndef GDB_SIGNALS_H
#define GDB_SIGNALS_H

#include <stdint.h>

#define SIGNAL_UNKNOWN 143u     /* gdb's, for what it has no number for */

uint32_t signal_to_gdb(uint32_t linux_number);
/* 0: none of Linux's. */
uint32_t signal_from_gdb(uint64_t gdb_number);

#endif
