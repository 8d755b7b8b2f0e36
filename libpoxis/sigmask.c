/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signal masks. Linux must know a thread's mask, so its twin has the same. To say so takes a
 * delegated call, and many a program changes its mask to and fro: it waits with sigsuspend() or
 * ppoll() for what it blocks else. So where only signals are blocked for which the program has
 * handlers, the twin is told later: before the thread's next delegated call, before it waits
 * here, or when such a signal comes for the whole program, which another thread may want.
 * Until then the twin forwards them, and they wait here; they go back to Linux when it is told.
 * Signals without handlers cannot wait like that: their actions are Linux's. Nor can they in
 * programs in which others than tgkill() send to one thread, as forwarded signals do not say so.
 */
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

/* How long an action waits for other threads' masks, and between looks. */
#define SETTLE_NS 100000000ull
#define SETTLE_LOOK_NS 50000u

/* ---- The twin's mask ---- */

bool signal_is_late(const struct thread *t, int number)
{
	return t->sigmask & t->slot->wanted_mask & signal_bit(number);
}

/* Gives Linux back what it queued for the twin before it was told that it is blocked; but not
 * what a call's or a handler's mask has to do with. False: some of it had to stay. */
static bool give_back(struct thread *t)
{
	struct process *p = t->process;

	/* The proxy may forward them for ever. */
	for (uint32_t most = t->signal_count; most && !thread_killed(t); most--) {
		struct signal *s, *found = NULL;
		const struct signal_info *i;

		spin_lock(&p->lock);
		list_for_each(s, &t->signals, link)
			if (!found && signal_is_late(t, s->info.number) && !s->info.pad)
				found = s;
		if (found) {
			list_remove(&found->link);
			t->signal_count--;
		}
		spin_unlock(&p->lock);
		if (!found)
			return true;
		i = &found->info;
		if (slot_call(t->slot, OTR_CALL_RAISE, (uint64_t[6]){
			(uint64_t)i->number, i->code == SI_TKILL ? OTR_RAISE_BACK : OTR_RAISE_BACK_PROCESS,
			(uint32_t)i->code | (uint64_t)(uint32_t)i->error << 32, i->fields[0], i->fields[1],
			i->fields[2] })) {
			/* Linux's queue is full: it stays. */
			spin_lock(&p->lock);
			list_push_front(&t->signals, &found->link);
			t->signal_count++;
			spin_unlock(&p->lock);
			return false;
		}
		kmem_free(found);
	}
	return true;
}

void signal_settle(struct thread *t)
{
	struct process *p = t->process;
	struct slot *s = t->slot;
	bool told = t->mask_behind && !slot_call(s, OTR_CALL_SIGMASK, (uint64_t[6]){ s->wanted_mask });

	atomic_fetch_and(&t->work, ~WORK_MASK);
	/* Who sends here sees the mask, or we see what he has queued. */
	spin_lock(&p->lock);
	if (told)
		s->twin_mask = s->wanted_mask;
	spin_unlock(&p->lock);
	store_relaxed(&t->mask_behind, !give_back(t));
}

/* Until no other thread has any of these signals blocked that its twin lets in. */
static void settle_all(struct thread *t, uint64_t signals)
{
	struct process *p = t->process;
	uint64_t end = 0;
	bool others;

	signal_settle(t);
	do {
		struct thread *other;

		others = false;
		spin_lock(&p->lock);
		list_for_each(other, &p->threads, process_link)
			if (other != t && load_relaxed(&other->mask_behind) && other->slot->wanted_mask & signals) {
				others = true;
				thread_notify(other, WORK_MASK);
			}
		spin_unlock(&p->lock);
		if (!others)
			return;
		end = end ? end : clock_uptime_ns() + SETTLE_NS;
		thread_park_until(MIN(end, clock_uptime_ns() + SETTLE_LOOK_NS));
	} while (clock_uptime_ns() < end && !thread_killed(t));
}

void signal_settle_begin(struct thread *t, int number)
{
	struct process *p = t->process;

	spin_lock(&p->lock);
	p->settling++;
	spin_unlock(&p->lock);
	settle_all(t, signal_bit(number));
}

void signal_settle_end(struct process *p)
{
	spin_lock(&p->lock);
	p->settling--;
	spin_unlock(&p->lock);
}

void signal_be_prompt(struct thread *t)
{
	struct process *p = t->process;
	bool was;

	spin_lock(&p->lock);
	was = p->prompt_masks;
	p->prompt_masks = true;
	spin_unlock(&p->lock);
	if (!was)
		settle_all(t, UINT64_MAX);
}

