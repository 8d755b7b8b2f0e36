/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Robust futexes: a thread that ends marks those that it still holds, and wakes
 * one who waits (Documentation/locking/robust-futex-ABI in Linux). The list lies
 * in the program's memory: anything may stand there.
 */
#include "libpoxis/robust.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/futex.h"
#include "libpoxis/process.h"
#include "libpoxis/user.h"

#define ENTRIES_MOST 2048u      /* ROBUST_LIST_LIMIT: the list may be circular */
#define HEAD_BYTES 24u

struct head {
	uint64_t first;
	int64_t offset;             /* from an entry to its word */
	uint64_t pending;           /* being locked or unlocked */
};
_Static_assert(sizeof(struct head) == HEAD_BYTES, "Linux's layout");

/* Bit 0 of an entry says that it is a PI futex. */
static uaddr_t entry_of(uint64_t e)
{
	return e & ~1ull;
}

static void owner_died(struct thread *t, uaddr_t at, bool pi, bool pending)
{
	uint32_t old, seen;

	if (at & 3 || user_read(&old, at, sizeof(old)))
		return;
	/* It died between its unlock and the wake-up. */
	if (pending && !pi && !old) {
		futex_wake_one(at);
		return;
	}
	do {
		if ((old & FUTEX_TID_MASK) != t->tid)
			return;
		if (pi) {
			futex_pi_owner_died(t, at);
			return;
		}
		seen = old;
		if (!user_range_ok(at, sizeof(old)) ||
		    user_cas32((uint32_t *)at, &old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			return;
	} while (old != seen);
	if (old & FUTEX_WAITERS)
		futex_wake_one(at);
}

void robust_exit(struct thread *t)
{
	uaddr_t list = t->robust_list;
	struct head h;
	uint64_t e, next;

	t->robust_list = 0;
	if (!list || user_read(&h, list, sizeof(h)))
		return;
	e = h.first;
	for (uint32_t i = 0; i < ENTRIES_MOST && entry_of(e) != list; i++) {
		/* Its successor first: the woken may free it. */
		bool last = user_read(&next, entry_of(e), sizeof(next));

		if (entry_of(e) != entry_of(h.pending))
			owner_died(t, entry_of(e) + (uint64_t)h.offset, e & 1, false);
		if (last)
			break;
		e = next;
	}
	if (entry_of(h.pending))
		owner_died(t, entry_of(h.pending) + (uint64_t)h.offset, h.pending & 1, true);
}

int64_t sys_set_robust_list(struct regs *r)
{
	if (r->rsi != HEAD_BYTES)
		return -EINVAL;
	current_thread()->robust_list = r->rdi;
	return 0;
}

int64_t sys_get_robust_list(struct regs *r)
{
	struct process *p = current_thread()->process;
	uint64_t bytes = HEAD_BYTES, list = 0;
	struct thread *t;
	bool found = false;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		if (r->rdi ? t->tid == r->rdi : t == current_thread()) {
			list = t->robust_list;
			found = true;
		}
	spin_unlock(&p->lock);
	if (!found)
		return -ESRCH;
	return user_write(r->rsi, &list, sizeof(list)) || user_write(r->rdx, &bytes, sizeof(bytes)) ?
	       -EFAULT : 0;
}
