/* SPDX-License-Identifier: BSD-2-Clause */
/* The frame that every entry to the kernel builds at the top of a stack. Its
 * order is known to entry.S. */
#ifndef COKERNEL_ARCH_REGS_H
#define COKERNEL_ARCH_REGS_H

#include "cokernel/lib/types.h"

#define REGS_VECTOR_SYSCALL 0x100u
#define REGS_VECTOR_NONE    0x101u  /* a call that is not to be made again */

struct regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi;
	uint64_t vector;            /* or REGS_VECTOR_SYSCALL */
	uint64_t error;             /* error code; on a system call, its number */
	uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct regs) == 22 * 8, "entry.S counts on it");

static inline bool regs_from_user(const struct regs *r)
{
	return (r->cs & 3) == 3;
}

#endif
