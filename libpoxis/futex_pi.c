/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Futexes whose word names their owner (PI). All threads have one priority here,
 * so there is nothing to inherit; what remains is that the kernel hands the word
 * over, in order of arrival, and that owners are known. Waiters have no wake
 * bits: FUTEX_WAKE passes them by.
 */
#include "libpoxis/futex.h"
#include "libpoxis/futex_internal.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "libpoxis/process.h"
#include "libpoxis/user.h"

static int cas(uaddr_t at, uint32_t *old, uint32_t new)
{
	return user_range_ok(at, 4) && !user_cas32((uint32_t *)at, old, new) ? 0 : -EFAULT;
}

/* Under a bucket's lock: -EFAULT also where the page only has to be brought in. */
static int cas_locked(uaddr_t at, uint32_t *old, uint32_t new)
{
	int err;

	current_thread()->no_fault = true;
	err = cas(at, old, new);
	current_thread()->no_fault = false;
	return err;
}

int futex_pi_touch(uaddr_t at)
{
	uint32_t value = 0;

	/* Whatever is there: 0 is replaced by 0, anything else by nothing. */
	return cas(at, &value, 0);
}

static struct thread *first_waiter(struct bucket *b, const struct futex_key *key, bool *more)
{
	struct thread *t, *found = NULL;

	*more = false;
	list_for_each(t, &b->waiters, futex_link) {
		if (!futex_is_for(t, key) || t->futex_bits || t->futex_to_pi)
			continue;
		*more = found;
		if (found)
			break;
		found = t;
	}
	return found;
}

static bool is_thread_of(struct process *p, uint32_t tid)
{
	struct thread *t;
	bool found = false;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		found |= t->tid == tid;
	spin_unlock(&p->lock);
	return found;
}

int futex_pi_check_owner(uaddr_t at, bool private)
{
	uint32_t value;

	if (user_read(&value, at, sizeof(value)))
		return -EFAULT;
	if (private && value & FUTEX_TID_MASK && !is_thread_of(current_thread()->process, value & FUTEX_TID_MASK))
		return -ESRCH;
	return 0;
}

int futex_pi_claim(struct thread *t, uaddr_t at, bool try, bool more)
{
	uint32_t old, new, seen;
	int err = user_read_locked(&old, at, sizeof(old));

	while (!err) {
		seen = old;
		if (!(old & FUTEX_TID_MASK))
			new = t->tid | (old & (FUTEX_WAITERS | FUTEX_OWNER_DIED)) | (more ? FUTEX_WAITERS : 0);
		else if ((old & FUTEX_TID_MASK) == t->tid)
			return -EDEADLK;
		else if (try)
			return -EAGAIN;
		else
			new = old | FUTEX_WAITERS;
		err = cas_locked(at, &old, new);
		if (!err && old == seen)
			return !(old & FUTEX_TID_MASK);
	}
	return err;
}

/* 1: it is ours now; 0: queued; else -errno. */
static int take_or_queue(struct thread *t, struct bucket *b, uaddr_t at, bool try)
{
	int taken;

	for (;;) {
		spin_lock(&b->lock);
		taken = futex_pi_claim(t, at, try, false);
		if (!taken)
			futex_queue(t, b);
		spin_unlock(&b->lock);
		if (taken != -EFAULT)
			return taken;
		if (futex_pi_touch(at))
			return -EFAULT;
	}
}

int64_t futex_lock_pi(uaddr_t at, bool private, uint64_t deadline, bool try)
{
	struct thread *t = current_thread();
	struct futex_key key;
	int err = futex_pi_check_owner(at, private);

	if (!err)
		err = futex_key(at, private, &key);
	if (err)
		return err;
	futex_prepare(t, &key, 0);
	err = take_or_queue(t, futex_bucket(&key), at, try);
	if (err)
		return err < 0 ? err : 0;
	/* Whoever wakes us has written our tid into the word. */
	return futex_sleep(t, deadline);
}

/* Gives the word to the first waiter, with `died` set, or empties it. */
static int64_t hand_over(struct thread *t, uaddr_t at, bool private, uint32_t died)
{
	struct futex_key key;
	struct bucket *b;
	uint32_t old, seen;
	int err = futex_key(at, private, &key);

	if (err)
		return err;
	b = futex_bucket(&key);
	for (;;) {
		struct thread *next;
		bool more;

		spin_lock(&b->lock);
		next = first_waiter(b, &key, &more);
		err = user_read_locked(&old, at, sizeof(old));
		while (!err) {
			seen = old;
			err = (old & FUTEX_TID_MASK) == t->tid ?
			      cas_locked(at, &old, (next ? next->tid : 0) | (more ? FUTEX_WAITERS : 0) | died) :
			      -EPERM;
			if (!err && old == seen)
				break;
		}
		if (!err && next) {
			list_remove(&next->futex_link);
			atomic_store(&next->futex_woken, true);
			thread_unpark(next);
		}
		spin_unlock(&b->lock);
		if (err != -EFAULT)
			return err;
		if (futex_pi_touch(at))
			return -EFAULT;
	}
}

int64_t futex_unlock_pi(uaddr_t at, bool private)
{
	uint32_t value;

	if (user_read(&value, at, sizeof(value)))
		return -EFAULT;
	return hand_over(current_thread(), at, private, 0);
}

void futex_pi_owner_died(struct thread *t, uaddr_t at)
{
	hand_over(t, at, false, FUTEX_OWNER_DIED);
}
