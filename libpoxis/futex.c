/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A futex is known by its address space and address. Buckets are locked one by
 * one, two in order of address; the word is read under the bucket's lock, which
 * makes check and sleep one step to every waker.
 */
#include "libpoxis/futex.h"
#include "libpoxis/futex_internal.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/list.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/time.h"
#include "libpoxis/user.h"

/* uapi/linux/futex.h */
enum {
	FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_REQUEUE = 3, FUTEX_CMP_REQUEUE = 4,
	FUTEX_WAKE_OP = 5, FUTEX_LOCK_PI = 6, FUTEX_UNLOCK_PI = 7, FUTEX_TRYLOCK_PI = 8,
	FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10, FUTEX_LOCK_PI2 = 13,
	FUTEX_PRIVATE_FLAG = 128, FUTEX_CLOCK_REALTIME = 256,
};

static struct bucket *buckets;
static uint64_t bucket_mask;

void futex_init(void)
{
	uint64_t n = 256;

	/* One bucket for each MiB, as Linux scales by CPUs and memory. */
	while (n < phys_total_bytes() >> 20 && n < 65536)
		n *= 2;
	buckets = kmem_zalloc(n * sizeof(*buckets));
	if (!buckets)
		panic("no memory for the futex table");
	for (uint64_t i = 0; i < n; i++)
		list_init(&buckets[i].waiters);
	bucket_mask = n - 1;
}

struct bucket *futex_bucket(struct mm *mm, uaddr_t at)
{
	uint64_t h = (at >> 2) ^ (uint64_t)mm >> 6;

	/* Fibonacci hashing (Knuth, 6.4). */
	h *= 0x9e3779b97f4a7c15ull;
	return &buckets[h >> 32 & bucket_mask];
}

/* Bucket lock held. */
static int wake_locked(struct bucket *b, struct mm *mm, uaddr_t at, uint32_t most, uint32_t bits)
{
	struct thread *t, *next;
	uint32_t woken = 0;

	list_for_each_safe(t, next, &b->waiters, futex_link) {
		if (woken == most)
			break;
		if (!futex_is_for(t, mm, at) || !(t->futex_bits & bits))
			continue;
		list_remove(&t->futex_link);
		atomic_store(&t->futex_woken, true);
		thread_unpark(t);
		woken++;
	}
	return (int)woken;
}

int futex_wake(struct mm *mm, uaddr_t at, uint32_t most, uint32_t bits)
{
	struct bucket *b = futex_bucket(mm, at);
	int woken;

	/* Pairs with the waiter's queueing before it reads the word. */
	fence_full();
	if (list_empty(&b->waiters))
		return 0;
	spin_lock(&b->lock);
	woken = wake_locked(b, mm, at, most, bits);
	spin_unlock(&b->lock);
	return woken;
}

/* The thread may have been requeued: find the bucket it is in now. */
static void unqueue(struct thread *t)
{
	while (!atomic_load(&t->futex_woken)) {
		struct bucket *b = futex_bucket((struct mm *)t->futex_key[0], t->futex_key[1]);

		spin_lock(&b->lock);
		if (futex_bucket((struct mm *)t->futex_key[0], t->futex_key[1]) == b) {
			list_remove(&t->futex_link);
			spin_unlock(&b->lock);
			return;
		}
		spin_unlock(&b->lock);
	}
}

int64_t futex_sleep(struct thread *t, uint64_t deadline)
{
	int err;

	while (!atomic_load(&t->futex_woken)) {
		err = thread_park_until(deadline);
		if (atomic_load(&t->futex_woken))
			break;
		/* With a timeout it is not restarted, as in Linux when a handler runs. */
		if (!err && thread_interrupted(t))
			err = deadline ? -EINTR : -ERESTART;
		if (err) {
			unqueue(t);
			return atomic_load(&t->futex_woken) ? 0 : err;
		}
	}
	return 0;
}

static int64_t wait(struct thread *t, uaddr_t at, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	struct bucket *b = futex_bucket(t->mm, at);
	uint32_t value;
	int err;

	if (!bits)
		return -EINVAL;
	t->futex_key[0] = (uint64_t)t->mm;
	t->futex_key[1] = at;
	t->futex_bits = bits;
	atomic_store(&t->futex_woken, false);
	for (;;) {
		spin_lock(&b->lock);
		list_push_back(&b->waiters, &t->futex_link);
		fence_full();
		err = user_read_locked(&value, at, sizeof(value));
		if (!err && value == expected)
			break;
		list_remove(&t->futex_link);
		spin_unlock(&b->lock);
		if (!err)
			return -EAGAIN;
		err = user_read(&value, at, sizeof(value));
		if (err)
			return err;
	}
	spin_unlock(&b->lock);
	return futex_sleep(t, deadline);
}

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

