/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/vfork.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "libpoxis/debug.h"
#include "libpoxis/process.h"

#define ZAP_WAIT_NS 2000000000ull
#define ZAP_LOOK_NS 200000u

struct vfork {
	_Atomic uint32_t refs;
	struct spinlock lock;
	struct thread *waiter;      /* NULL: gave up; under lock */
	_Atomic bool done;
};

/* ---- The wait ---- */

struct vfork *vfork_create(struct thread *parent)
{
	struct vfork *v = kmem_zalloc(sizeof(*v));

	if (v) {
		v->refs = 1;
		v->waiter = parent;
	}
	return v;
}

struct vfork *vfork_get(struct vfork *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void vfork_put(struct vfork *v)
{
	if (atomic_fetch_sub(&v->refs, 1) == 1)
		kmem_free(v);
}

void vfork_wait(struct vfork *v)
{
	/* As in Linux, of all signals only a deadly one ends this. */
	while (!atomic_load(&v->done) && !thread_killed(current_thread()))
		thread_park();
	spin_lock(&v->lock);
	v->waiter = NULL;
	spin_unlock(&v->lock);
	vfork_put(v);
}

void vfork_release(struct process *p)
{
	struct vfork *v;

	spin_lock(&p->lock);
	v = p->vfork;
	p->vfork = NULL;
	spin_unlock(&p->lock);
	if (!v)
		return;
	spin_lock(&v->lock);
	atomic_store(&v->done, true);
	if (v->waiter)
		thread_unpark(v->waiter);
	spin_unlock(&v->lock);
	vfork_put(v);
}

/* ---- The address space ---- */

void vfork_borrow(struct process *p, struct process *parent)
{
	struct process *lender = parent->lender ? parent->lender : parent;

	atomic_fetch_add(&lender->refs, 1);
	mm_lend(lender->mm, p->mm);
	p->mm->shares = lender->mm->shares;
	spin_lock(&p->lock);
	p->lender = p->indebted = lender;
	spin_unlock(&p->lock);
}

/* The zap to wait for before end_debt(). */
static uint64_t take_back(struct process *p)
{
	uint64_t seq;

	spin_lock(&p->lock);
	p->lender = NULL;
	seq = mm_lend_take_back(p->mm);
	spin_unlock(&p->lock);
	return seq;
}

/* False: killed while the host reads for it; the debt stays until it is reaped. */
static bool end_debt(struct process *p, enum mm_return how)
{
	struct process *lender = p->indebted;

	if (!mm_fetch_return(lender->mm, p->mm, how))
		return false;
	p->indebted = NULL;
	mm_lend_end(lender->mm);
	debug_vfork_end(lender);
	process_put(lender);
	return true;
}

int vfork_leave(struct thread *t)
{
	struct process *p = t->process;
	uint64_t end = clock_uptime_ns() + ZAP_WAIT_NS, seq;

	if (!p->indebted)
		return 0;
	seq = take_back(p);
	t->mm = p->mm;
	mm_switch(p->mm);
	vfork_release(p);
	while (!mm_zapped(p->mm, seq)) {
		if (clock_uptime_ns() > end)
			return -ETIMEDOUT;
		mm_collect(p->mm);
		mm_ask_zap(p->mm);
		thread_park_until(clock_uptime_ns() + ZAP_LOOK_NS);
	}
	return end_debt(p, MM_RETURN_ALL) ? 0 : -EINTR;
}

void vfork_end(struct process *p)
{
	vfork_release(p);
	if (!p->indebted)
		return;
	take_back(p);
	end_debt(p, MM_RETURN_OVER);
}

uint64_t vfork_zap_seq(struct process *p)
{
	return p->lender ? mm_lend_zap_seq(p->lender->mm, p->mm, &p->lender_zaps) : mm_zap_seq(p->mm);
}

int vfork_fault(struct process *p, uint64_t va, uint32_t access, uint32_t *fetch)
{
	struct process *lender;
	int err;

	spin_lock(&p->lock);
	lender = p->lender;
	if (lender)
		atomic_fetch_add(&lender->refs, 1);
	spin_unlock(&p->lock);
	if (!lender)
		return mm_fault_nowait(p->mm, va, access, fetch);
	mm_fetch_return(lender->mm, p->mm, MM_RETURN_DONE);
	err = mm_fault_nowait(lender->mm, va, access, fetch);
	if (err == -EINPROGRESS && *fetch != MM_FETCH_GRANT && !mm_fetch_lend(lender->mm, *fetch, p->mm))
		err = -EAGAIN;
	spin_lock(&p->lock);
	if (p->lender)
		mm_lend_sync(lender->mm, p->mm);
	spin_unlock(&p->lock);
	process_put(lender);
	return err;
}
