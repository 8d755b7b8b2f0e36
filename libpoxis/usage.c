/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU time of programs: what their threads ran here is user time; system time is
 * what Linux spent on their calls, by its own account of the proxy. Children
 * count when they have been waited for, as in Linux.
 */
#include "libpoxis/usage.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/calls.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/user.h"

#define NS_PER_TICK 10000000u   /* times(2): USER_HZ is 100 */
/* Children that ended and were not waited for; of more the oldest are forgotten. */
#define ENDED_MOST 4096u

struct ended_child {
	struct list link;
	uint32_t pid;
	uint64_t ns;
};

struct timeval { int64_t sec, usec; };

/* ---- Counting ---- */

uint64_t usage_thread_ns(const struct thread *t)
{
	uint64_t ns, start, now;
	uint32_t seq;
	bool runs;

	do {
		seq = load_acquire(&t->run_seq);
		ns = load_acquire(&t->run_ns);
		start = load_acquire(&t->slice_start_ns);
		runs = load_acquire(&t->cpu->current) == t;
		now = clock_uptime_ns();
	} while (seq & 1 || load_acquire(&t->run_seq) != seq);
	return runs && now > start ? ns + (now - start) : ns;
}

uint64_t usage_locked_ns(const struct process *p)
{
	uint64_t ns = p->ended_threads_ns;
	struct thread *t;

	list_for_each(t, &p->threads, process_link)
		ns += usage_thread_ns(t);
	return ns;
}

uint64_t usage_process_ns(struct process *p)
{
	uint64_t ns;

	spin_lock(&p->lock);
	ns = usage_locked_ns(p);
	spin_unlock(&p->lock);
	return ns;
}

void usage_process_ended(struct process *p)
{
	struct process *parent = process_find(p->parent_context);
	struct ended_child *e = parent ? kmem_alloc(sizeof(*e)) : NULL, *oldest = NULL;

	if (e) {
		e->pid = p->pid;
		e->ns = usage_process_ns(p) + load_relaxed(&p->children_ns);
		spin_lock(&parent->lock);
		list_push_back(&parent->ended_children, &e->link);
		if (++parent->ended_children_count > ENDED_MOST) {
			oldest = list_entry(list_pop_front(&parent->ended_children), struct ended_child, link);
			parent->ended_children_count--;
		}
		spin_unlock(&parent->lock);
		kmem_free(oldest);
	}
	if (parent)
		process_put(parent);
}

void usage_free(struct process *p)
{
	struct list *l;

	while ((l = list_pop_front(&p->ended_children)))
		kmem_free(list_entry(l, struct ended_child, link));
}

/* The child's time; with `reap` it becomes the parent's children's. */
static uint64_t take_child(struct process *p, uint32_t pid, bool reap)
{
	struct ended_child *e, *found = NULL;
	uint64_t ns = 0;

	spin_lock(&p->lock);
	list_for_each(e, &p->ended_children, link)
		if (e->pid == pid)
			found = e;
	if (found) {
		ns = found->ns;
		if (reap) {
			list_remove(&found->link);
			p->ended_children_count--;
			p->children_ns += ns;
		}
	}
	spin_unlock(&p->lock);
	if (reap)
		kmem_free(found);
	return ns;
}

/* ---- Calls ---- */

static int write_timeval(uaddr_t at, uint64_t ns)
{
	struct timeval v = { (int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000) };

	return user_write(at, &v, sizeof(v));
}

int64_t sys_getrusage(struct regs *r)
{
	enum { RUSAGE_CHILDREN = -1, RUSAGE_SELF = 0 };
	struct thread *t = current_thread();
	int who = (int)r->rdi;
	int64_t ret = dispatch_delegate(r);

	if (ret)
		return ret;
	return write_timeval(r->rsi, who == RUSAGE_SELF ? usage_process_ns(t->process) :
			     who == RUSAGE_CHILDREN ? load_relaxed(&t->process->children_ns) :
			     usage_thread_ns(t));
}

int64_t sys_times(struct regs *r)
{
	struct process *p = current_thread()->process;
	int64_t ret = dispatch_delegate(r);
	uint64_t own, children;

	if (ret < 0 || !r->rdi)
		return ret;
	own = usage_process_ns(p) / NS_PER_TICK;
	children = load_relaxed(&p->children_ns) / NS_PER_TICK;
	/* struct tms: utime, stime, cutime, cstime */
	return user_write(r->rdi, &own, 8) || user_write(r->rdi + 16, &children, 8) ? -EFAULT : ret;
}

int64_t sys_wait4(struct regs *r)
{
	struct process *p = current_thread()->process;
	int64_t pid = dispatch_delegate(r);
	int32_t status = 0;
	uint64_t ns;

	if (pid <= 0)
		return pid;
	/* Stopped and continued children are not over. */
	if (r->rsi && (user_read(&status, r->rsi, sizeof(status)) || (status & 0xff) == 0x7f || status == 0xffff))
		return pid;
	ns = take_child(p, (uint32_t)pid, true);
	return r->r10 && write_timeval(r->r10, ns) ? -EFAULT : pid;
}

int64_t sys_waitid(struct regs *r)
{
	enum { WNOWAIT = 0x1000000, CLD_KILLED_LAST = 3 };
	struct process *p = current_thread()->process;
	int64_t ret = dispatch_delegate(r);
	int32_t info[4];            /* signal, errno, code, pid */
	uint64_t ns;

	if (ret || !r->rdx || user_read(info, r->rdx, sizeof(info)) || !info[3] || info[2] > CLD_KILLED_LAST)
		return ret;
	ns = take_child(p, (uint32_t)info[3], !(r->r10 & WNOWAIT));
	return r->r8 && write_timeval(r->r8, ns) ? -EFAULT : ret;
}

int usage_clock_owner(int clock, uint32_t *tid)
{
	enum { PROCESS = 2, THREAD = 3 };
	struct process *p = current_thread()->process;
	struct thread *t;
	uint32_t id = (uint32_t)~(clock >> 3);
	int err = -EOPNOTSUPP;

	*tid = 0;
	if (clock == PROCESS)
		return 0;
	if (clock == THREAD) {
		*tid = current_thread()->tid;
		return 0;
	}
	/* CPU clocks of others (Linux's posix-timers_types.h): ~id, bit 2 for a
	 * thread, the rest the kind, of which 2 is the CPU time. */
	if (clock >= 0 || (clock & 3) != 2)
		return -EOPNOTSUPP;
	if (!(clock & 4))
		return !id || id == p->pid ? 0 : -EOPNOTSUPP;
	if (!id)
		id = current_thread()->tid;
	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		if (t->tid == id) {
			*tid = id;
			err = 0;
		}
	spin_unlock(&p->lock);
	return err;
}

bool usage_owner_ns(const struct process *p, uint32_t tid, uint64_t *ns)
{
	struct thread *t;

	if (!tid) {
		*ns = usage_locked_ns(p);
		return true;
	}
	list_for_each(t, &p->threads, process_link)
		if (t->tid == tid) {
			*ns = usage_thread_ns(t);
			return true;
		}
	return false;
}

int usage_clock(int clock, uint64_t *ns)
{
	struct process *p = current_thread()->process;
	uint32_t tid;
	bool there;
	int err = usage_clock_owner(clock, &tid);

	if (err)
		return err;
	spin_lock(&p->lock);
	there = usage_owner_ns(p, tid, ns);
	spin_unlock(&p->lock);
	return there ? 0 : -EOPNOTSUPP;
}
