/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A futex is known by what names its memory (mm_memory_key()): address space and
 * address, or in shared memory the object and the place in it, so that programs
 * meet there. Buckets are locked one by one, two in order of address; the word is
 * read under the bucket's lock, which makes check and sleep one step to every waker.
 */
#include "libpoxis/futex.h"
#include "libpoxis/futex_internal.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/string.h"
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
	FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10, FUTEX_WAIT_REQUEUE_PI = 11,
	FUTEX_CMP_REQUEUE_PI = 12, FUTEX_LOCK_PI2 = 13,
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

int futex_key(uaddr_t at, bool private, struct futex_key *key)
{
	struct mm *mm = current_thread()->mm;
	uint32_t word;

	*key = (struct futex_key){ { (uint64_t)mm, 0, at } };
	if (private)
		return 0;
	/* Shared memory has its name from the first touch on. */
	if (user_read(&word, at, sizeof(word)))
		return -EFAULT;
	if (load_relaxed(&mm->shares))
		mm_memory_key(mm, at, key->part);
	return 0;
}

struct bucket *futex_bucket(const struct futex_key *key)
{
	uint64_t h = key->part[2] >> 2 ^ key->part[1] << 12 ^ key->part[0] >> 6;

	/* Fibonacci hashing (Knuth, 6.4). */
	h *= 0x9e3779b97f4a7c15ull;
	return &buckets[h >> 32 & bucket_mask];
}

void futex_prepare(struct thread *t, const struct futex_key *key, uint32_t bits)
{
	memcpy(t->futex_key, key->part, sizeof(t->futex_key));
	t->futex_bits = bits;
	t->futex_to_pi = false;
	atomic_store(&t->futex_woken, false);
}

void futex_queue(struct thread *t, struct bucket *b)
{
	atomic_store(&t->futex_bucket, b);
	list_push_back(&b->waiters, &t->futex_link);
}

int futex_wake_locked(struct bucket *b, const struct futex_key *key, uint32_t most, uint32_t bits)
{
	struct thread *t, *next;
	uint32_t woken = 0;

	list_for_each_safe(t, next, &b->waiters, futex_link) {
		if (woken == most)
			break;
		if (!futex_is_for(t, key))
			continue;
		if (!t->futex_bits)
			return -EINVAL;
		if (!(t->futex_bits & bits))
			continue;
		list_remove(&t->futex_link);
		atomic_store(&t->futex_woken, true);
		thread_unpark(t);
		woken++;
	}
	return (int)woken;
}

/* Up to `most` waiters whose bits meet; the number woken. */
static int wake(const struct futex_key *key, uint32_t most, uint32_t bits)
{
	struct bucket *b = futex_bucket(key);
	int woken;

	/* Pairs with the waiter's queueing before it reads the word. */
	fence_full();
	if (list_empty(&b->waiters))
		return 0;
	spin_lock(&b->lock);
	woken = futex_wake_locked(b, key, most, bits);
	spin_unlock(&b->lock);
	return woken;
}

bool futex_wake_one(uaddr_t at)
{
	struct futex_key key;

	return !futex_key(at, false, &key) && wake(&key, 1, UINT32_MAX) > 0;
}

