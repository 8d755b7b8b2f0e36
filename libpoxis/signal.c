/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/signal.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/core.h"
#include "libpoxis/debug.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

#define SIG_DFL 0u
#define SIG_IGN 1u
#define SA_RESTART   0x10000000ul
#define SA_NODEFER   0x40000000ul
#define SA_RESETHAND 0x80000000ul
#define SA_RESTORER  0x04000000ul
#define SI_TKILL (-6)
#define SI_KERNEL 0x80
/* Forwarded signals that a thread keeps; the twin holds back more. */
#define SIGNALS_MOST 256u

static uint64_t bit(int number)
{
	return 1ull << (number - 1);
}

static const uint64_t never_blocked = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);

/* ---- Queues; process->lock held ---- */

static struct signal *first_deliverable(struct thread *t)
{
	struct signal *s;

	list_for_each(s, &t->signals, link)
		if (!(t->sigmask & bit(s->info.number)))
			return s;
	return NULL;
}

static int queue(struct thread *t, const struct signal_info *info)
{
	struct signal *s;

	/* Below the real-time signals one of a kind is enough. */
	list_for_each(s, &t->signals, link)
		if (info->number < 32 && s->info.number == info->number)
			return 0;
	if (t->signal_count >= SIGNALS_MOST)
		return -EAGAIN;
	s = kmem_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->info = *info;
	list_push_back(&t->signals, &s->link);
	t->signal_count++;
	if (!(t->sigmask & bit(info->number)))
		thread_notify(t, WORK_SIGNAL);
	return 0;
}

/* The thread of a process-wide signal: the twin's, unless it blocks it. */
static struct thread *choose(struct process *p, struct thread *preferred, const struct signal_info *info)
{
	struct thread *t;

	if (preferred && (info->code == SI_TKILL || !(preferred->sigmask & bit(info->number))))
		return preferred;
	list_for_each(t, &p->threads, process_link)
		if (!(t->sigmask & bit(info->number)))
			return t;
	return preferred ? preferred : list_empty(&p->threads) ? NULL :
	       list_first(&p->threads, struct thread, process_link);
}

void signal_take(struct process *p, struct slot *s)
{
	struct otr_slot *o = s->shared;
	struct signal_info info;
	struct thread *t;

	if (likely(!load_acquire(&o->sig_pending)))
		return;
	spin_lock(&p->lock);
	if (!load_acquire(&o->sig_pending)) {
		spin_unlock(&p->lock);
		return;
	}
	info = (struct signal_info){
		.number = (int32_t)load_relaxed(&o->sig_number), .code = (int32_t)load_relaxed(&o->sig_code),
		.error = (int32_t)load_relaxed(&o->sig_errno),
		.fields = { load_relaxed(&o->sig_fields[0]), load_relaxed(&o->sig_fields[1]),
			    load_relaxed(&o->sig_fields[2]) },
	};
	t = info.number > 0 && info.number <= (int)SIGNALS ? choose(p, s->caller, &info) : NULL;
	/* What cannot be kept stays with the twin, which tries again. */
	if (!t || !queue(t, &info)) {
		atomic_fetch_add(&s->signals_taken, 1);
		store_release(&o->sig_pending, 0u);
	}
	spin_unlock(&p->lock);
}

void signal_free_all(struct thread *t)
{
	struct list *l;

	while ((l = list_pop_front(&t->signals)))
		kmem_free(list_entry(l, struct signal, link));
}

/* ---- Masks ---- */

/* Sets the current thread's mask here and, when it differs, the twin's. */
static void set_mask(struct thread *t, uint64_t mask)
{
	struct process *p = t->process;

	mask &= ~never_blocked;
	spin_lock(&p->lock);
	t->sigmask = mask;
	/* One that came just before and is blocked now interrupts nothing. */
	if (first_deliverable(t))
		atomic_fetch_or(&t->work, WORK_SIGNAL);
	else
		atomic_fetch_and(&t->work, ~WORK_SIGNAL);
	spin_unlock(&p->lock);
	if (t->slot->twin_mask != mask && !slot_call(t->slot, OTR_CALL_SIGMASK, (uint64_t[6]){ mask }))
		t->slot->twin_mask = mask;
}

void signal_start_thread(struct thread *t)
{
	set_mask(t, t->sigmask);
}

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
		set_mask(t, new);
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
	t->sigmask = mask & ~never_blocked;
	if (first_deliverable(t))
		atomic_fetch_or(&t->work, WORK_SIGNAL);
	spin_unlock(&t->process->lock);
	ret = dispatch_delegate(r);
	spin_lock(&t->process->lock);
	if (first_deliverable(t)) {
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
	set_mask(t, mask);
}

bool signal_mask_end(struct thread *t)
{
	spin_lock(&t->process->lock);
	t->mask_saved = first_deliverable(t);
	spin_unlock(&t->process->lock);
	if (!t->mask_saved)
		set_mask(t, t->saved_mask);
	return t->mask_saved;
}

