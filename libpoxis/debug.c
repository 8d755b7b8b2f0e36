/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/debug.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/hold.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/user.h"

#define INT3 0xcc
#define SI_KERNEL 0x80
#define MXCSR_AT 24u                /* in the legacy area (SDM 1, table 10-2) */
#define XSAVE_BV 512u

enum { STEP_NONE, STEP_WANTED, STEP_UNWANTED };     /* thread.stepping */
/* Flags that a debugger may change (Linux's FLAG_MASK, arch/x86/kernel/ptrace.c). */
#define FLAGS_USER 0x54dd5ul

struct debug {
	uint64_t passed;            /* signals it need not see */
	uint32_t count;
	struct {
		uint64_t at;
		uint8_t was;
	} brk[OTR_DEBUG_BREAKS];
};

/* ---- Stopping; process->lock where nothing else is said ---- */

/* Whether the default action leaves the program alone, or is Linux's to take. */
static bool is_harmless(int number)
{
	/* signal(7): CHLD CONT URG WINCH, STOP TSTP TTIN TTOU */
	return number < 32 && (1ull << 17 | 1ull << 18 | 1ull << 23 | 1ull << 28 | 15ull << 19) >> number & 1;
}

bool debug_signal(struct thread *t, struct signal_info *info)
{
	struct process *p = t->process;
	uint32_t number;

	spin_lock(&p->lock);
	if (!p->debug || p->dying || p->dumping || p->debug->passed >> (info->number - 1) & 1) {
		spin_unlock(&p->lock);
		return true;
	}
	t->stopped_by = info;
	t->debug_answer = 0;
	t->held = true;
	spin_unlock(&p->lock);
	hold_all(p);
	host_send3(OTR_MSG_DEBUG_EVENT, p->context, 0, 0);
	hold_here(t);
	spin_lock(&p->lock);
	t->stopped_by = NULL;
	number = t->debug_answer;
	if (number && is_harmless((int)number) && p->action[number - 1].handler == SIG_DFL)
		number = 0;
	spin_unlock(&p->lock);
	if (!number || thread_killed(t))
		return false;
	if (number != (uint32_t)info->number)
		*info = (struct signal_info){ .number = (int32_t)number };
	info->pad = SIGNAL_SHOWN;
	return true;
}

/* TF goes where it came from. t is the calling thread, or at the border. */
static void end_step(struct thread *t)
{
	struct regs *r = thread_regs(t);

	atomic_fetch_and(&t->work, ~WORK_STEP);
	if (t->stepping)
		r->rflags &= ~RFLAGS_TF;
	if (t->stepping && r->vector == REGS_VECTOR_SYSCALL)
		r->r11 &= ~RFLAGS_TF;
	t->stepping = STEP_NONE;
}

/* A trap of the debugger's own making, which is nobody's if it has gone. */
static void own_trap(struct thread *t, struct regs *r, int code)
{
	struct signal_info info = { .number = SIGTRAP, .code = code, .fields = { r->rip } };

	if (debug_signal(t, &info) && info.pad == SIGNAL_SHOWN)
		signal_force(t, r, &info);
}

void debug_trap(struct thread *t, struct regs *r)
{
	uint8_t stepping;

	spin_lock(&t->process->lock);
	stepping = t->stepping;
	end_step(t);
	spin_unlock(&t->process->lock);
	if (stepping == STEP_WANTED)
		own_trap(t, r, OTR_CODE_STEP);
	else if (stepping == STEP_NONE)
		signal_fault(t, r, SIGTRAP, OTR_CODE_STEP, r->rip);
}

void debug_step(struct thread *t, struct regs *r)
{
	spin_lock(&t->process->lock);
	if (atomic_fetch_and(&t->work, ~WORK_STEP) & WORK_STEP) {
		r->rflags |= RFLAGS_TF;
		t->stepping = STEP_WANTED;
	}
	spin_unlock(&t->process->lock);
}

void debug_step_call(struct thread *t, struct regs *r)
{
	/* r11 has the flags that the call was made with. */
	if (t->stepping && r->r11 & RFLAGS_TF)
		debug_trap(t, r);
}

/* Lets it go, as the debugger says or as if there had been none. */
static void let_go(struct thread *t, uint32_t how, uint32_t signal)
{
	if (t->at_border)
		end_step(t);
	else if (t->stepping)
		t->stepping = STEP_UNWANTED;
	if (how == OTR_RESUME_STEP)
		atomic_fetch_or(&t->work, WORK_STEP);
	t->debug_answer = signal;
	t->held = false;
	thread_unpark(t);
}

