/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_create(2). Timers are Linux's, with its numbers, queues and signals. One on CPU
 * time is in Linux a timer on another clock that never runs by itself: its time is kept
 * here (cputimer.c), and when it is due Linux is told to let it expire at once.
 */
#ifndef LIBPOXIS_POSIXTIMER_H
#define LIBPOXIS_POSIXTIMER_H

struct process;
struct thread;

/* By t, the only thread of a program that execs: its timers go. */
void posixtimer_exec(struct thread *t);
/* By t, as it ends: another thread may get its number. p->lock held. */
void posixtimer_thread_ends(struct process *p, const struct thread *t);
/* What is left of a process that is over. */
void posixtimer_free(struct process *p);

#endif