/* Whether the twin may go on letting these in; process->lock held. Real-time signals keep
 * their order. */
static bool may_be_late(const struct process *p, uint64_t blocked)
{
	if (p->settling || p->prompt_masks || blocked >= signal_bit(SIGRTMIN))
		return false;
	for (; blocked; blocked &= blocked - 1)
		if (p->action[__builtin_ctzll(blocked)].handler <= SIG_IGN)
			return false;
	return true;
}

void signal_set_mask(struct thread *t, uint64_t mask)
{
	struct process *p = t->process;
	struct slot *s = t->slot;
	uint64_t differs;
	bool at_once;

	mask &= ~SIGNALS_UNBLOCKED;
	spin_lock(&p->lock);
	t->sigmask = mask;
	/* One that came just before and is blocked now interrupts nothing. */
	if (signal_first(t))
		atomic_fetch_or(&t->work, WORK_SIGNAL);
	else
		atomic_fetch_and(&t->work, ~WORK_SIGNAL);
	s->wanted_mask = mask;
	differs = (mask ^ s->twin_mask) & ~SIGNALS_UNBLOCKED;
	store_relaxed(&t->mask_behind, differs != 0);
	at_once = differs & ~mask || !may_be_late(p, differs);
	spin_unlock(&p->lock);
	if (differs && at_once)
		signal_settle(t);
}

void signal_start_thread(struct thread *t)
{
	signal_set_mask(t, t->sigmask);
}

/* ---- Calls ---- */

int64_t sys_rt_sigprocmask(struct regs *r)
{
	enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };
	struct thread *t = current_thread();
	uint64_t old = t->sigmask, set, new;

	if (r->r10 != 8)
		return -EINVAL;
	if (r->rsi) {
		if (user_read(&set, r->rsi, sizeof(set)))
			return -EFAULT;
		switch ((int)r->rdi) {
		case SIG_BLOCK: new = old | set; break;
		case SIG_UNBLOCK: new = old & ~set; break;
		case SIG_SETMASK: new = set; break;
		default: return -EINVAL;
		}
		signal_set_mask(t, new);
	}
	return r->rdx && user_write(r->rdx, &old, sizeof(old)) ? -EFAULT : 0;
}

/* A call that waits with a mask of its own: Linux sets it for the twin, and here
 * it decides what may be delivered. The old one goes into the handler's frame. */
int64_t signal_call_masked(struct regs *r, uaddr_t mask_at)
{
	struct thread *t = current_thread();
	uint64_t mask;
	int64_t ret;

	if (!mask_at)
		return dispatch_delegate(r);
	if (user_read(&mask, mask_at, sizeof(mask)))
		return -EFAULT;
	spin_lock(&t->process->lock);
	t->saved_mask = t->sigmask;
	t->sigmask = mask & ~SIGNALS_UNBLOCKED;
	if (signal_first(t))
		atomic_fetch_or(&t->work, WORK_SIGNAL);
	spin_unlock(&t->process->lock);
	ret = dispatch_delegate(r);
	spin_lock(&t->process->lock);
	if (signal_first(t)) {
		t->mask_saved = true;
		if (signal_restarts(ret))
			ret = -EINTR;
	} else {
		t->sigmask = t->saved_mask;
	}
	spin_unlock(&t->process->lock);
	return ret;
}

void signal_mask_begin(struct thread *t, uint64_t mask)
{
	t->saved_mask = t->sigmask;
	signal_set_mask(t, mask);
}

bool signal_mask_end(struct thread *t)
{
	spin_lock(&t->process->lock);
	t->mask_saved = signal_first(t);
	spin_unlock(&t->process->lock);
	if (!t->mask_saved)
		signal_set_mask(t, t->saved_mask);
	return t->mask_saved;
}

/* For a signal that runs a handler. */
static int64_t suspend(struct thread *t, uint64_t mask)
{
	signal_mask_begin(t, mask);
	while (!thread_interrupted(t))
		if (signal_may_park(t))
			thread_park();
	signal_mask_end(t);
	return -ERESTART_UNHANDLED;
}

int64_t sys_rt_sigsuspend(struct regs *r)
{
	uint64_t mask;

	if (r->rsi != 8)
		return -EINVAL;
	return user_read(&mask, r->rdi, sizeof(mask)) ? -EFAULT : suspend(current_thread(), mask);
}

int64_t sys_pause(struct regs *r)
{
	struct thread *t = current_thread();

	(void)r;
	return suspend(t, t->sigmask);
}