static int64_t requeue(struct mm *mm, uaddr_t from, uint32_t wake, uint32_t move, uaddr_t to,
		       bool compare, uint32_t expected)
{
	struct bucket *a = futex_bucket(mm, from), *b = futex_bucket(mm, to);
	struct thread *t, *next;
	uint32_t value, moved = 0;
	int woken, err;

	lock_two(a, b);
	while (compare) {
		err = user_read_locked(&value, from, sizeof(value));
		if (!err && value == expected)
			break;
		unlock_two(a, b);
		if (!err)
			return -EAGAIN;
		err = user_read(&value, from, sizeof(value));
		if (err)
			return err;
		lock_two(a, b);
	}
	woken = wake_locked(a, mm, from, wake, UINT32_MAX);
	list_for_each_safe(t, next, &a->waiters, futex_link) {
		if (moved == move)
			break;
		if (!futex_is_for(t, mm, from))
			continue;
		list_remove(&t->futex_link);
		t->futex_key[1] = to;
		list_push_back(&b->waiters, &t->futex_link);
		moved++;
	}
	unlock_two(a, b);
	return woken + (int)moved;
}

/* The operation packed into val3 of FUTEX_WAKE_OP; true in *wake2 if the second
 * word's waiters are to be woken. */
static int wake_op(uaddr_t at, uint32_t packed, bool *wake2)
{
	uint32_t op = packed >> 28 & 7, cmp = packed >> 24 & 15, old, seen;
	int32_t arg = (int32_t)(packed << 8) >> 20, cmp_arg = (int32_t)(packed << 20) >> 20;
	uint32_t oparg = packed >> 31 ? 1u << (arg & 31) : (uint32_t)arg, new;

	if (user_read(&old, at, sizeof(old)))
		return -EFAULT;
	do {
		switch (op) {
		case 0: new = oparg; break;
		case 1: new = old + oparg; break;
		case 2: new = old | oparg; break;
		case 3: new = old & ~oparg; break;
		case 4: new = old ^ oparg; break;
		default: return -ENOSYS;
		}
		seen = old;
		if (!user_range_ok(at, 4) || user_cas32((uint32_t *)at, &old, new))
			return -EFAULT;
	} while (old != seen);
	switch (cmp) {
	case 0: *wake2 = (int32_t)old == cmp_arg; break;
	case 1: *wake2 = (int32_t)old != cmp_arg; break;
	case 2: *wake2 = (int32_t)old < cmp_arg; break;
	case 3: *wake2 = (int32_t)old <= cmp_arg; break;
	case 4: *wake2 = (int32_t)old > cmp_arg; break;
	case 5: *wake2 = (int32_t)old >= cmp_arg; break;
	default: return -ENOSYS;
	}
	return 0;
}

int64_t sys_futex(struct regs *r)
{
	struct thread *t = current_thread();
	uaddr_t at = r->rdi, at2 = r->r8;
	uint32_t op = (uint32_t)r->rsi, value = (uint32_t)r->rdx, value3 = (uint32_t)r->r9;
	uint32_t cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
	uint64_t deadline = 0;
	bool second = false;
	int64_t woken;
	int err;

	if (at & 3)
		return -EINVAL;
	if (!user_range_ok(at, 4))
		return -EFAULT;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (r->r10) {
			/* WAIT is relative, WAIT_BITSET absolute. */
			err = time_user_deadline(r->r10, op & FUTEX_CLOCK_REALTIME ? 0 : 1,
						 cmd == FUTEX_WAIT_BITSET, &deadline);
			if (err)
				return err;
		}
		return wait(t, at, value, cmd == FUTEX_WAIT ? UINT32_MAX : value3, deadline);
	case FUTEX_WAKE:
		return futex_wake(t->mm, at, value, UINT32_MAX);
	case FUTEX_WAKE_BITSET:
		return value3 ? futex_wake(t->mm, at, value, value3) : -EINVAL;
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if (at2 & 3 || !user_range_ok(at2, 4))
			return -EINVAL;
		return requeue(t->mm, at, value, (uint32_t)r->r10, at2, cmd == FUTEX_CMP_REQUEUE, value3);
	case FUTEX_WAKE_OP:
		if (at2 & 3)
			return -EINVAL;
		err = wake_op(at2, value3, &second);
		if (err)
			return err;
		woken = futex_wake(t->mm, at, value, UINT32_MAX);
		if (second)
			woken += futex_wake(t->mm, at2, (uint32_t)r->r10, UINT32_MAX);
		return woken;
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		/* Both absolute; the older one always by the real-time clock. */
		if (r->r10) {
			err = time_user_deadline(r->r10, cmd == FUTEX_LOCK_PI || op & FUTEX_CLOCK_REALTIME ? 0 : 1,
						 true, &deadline);
			if (err)
				return err;
		}
		return futex_lock_pi(at, op & FUTEX_PRIVATE_FLAG, deadline, false);
	case FUTEX_TRYLOCK_PI:
		return futex_lock_pi(at, op & FUTEX_PRIVATE_FLAG, 0, true);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(at);
	default:
		return -ENOSYS;
	}
}
