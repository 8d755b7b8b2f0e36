/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads and the per-CPU scheduler.
 *
 * A thread waits by parking: it checks its condition, and parks if that does not
 * hold; whoever makes it hold calls thread_unpark(). An unpark that comes first
 * is remembered as one token, so no wake-up is lost; a park may return without
 * reason, so callers loop. Lock order: any subsystem's lock, then run_lock.
 */
#ifndef COKERNEL_SCHED_THREAD_H
#define COKERNEL_SCHED_THREAD_H

#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/lib/list.h"
#include "cokernel/mm/policy.h"
#include "cokernel/sched/timer.h"

struct file_table;
struct process;
struct signal_info;
struct slot;

/* thread.work: things to do before the thread returns to user mode. */
#define WORK_KILL   (1u << 0)   /* end the thread */
#define WORK_STOP   (1u << 1)   /* its process is stopped: park */
#define WORK_SIGNAL (1u << 2)
#define WORK_RSEQ   (1u << 3)   /* it lost the CPU: rseq.c */
#define WORK_HOLD   (1u << 4)   /* look at `held`: hold.c */
#define WORK_STEP   (1u << 5)   /* one instruction, for a debugger: debug.c */
#define WORK_CPUTIMER (1u << 6) /* a timer on CPU time is due: cputimer.c */
#define WORK_MASK   (1u << 7)   /* Linux must know its signal mask now: sigmask.c */

enum { PARK_RUNNING, PARK_TOKEN, PARK_PARKING, PARK_PARKED };

struct thread {
	uint64_t rsp;               /* kernel stack pointer while switched away */
	void *stack_top;
	struct mm *mm;              /* NULL: kernel thread */
	struct process *process;
	uint32_t pid, tid;          /* Linux's, of the proxy and the twin; 0: a kernel thread */
	_Atomic uint32_t work;      /* WORK_* */
	_Atomic uint32_t park;      /* PARK_* */
	bool no_fault;              /* user_copy() fails rather than wait for a page */
	bool dead;                  /* finish_switch releases it */
	_Atomic bool in_linux;      /* its call there may sleep: a signal must come from there */
	bool mask_behind;           /* its twin has another signal mask than it is to have; its own */
	bool traced;                /* dispatch.c tells the proxy of each call */
	bool requeue;               /* was preempted; finish_switch queues it */
	struct cpu *cpu;            /* where it runs or ran last */
	struct tree_node run_node;  /* in cpu->run_queue, by vtime */
	uint64_t vtime;             /* of vtime_cpu; valid while it does not run */
	struct cpu *vtime_cpu;      /* NULL: never queued */
	struct cpumask affinity;
	struct timer timeout;
	uint64_t slice_start_ns;
	uint64_t run_ns;            /* CPU time up to then; its CPU writes, with run_seq odd */
	uint32_t run_seq;

	/* User state that is not in struct regs. */
	uint64_t fs_base, gs_base;
	void *fpu;
	struct cpu *fpu_cpu;        /* whose registers hold a copy as good as fpu */

	struct policy policy;       /* where its pages come from; its own */

	struct list process_link;   /* in process->threads, under its lock */
	struct slot *slot;          /* for delegated calls */
	uaddr_t clear_tid;          /* CLONE_CHILD_CLEARTID */
	uaddr_t robust_list;
	uaddr_t rseq;               /* struct rseq of the program, 0: none */
	uint32_t rseq_bytes, rseq_signature;
	uint32_t rseq_cpu;          /* what the program was told */

	/* Signals; process->lock unless said otherwise. */
	uint64_t sigmask;           /* the thread's own; the twin's follows it: sigmask.c */
	struct list signals;        /* struct signal: forwarded by the twin, in order */
	uint32_t signal_count;
	uint64_t saved_mask;        /* comes back after a call with a mask of its own */
	bool mask_saved;
	uint64_t poll_deadline_ns;  /* of poll() that no handler interrupted and that is made again; the thread's own */
	bool user_known;            /* `user`, until it may change; the thread's own */
	uint32_t user;              /* its real user id in Linux */
	uint64_t altstack[3];       /* stack_t: sp, flags, size; the thread's own */
	/* Held at the border of user mode; hold.c. process->lock. */
	bool held;
	bool at_border;             /* and there: its registers may be written */
	const struct signal_info *stopped_by;   /* what a core file or a debugger is told */
	uint32_t debug_answer;      /* the signal that the debugger gives it */
	uint8_t stepping;           /* a debugger set TF: 1, it waits for the trap, 2: no longer */
	uint64_t fork_token;        /* not 0: waits in fork; process->lock */
	const struct fork_request *fork;
	struct mm *fork_copy;       /* the child's memory, until it takes it */
	struct file_table *fork_files;  /* and its local descriptors */
	struct vfork *vfork;        /* what it will wait for after that */
	struct list futex_link;
	struct bucket *_Atomic futex_bucket;    /* where it is queued; changed under both locks */
	uint64_t futex_key[3];
	uint64_t futex_pi_key[3];               /* with futex_to_pi: the PI futex it is to be moved to */
	uint32_t futex_bits;
	bool futex_to_pi;
	_Atomic bool futex_woken;
};

/* A user thread's registers as it entered the kernel, at its stack's top. */
static inline struct regs *thread_regs(struct thread *t)
{
	return (struct regs *)t->stack_top - 1;
}

/* A thread that runs fn(arg) in the kernel; not queued yet. NULL: no memory. */
struct thread *thread_create(void (*fn)(void *arg), void *arg);
/* What fn of a thread that has not run yet gets. */
void thread_set_argument(struct thread *t, void *arg);
/* Gives it vector state for user mode; -ENOMEM. */
int thread_make_user(struct thread *t, struct mm *mm);
/* Frees a thread that never ran. */
void thread_free(struct thread *t);
void thread_start(struct thread *t);
noreturn_ void thread_exit(void);

void thread_park(void);
/* Parks until unparked or until clock_uptime_ns() passes deadline: -ETIMEDOUT
 * then. 0 means no deadline. */
int thread_park_until(uint64_t deadline_ns);
void thread_unpark(struct thread *t);
static inline bool thread_killed(const struct thread *t)
{
	return atomic_load_explicit(&t->work, memory_order_relaxed) & WORK_KILL;
}
/* Something other than what it waits for wants the thread: -EINTR. */
static inline bool thread_interrupted(const struct thread *t)
{
	return atomic_load_explicit(&t->work, memory_order_relaxed) & (WORK_KILL | WORK_SIGNAL);
}
/* Sets work bits and makes the thread notice, wherever it is. */
void thread_notify(struct thread *t, uint32_t work);

/* Where it may run from now on; it leaves a CPU that is not among them soon, the
 * current thread when it returns to user mode. */
void thread_set_affinity(struct thread *t, const struct cpumask *mask);

/* Makes the calling CPU schedule; its idle thread is running now. */
void sched_init_cpu(void);
noreturn_ void sched_idle(void);
void sched_yield(void);
/* In long work of a thread that holds no lock: takes the interrupts that wait, and
 * others may run. */
static inline void thread_breathe(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}
/* The current thread may not stay on this CPU: moves it. */
void sched_migrate(void);
/* In an interrupt, which come where the kernel may be left only: acts on c->resched and the slice. */
void sched_interrupt(void);
void sched_finish_switch(void);
/* Moves everything off this CPU but its idle thread; for parking it. */
void sched_evacuate(void);

#endif
