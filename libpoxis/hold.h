/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads held at the border of user mode, and what they look like from outside.
 * A thread that waits in the kernel (a delegated call, a futex) stays where it is
 * and is held when it comes to the border.
 */
#ifndef LIBPOXIS_HOLD_H
#define LIBPOXIS_HOLD_H

#include "abi/debug.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

/* Holds all threads of p but the calling one, and those that are yet to come. */
void hold_all(struct process *p);
/* Waits until none of them runs any more; -ETIMEDOUT after two seconds. */
int hold_settle(struct process *p);
/* None of them runs now. */
bool hold_is_settled(struct process *p);
/* From process_work(): waits while the thread is held. */
void hold_here(struct thread *t);
/* The first thread of p in order of tid whose tid is above `after`, described: its
 * tid, 0 when there is none. */
uint32_t hold_describe_next(struct process *p, uint32_t after, struct otr_thread_state *to);

#endif
