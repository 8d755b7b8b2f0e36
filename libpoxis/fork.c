/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork and execve. The proxy forks itself (OTR_CALL_FORK); its child attaches as
 * a new context and starts it with a token, by which the thread that waits in
 * fork is found and copied. So pid, parent, process group, descriptors and all
 * that Linux keeps for a process are right by themselves.
 */
#include "libpoxis/fork.h"
#include "cokernel/arch/x86_64/fpu.h"
#include "cokernel/arch/x86_64/trap.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/mm.h"
#include "libpoxis/debug.h"
#include "libpoxis/limits.h"
#include "libpoxis/mapfile.h"
#include "libpoxis/posixtimer.h"
#include "libpoxis/process.h"
#include "libpoxis/robust.h"
#include "libpoxis/share.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"
#include "libpoxis/vfork.h"

#define CLONE_VM              0x100u
#define CLONE_VFORK           0x4000u
#define CLONE_CHILD_CLEARTID  0x200000u
#define CLONE_CHILD_SETTID    0x1000000u
#define CLONE_PARENT_SETTID   0x100000u
#define CLONE_SETTLS          0x80000u

/* A lender's proxy unmaps what is shared now within this time. */
#define ZAP_WAIT_NS 2000000000ull
#define DEATH_WAIT_NS 2000000000ull

static uint64_t next_token;

void fork_save_user(struct thread *t)
{
	fpu_save(t);
	if (cpu_features.fsgsbase) {
		__asm__ volatile("rdfsbase %0" : "=r"(t->fs_base));
		t->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	}
}

static int wait_zapped(struct mm *mm, uint64_t seq)
{
	uint64_t end = clock_uptime_ns() + ZAP_WAIT_NS;

	while (!mm_zapped(mm, seq)) {
		if (clock_uptime_ns() > end)
			return -ETIMEDOUT;
		mm_collect(mm);
		mm_ask_zap(mm);
		thread_park_until(clock_uptime_ns() + 200000);
	}
	return 0;
}

/* The child's memory. What was shared by this is zapped in our proxy before it
 * makes the call that follows; in a lender's we wait for it. */
static int copy_memory(struct process *p, struct mm **copy)
{
	struct mm *mm = p->lender ? p->lender->mm : p->mm;
	uint64_t seq = 0;
	int err;

	*copy = mm_create(NULL);
	if (!*copy)
		return -ENOMEM;
	err = mm_fork(mm, *copy, &seq);
	if (!err && p->lender)
		err = wait_zapped(mm, seq);
	if (!err && p->lender)
		mm_zap_all(p->mm);
	if (err) {
		mm_destroy(*copy);
		*copy = NULL;
	}
	return err;
}

int64_t fork_call(struct thread *t, const struct fork_request *q)
{
	struct vfork *v = q->flags & CLONE_VFORK ? vfork_create(t) : NULL;
	struct mm *copy = NULL;
	struct files *f = &t->process->files;
	struct file_table *files = NULL;
	int64_t pid = 0;

	if (q->flags & CLONE_VFORK && !v)
		return -ENOMEM;
	signal_settle(t);
	/* Numbers stay as they are until Linux has copied them. */
	mutex_lock(&f->mutex);
	if (files_copy(f, &t->fork_files)) {
		mutex_unlock(&f->mutex);
		if (v)
			vfork_put(v);
		return -ENOMEM;
	}
	t->fork = q;
	t->vfork = v;
	fork_save_user(t);
	/* What the proxy has of the program's memory is the same in both copies. */
	mutex_lock(&t->mm->linux_lock);
	mapfile_settle(t->mm);
	if (!(q->flags & CLONE_VM))
		pid = copy_memory(t->process, &t->fork_copy);
	/* Unguessable from outside the kernel; a user can only copy what is hers. */
	store_release(&t->fork_token, (__atomic_add_fetch(&next_token, 1, __ATOMIC_RELAXED) << 32 |
				       (rdtsc() & 0xffffffff)) | 1);
	if (!pid)
		pid = slot_call(t->slot, OTR_CALL_FORK, (uint64_t[6]){ t->fork_token });
	mutex_unlock(&t->mm->linux_lock);
	spin_lock(&t->process->lock);
	t->fork_token = 0;
	t->fork = NULL;
	t->vfork = NULL;
	copy = t->fork_copy;
	t->fork_copy = NULL;
	files = t->fork_files;
	t->fork_files = NULL;
	spin_unlock(&t->process->lock);
	mutex_unlock(&f->mutex);
	files_free_copy(files);
	if (copy)
		mm_destroy(copy);
	if (pid > 0 && q->flags & CLONE_PARENT_SETTID) {
		uint32_t p32 = (uint32_t)pid;

		user_write(q->parent_tid, &p32, sizeof(p32));
	}
	if (v && pid > 0)
		vfork_wait(v);
	else if (v)
		vfork_put(v);
	return pid;
}

