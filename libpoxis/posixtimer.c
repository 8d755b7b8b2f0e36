/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/posixtimer.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/calls.h"
#include "libpoxis/cputimer.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/usage.h"
#include "libpoxis/user.h"

#define NS_PER_SEC 1000000000ll
/* Linux's own bound is RLIMIT_SIGPENDING. Those on CPU time are looked at one after the other. */
#define TIMERS_MOST 65536u
#define CPU_TIMERS_MOST 1024u
/* A timer whose thread is over: no thread has this number. */
#define NO_THREAD UINT32_MAX

enum { CLOCK_MONOTONIC = 1, TIMER_ABSTIME = 1, SIGEV_THREAD_ID = 4, NR_TIMER_DELETE = 226 };

struct timespec { int64_t sec, nsec; };
struct itimerspec { struct timespec interval, value; };

/* Under the process's lock. */
struct posix_timer {
	struct tree_node node;      /* key: Linux's number */
	bool on_cpu_time;           /* the rest counts */
	struct cputimer cpu;
};

/* ---- The table; process->lock held ---- */

static struct posix_timer *find(struct process *p, int32_t id)
{
	struct tree_node *n = tree_floor(&p->timers, (uint32_t)id);

	return n && n->key == (uint32_t)id ? container_of(n, struct posix_timer, node) : NULL;
}

/* NULL: it is Linux's, if there is one. */
static struct posix_timer *find_cpu(struct process *p, int32_t id)
{
	struct posix_timer *t = find(p, id);

	return t && t->on_cpu_time ? t : NULL;
}

/* For the caller to free. */
static void take_out(struct process *p, struct posix_timer *t)
{
	if (t->on_cpu_time)
		cputimer_set(p, &t->cpu, 0, 0);
	p->timer_count--;
	p->cpu_timer_count -= t->on_cpu_time;
	tree_remove(&p->timers, &t->node);
}

static struct posix_timer *take_first(struct process *p)
{
	struct tree_node *n = tree_first(&p->timers);
	struct posix_timer *t = n ? container_of(n, struct posix_timer, node) : NULL;

	if (t)
		take_out(p, t);
	return t;
}

/* ---- Life ---- */

/* Room for one more, counted. */
static bool reserve(struct process *p, bool on_cpu_time)
{
	bool room;

	spin_lock(&p->lock);
	room = p->timer_count < TIMERS_MOST && (!on_cpu_time || p->cpu_timer_count < CPU_TIMERS_MOST);
	if (room) {
		p->timer_count++;
		p->cpu_timer_count += on_cpu_time;
	}
	spin_unlock(&p->lock);
	return room;
}

int64_t sys_timer_create(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct posix_timer *t = kmem_zalloc(sizeof(*t)), *old;
	struct regs with = *r;
	uint32_t event[4];              /* struct sigevent: value, signal, how */
	int32_t id = 0;
	int64_t ret;

	if (!t)
		return -EAGAIN;
	if (r->rsi && !user_read(event, r->rsi, sizeof(event)) && event[3] & SIGEV_THREAD_ID)
		signal_be_prompt(current_thread());
	list_init(&t->cpu.link);
	t->on_cpu_time = !usage_clock_owner((int)r->rdi, &t->cpu.tid);
	if (!reserve(p, t->on_cpu_time)) {
		kmem_free(t);
		return -EAGAIN;
	}
	if (t->on_cpu_time)
		with.rdi = CLOCK_MONOTONIC;
	ret = dispatch_delegate(&with);
	if (!ret && user_read(&id, r->rdx, sizeof(id)))
		ret = -EFAULT;
	spin_lock(&p->lock);
	/* Linux does not give a number twice: the program itself wrote there meanwhile. */
	old = ret ? NULL : find(p, id);
	if (old)
		take_out(p, old);
	t->cpu.id = id;
	if (!ret) {
		tree_insert(&p->timers, &t->node, (uint32_t)id);
	} else {
		p->timer_count--;
		p->cpu_timer_count -= t->on_cpu_time;
	}
	spin_unlock(&p->lock);
	kmem_free(old);
	if (ret)
		kmem_free(t);
	return ret;
}

