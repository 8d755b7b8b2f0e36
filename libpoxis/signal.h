/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals of programs. Queues, masks, default actions and other senders are Linux's:
 * the proxy's threads receive the signals, with the program's masks. Only what
 * the program has a handler for comes here, forwarded by the twin through its
 * slot, and so do the faults of its own threads. Here the handler is called
 * with Linux's frame (arch/x86/include/uapi/asm/sigcontext.h), and sigreturn.
 */
#ifndef LIBPOXIS_SIGNAL_H
#define LIBPOXIS_SIGNAL_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/thread.h"

struct process;
struct slot;

#define SIGNALS 64u
#define SIG_DFL 0u
#define SIG_IGN 1u
#define SI_TKILL (-6)

enum {
	SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGPIPE = 13, SIGTERM = 15,
	SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGXCPU = 24, SIGVTALRM = 26,
	SIGPROF = 27, SIGRTMIN = 32,
};

#define SIGNALS_UNBLOCKED (signal_bit(SIGKILL) | signal_bit(SIGSTOP))    /* whatever a mask says */

static inline uint64_t signal_bit(int number)
{
	return 1ull << (number - 1);
}

/* struct sigaction as the kernel call has it. */
struct signal_action {
	uint64_t handler, flags, restorer, mask;
};

/* siginfo_t, its first 48 bytes; the rest is zero. pad: 0, or while it is here: */
#define SIGNAL_SHOWN 1          /* a debugger has seen it and wants it delivered */
struct signal_info {
	int32_t number, error, code, pad;
	uint64_t fields[4];
};

struct signal {
	struct list link;
	struct signal_info info;
};

/* A call was interrupted and is to be made again after a handler with
 * SA_RESTART, or EINTR without (Linux's ERESTARTSYS); or was not begun and is to
 * be made in any case. Never seen by programs. */
#define ERESTART 512
#define ERESTART_ALWAYS 514
/* The same, but EINTR after any handler (Linux's ERESTARTNOHAND). */
#define ERESTART_UNHANDLED 516

static inline bool signal_restarts(int64_t ret)
{
	return ret == -ERESTART || ret == -ERESTART_ALWAYS || ret == -ERESTART_UNHANDLED;
}

/* Takes what the twin left in the slot; from the doorbell and after calls. */
void signal_take(struct process *p, struct slot *s);
/* A fault of the current thread: queues it, or kills the program where the
 * program does not handle it. code: si_code. */
void signal_fault(struct thread *t, struct regs *r, int number, int code, uint64_t addr);
/* The same when a debugger has had its say. */
void signal_force(struct thread *t, struct regs *r, const struct signal_info *info);
/* WORK_SIGNAL before a return to user mode: sets up handlers' frames. */
void signal_deliver(struct thread *t, struct regs *r);
void signal_free_all(struct thread *t);
/* The first that its mask lets in, NULL; process->lock held. */
struct signal *signal_first(struct thread *t);

/* ---- Masks, sigmask.c; all for the current thread ---- */

/* Sets its mask, here and in its twin, there sooner or later. May make a delegated call. */
void signal_set_mask(struct thread *t, uint64_t mask);
/* The twin has the thread's mask from here on; WORK_MASK. Makes a delegated call if it had not. */
void signal_settle(struct thread *t);
/* So have the twins of all threads that block this signal, before its action is Linux's, and
 * stay so until the end. Waits for other threads, 0.1 s at most. */
void signal_settle_begin(struct thread *t, int number);
void signal_settle_end(struct process *p);
/* So have all of the program's from now on. */
void signal_be_prompt(struct thread *t);
/* Whether Linux is to hold it back, so that one that is here must go back: the thread's own mask
 * blocks it, and no call's mask lets it in; process->lock held. */
bool signal_is_late(const struct thread *t, int number);
/* Makes Linux raise one for the current thread: OTR_RAISE_*. */
void signal_raise(struct thread *t, int number, uint32_t how);
/* Before it parks for what a signal interrupts. False: a call was made, the token may be gone:
 * look again. */
static inline bool signal_may_park(struct thread *t)
{
	if (likely(!t->mask_behind))
		return true;
	signal_settle(t);
	return false;
}
/* The mask of a thread that starts goes to its twin. */
void signal_start_thread(struct thread *t);
/* Delegates a call that waits with a mask of its own, at mask_at or 0: none. */
int64_t signal_call_masked(struct regs *r, uaddr_t mask_at);
/* Around one that waits here: its mask holds here and in Linux, which is asked if that is
 * a change, so a park token may be gone after either. The end says whether a handler runs
 * now, which takes the old mask along. */
void signal_mask_begin(struct thread *t, uint64_t mask);
bool signal_mask_end(struct thread *t);

int64_t sys_rt_sigaction(struct regs *r);
int64_t sys_rt_sigprocmask(struct regs *r);
int64_t sys_rt_sigreturn(struct regs *r);
int64_t sys_sigaltstack(struct regs *r);
int64_t sys_pause(struct regs *r);
/* To a thread of the process, if it has a handler and does not block it; everything else
 * goes to Linux. */
int64_t sys_tkill(struct regs *r);
int64_t sys_tgkill(struct regs *r);
int64_t sys_rt_sigsuspend(struct regs *r);
int64_t sys_rt_tgsigqueueinfo(struct regs *r);

/* sigframe.c: 0, or -EFAULT when the stack cannot take it. */
int sigframe_push(struct thread *t, struct regs *r, const struct signal_info *info,
		  const struct signal_action *a, uint64_t mask);
/* Undoes it; the mask to restore in *mask, as soon as it could be read. -EFAULT:
 * the general registers are as they were. */
int sigframe_pop(struct thread *t, struct regs *r, uint64_t *mask);

#endif
