/* SPDX-License-Identifier: BSD-2-Clause */
/* One-shot timers, per CPU, on the local APIC. No tick: the APIC is armed for
 * the first deadline or the end of a shared CPU's time slice, else not at all. */
#ifndef COKERNEL_SCHED_TIMER_H
#define COKERNEL_SCHED_TIMER_H

#include "cokernel/lib/tree.h"
#include "cokernel/lib/types.h"

struct cpu;

struct timer {
	struct tree_node node;      /* key: deadline in clock_uptime_ns() */
	struct cpu *cpu;            /* whose tree it is in, NULL: none */
	void (*fn)(struct timer *t);    /* interrupts off, the timer lock held: may only unpark */
};

/* Starts t on the calling CPU; it must not be running. */
void timer_start(struct timer *t, uint64_t deadline_ns);
/* After return fn is neither running nor will run, unless called from it. */
void timer_cancel(struct timer *t);
/* The interrupt: runs what is due and arms the next. */
void timer_interrupt(void);
/* Arms the APIC for what this CPU needs next, if that changed. */
void timer_rearm(void);
/* Moves all timers of this CPU to another. */
void timer_evacuate(struct cpu *to);

#endif