int64_t sys_timer_delete(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct posix_timer *t;
	int64_t ret = dispatch_delegate(r);

	if (ret)
		return ret;
	spin_lock(&p->lock);
	t = find(p, (int32_t)r->rdi);
	if (t)
		take_out(p, t);
	spin_unlock(&p->lock);
	kmem_free(t);
	return 0;
}

void posixtimer_exec(struct thread *t)
{
	struct process *p = t->process;
	struct posix_timer *timer;

	do {
		spin_lock(&p->lock);
		timer = take_first(p);
		spin_unlock(&p->lock);
		if (timer)
			slot_call_always(t->slot, NR_TIMER_DELETE, (uint64_t[6]){ timer->node.key });
		kmem_free(timer);
	} while (timer);
}

void posixtimer_thread_ends(struct process *p, const struct thread *thread)
{
	struct tree_node *n = p->cpu_timer_count ? tree_first(&p->timers) : NULL;

	for (; n; n = tree_next(n)) {
		struct posix_timer *t = container_of(n, struct posix_timer, node);

		if (t->on_cpu_time && t->cpu.tid == thread->tid) {
			cputimer_set(p, &t->cpu, 0, 0);
			t->cpu.tid = NO_THREAD;
		}
	}
}

void posixtimer_free(struct process *p)
{
	struct posix_timer *t;

	while ((t = take_first(p)))
		kmem_free(t);
}

/* ---- Times ---- */

static bool is_valid(const struct timespec *t)
{
	return t->sec >= 0 && t->nsec >= 0 && t->nsec < NS_PER_SEC;
}

static uint64_t to_ns(const struct timespec *t)
{
	return t->sec >= CPUTIMER_NS_MOST / NS_PER_SEC ? (uint64_t)CPUTIMER_NS_MOST :
	       (uint64_t)t->sec * NS_PER_SEC + (uint64_t)t->nsec;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ (int64_t)ns / NS_PER_SEC, (int64_t)ns % NS_PER_SEC };
}

/* One that runs is never told as 0, which would say that it does not. */
static struct itimerspec value_of(const struct cputimer *c, uint64_t used)
{
	return (struct itimerspec){
		.interval = to_timespec(c->interval_ns),
		.value = to_timespec(!c->at_ns ? 0 : c->at_ns > used ? c->at_ns - used : 1),
	};
}

int64_t sys_timer_settime(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct itimerspec new, old;
	struct posix_timer *t;
	uint64_t value, used = 0;
	bool there;

	spin_lock(&p->lock);
	there = find_cpu(p, (int32_t)r->rdi);
	spin_unlock(&p->lock);
	if (!there)
		return dispatch_delegate(r);
	if (!r->rdx)
		return -EINVAL;
	if (user_read(&new, r->rdx, sizeof(new)))
		return -EFAULT;
	if (!is_valid(&new.interval) || !is_valid(&new.value))
		return -EINVAL;
	value = to_ns(&new.value);
	if (cputimer_lock(p, value))
		return -ENOMEM;
	t = find_cpu(p, (int32_t)r->rdi);
	there = t && usage_owner_ns(p, t->cpu.tid, &used);
	if (there) {
		old = value_of(&t->cpu, used);
		if (value && !(r->rsi & TIMER_ABSTIME))
			value += used;
		cputimer_set(p, &t->cpu, value, to_ns(&new.interval));
	}
	spin_unlock(&p->lock);
	if (!there)
		return t ? -ESRCH : -EINVAL;
	return r->r10 ? user_write(r->r10, &old, sizeof(old)) : 0;
}

int64_t sys_timer_gettime(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct itimerspec now = { 0 };
	struct posix_timer *t;
	uint64_t used;

	spin_lock(&p->lock);
	t = find_cpu(p, (int32_t)r->rdi);
	if (t && usage_owner_ns(p, t->cpu.tid, &used))
		now = value_of(&t->cpu, used);
	spin_unlock(&p->lock);
	return t ? user_write(r->rsi, &now, sizeof(now)) : dispatch_delegate(r);
}

int64_t sys_timer_getoverrun(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct posix_timer *t;
	int64_t count = 0;

	spin_lock(&p->lock);
	t = find_cpu(p, (int32_t)r->rdi);
	if (t)
		count = t->cpu.overrun_count;
	spin_unlock(&p->lock);
	return t ? count : dispatch_delegate(r);
}
