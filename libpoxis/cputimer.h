/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers on CPU time: ITIMER_VIRTUAL and ITIMER_PROF, those of timer_create on such a
 * clock (posixtimer.c), and RLIMIT_CPU. Nothing ticks: while a program has one running,
 * a kernel thread, its keeper, sleeps until a timer can be due at the earliest, and has
 * a thread of the program send the signal when it is.
 */
#ifndef LIBPOXIS_CPUTIMER_H
#define LIBPOXIS_CPUTIMER_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

/* Longer ones are as good as for ever. */
#define CPUTIMER_NS_MOST (INT64_MAX / 4)

/* Under the process's lock. */
struct cputimer {
	struct list link;           /* in cputimers.running, or in none */
	uint64_t at_ns;             /* by its clock, 0: it does not run */
	uint64_t interval_ns;
	uint32_t tid;               /* of the thread whose time counts, 0: the program's */
	int32_t signal;             /* what it sends, 0: Linux's timer `id` does */
	int32_t id;
	uint32_t overrun_count;     /* how often it was due more than once, last time */
	uint32_t round;             /* in which it was due last */
};

enum { CPUTIMER_VIRTUAL, CPUTIMER_PROF, CPUTIMER_LIMIT_SOFT, CPUTIMER_LIMIT_HARD, CPUTIMERS };

/* In struct process, under its lock. */
struct cputimers {
	struct thread *keeper;      /* NULL: no timer runs */
	struct thread *waits;       /* for the keeper's end */
	bool over;                  /* the last thread ends: the keeper is to go */
	struct list running;
	uint32_t round;             /* of sending signals */
	bool limited;               /* there is a RLIMIT_CPU, which children inherit */
	struct cputimer timer[CPUTIMERS];
};

void cputimer_init(struct cputimers *c);
/* Takes p->lock; if a timer is to run, sees to a keeper, too, which looks at the timers as soon
 * as the lock is free. -ENOMEM, only then: the lock is not held. */
int cputimer_lock(struct process *p, bool to_run);
/* at_ns 0: it is to stop. p->lock held, by cputimer_lock() if it is to run. */
void cputimer_set(struct process *p, struct cputimer *t, uint64_t at_ns, uint64_t interval_ns);

/* RLIMIT_CPU, UINT64_MAX: none. -ENOMEM. */
int cputimer_limit(struct process *p, uint64_t soft_s, uint64_t hard_s);

/* WORK_CPUTIMER: sends the signals that are due, as Linux would. */
void cputimer_work(struct thread *t);
/* By the last thread, as it ends: returns when the keeper is gone. */
void cputimer_end(struct process *p);

#endif
