/* SPDX-License-Identifier: BSD-2-Clause */
/* Between futex.c, futex_pi.c and futex_requeue.c: the waiters of a word. */
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

/* Queues the calling thread, which is prepared, if its word at `at` holds `expected`:
 * 0; -EAGAIN, -EFAULT. */
int futex_queue_if(struct thread *t, uaddr_t at, uint32_t expected);

/* Bucket lock held. Wakes up to `most` whose bits meet: the number woken; -EINVAL, as in
 * Linux, at one without bits: only a PI futex's owner hands that over. */
int futex_wake_locked(struct bucket *b, const struct futex_key *key, uint32_t most, uint32_t bits);

/* Parks the calling thread, which is queued, until it is woken: 0, or -errno
 * when it has left the queue for another reason. */
int64_t futex_sleep(struct thread *t, uint64_t deadline);

/* FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI */
int64_t futex_lock_pi(uaddr_t at, bool private, uint64_t deadline, bool try);
int64_t futex_unlock_pi(uaddr_t at, bool private);
/* Under the lock of `b`, for the waiter `t`: the word gets its tid if nobody owns it (1),
 * else is marked as waited for (0), unless `try`; `more` marks it in both cases.
 * -EDEADLK: t owns it; -EAGAIN: not with `try`; -EFAULT: futex_pi_touch(), then again. */
int futex_pi_claim(struct thread *t, uaddr_t at, bool try, bool more);
/* Brings the page in for writing: 0, -EFAULT. No lock is held. */
int futex_pi_touch(uaddr_t at);
/* 0, -EFAULT; -ESRCH if the word at `at` is private and its owner no thread of the program. */
int futex_pi_check_owner(uaddr_t at, bool private);

/* ---- futex_requeue.c ---- */

struct futex_requeue {
	uaddr_t from, to;
	uint32_t wake, move;        /* at most so many */
	bool compare;
	uint32_t expected;
	bool private;
};

/* FUTEX_REQUEUE and FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI: the number woken and moved. */
int64_t futex_requeue(const struct futex_requeue *q);
int64_t futex_requeue_pi(const struct futex_requeue *q);
/* FUTEX_WAIT_REQUEUE_PI: 0 when the PI futex `to` is the caller's. */
int64_t futex_wait_requeue_pi(uaddr_t at, uaddr_t to, bool private, uint32_t expected, uint64_t deadline);

#endif