int64_t sys_rt_sigsuspend(struct regs *r)
{
	return r->rsi == 8 ? signal_call_masked(r, r->rdi) : -EINVAL;
}

/* ---- Actions ---- */

int64_t sys_rt_sigaction(struct regs *r)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	struct signal_action new, old;
	int number = (int)r->rdi;
	int64_t err;

	if (r->r10 != 8 || number < 1 || number > (int)SIGNALS)
		return -EINVAL;
	if (r->rsi && user_read(&new, r->rsi, sizeof(new)))
		return -EFAULT;
	if (r->rsi && (number == SIGKILL || number == SIGSTOP))
		return -EINVAL;
	spin_lock(&p->lock);
	old = p->action[number - 1];
	spin_unlock(&p->lock);
	if (r->rsi) {
		bool caught = new.handler != SIG_DFL && new.handler != SIG_IGN;

		/* A handler must be known here before Linux forwards to it, and
		 * until Linux no longer does. */
		if (caught) {
			spin_lock(&p->lock);
			p->action[number - 1] = new;
			spin_unlock(&p->lock);
		}
		err = slot_call(t->slot, OTR_CALL_SIGACTION, (uint64_t[6]){
			(uint64_t)number, caught ? OTR_SIG_CATCH : new.handler, new.flags, new.mask });
		spin_lock(&p->lock);
		p->action[number - 1] = err ? old : new;
		/* What dumps core comes here without a handler, too. */
		if (!err && new.handler == SIG_DFL && core_is_dumped(number))
			p->former[number - 1].handler = SIG_DFL;
		else if (!err && !caught && old.handler > SIG_IGN)
			p->former[number - 1] = old;
		spin_unlock(&p->lock);
		if (err)
			return err;
	}
	return r->rdx && user_write(r->rdx, &old, sizeof(old)) ? -EFAULT : 0;
}

int64_t sys_sigaltstack(struct regs *r)
{
	enum { SS_ONSTACK = 1, SS_DISABLE = 2, MINSIGSTKSZ = 2048 };
	struct thread *t = current_thread();
	uint64_t new[3], old[3];
	bool inside = t->altstack[2] && r->rsp > t->altstack[0] &&
		      r->rsp - t->altstack[0] <= t->altstack[2];

	old[0] = t->altstack[0];
	old[1] = t->altstack[2] ? (inside ? SS_ONSTACK : 0) | (t->altstack[1] & ~3u) : SS_DISABLE;
	old[2] = t->altstack[2];
	if (r->rdi) {
		uint32_t flags;

		if (user_read(new, r->rdi, sizeof(new)))
			return -EFAULT;
		flags = (uint32_t)new[1];
		if (inside)
			return -EPERM;
		if ((flags & 0x7fffffff) & ~3u || (flags & 3) == 3)
			return -EINVAL;
		if (flags & SS_DISABLE) {
			t->altstack[0] = t->altstack[2] = 0;
			t->altstack[1] = SS_DISABLE;
		} else {
			if (new[2] < MINSIGSTKSZ)
				return -ENOMEM;
			t->altstack[0] = new[0];
			t->altstack[1] = flags & ~3u;
			t->altstack[2] = new[2];
		}
	}
	return r->rsi && user_write(r->rsi, old, sizeof(old)) ? -EFAULT : 0;
}

/* ---- Sending ---- */

enum { SYS_GETUID = 102 };

/* A signal of the thread to itself that it handles and does not block needs nothing of
 * Linux: nobody could see it pending. False: Linux must do it. */
static bool raise_here(struct thread *t, int number)
{
	struct process *p = t->process;
	struct signal_info info = { .number = number, .code = SI_TKILL };
	bool done;

	if (number < 1 || number >= SIGRTMIN || number == SIGKILL || number == SIGSTOP)
		return false;
	if (unlikely(!t->user_known)) {
		int64_t id = slot_call(t->slot, SYS_GETUID, (uint64_t[6]){ 0 });

		if (id < 0)
			return false;
		t->user = (uint32_t)id;
		t->user_known = true;
	}
	info.fields[0] = t->pid | (uint64_t)t->user << 32;
	spin_lock(&p->lock);
	done = p->action[number - 1].handler > SIG_IGN && !(t->sigmask & bit(number)) && !queue(t, &info);
	spin_unlock(&p->lock);
	return done;
}

int64_t sys_tkill(struct regs *r)
{
	struct thread *t = current_thread();

	return (uint32_t)r->rdi == t->tid && raise_here(t, (int)r->rsi) ? 0 : dispatch_delegate(r);
}

int64_t sys_tgkill(struct regs *r)
{
	struct thread *t = current_thread();

	return (uint32_t)r->rdi == t->pid && (uint32_t)r->rsi == t->tid && raise_here(t, (int)r->rdx) ?
	       0 : dispatch_delegate(r);
}

/* ---- Faults ---- */

