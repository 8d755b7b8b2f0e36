/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time of threads, programs and their children. */
#ifndef LIBPOXIS_USAGE_H
#define LIBPOXIS_USAGE_H

#include "cokernel/lib/types.h"

struct process;
struct thread;

uint64_t usage_thread_ns(const struct thread *t);
uint64_t usage_process_ns(struct process *p);
/* p's last thread is gone: its parent may ask. */
void usage_process_ended(struct process *p);
void usage_free(struct process *p);
/* CPU-time clocks of clock_gettime(2); -EOPNOTSUPP for all others. */
int usage_clock(int clock, uint64_t *ns);

#endif