static int64_t resume(struct process *p, const struct otr_debug_resume *q)
{
	uint32_t count = q->count, others = q->others;
	struct thread *t;
	int64_t missed = 0;

	if (count > OTR_RESUME_THREADS || others > OTR_RESUME_GO)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		if (q->thread[i].how > OTR_RESUME_STEP || q->thread[i].signal > SIGNALS)
			return -EINVAL;
	p->holding = others == OTR_RESUME_HOLD;
	list_for_each(t, &p->threads, process_link) {
		uint32_t i = 0, how = others;

		while (i < count && q->thread[i].tid != t->tid)
			i++;
		if (i < count)
			how = q->thread[i].how;
		else if (t->stopped_by)
			missed = 1;
		if (how == OTR_RESUME_HOLD || (i == count && t->stopped_by))
			continue;
		let_go(t, how, i < count ? q->thread[i].signal : 0);
	}
	return missed;
}

/* ---- Registers ---- */

static void set_regs(struct thread *t, const struct otr_user_regs *u)
{
	struct regs *r = thread_regs(t);
	uint64_t flags = (r->rflags & ~FLAGS_USER) | (u->rflags & FLAGS_USER);

	*r = (struct regs){
		.r15 = u->r15, .r14 = u->r14, .r13 = u->r13, .r12 = u->r12, .rbp = u->rbp, .rbx = u->rbx,
		.r11 = u->r11, .r10 = u->r10, .r9 = u->r9, .r8 = u->r8, .rax = u->rax, .rcx = u->rcx,
		.rdx = u->rdx, .rsi = u->rsi, .rdi = u->rdi, .rip = u->rip, .rsp = u->rsp,
		.cs = SEL_USER_CS, .ss = SEL_USER_DS, .rflags = flags | RFLAGS_IF | RFLAGS_FIX,
		.vector = r->vector, .error = r->error,
	};
	/* As in Linux: a call that would be made again is not, if orig_rax becomes -1. */
	if ((int64_t)u->orig_rax < 0 && r->vector == REGS_VECTOR_SYSCALL)
		r->vector = REGS_VECTOR_NONE;
	else if ((int64_t)u->orig_rax >= 0) {
		r->vector = REGS_VECTOR_SYSCALL;
		r->error = u->orig_rax;
	}
	if (u->fs_base < OTR_USER_END)
		t->fs_base = u->fs_base;
	if (u->gs_base < OTR_USER_END)
		t->gs_base = u->gs_base;
}

/* So that xrstor cannot fault (SDM 1, 13.8.1). */
static void set_fpu(struct thread *t, const void *from)
{
	uint32_t bytes = MIN(cpu_features.xsave_bytes, OTR_THREAD_FPU);
	uint64_t *header = (void *)((char *)t->fpu + XSAVE_BV);

	memcpy(t->fpu, from, bytes);
	*(uint32_t *)((char *)t->fpu + MXCSR_AT) &= 0xffff;
	if (cpu_features.xsave) {
		header[0] &= cpu_features.xcr0;
		memset(header + 1, 0, 56);
	}
	t->fpu_cpu = NULL;          /* whoever holds a copy: it is old */
}

static int64_t set_thread(struct process *p, uint32_t tid, uint64_t what, const struct otr_thread_state *s)
{
	struct thread *t;

	list_for_each(t, &p->threads, process_link) {
		if (t->tid != tid)
			continue;
		if (!t->at_border || !t->held)
			return -EBUSY;
		/* The way back to user mode must not fault. */
		if (what & OTR_SET_REGS && s->regs.rip >= OTR_USER_END)
			return -EINVAL;
		if (what & OTR_SET_REGS)
			set_regs(t, &s->regs);
		if (what & OTR_SET_FPU && t->fpu)
			set_fpu(t, s->fpu);
		return 0;
	}
	return -ESRCH;
}

/* ---- Breakpoints ---- */

static uint32_t find_break(const struct debug *d, uint64_t at)
{
	uint32_t i = 0;

	while (i < d->count && d->brk[i].at != at)
		i++;
	return i;
}

/* While a vfork child runs in this memory, breakpoints are out of it: the child has no
 * debugger, and would die. */
static bool is_lent(const struct process *p)
{
	return load_relaxed(&p->mm->lent_count);
}

static int64_t set_break(struct process *p, uint64_t at)
{
	struct debug *d = p->debug;
	uint8_t was;
	int err;

	if (at < OTR_USER_START || at >= OTR_USER_END || p->lender)
		return -EFAULT;
	if (find_break(d, at) < d->count)
		return -EEXIST;
	if (d->count == OTR_DEBUG_BREAKS)
		return -ENOSPC;
	err = is_lent(p) ? mm_peek(p->mm, at, &was) : mm_poke(p->mm, at, INT3, &was);
	if (err)
		return err;
	d->brk[d->count].at = at;
	d->brk[d->count++].was = was;
	return was;
}

/* Where the memory has gone, or something else was written, nothing is left to undo. */
static void take_out(struct mm *mm, uint64_t at, uint8_t was)
{
	uint8_t now;

	if (!mm_peek(mm, at, &now) && now == INT3)
		mm_poke(mm, at, was, &now);
}

