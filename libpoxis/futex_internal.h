/* SPDX-License-Identifier: BSD-2-Clause */
/* Between futex.c and futex_pi.c: the waiters of a word. */
#ifndef LIBPOXIS_FUTEX_INTERNAL_H
#define LIBPOXIS_FUTEX_INTERNAL_H

#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/thread.h"

struct bucket {
	struct spinlock lock;
	struct list waiters;        /* threads, in order of arrival */
} aligned_(64);

struct bucket *futex_bucket(struct mm *mm, uaddr_t at);

static inline bool futex_is_for(const struct thread *t, struct mm *mm, uaddr_t at)
{
	return t->futex_key[0] == (uint64_t)mm && t->futex_key[1] == at;
}

/* Parks the calling thread, which is queued, until it is woken: 0, or -errno
 * when it has left the queue for another reason. */
int64_t futex_sleep(struct thread *t, uint64_t deadline);

/* FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI */
int64_t futex_lock_pi(uaddr_t at, bool private, uint64_t deadline, bool try);
int64_t futex_unlock_pi(uaddr_t at);

#endif