/* ---- The child ---- */

static void child_main(void *arg)
{
	struct thread *t = current_thread();

	if (arg)
		user_write((uaddr_t)arg, &t->tid, sizeof(t->tid));
	t->slot->twin_mask = ~t->sigmask;   /* whatever it is: say it */
	signal_start_thread(t);
	if (t->process->cputimers.limited && limits_take_cpu())
		process_out_of_memory(t->process);
	trap_user_return(thread_regs(t));
	enter_user(thread_regs(t));
}

static void copy_thread(struct thread *t, const struct thread *from)
{
	const struct fork_request *q = from->fork;

	*thread_regs(t) = *thread_regs((struct thread *)from);
	thread_regs(t)->rax = 0;
	if (from->stepping)
		thread_regs(t)->rflags &= ~RFLAGS_TF;
	if (q->stack)
		thread_regs(t)->rsp = q->stack;
	memcpy(t->fpu, from->fpu, cpu_features.xsave_bytes);
	t->fs_base = q->flags & CLONE_SETTLS ? q->tls : from->fs_base;
	t->gs_base = from->gs_base;
	t->sigmask = from->sigmask;
	memcpy(t->altstack, from->altstack, sizeof(t->altstack));
	t->affinity = from->affinity;
	if (!(q->flags & CLONE_VM)) {
		t->rseq = from->rseq;
		t->rseq_bytes = from->rseq_bytes;
		t->rseq_signature = from->rseq_signature;
		t->rseq_cpu = from->rseq_cpu;
	}
	t->policy = from->policy;
	t->clear_tid = q->flags & CLONE_CHILD_CLEARTID ? q->child_tid : 0;
}

/* The thread of `parent` that waits with this token; its process's lock held. */
static struct thread *find_waiting(struct process *parent, uint64_t token)
{
	struct thread *t;

	list_for_each(t, &parent->threads, process_link)
		if (t->fork_token == token)
			return t;
	return NULL;
}

/* The process with a thread that waits with this token, referenced; NULL. */
static struct process *find_parent(const struct process *p, uint64_t token, uint64_t *flags)
{
	uint64_t context = 0;
	struct process *parent;

	while ((parent = process_next(&context))) {
		struct thread *from;

		spin_lock(&parent->lock);
		from = parent->uid == p->uid && !parent->dying ? find_waiting(parent, token) : NULL;
		if (from)
			*flags = from->fork->flags;
		spin_unlock(&parent->lock);
		if (from)
			return parent;
		process_put(parent);
	}
	return NULL;
}

static int take_copy(struct process *p, struct process *parent, uint64_t token)
{
	struct mm *copy = NULL;
	struct thread *from;

	spin_lock(&parent->lock);
	from = find_waiting(parent, token);
	if (from) {
		copy = from->fork_copy;
		from->fork_copy = NULL;
	}
	spin_unlock(&parent->lock);
	if (!copy)
		return -ESRCH;
	mm_adopt(p->mm, copy);
	return 0;
}

