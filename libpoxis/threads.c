/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads: making and ending them, what they know about themselves. */
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/fpu.h"
#include "cokernel/arch/x86_64/trap.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "libpoxis/calls.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/fork.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

/* uapi/linux/sched.h */
enum {
	CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800,
	CLONE_VFORK = 0x4000, CLONE_THREAD = 0x10000, CLONE_SYSVSEM = 0x40000, CLONE_SETTLS = 0x80000,
	CLONE_PARENT_SETTID = 0x100000, CLONE_CHILD_CLEARTID = 0x200000, CLONE_DETACHED = 0x400000,
	CLONE_PTRACE = 0x2000, CLONE_UNTRACED = 0x800000, CLONE_CHILD_SETTID = 0x1000000,
};
#define CLONE_IO 0x80000000u
#define CLONE_NEEDED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN (CLONE_NEEDED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
		     CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_CHILD_SETTID)
/* Of a process. What only says what may be shared or traced changes nothing here. */
#define CLONE_PROCESS (CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | \
		       CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_PTRACE | CLONE_UNTRACED | CLONE_IO)

struct clone_args {             /* the part of Linux's that threads use */
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static void thread_main(void *arg)
{
	struct thread *t = current_thread();
	struct regs *r = thread_regs(t);

	if (arg)                    /* CLONE_CHILD_SETTID */
		user_write((uaddr_t)arg, &t->tid, sizeof(t->tid));
	signal_start_thread(t);
	trap_user_return(r);
	enter_user(r);
}

static int64_t make_thread(struct regs *r, const struct clone_args *a)
{
	struct thread *me = current_thread(), *t;
	struct process *p = me->process;
	struct slot *s;
	int err;

	if (a->flags & CLONE_VM && !(a->flags & (CLONE_VFORK | CLONE_THREAD)))
		return dispatch_refuse(r, -EINVAL, "processes that share memory are not built");
	if (!(a->flags & CLONE_THREAD) && a->flags & ~(uint64_t)CLONE_PROCESS)
		return dispatch_refuse(r, -EINVAL, "namespaces of its own and what is shared with a child but memory are not built");
	if (!(a->flags & CLONE_THREAD))
		return fork_call(me, &(struct fork_request){
			.flags = a->flags, .stack = a->stack ? a->stack + a->stack_size : 0, .tls = a->tls,
			.child_tid = a->child_tid, .parent_tid = a->parent_tid });
	if ((a->flags & CLONE_NEEDED) != CLONE_NEEDED)
		return dispatch_refuse(r, -EINVAL, "threads share memory, files, file system and signals");
	if (a->flags & ~(uint64_t)CLONE_KNOWN)
		return dispatch_refuse(r, -EINVAL, "a clone flag that is not built yet");
	if (a->flags & CLONE_SETTLS && a->tls >= OTR_USER_END)
		return -EPERM;
	t = thread_create(thread_main, a->flags & CLONE_CHILD_SETTID ? (void *)a->child_tid : NULL);
	if (!t)
		return -ENOMEM;
	if (thread_make_user(t, me->mm)) {
		thread_free(t);
		return -ENOMEM;
	}
	s = process_take_slot(p);
	if (!s) {
		thread_free(t);
		return -EAGAIN;
	}
	t->slot = s;
	t->tid = s->tid;
	fork_save_user(me);
	memcpy(t->fpu, me->fpu, cpu_features.xsave_bytes);
	t->affinity = me->affinity;
	t->policy = me->policy;
	t->sigmask = me->sigmask;
	t->fs_base = me->fs_base;
	t->gs_base = me->gs_base;
	if (a->flags & CLONE_SETTLS)
		t->fs_base = a->tls;
	if (a->flags & CLONE_CHILD_CLEARTID)
		t->clear_tid = a->child_tid;
	*thread_regs(t) = *r;
	thread_regs(t)->rax = 0;
	if (me->stepping)
		thread_regs(t)->rflags &= ~RFLAGS_TF;
	if (a->stack)
		thread_regs(t)->rsp = a->stack + a->stack_size;
	if (a->flags & CLONE_PARENT_SETTID && user_write(a->parent_tid, &t->tid, sizeof(t->tid))) {
		process_return_slot(p, s, false);
		thread_free(t);
		return -EFAULT;
	}
	err = process_start_thread(p, t);
	if (err) {
		process_return_slot(p, s, false);
		thread_free(t);
		return err;
	}
	return s->tid;
}

int64_t sys_clone(struct regs *r)
{
	struct clone_args a = {
		/* As Linux: what a caller's int was extended with means nothing. */
		.flags = (uint32_t)r->rdi & ~0xffu, .stack = r->rsi, .parent_tid = r->rdx,
		.child_tid = r->r10, .tls = r->r8,
	};

	return make_thread(r, &a);
}

int64_t sys_clone3(struct regs *r)
{
	struct clone_args a;

	if (r->rsi < sizeof(a))
		return -EINVAL;
	if (user_read(&a, r->rdi, sizeof(a)))
		return -EFAULT;
	if (a.exit_signal && a.flags & CLONE_THREAD)
		return -EINVAL;
	if (!a.stack != !a.stack_size)
		return -EINVAL;
	return make_thread(r, &a);
}

int64_t sys_fork(struct regs *r)
{
	return fork_call(current_thread(), &(struct fork_request){ 0 });
}

int64_t sys_vfork(struct regs *r)
{
	return fork_call(current_thread(), &(struct fork_request){ .flags = CLONE_VM | CLONE_VFORK });
}

int64_t sys_exit(struct regs *r)
{
	struct process *p = current_thread()->process;

	spin_lock(&p->lock);
	/* The last thread's exit code is the program's. */
	if (p->thread_count == 1 && !p->dying)
		p->exit_status = (uint32_t)(r->rdi & 0xff) << 8;
	spin_unlock(&p->lock);
	process_thread_exit();
}

int64_t sys_exit_group(struct regs *r)
{
	process_exit(current_thread()->process, (uint32_t)(r->rdi & 0xff) << 8);
	process_thread_exit();
}

int64_t sys_set_tid_address(struct regs *r)
{
	current_thread()->clear_tid = r->rdi;
	return current_thread()->tid;
}

int64_t sys_arch_prctl(struct regs *r)
{
	enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 };
	struct thread *t = current_thread();
	uint64_t v;

