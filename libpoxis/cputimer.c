/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/cputimer.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "libpoxis/calls.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/usage.h"
#include "libpoxis/user.h"

/* A timer is not looked at more often; Linux looks at its tick, which is as long. */
#define PERIOD_NS 4000000ull
/* One that is due waits for a thread of the program to run: so long, in the end, unnoticed. */
#define IDLE_PERIOD_NS (16 * PERIOD_NS)
/* Longer ones are as good as for ever. */
#define NS_MOST (INT64_MAX / 4)
#define SEC_MOST (NS_MOST / 1000000000)

struct timeval { int64_t sec, usec; };
struct itimerval { struct timeval interval, value; };

static const int signal_of[CPUTIMERS] = { [CPUTIMER_VIRTUAL] = SIGVTALRM, [CPUTIMER_PROF] = SIGPROF };

/* ---- The keeper ---- */

/* process->lock held; 0: none runs. */
static uint64_t first_due(const struct cputimers *c)
{
	uint64_t first = 0;

	for (int i = 0; i < CPUTIMERS; i++)
		if (c->timer[i].at_ns && (!first || c->timer[i].at_ns < first))
			first = c->timer[i].at_ns;
	return first;
}

/* Whose time is counted just now, and so returns to user mode soon; process->lock held. */
static struct thread *running_thread(struct process *p)
{
	struct thread *t;

	list_for_each(t, &p->threads, process_link)
		if (load_relaxed(&t->cpu->current) == t)
			return t;
	return NULL;
}

static void keeper_main(void *arg)
{
	struct process *p = arg;
	struct cputimers *c = &p->cputimers;
	uint64_t idle = PERIOD_NS;

	for (;;) {
		uint64_t used = usage_process_ns(p), wait = PERIOD_NS, due;
		uint32_t fastest;
		struct thread *t;

		spin_lock(&p->lock);
		due = first_due(c);
		if (c->over || !due) {
			/* From the unlock on p may be gone. */
			c->keeper = NULL;
			if (c->waits)
				thread_unpark(c->waits);
			spin_unlock(&p->lock);
			thread_exit();
		}
		if (used < due) {
			/* As many threads as CPUs can begin to run the next moment. */
			fastest = MIN(p->thread_count, cpu_online_count);
			due = (due - used) / (fastest ? fastest : 1);
			wait = MAX(wait, due);
		} else {
			t = running_thread(p);
			idle = t ? PERIOD_NS : MIN(2 * idle, IDLE_PERIOD_NS);
			wait = idle;
			if (t)
				thread_notify(t, WORK_CPUTIMER);
		}
		spin_unlock(&p->lock);
		thread_park_until(clock_uptime_ns() + MIN(wait, (uint64_t)NS_MOST));
	}
}

void cputimer_end(struct process *p)
{
	struct cputimers *c = &p->cputimers;
	bool gone;

	for (;;) {
		spin_lock(&p->lock);
		c->over = true;
		c->waits = current_thread();
		gone = !c->keeper;
		if (!gone)
			thread_unpark(c->keeper);
		spin_unlock(&p->lock);
		if (gone)
			return;
		thread_park();
	}
}

void cputimer_work(struct thread *t)
{
	struct process *p = t->process;
	struct cputimers *c = &p->cputimers;
	uint64_t used = usage_process_ns(p), mask;
	bool due[CPUTIMERS] = { false };

	atomic_fetch_and(&t->work, ~WORK_CPUTIMER);
	spin_lock(&p->lock);
	for (int i = 0; i < CPUTIMERS; i++)
		if (c->timer[i].at_ns && c->timer[i].at_ns <= used) {
			due[i] = true;
			c->timer[i].at_ns = c->timer[i].interval_ns ? c->timer[i].at_ns + c->timer[i].interval_ns : 0;
		}
	mask = t->sigmask;
	spin_unlock(&p->lock);
	for (int i = 0; i < CPUTIMERS; i++)
		if (due[i])
			slot_call(t->slot, OTR_CALL_RAISE, (uint64_t[6]){
				(uint64_t)signal_of[i], mask >> (signal_of[i] - 1) & 1 ?
				OTR_RAISE_PROCESS : OTR_RAISE_THREAD });
}

/* ---- Calls ---- */

/* ITIMER_VIRTUAL is 1, ITIMER_PROF 2; -1: Linux's, or none. */
static int timer_index(uint64_t which)
{
	return (int)which == 1 ? CPUTIMER_VIRTUAL : (int)which == 2 ? CPUTIMER_PROF : -1;
}

static bool is_valid(const struct timeval *v)
{
	return v->sec >= 0 && v->usec >= 0 && v->usec < 1000000;
}

static uint64_t to_ns(const struct timeval *v)
{
	return v->sec >= SEC_MOST ? (uint64_t)NS_MOST : (uint64_t)v->sec * 1000000000 + (uint64_t)v->usec * 1000;
}

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){ (int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000) };
}

/* process->lock held. */
static struct itimerval value_of(const struct cputimers *c, int i, uint64_t used)
{
	uint64_t at = c->timer[i].at_ns;

	return (struct itimerval){
		.interval = to_timeval(c->timer[i].interval_ns),
		/* One that runs is never told as 0, which would say that it does not. */
		.value = to_timeval(!at ? 0 : at > used + PERIOD_NS ? at - used : PERIOD_NS),
	};
}

int64_t sys_getitimer(struct regs *r)
{
	struct process *p = current_thread()->process;
	int i = timer_index(r->rdi);
	struct itimerval old;
	uint64_t used;

	if (i < 0)
		return dispatch_delegate(r);
	used = usage_process_ns(p);
	spin_lock(&p->lock);
	old = value_of(&p->cputimers, i, used);
	spin_unlock(&p->lock);
	return user_write(r->rsi, &old, sizeof(old));
}

int64_t sys_setitimer(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct cputimers *c = &p->cputimers;
	int i = timer_index(r->rdi);
	struct itimerval new = { 0 }, old;
	struct thread *keeper = NULL;
	uint64_t used, value;

	if (i < 0)
		return dispatch_delegate(r);
	if (r->rsi && user_read(&new, r->rsi, sizeof(new)))
		return -EFAULT;
	if (!is_valid(&new.value) || !is_valid(&new.interval))
		return -EINVAL;
	value = to_ns(&new.value);
again:
	/* Not under the lock; with a keeper there it is not needed. */
	if (value && !load_relaxed(&c->keeper)) {
		keeper = thread_create(keeper_main, p);
		if (!keeper)
			return -ENOMEM;
	}
	used = usage_process_ns(p);
	spin_lock(&p->lock);
	if (value && !c->keeper && !keeper) {
		/* It ended meanwhile. */
		spin_unlock(&p->lock);
		goto again;
	}
	old = value_of(c, i, used);
	c->timer[i].at_ns = value ? used + value : 0;
	c->timer[i].interval_ns = to_ns(&new.interval);
	if (c->keeper) {
		thread_unpark(c->keeper);
	} else if (keeper) {
		c->keeper = keeper;
		thread_start(keeper);
		keeper = NULL;
	}
	spin_unlock(&p->lock);
	if (keeper)
		thread_free(keeper);
	return r->rdx ? user_write(r->rdx, &old, sizeof(old)) : 0;
}
