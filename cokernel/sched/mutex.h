/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks for what may sleep: those who wait are parked, in order. For threads
 * only; taken before any spin lock. All zeroes is an unlocked one. */
#ifndef COKERNEL_SCHED_MUTEX_H
#define COKERNEL_SCHED_MUTEX_H

#include "cokernel/lib/spinlock.h"

struct mutex_waiter;

struct mutex {
	struct spinlock lock;
	bool held;
	struct mutex_waiter *first, *last;
};

/* Not ended by signals: a holder waits for bounded things only, or is killed too. */
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

#endif