/* The thread may have been requeued: find the bucket it is in now. */
static void unqueue(struct thread *t)
{
	while (!atomic_load(&t->futex_woken)) {
		struct bucket *b = atomic_load(&t->futex_bucket);

		spin_lock(&b->lock);
		if (atomic_load(&t->futex_bucket) == b && !atomic_load(&t->futex_woken)) {
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
		err = !thread_interrupted(t) && signal_may_park(t) ? thread_park_until(deadline) : 0;
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

int futex_queue_if(struct thread *t, uaddr_t at, uint32_t expected)
{
	struct bucket *b = futex_bucket(&(struct futex_key){ { t->futex_key[0], t->futex_key[1], t->futex_key[2] } });
	uint32_t value;
	int err;

	for (;;) {
		spin_lock(&b->lock);
		futex_queue(t, b);
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
	return 0;
}

static int64_t wait(uaddr_t at, bool private, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	struct thread *t = current_thread();
	struct futex_key key;
	int err;

	if (!bits)
		return -EINVAL;
	err = futex_key(at, private, &key);
	if (err)
		return err;
	futex_prepare(t, &key, bits);
	err = futex_queue_if(t, at, expected);
	return err ? err : futex_sleep(t, deadline);
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

/* Linux wakes one even where none was asked for. */
static uint32_t at_least_one(uint32_t most)
{
	return (int32_t)most < 1 ? 1 : most;
}

static int64_t wake_word(uaddr_t at, bool private, uint32_t most, uint32_t bits)
{
	struct futex_key key;
	int err = bits ? futex_key(at, private, &key) : -EINVAL;

	return err ? err : wake(&key, at_least_one(most), bits);
}

static int64_t wake_two(const struct regs *r, bool private)
{
	struct futex_key key, key2;
	bool second = false;
	int woken, more, err;

	if (r->r8 & 3)
		return -EINVAL;
	err = wake_op(r->r8, (uint32_t)r->r9, &second);
	if (!err)
		err = futex_key(r->rdi, private, &key);
	if (!err)
		err = futex_key(r->r8, private, &key2);
	if (err)
		return err;
	woken = wake(&key, at_least_one((uint32_t)r->rdx), UINT32_MAX);
	more = woken >= 0 && second ? wake(&key2, at_least_one((uint32_t)r->r10), UINT32_MAX) : 0;
	return woken < 0 ? woken : more < 0 ? more : woken + more;
}

int64_t sys_futex(struct regs *r)
{
	uaddr_t at = r->rdi;
	uint32_t op = (uint32_t)r->rsi, value = (uint32_t)r->rdx, value3 = (uint32_t)r->r9;
	uint32_t cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
	bool private = op & FUTEX_PRIVATE_FLAG;
	uint64_t deadline = 0;
	int err;

	if (at & 3)
		return -EINVAL;
	if (!user_range_ok(at, 4))
		return -EFAULT;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
		if (r->r10) {
			/* Of these, only WAIT's is relative. */
			err = time_user_deadline(r->r10, op & FUTEX_CLOCK_REALTIME ? 0 : 1,
						 cmd != FUTEX_WAIT, &deadline);
			if (err)
				return err;
		}
		if (cmd == FUTEX_WAIT_REQUEUE_PI)
			return futex_wait_requeue_pi(at, r->r8, private, value, deadline);
		return wait(at, private, value, cmd == FUTEX_WAIT ? UINT32_MAX : value3, deadline);
	case FUTEX_WAKE:
		return wake_word(at, private, value, UINT32_MAX);
	case FUTEX_WAKE_BITSET:
		return wake_word(at, private, value, value3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(&(struct futex_requeue){
			.from = at, .to = r->r8, .wake = value, .move = (uint32_t)r->r10,
			.compare = cmd == FUTEX_CMP_REQUEUE, .expected = value3, .private = private });
	case FUTEX_CMP_REQUEUE_PI:
		return futex_requeue_pi(&(struct futex_requeue){
			.from = at, .to = r->r8, .wake = value, .move = (uint32_t)r->r10,
			.compare = true, .expected = value3, .private = private });
	case FUTEX_WAKE_OP:
		return wake_two(r, private);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		/* Both absolute; the older one always by the real-time clock. */
		if (r->r10) {
			err = time_user_deadline(r->r10, cmd == FUTEX_LOCK_PI || op & FUTEX_CLOCK_REALTIME ? 0 : 1,
						 true, &deadline);
			if (err)
				return err;
		}
		return futex_lock_pi(at, private, deadline, false);
	case FUTEX_TRYLOCK_PI:
		return futex_lock_pi(at, private, 0, true);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(at, private);
	default:
		return -ENOSYS;
	}
}
