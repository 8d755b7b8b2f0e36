/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program: an address space, threads, and the proxy that stands for it in
 * Linux. It ends in two steps: PROC_EXIT goes to the host when its last thread
 * is gone, PROC_REAP comes back when Linux maps none of its frames any more.
 */
#ifndef LIBPOXIS_PROCESS_H
#define LIBPOXIS_PROCESS_H

#include "abi/call.h"
#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/tree.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/cputimer.h"
#include "libpoxis/files/files.h"
#include "libpoxis/signal.h"

struct debug;
struct mm;
struct slot;
struct vfork;

struct process {
	struct tree_node node;      /* key: context */
	_Atomic uint32_t refs;
	uint32_t context;
	uint32_t pid;               /* the proxy's */
	uint32_t uid;
	char comm[16];
	struct mm *mm;
	struct otr_ctx_private *private_page;
	struct otr_ctx_mailbox *mailbox;    /* user-writable: copy, then check */

	struct spinlock lock;
	struct list threads;
	uint32_t thread_count;
	struct list free_slots;     /* slots whose twin waits for a thread: the last first, then those kept */
	uint32_t kept_slots;
	uint64_t *slot_pages;
	uint32_t slot_page_count;
	bool started;
	struct debug *debug;        /* NULL: no debugger; lock */
	bool holding;               /* new threads are held too: hold.c */
	bool dumping;               /* a thread writes the core file: core.c */
	bool dying;                 /* exit_status is final */
	bool exited;                /* PROC_EXIT is out */
	_Atomic bool stopped;
	uint32_t exit_status;       /* as wait(2) */
	uint64_t sp_start;          /* the stack pointer it was started with */
	uint64_t trace;             /* OTR_EXEC_*, as the proxy asked at the start */
	struct vfork *vfork;        /* the parent's thread that waits; NULL: none */
	struct process *lender;     /* in whose address space it runs; lock */
	struct process *indebted;   /* who may not free what our proxy maps; with a reference */
	uint32_t parent_context;    /* who forked it, 0: nobody here */
	uint64_t ended_threads_ns;  /* CPU time; lock */
	uint64_t children_ns;       /* of those waited for; lock */
	struct list ended_children; /* of those not yet waited for; lock */
	uint32_t ended_children_count;
	struct cputimers cputimers; /* lock */
	struct tree timers;         /* of timer_create; lock */
	uint32_t timer_count, cpu_timer_count;
	struct files files;
	uint64_t lender_zaps;       /* vfork_zap_seq() */
	struct signal_action action[SIGNALS];   /* under lock */
	struct signal_action former[SIGNALS];   /* handlers that were taken away; lock */
	uint32_t settling;          /* threads that take handlers away; lock */
	bool prompt_masks;          /* signal_be_prompt(); lock */
	_Atomic bool facts_busy;    /* a thread uses the mailbox's facts */
	_Atomic uint32_t membarriers;   /* registered commands */
	_Atomic uint32_t refused_reported[16];  /* bit: call number, reported once */
};

struct process_setup {
	uint32_t context, pid, uid;
	void *private_page, *mailbox;
	uint64_t slot_page;
};

int process_create(const struct process_setup *s, struct process **out);
/* By context, with a reference; NULL. */
struct process *process_find(uint32_t context);
void process_put(struct process *p);
int process_add_slots(struct process *p, uint64_t page);
int process_add_twin(struct process *p, uint32_t slot, uint32_t tid);
/* Execs what the mailbox describes, in a first thread; or, with a token, forks,
 * which may park: in the control thread only. */
int process_start(struct process *p, uint64_t fork_token);
/* The mailbox's token, 0 for exec. The proxy can change it at any time: what was
 * decided by one reading must not be read again. */
uint64_t process_fork_token(struct process *p);
/* Gives the first thread its slot. */
int process_add_first(struct process *p, struct thread *t);
/* The process with the lowest context from *context on, referenced, and moves
 * *context behind it; NULL at the end. */
struct process *process_next(uint64_t *context);
void process_stop(struct process *p);
void process_continue(struct process *p);
/* Ends it with a signal's status; returns before it is over. */
void process_kill(struct process *p, int signal);
void process_exit(struct process *p, uint32_t wait_status);
/* Frees what is left; -ESRCH, -EBUSY before PROC_EXIT. */
int process_reap(uint32_t context);
/* Ends all; for shutdown. */
void process_kill_all(int signal);
uint32_t process_count(void);
/* Moves all programs' pages out of a range; what cannot move stays: the first
 * error, -ENOMEM or -EBUSY (pinned by Linux). */
int process_evacuate_memory(paddr_t start, paddr_t end);

/* A free slot with its twin, asking the proxy for more twins when there is
 * none; NULL when it cannot make any. */
struct slot *process_take_slot(struct process *p);
/* By its tid, NULL; the lock is held. */
struct thread *process_find_thread(struct process *p, uint64_t tid);
/* `keep`: the program may still know its tid. */
void process_return_slot(struct process *p, struct slot *s, bool keep);
/* The same for the calling thread's, which the twin is told to leave. */
void process_leave_slot(struct process *p, struct slot *s, bool keep);
/* t, the calling thread and the only one, takes the first twin and so the pid as
 * its tid; not if that twin is still in a call. */
void process_become_leader(struct process *p, struct thread *t);
/* Joins t to p and queues it. -EINTR when p is dying. */
int process_start_thread(struct process *p, struct thread *t);

/* From traps. */
void process_out_of_memory(struct process *p);
/* Handles t->work before a return to user mode; may not return. */
void process_work(struct thread *t, struct regs *r);
/* Ends the calling thread. */
noreturn_ void process_thread_exit(void);

/* exec.c: the first thread's start; and the same for execve, when the mailbox
 * is filled. first: masks and ignored signals are the proxy's. */
void exec_main(void *thread);
int exec_load(struct thread *t, struct regs *r, bool first);

#endif