void signal_fault(struct thread *t, struct regs *r, int number, int code, uint64_t addr)
{
	struct signal_info info = { .number = number, .code = code, .fields = { addr } };

	if (likely(!load_relaxed(&t->process->debug)) || debug_signal(t, &info))
		signal_force(t, r, &info);
}

void signal_force(struct thread *t, struct regs *r, const struct signal_info *info)
{
	struct process *p = t->process;
	int number = info->number;
	uint64_t handler;
	bool handled;

	spin_lock(&p->lock);
	handler = p->action[number - 1].handler;
	/* As Linux: a fault that is ignored or blocked kills. */
	handled = handler != SIG_DFL && handler != SIG_IGN && !(t->sigmask & bit(number)) &&
		  !queue(t, info);
	spin_unlock(&p->lock);
	if (handled || thread_killed(t))
		return;
	log_info("%s[%u]: signal %d at ip %#lx sp %#lx, address %#lx, error %#lx", p->comm, t->tid,
		 number, r->rip, r->rsp, info->fields[0], r->error);
	core_die(t, info);
}

/* ---- Delivery ---- */

/* What the interrupted call answers, now that a handler runs (or none does). */
static void end_call(struct regs *r, bool again)
{
	if (r->vector != REGS_VECTOR_SYSCALL || !signal_restarts((int64_t)r->rax))
		return;
	if (again || (int64_t)r->rax == -ERESTART_ALWAYS) {
		r->rip -= 2;        /* the syscall instruction */
		r->rax = r->error;
	} else {
		r->rax = (uint64_t)-EINTR;
	}
}

/* For frames that cannot be written or read. */
static const struct signal_info no_frame = { .number = SIGSEGV, .code = SI_KERNEL };

void signal_deliver(struct thread *t, struct regs *r)
{
	struct process *p = t->process;

	for (;;) {
		struct signal_action a;
		struct signal_info info;
		struct signal *s;
		uint64_t mask;

		spin_lock(&p->lock);
		s = first_deliverable(t);
		if (!s) {
			atomic_fetch_and(&t->work, ~WORK_SIGNAL);
			spin_unlock(&p->lock);
			break;
		}
		list_remove(&s->link);
		t->signal_count--;
		if (unlikely(p->debug) && !s->info.pad) {
			bool wanted;

			spin_unlock(&p->lock);
			wanted = debug_signal(t, &s->info);
			if (!wanted || thread_killed(t)) {
				kmem_free(s);
				continue;
			}
			spin_lock(&p->lock);
		}
		info = s->info;
		info.pad = 0;
		a = p->action[info.number - 1];
		/* Linux gave it to a handler before the program took that away. */
		if (a.handler <= SIG_IGN && p->former[info.number - 1].handler > SIG_IGN)
			a = p->former[info.number - 1];
		mask = t->mask_saved ? t->saved_mask : t->sigmask;
		t->mask_saved = false;
		if (a.handler != SIG_DFL && a.handler != SIG_IGN) {
			t->sigmask |= a.mask | (a.flags & SA_NODEFER ? 0 : bit(info.number));
			t->sigmask &= ~never_blocked;
			if (a.flags & SA_RESETHAND)
				p->action[info.number - 1].handler = p->former[info.number - 1].handler = SIG_DFL;
		}
		spin_unlock(&p->lock);
		kmem_free(s);
		if (a.handler == SIG_IGN)
			continue;
		if (a.handler == SIG_DFL) {
			/* One that dumps core; or it was reset on the way here. */
			core_die(t, &info);
			return;
		}
		t->poll_deadline_ns = 0;
		end_call(r, a.flags & SA_RESTART && (int64_t)r->rax != -ERESTART_UNHANDLED);
		if (sigframe_push(t, r, &info, &a, mask)) {
			/* As Linux: the handler does not run, but one for SIGSEGV may. */
			spin_lock(&p->lock);
			t->sigmask = mask;
			spin_unlock(&p->lock);
			if (info.number == SIGSEGV)
				core_die(t, &no_frame);
			else
				signal_force(t, r, &no_frame);
			if (thread_killed(t))
				return;
			continue;
		}
		/* Entry registers are the handler's: no second restart. The twin's
		 * mask stays as it is: what it forwards meanwhile waits here. */
		r->vector = 0x101;
		if (a.flags & SA_RESETHAND)
			slot_call(t->slot, OTR_CALL_SIGACTION, (uint64_t[6]){ (uint64_t)info.number, OTR_SIG_DEFAULT });
	}
	end_call(r, true);
	/* A debugger took the signals for which a call with a mask of its own ended. */
	if (unlikely(t->mask_saved)) {
		t->mask_saved = false;
		set_mask(t, t->saved_mask);
	}
}

int64_t sys_rt_sigreturn(struct regs *r)
{
	struct thread *t = current_thread();
	uint64_t mask = t->sigmask;
	int err = sigframe_pop(t, r, &mask);

	set_mask(t, mask);
	if (err) {
		signal_force(t, r, &no_frame);
		return 0;
	}
	r->vector = 0x101;          /* rax is the program's, nothing to restart */
	return (int64_t)r->rax;
}
