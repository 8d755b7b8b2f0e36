/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interval timers on CPU time (ITIMER_VIRTUAL, ITIMER_PROF). Nothing ticks: while a
 * program has one running, a kernel thread, its keeper, sleeps until the timer can be
 * due at the earliest, and has a thread of the program send the signal when it is.
 */
#ifndef LIBPOXIS_CPUTIMER_H
#define LIBPOXIS_CPUTIMER_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

enum { CPUTIMER_VIRTUAL, CPUTIMER_PROF, CPUTIMERS };

/* In struct process, under its lock. */
struct cputimers {
	struct thread *keeper;      /* NULL: no timer runs */
	struct thread *waits;       /* for the keeper's end */
	bool over;                  /* the last thread ends: the keeper is to go */
	struct {
		uint64_t at_ns;     /* by usage_process_ns(), 0: it does not run */
		uint64_t interval_ns;
	} timer[CPUTIMERS];
};

/* WORK_CPUTIMER: sends the signals that are due, as Linux would. */
void cputimer_work(struct thread *t);
/* By the last thread, as it ends: returns when the keeper is gone. */
void cputimer_end(struct process *p);

#endif
