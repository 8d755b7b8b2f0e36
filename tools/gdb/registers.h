/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's registers as gdb numbers them, which it is told by a description in XML
 * ("Debugging with GDB", appendix G). AVX registers are there if the state has them.
 */
#ifndef GDB_REGISTERS_H
#define GDB_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/debug.h"

#define REGISTER_BYTES_MOST 16u
#define REGISTERS_BYTES_MOST 1024u      /* of all */

#define REGISTER_RBP 6u
#define REGISTER_RSP 7u
#define REGISTER_RIP 16u

/* target.xml for such a state; static. */
const char *registers_xml(const struct otr_thread_state *s);
/* How many there are. */
unsigned int registers_count(const struct otr_thread_state *s);
/* Makes what the processor left out of the state, because it is initial, explicit. To be
 * called once before the others. */
void registers_complete(struct otr_thread_state *s);
/* Copies register n from or into the state: its size, 0 when there is none. */
size_t register_get(const struct otr_thread_state *s, unsigned int n, void *to);
size_t register_set(struct otr_thread_state *s, unsigned int n, const void *from);
/* Which OTR_SET_* register n belongs to. */
uint32_t register_part(unsigned int n);

#endif
