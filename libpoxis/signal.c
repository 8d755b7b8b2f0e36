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

#define SA_RESTART   0x10000000ul
#define SA_NODEFER   0x40000000ul
#define SA_RESETHAND 0x80000000ul
#define SA_RESTORER  0x04000000ul
#define SI_TKILL (-6)
#define SI_KERNEL 0x80
/* Forwarded signals that a thread keeps; the twin holds back more. */
#define SIGNALS_MOST 256u

/* ---- Queues; process->lock held ---- */

struct signal *signal_first(struct thread *t)
{
	struct signal *s;

	list_for_each(s, &t->signals, link)
		if (!(t->sigmask & signal_bit(s->info.number)))
			return s;
	return NULL;
}

/* *made: the new one, if it was none that is queued already. */
static int queue(struct thread *t, const struct signal_info *info, struct signal **made)
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
	if (made)
		*made = s;
	if (!(t->sigmask & signal_bit(info->number)))
		thread_notify(t, WORK_SIGNAL);
	return 0;
}

/* The thread of a process-wide signal: the twin's, unless it blocks it. */
static struct thread *choose(struct process *p, struct thread *preferred, const struct signal_info *info)
{
	struct thread *t;

	/* Where it is late only, it goes back: Linux chooses and interrupts another's call. */
	if (preferred && (info->code == SI_TKILL || !(preferred->sigmask & signal_bit(info->number)) ||
			  signal_is_late(preferred, info->number)))
		return preferred;
	list_for_each(t, &p->threads, process_link)
		if (!(t->sigmask & signal_bit(info->number)))
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
	if (!t || !queue(t, &info, NULL)) {
		/* The program blocks it, the twin not yet: in Linux another thread may want it. */
		if (t && info.code != SI_TKILL && signal_is_late(t, info.number))
			thread_notify(t, WORK_MASK);
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
		bool caught = new.handler > SIG_IGN;

		/* What was caught and is blocked may not meet the new action in the twins. */
		if (!caught)
			signal_settle_begin(t, number);
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
		p->settling -= !caught;
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

/* Fills in what the program itself sends as Linux would; false: it is not known. */
static bool sender_known(struct thread *t)
{
	int64_t id;

	if (likely(t->user_known))
		return true;
	id = slot_call(t->slot, SYS_GETUID, (uint64_t[6]){ 0 });
	if (id < 0)
		return false;
	t->user = (uint32_t)id;
	t->user_known = true;
	return true;
}

/* These have effects of their own when they are sent. */
static const uint64_t linux_only = 1u << (SIGKILL - 1) | 1u << (SIGCONT - 1) | 1u << (SIGSTOP - 1) |
				   1u << (SIGTSTP - 1) | 1u << (SIGTTIN - 1) | 1u << (SIGTTOU - 1);

/* A signal of a thread to one of its process that handles it needs nothing of Linux where the
 * twin would forward it at once: nobody could see it pending. But a call there only Linux
 * interrupts. False: Linux must do it. */
static bool send_here(struct thread *t, uint64_t tid, int number)
{
	struct process *p = t->process;
	struct signal_info info = { .number = number, .code = SI_TKILL };
	struct signal *new = NULL;
	struct thread *to;
	bool done;

	if (number < 1 || number >= SIGRTMIN || signal_bit(number) & linux_only || !sender_known(t))
		return false;
	info.fields[0] = t->pid | (uint64_t)t->user << 32;
	spin_lock(&p->lock);
	to = tid == t->tid ? t : process_find_thread(p, tid);
	done = to && p->action[number - 1].handler > SIG_IGN &&
	       !(to->sigmask & load_relaxed(&to->slot->twin_mask) & signal_bit(number)) && !queue(to, &info, &new);
	if (done && unlikely(atomic_load(&to->in_linux))) {
		done = !new;
		if (new) {
			list_remove(&new->link);
			to->signal_count--;
			kmem_free(new);
		}
	}
	spin_unlock(&p->lock);
	return done;
}

int64_t sys_tkill(struct regs *r)
{
	struct thread *t = current_thread();

	return send_here(t, (uint32_t)r->rdi, (int)r->rsi) ? 0 : dispatch_delegate(r);
}

int64_t sys_tgkill(struct regs *r)
{
	struct thread *t = current_thread();

	return (uint32_t)r->rdi == t->pid && send_here(t, (uint32_t)r->rsi, (int)r->rdx) ? 0 : dispatch_delegate(r);
}

/* It has a thread as its receiver, which a forwarded one does not say. */
int64_t sys_rt_tgsigqueueinfo(struct regs *r)
{
	signal_be_prompt(current_thread());
	return dispatch_delegate(r);
}

void signal_raise(struct thread *t, int number, uint32_t how)
{
	signal_settle(t);
	slot_call(t->slot, OTR_CALL_RAISE, (uint64_t[6]){ (uint64_t)number, how });
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
	handled = handler != SIG_DFL && handler != SIG_IGN && !(t->sigmask & signal_bit(number)) &&
		  !queue(t, info, NULL);
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
		s = signal_first(t);
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
			t->sigmask |= a.mask | (a.flags & SA_NODEFER ? 0 : signal_bit(info.number));
			t->sigmask &= ~SIGNALS_UNBLOCKED;
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
		if (a.flags & SA_RESETHAND) {
			signal_settle_begin(t, info.number);
			slot_call(t->slot, OTR_CALL_SIGACTION, (uint64_t[6]){ (uint64_t)info.number, OTR_SIG_DEFAULT });
			signal_settle_end(p);
		}
	}
	end_call(r, true);
	/* A debugger took the signals for which a call with a mask of its own ended. */
	if (unlikely(t->mask_saved)) {
		t->mask_saved = false;
		signal_set_mask(t, t->saved_mask);
	}
}

int64_t sys_rt_sigreturn(struct regs *r)
{
	struct thread *t = current_thread();
	uint64_t mask = t->sigmask;
	int err = sigframe_pop(t, r, &mask);

	signal_set_mask(t, mask);
	if (err) {
		signal_force(t, r, &no_frame);
		return 0;
	}
	r->vector = 0x101;          /* rax is the program's, nothing to restart */
	return (int64_t)r->rax;
}
