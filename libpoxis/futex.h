/* SPDX-License-Identifier: BSD-2-Clause */
/* Futexes between the threads of the co-kernel, of one program or, in shared memory,
 * of several. */
#ifndef LIBPOXIS_FUTEX_H
#define LIBPOXIS_FUTEX_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct thread;

/* Of a word that holds its owner (uapi/linux/futex.h). */
#define FUTEX_WAITERS    0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK   0x3fffffffu

void futex_init(void);
/* Wakes one who waits for the calling thread's word at `at`, in whatever program; whether
 * there was one. */
bool futex_wake_one(uaddr_t at);
/* The calling thread, which ends, holds the PI futex: the next waiter gets it. */
void futex_pi_owner_died(struct thread *t, uaddr_t at);
int64_t sys_futex(struct regs *r);

#endif
