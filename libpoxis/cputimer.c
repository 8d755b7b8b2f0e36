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
#define NS_PER_SEC 1000000000ull
/* Signals that are sent in one go. */
#define TAKEN_MOST 8u
#define SEC_MOST (CPUTIMER_NS_MOST / (int64_t)NS_PER_SEC)

struct timeval { int64_t sec, usec; };
struct itimerval { struct timeval interval, value; };

static const int signal_of[CPUTIMERS] = {
	[CPUTIMER_VIRTUAL] = SIGVTALRM, [CPUTIMER_PROF] = SIGPROF,
	[CPUTIMER_LIMIT_SOFT] = SIGXCPU, [CPUTIMER_LIMIT_HARD] = SIGKILL,
};

void cputimer_init(struct cputimers *c)
{
	list_init(&c->running);
	for (int i = 0; i < CPUTIMERS; i++) {
		list_init(&c->timer[i].link);
		c->timer[i].signal = signal_of[i];
	}
}

/* ---- The keeper ---- */

/* Of its clock; false: its thread is over. process->lock held, process_ns is the program's. */
static bool used_of(const struct process *p, const struct cputimer *t, uint64_t process_ns, uint64_t *used)
{
	*used = process_ns;
	return !t->tid || usage_owner_ns(p, t->tid, used);
}

