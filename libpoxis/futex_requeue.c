/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiters move from one word to another without waking: FUTEX_REQUEUE and its kin. Those
 * that move to a PI futex have said so as they began to wait, and to which: they wake as
 * its owners.
 */
#include "libpoxis/futex.h"
#include "libpoxis/futex_internal.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "libpoxis/process.h"
#include "libpoxis/user.h"

static void lock_two(struct bucket *a, struct bucket *b)
{
	if (a > b) {
		struct bucket *t = a;

		a = b;
		b = t;
	}
	spin_lock(&a->lock);
	if (a != b)
		spin_lock(&b->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
}

/* A waiter for a PI futex is not moved: -EINVAL, as in Linux. */
static int move_locked(struct bucket *a, const struct futex_key *from, struct bucket *b,
		       const struct futex_key *to, uint32_t most)
{
	struct thread *t, *next;
	uint32_t moved = 0;

	list_for_each_safe(t, next, &a->waiters, futex_link) {
		if (moved == most)
			break;
		if (!futex_is_for(t, from))
			continue;
		if (!t->futex_bits)
			return -EINVAL;
		memcpy(t->futex_key, to->part, sizeof(t->futex_key));
		/* Behind the others of its own bucket it would be met again. */
		if (a != b) {
			list_remove(&t->futex_link);
			futex_queue(t, b);
		}
		moved++;
	}
	return (int)moved;
}

/* Keys and buckets of both words. */
struct two {
	struct futex_key from, to;
	struct bucket *a, *b;
};

static int find_two(struct two *w, uaddr_t from, uaddr_t to, bool private)
{
	int err;

	if (to & 3)
		return -EINVAL;
	if (!user_range_ok(to, 4))
		return -EFAULT;
	err = futex_key(from, private, &w->from);
	if (!err)
		err = futex_key(to, private, &w->to);
	if (err)
		return err;
	w->a = futex_bucket(&w->from);
	w->b = futex_bucket(&w->to);
	return 0;
}

/* Locks both buckets, with the first word holding what it is to: 0; unlocked: -errno. */
static int lock_compared(const struct two *w, const struct futex_requeue *q)
{
	uint32_t value;
	int err;

	for (;;) {
		lock_two(w->a, w->b);
		if (!q->compare)
			return 0;
		err = user_read_locked(&value, q->from, sizeof(value));
		if (!err && value == q->expected)
			return 0;
		unlock_two(w->a, w->b);
		if (!err)
			return -EAGAIN;
		err = user_read(&value, q->from, sizeof(value));
		if (err)
			return err;
	}
}

int64_t futex_requeue(const struct futex_requeue *q)
{
	struct two w;
	int woken, moved = 0, err;

	if ((int32_t)q->wake < 0 || (int32_t)q->move < 0)
		return -EINVAL;
	err = find_two(&w, q->from, q->to, q->private);
	if (!err)
		err = lock_compared(&w, q);
	if (err)
		return err;
	woken = futex_wake_locked(w.a, &w.from, q->wake, UINT32_MAX);
	if (woken >= 0)
		moved = move_locked(w.a, &w.from, w.b, &w.to, q->move);
	unlock_two(w.a, w.b);
	return woken < 0 ? woken : moved < 0 ? moved : woken + moved;
}

/* ---- To a PI futex ---- */

static bool same_key(const struct futex_key *x, const struct futex_key *y)
{
	return !memcmp(x->part, y->part, sizeof(x->part));
}

static struct thread *first_from(const struct two *w)
{
	struct thread *t;

	list_for_each(t, &w->a->waiters, futex_link)
		if (futex_is_for(t, &w->from))
			return t;
	return NULL;
}

static bool goes_there(const struct thread *t, const struct futex_key *to)
{
	return t->futex_to_pi && !memcmp(t->futex_pi_key, to->part, sizeof(to->part));
}

/* Both locks held. The first gets the word if nobody owns it, the others wait for it.
 * -EFAULT: nothing was done, the word's page has to be brought in. */
static int64_t hand_on(const struct two *w, const struct futex_requeue *q)
{
	struct thread *t = first_from(w), *next;
	int64_t count = 0;
	int taken;

	if (!t)
		return 0;
	if (!goes_there(t, &w->to))
		return -EINVAL;
	taken = futex_pi_claim(t, q->to, false, q->move);
	if (taken < 0)
		return taken;
	if (taken) {
		list_remove(&t->futex_link);
		atomic_store(&t->futex_woken, true);
		thread_unpark(t);
		count = 1;
	}
	list_for_each_safe(t, next, &w->a->waiters, futex_link) {
		/* The one to wake counts, woken or not. */
		if (count == 1 + (int64_t)q->move)
			break;
		if (!futex_is_for(t, &w->from))
			continue;
		if (!goes_there(t, &w->to))
			return -EINVAL;
		memcpy(t->futex_key, w->to.part, sizeof(t->futex_key));
		t->futex_to_pi = false;
		/* Behind the others of its own bucket it would be met again. */
		if (w->a != w->b) {
			list_remove(&t->futex_link);
			futex_queue(t, w->b);
		}
		count++;
	}
	return count;
}

int64_t futex_requeue_pi(const struct futex_requeue *q)
{
	struct two w;
	int64_t count;
	int err;

	if (q->wake != 1 || (int32_t)q->move < 0 || q->from == q->to)
		return -EINVAL;
	err = find_two(&w, q->from, q->to, q->private);
	if (!err && same_key(&w.from, &w.to))
		err = -EINVAL;
	if (!err)
		err = futex_pi_check_owner(q->to, q->private);
	if (err)
		return err;
	for (;;) {
		err = lock_compared(&w, q);
		if (err)
			return err;
		count = hand_on(&w, q);
		unlock_two(w.a, w.b);
		if (count != -EFAULT)
			return count;
		if (futex_pi_touch(q->to))
			return -EFAULT;
	}
}

int64_t futex_wait_requeue_pi(uaddr_t at, uaddr_t to, bool private, uint32_t expected, uint64_t deadline)
{
	struct thread *t = current_thread();
	struct two w;
	int64_t err;

	if (at == to)
		return -EINVAL;
	err = find_two(&w, at, to, private);
	if (!err && same_key(&w.from, &w.to))
		err = -EINVAL;
	if (err)
		return err;
	futex_prepare(t, &w.from, 0);
	memcpy(t->futex_pi_key, w.to.part, sizeof(t->futex_pi_key));
	t->futex_to_pi = true;
	err = futex_queue_if(t, at, expected);
	if (err)
		return err;
	/* Whoever wakes us has written our tid into the word. */
	err = futex_sleep(t, deadline);
	if (!err || err == -ETIMEDOUT)
		return err;
	/* Once moved, it cannot begin anew: as Linux, a wake-up without cause. */
	return t->futex_to_pi ? -ERESTART_ALWAYS : -EAGAIN;
}
