/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time of threads, programs and their children. */
#ifndef LIBPOXIS_USAGE_H
#define LIBPOXIS_USAGE_H

#include "cokernel/lib/types.h"

struct process;
struct thread;

uint64_t usage_thread_ns(const struct thread *t);
uint64_t usage_process_ns(struct process *p);
/* The same by whoever holds p->lock. */
uint64_t usage_locked_ns(const struct process *p);
/* Of the thread, 0: of the program; p->lock held. False: there is no such thread. */
bool usage_owner_ns(const struct process *p, uint32_t tid, uint64_t *ns);
/* p's last thread is gone: its parent may ask. */
void usage_process_ended(struct process *p);
void usage_free(struct process *p);
/* CPU-time clocks of clock_gettime(2) of the calling program; -EOPNOTSUPP for all others. */
int usage_clock(int clock, uint64_t *ns);
/* Whose time such a clock counts: a thread's, or 0, the program's. */
int usage_clock_owner(int clock, uint32_t *tid);

#endif