/* The least time in which one can be due, 0: one is, UINT64_MAX: none runs; p->lock held. */
static uint64_t least_left(struct process *p)
{
	/* As many threads as CPUs can begin to run the next moment. */
	uint32_t fastest = MIN(p->thread_count, cpu_online_count);
	uint64_t process_ns = usage_locked_ns(p), least = UINT64_MAX, used;
	struct cputimer *t;

	list_for_each(t, &p->cputimers.running, link) {
		if (!used_of(p, t, process_ns, &used))
			continue;
		if (used >= t->at_ns)
			return 0;
		used = t->at_ns - used;
		if (!t->tid && fastest)
			used = MAX(used / fastest, 1ull);
		least = MIN(least, used);
	}
	return least;
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
		uint64_t wait;
		struct thread *t;

		spin_lock(&p->lock);
		wait = least_left(p);
		if (c->over || list_empty(&c->running)) {
			/* From the unlock on p may be gone. */
			c->keeper = NULL;
			if (c->waits)
				thread_unpark(c->waits);
			spin_unlock(&p->lock);
			thread_exit();
		}
		if (wait) {
			wait = MAX(wait, PERIOD_NS);
		} else {
			t = running_thread(p);
			idle = t ? PERIOD_NS : MIN(2 * idle, IDLE_PERIOD_NS);
			wait = idle;
			if (t)
				thread_notify(t, WORK_CPUTIMER);
		}
		spin_unlock(&p->lock);
		thread_park_until(clock_uptime_ns() + MIN(wait, (uint64_t)CPUTIMER_NS_MOST));
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

int cputimer_lock(struct process *p, bool to_run)
{
	struct cputimers *c = &p->cputimers;
	struct thread *spare = NULL;

	for (;;) {
		spin_lock(&p->lock);
		if (!to_run || (c->keeper && !spare))
			return 0;
		if (!c->keeper && spare) {
			c->keeper = spare;
			thread_start(spare);
			return 0;
		}
		spin_unlock(&p->lock);
		if (spare) {
			thread_free(spare);
			spare = NULL;
			continue;
		}
		spare = thread_create(keeper_main, p);
		if (!spare)
			return -ENOMEM;
	}
}

void cputimer_set(struct process *p, struct cputimer *t, uint64_t at_ns, uint64_t interval_ns)
{
	t->at_ns = at_ns;
	t->interval_ns = interval_ns;
	t->overrun_count = 0;
	list_remove(&t->link);
	if (at_ns)
		list_push_back(&p->cputimers.running, &t->link);
	if (p->cputimers.keeper)
		thread_unpark(p->cputimers.keeper);
}

/* ---- Signals ---- */

/* Of those that are due and were not yet in this round, some; p->lock held. */
static uint32_t take_due(struct process *p, uint32_t round, struct cputimer *taken, uint32_t most)
{
	uint64_t process_ns = usage_locked_ns(p), used, missed;
	struct cputimer *t, *next;
	uint32_t n = 0;

	list_for_each_safe(t, next, &p->cputimers.running, link) {
		if (n == most)
			break;
		if (t->round == round || !used_of(p, t, process_ns, &used) || used < t->at_ns)
			continue;
		t->round = round;
		taken[n++] = *t;
		missed = t->interval_ns ? (used - t->at_ns) / t->interval_ns : 0;
		t->overrun_count = (uint32_t)MIN(missed, (uint64_t)INT32_MAX);
		if (t->interval_ns) {
			t->at_ns += (missed + 1) * t->interval_ns;
		} else {
			t->at_ns = 0;
			list_remove(&t->link);
		}
	}
	return n;
}

/* To the program; where one of its threads may take it, as Linux does to the one that runs. */
static void send(struct thread *t, const struct cputimer *c, uint64_t mask)
{
	uint64_t blocked = c->signal ? mask >> (c->signal - 1) & 1 : 0;

	if (c->signal == SIGKILL)
		process_kill(t->process, SIGKILL);
	else if (c->signal)
		signal_raise(t, c->signal, blocked ? OTR_RAISE_PROCESS : OTR_RAISE_THREAD);
	else
		slot_call(t->slot, OTR_CALL_RAISE, (uint64_t[6]){ (uint64_t)c->id, OTR_RAISE_TIMER });
}

void cputimer_work(struct thread *t)
{
	struct process *p = t->process;
	struct cputimer taken[TAKEN_MOST];
	uint32_t round, n;
	uint64_t mask;

	atomic_fetch_and(&t->work, ~WORK_CPUTIMER);
	spin_lock(&p->lock);
	round = ++p->cputimers.round;
	spin_unlock(&p->lock);
	do {
		spin_lock(&p->lock);
		mask = t->sigmask;
		n = take_due(p, round, taken, TAKEN_MOST);
		spin_unlock(&p->lock);
		for (uint32_t i = 0; i < n && !thread_killed(t); i++)
			send(t, &taken[i], mask);
	} while (n == TAKEN_MOST && !thread_killed(t));
}

/* ---- RLIMIT_CPU ---- */

static uint64_t limit_ns(uint64_t seconds)
{
	/* 0 seconds are over with the first moment. */
	return seconds > (uint64_t)SEC_MOST ? 0 : MAX(seconds * NS_PER_SEC, 1ull);
}

int cputimer_limit(struct process *p, uint64_t soft_s, uint64_t hard_s)
{
	struct cputimer *t = p->cputimers.timer;
	uint64_t soft_ns = limit_ns(soft_s), hard_ns = limit_ns(hard_s);

	if (cputimer_lock(p, soft_ns || hard_ns))
		return -ENOMEM;
	p->cputimers.limited = soft_ns || hard_ns;
	/* Where both are the same the hard one counts, so it comes first. As in Linux,
	 * after the soft one another signal comes each second. */
	cputimer_set(p, &t[CPUTIMER_LIMIT_HARD], hard_ns, 0);
	cputimer_set(p, &t[CPUTIMER_LIMIT_SOFT], soft_ns, NS_PER_SEC);
	spin_unlock(&p->lock);
	return 0;
}

/* ---- Interval timers ---- */

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
	return v->sec >= SEC_MOST ? (uint64_t)CPUTIMER_NS_MOST : (uint64_t)v->sec * NS_PER_SEC + (uint64_t)v->usec * 1000;
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
	spin_lock(&p->lock);
	used = usage_locked_ns(p);
	old = value_of(&p->cputimers, i, used);
	spin_unlock(&p->lock);
	return user_write(r->rsi, &old, sizeof(old));
}

int64_t sys_setitimer(struct regs *r)
{
	struct process *p = current_thread()->process;
	int i = timer_index(r->rdi);
	struct itimerval new = { 0 }, old;
	uint64_t used, value;

	if (i < 0)
		return dispatch_delegate(r);
	if (r->rsi && user_read(&new, r->rsi, sizeof(new)))
		return -EFAULT;
	if (!is_valid(&new.value) || !is_valid(&new.interval))
		return -EINVAL;
	value = to_ns(&new.value);
	if (cputimer_lock(p, value))
		return -ENOMEM;
	used = usage_locked_ns(p);
	old = value_of(&p->cputimers, i, used);
	cputimer_set(p, &p->cputimers.timer[i], value ? used + value : 0, to_ns(&new.interval));
	spin_unlock(&p->lock);
	return r->rdx ? user_write(r->rdx, &old, sizeof(old)) : 0;
}