static int64_t clear_break(struct process *p, uint64_t at)
{
	struct debug *d = p->debug;
	uint32_t i = find_break(d, at);

	if (i == d->count)
		return -ENOENT;
	take_out(p->mm, at, d->brk[i].was);
	d->brk[i] = d->brk[--d->count];
	return 0;
}

void debug_break(struct thread *t, struct regs *r)
{
	struct process *p = t->process;
	uint8_t at[2] = { 0 };
	bool ours;

	spin_lock(&p->lock);
	ours = p->debug && find_break(p->debug, r->rip - 1) < p->debug->count;
	spin_unlock(&p->lock);
	/* Was it one that is gone by now? `int $3` has two bytes. */
	if (!ours && !user_read(at, r->rip - 2, sizeof(at)) && at[1] != INT3 && !(at[0] == 0xcd && at[1] == 3)) {
		r->rip--;
		return;
	}
	if (ours) {
		r->rip--;
		own_trap(t, r, OTR_CODE_BREAK);
	} else {
		signal_fault(t, r, SIGTRAP, SI_KERNEL, 0);
	}
}

void debug_fork(struct process *parent, struct process *child)
{
	struct mm *mm = child->lender ? parent->mm : child->mm;

	spin_lock(&parent->lock);
	for (uint32_t i = 0; parent->debug && i < parent->debug->count; i++)
		take_out(mm, parent->debug->brk[i].at, parent->debug->brk[i].was);
	spin_unlock(&parent->lock);
}

void debug_vfork_end(struct process *parent)
{
	uint8_t was;

	spin_lock(&parent->lock);
	for (uint32_t i = 0; parent->debug && !is_lent(parent) && i < parent->debug->count; i++)
		mm_poke(parent->mm, parent->debug->brk[i].at, INT3, &was);
	spin_unlock(&parent->lock);
}

void debug_exec(struct thread *t)
{
	struct process *p = t->process;
	struct signal_info info = { .number = SIGTRAP, .code = OTR_CODE_EXEC };
	bool told;

	spin_lock(&p->lock);
	told = p->debug;
	if (told)
		p->debug->count = 0;    /* with the memory they were in */
	spin_unlock(&p->lock);
	if (told)
		debug_signal(t, &info);
}

/* ---- Coming and going ---- */

static int64_t attach(struct process *p)
{
	struct debug *d = kmem_zalloc(sizeof(*d));
	int64_t err = 0;

	if (!d)
		return -ENOMEM;
	spin_lock(&p->lock);
	if (p->debug || p->dying || p->dumping)
		err = p->debug ? -EBUSY : -ESRCH;
	else
		p->debug = d;
	spin_unlock(&p->lock);
	if (err)
		kmem_free(d);
	else
		hold_all(p);
	return err;
}

/* Signals that it was shown and did not answer go to the program, but its own traps. */
static int64_t detach(struct process *p)
{
	struct debug *d = p->debug;
	struct thread *t;

	while (d->count)
		clear_break(p, d->brk[d->count - 1].at);
	p->debug = NULL;
	p->holding = false;
	list_for_each(t, &p->threads, process_link) {
		const struct signal_info *i = t->stopped_by;

		if (!p->dumping)
			let_go(t, OTR_RESUME_GO, i && i->number != SIGTRAP ? (uint32_t)i->number : 0);
	}
	kmem_free(d);
	return 0;
}

/* process->lock held. */
static int64_t decide(struct process *p, uint64_t op, const uint64_t arg[3], const void *page)
{
	if (!p->debug)
		return -EINVAL;
	if (op == OTR_DEBUG_DETACH)
		return detach(p);
	if (p->dying || p->dumping)
		return -ESRCH;
	switch (op) {
	case OTR_DEBUG_SET:
		return page ? set_thread(p, (uint32_t)arg[0], arg[1], page) : -EINVAL;
	case OTR_DEBUG_RESUME:
		return page ? resume(p, page) : -EINVAL;
	case OTR_DEBUG_BREAK:
		return set_break(p, arg[0]);
	case OTR_DEBUG_UNBREAK:
		return clear_break(p, arg[0]);
	case OTR_DEBUG_PASS:
		p->debug->passed = arg[0];
		return 0;
	default:
		return -ENOSYS;
	}
}

int64_t debug_request(struct process *p, uint64_t op, const uint64_t arg[3], void *page)
{
	int64_t ret;

	switch (op) {
	case OTR_DEBUG_ATTACH:
		return attach(p);
	case OTR_DEBUG_HOLD:
		hold_all(p);
		return hold_is_settled(p);
	case OTR_DEBUG_THREAD:
		return page ? (int64_t)hold_describe_next(p, (uint32_t)arg[0], page) : -EINVAL;
	case OTR_DEBUG_KILL:
		process_kill(p, SIGKILL);
		return 0;
	default:
		spin_lock(&p->lock);
		ret = decide(p, op, arg, page);
		spin_unlock(&p->lock);
		return ret;
	}
}