int fork_start(struct process *p, uint64_t token)
{
	uint64_t child_tid = 0, flags = 0;
	struct process *parent = find_parent(p, token, &flags);
	struct thread *from, *t;
	int err;

	if (!parent)
		return -ESRCH;
	t = thread_create(child_main, NULL);
	err = t ? 0 : -ENOMEM;
	if (!err && flags & CLONE_VM)
		vfork_borrow(p, parent);
	else if (!err)
		err = take_copy(p, parent, token);
	if (!err)
		debug_fork(p->lender ? p->lender : parent, p);
	if (!err)
		err = thread_make_user(t, p->lender ? p->lender->mm : p->mm);
	if (err)
		goto out;
	spin_lock(&parent->lock);
	from = find_waiting(parent, token);     /* it may have been killed */
	if (from) {
		copy_thread(t, from);
		if (from->fork->flags & CLONE_CHILD_SETTID)
			child_tid = from->fork->child_tid;
		if (from->vfork)
			p->vfork = vfork_get(from->vfork);
		files_adopt(&p->files, from->fork_files);
		from->fork_files = NULL;
		p->parent_context = parent->context;
		p->sp_start = parent->sp_start;
		p->cputimers.limited = parent->cputimers.limited;
		memcpy(p->action, parent->action, sizeof(p->action));
		memcpy(p->comm, parent->comm, sizeof(p->comm));
	}
	spin_unlock(&parent->lock);
	err = from ? process_add_first(p, t) : -ESRCH;
	if (!err && child_tid)
		thread_set_argument(t, (void *)child_tid);
	if (!err)
		err = process_start_thread(p, t);
out:
	if (err && t)
		thread_free(t);
	process_put(parent);
	return err;
}

/* ---- execve ---- */

/* All other threads end; their calls in Linux are left to the proxy. */
static int end_others(struct process *p, struct thread *me)
{
	uint64_t end = clock_uptime_ns() + DEATH_WAIT_NS;
	struct thread *t;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		if (t != me)
			thread_notify(t, WORK_KILL);
	spin_unlock(&p->lock);
	while (load_relaxed(&p->thread_count) > 1) {
		if (clock_uptime_ns() > end || thread_killed(me))
			return -EBUSY;
		thread_park_until(clock_uptime_ns() + 200000);
	}
	return 0;
}

static int64_t exec(struct regs *r, const uint64_t arg[6])
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	int64_t err;

	/* What is blocked and pending stays so, by a handler's mask, too. */
	signal_set_mask(t, t->sigmask);
	signal_settle(t);
	err = slot_call(t->slot, OTR_CALL_EXEC, arg);
	if (err)
		return err;
	/* No way back from here. */
	if (end_others(p, t))
		goto dead;
	files_exec(&p->files);
	robust_exit(t);
	if (vfork_leave(t))
		goto dead;
	process_become_leader(p, t);
	spin_lock(&p->lock);
	for (uint32_t i = 0; i < SIGNALS; i++)
		if (p->action[i].handler > 1)
			p->action[i] = (struct signal_action){ 0 };
	memset(p->former, 0, sizeof(p->former));
	signal_free_all(t);
	t->signal_count = 0;
	t->altstack[0] = t->altstack[2] = 0;
	t->altstack[1] = 2;
	spin_unlock(&p->lock);
	t->clear_tid = t->rseq = 0;
	atomic_store(&p->membarriers, 0);
	posixtimer_exec(t);
	share_clear(p->mm);
	if (exec_load(t, r, false))
		goto dead;
	fpu_save(t);                /* the registers are ours to reset */
	fpu_reset(t->fpu);
	this_cpu()->fpu_owner = NULL;
	t->fpu_cpu = NULL;
	fpu_restore(t);
	t->fs_base = t->gs_base = 0;
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	debug_exec(t);
	return 0;
dead:
	process_kill(p, SIGKILL);
	return -EINTR;
}

#define AT_FDCWD (-100)

int64_t sys_execve(struct regs *r)
{
	return exec(r, (uint64_t[6]){ r->rdi, r->rsi, r->rdx, (uint64_t)AT_FDCWD });
}

int64_t sys_execveat(struct regs *r)
{
	return exec(r, (uint64_t[6]){ r->rsi, r->rdx, r->r10, r->rdi, r->r8 });
}
