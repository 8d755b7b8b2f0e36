/* SPDX-License-Identifier: BSD-2-Clause */
/* Futexes between the threads of the co-kernel. */
#ifndef LIBPOXIS_FUTEX_H
#define LIBPOXIS_FUTEX_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct mm;

void futex_init(void);
/* Wakes up to `most` waiters whose bits meet; the number woken. */
int futex_wake(struct mm *mm, uaddr_t at, uint32_t most, uint32_t bits);
int64_t sys_futex(struct regs *r);

#endif