	switch (r->rdi) {
	case ARCH_SET_FS:
		if (r->rsi >= OTR_USER_END)
			return -EPERM;
		t->fs_base = r->rsi;
		wrmsr(MSR_FS_BASE, r->rsi);
		return 0;
	case ARCH_SET_GS:
		if (r->rsi >= OTR_USER_END)
			return -EPERM;
		t->gs_base = r->rsi;
		wrmsr(MSR_KERNEL_GS_BASE, r->rsi);
		return 0;
	case ARCH_GET_FS:
		v = rdmsr(MSR_FS_BASE);
		return user_write(r->rsi, &v, sizeof(v));
	case ARCH_GET_GS:
		v = rdmsr(MSR_KERNEL_GS_BASE);
		return user_write(r->rsi, &v, sizeof(v));
	default:
		return -EINVAL;
	}
}

/* Linux's, but for what is the thread's here and what would bind or end the twin that makes our calls. */
int64_t sys_prctl(struct regs *r)
{
	enum { PR_SET_SECCOMP = 22, PR_SET_TSC = 26, PR_TSC_SIGSEGV = 2, PR_SET_MM = 35,
	       PR_GET_TID_ADDRESS = 40, PR_SET_SYSCALL_USER_DISPATCH = 59, PR_SET_MDWE = 65 };

	switch ((int)r->rdi) {
	case PR_GET_TID_ADDRESS:        /* the twin has one of its own */
		return user_write(r->rsi, &current_thread()->clear_tid, sizeof(current_thread()->clear_tid)) ?
		       -EFAULT : 0;
	case PR_SET_SECCOMP:
		return dispatch_refuse(r, -EINVAL, "filters are not evaluated in the co-kernel yet");
	case PR_SET_SYSCALL_USER_DISPATCH:
		if (r->rsi)
			return dispatch_refuse(r, -EINVAL, "a program's own dispatch of system calls is not built");
		break;
	case PR_SET_TSC:
		if (r->rsi == PR_TSC_SIGSEGV)
			return dispatch_refuse(r, -EINVAL, "the time-stamp counter is always readable");
		break;
	case PR_SET_MM:
		return dispatch_refuse(r, -EPERM, "what Linux knows of the memory is the proxy's");
	case PR_SET_MDWE:
		return dispatch_refuse(r, -EINVAL, "not built yet");
	default:
		break;
	}
	return dispatch_delegate(r);
}

int64_t sys_getpid(struct regs *r)
{
	return current_thread()->process->pid;
}

int64_t sys_gettid(struct regs *r)
{
	return current_thread()->tid;
}

int64_t sys_getcpu(struct regs *r)
{
	struct cpu *c = this_cpu();

	if (r->rdi && user_write(r->rdi, &c->index, sizeof(c->index)))
		return -EFAULT;
	if (r->rsi && user_write(r->rsi, &c->node, sizeof(c->node)))
		return -EFAULT;
	return 0;
}

int64_t sys_sched_yield(struct regs *r)
{
	sched_yield();
	return 0;
}

/* 0: the caller; process->lock held. */
static struct thread *find_thread(struct process *p, uint64_t tid)
{
	return tid ? process_find_thread(p, tid) : current_thread();
}

/* Bytes of an affinity mask: the online CPUs' words. */
static uint64_t mask_bytes(void)
{
	uint64_t words = 1;

	for (uint32_t w = 0; w < CPU_WORDS; w++)
		if (cpu_online_mask.word[w])
			words = w + 1;
	return words * 8;
}

int64_t sys_sched_getaffinity(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct cpumask m;
	struct thread *t;
	uint64_t bytes = mask_bytes(), any = 0;

	if (r->rsi & 7 || r->rsi < bytes)
		return -EINVAL;
	spin_lock(&p->lock);
	t = find_thread(p, r->rdi);
	for (uint32_t w = 0; t && w < CPU_WORDS; w++) {
		m.word[w] = t->affinity.word[w] & cpu_online_mask.word[w];
		any |= m.word[w];
	}
	spin_unlock(&p->lock);
	if (!t)
		return -ESRCH;
	if (!any)       /* the last of them left: it runs anywhere */
		m = cpu_online_mask;
	return user_write(r->rdx, &m, bytes) ? -EFAULT : (int64_t)bytes;
}

int64_t sys_sched_setaffinity(struct regs *r)
{
	struct process *p = current_thread()->process;
	struct cpumask m = { 0 };
	uint64_t any = 0;
	struct thread *t;

	if (user_read(&m, r->rdx, MIN(r->rsi, sizeof(m))))
		return -EFAULT;
	for (uint32_t w = 0; w < CPU_WORDS; w++)
		any |= m.word[w] & cpu_online_mask.word[w];
	if (!any)
		return -EINVAL;
	spin_lock(&p->lock);
	t = find_thread(p, r->rdi);
	if (t)
		thread_set_affinity(t, &m);
	spin_unlock(&p->lock);
	return t ? 0 : -ESRCH;
}
