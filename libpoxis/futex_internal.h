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

/* What names a word: mm_memory_key()'s three numbers. */
struct futex_key {
	uint64_t part[3];
};

/* The key of the calling thread's word at `at`: within its address space if the
 * program says that it is `private` to it, else of the memory, which is brought in
 * first. -EFAULT. */
int futex_key(uaddr_t at, bool private, struct futex_key *key);
struct bucket *futex_bucket(const struct futex_key *key);

static inline bool futex_is_for(const struct thread *t, const struct futex_key *key)
{
	return t->futex_key[0] == key->part[0] && t->futex_key[1] == key->part[1] &&
	       t->futex_key[2] == key->part[2];
}

/* Makes t ready to be queued there; without wake bits it waits for a PI futex. */
void futex_prepare(struct thread *t, const struct futex_key *key, uint32_t bits);
/* Queues it; the bucket's lock is held. */
void futex_queue(struct thread *t, struct bucket *b);

/* Parks the calling thread, which is queued, until it is woken: 0, or -errno
 * when it has left the queue for another reason. */
int64_t futex_sleep(struct thread *t, uint64_t deadline);

/* FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI */
int64_t futex_lock_pi(uaddr_t at, bool private, uint64_t deadline, bool try);
int64_t futex_unlock_pi(uaddr_t at, bool private);

#endif
