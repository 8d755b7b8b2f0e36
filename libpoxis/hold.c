/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/hold.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/fork.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/usage.h"

#define SETTLE_NS 2000000000ull
#define SETTLE_LOOK_NS 100000u
#define NO_CALL UINT64_MAX

void hold_all(struct process *p)
{
	struct thread *t;

	spin_lock(&p->lock);
	p->holding = true;
	list_for_each(t, &p->threads, process_link) {
		/* One that is held already would wake up for nothing. */
		if (t == current_thread() || t->held)
			continue;
		t->held = true;
		thread_notify(t, WORK_HOLD);
	}
	spin_unlock(&p->lock);
}

bool hold_is_settled(struct process *p)
{
	struct thread *t;
	bool all = true;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		all &= t == current_thread() || atomic_load(&t->park) == PARK_PARKED;
	spin_unlock(&p->lock);
	return all;
}

int hold_settle(struct process *p)
{
	uint64_t end = clock_uptime_ns() + SETTLE_NS;

	while (!hold_is_settled(p)) {
		if (clock_uptime_ns() > end || thread_killed(current_thread()))
			return -ETIMEDOUT;
		thread_park_until(clock_uptime_ns() + SETTLE_LOOK_NS);
	}
	return 0;
}

void hold_here(struct thread *t)
{
	struct process *p = t->process;

	spin_lock(&p->lock);
	while (t->held && !thread_killed(t)) {
		t->at_border = true;
		spin_unlock(&p->lock);
		thread_park();
		spin_lock(&p->lock);
	}
	t->at_border = false;
	if (!t->held)
		atomic_fetch_and(&t->work, ~WORK_HOLD);
	spin_unlock(&p->lock);
}

/* ---- Describing; process->lock held ---- */

static void describe_regs(struct thread *t, struct otr_user_regs *u)
{
	const struct regs *r = thread_regs(t);

	*u = (struct otr_user_regs){
		r->r15, r->r14, r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10, r->r9, r->r8,
		r->rax, r->rcx, r->rdx, r->rsi, r->rdi,
		r->vector == REGS_VECTOR_SYSCALL ? r->error : NO_CALL,
		r->rip, r->cs, r->rflags, r->rsp, r->ss, t->fs_base, t->gs_base, 0, 0, 0, 0,
	};
}

static void describe(struct thread *t, struct otr_thread_state *to)
{
	const struct signal_info *i = t->stopped_by;

	memset(to, 0, sizeof(*to));
	to->tid = t->tid;
	to->where = t->at_border ? OTR_THREAD_HELD :
		    atomic_load(&t->park) == PARK_PARKED ? OTR_THREAD_IN_CALL : OTR_THREAD_RUNS;
	if (i) {
		to->signal = (uint32_t)i->number;
		to->code = i->code;
		to->error = i->error;
		memcpy(to->fields, i->fields, sizeof(to->fields));
	}
	to->sigmask = t->sigmask;
	to->run_ns = usage_thread_ns(t);
	to->sp_start = t->process->sp_start;
	describe_regs(t, &to->regs);
	to->fpu_bytes = MIN(cpu_features.xsave_bytes, OTR_THREAD_FPU);
	to->xcr0 = cpu_features.xsave ? cpu_features.xcr0 : 0;
	memcpy(to->fpu, t->fpu, to->fpu_bytes);
}

uint32_t hold_describe_next(struct process *p, uint32_t after, struct otr_thread_state *to)
{
	struct thread *t, *found = NULL;
	uint32_t tid = 0;

	/* What this CPU's registers have of the caller's. */
	if (current_thread()->fpu && current_thread()->process == p)
		fork_save_user(current_thread());
	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		if (t->tid > after && (!found || t->tid < found->tid))
			found = t;
	if (found) {
		describe(found, to);
		tid = found->tid;
	}
	spin_unlock(&p->lock);
	return tid;
}
