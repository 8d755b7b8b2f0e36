/* SPDX-License-Identifier: BSD-2-Clause */
/* What the proxy needs to write files like /proc/self/maps for the program. */
#ifndef LIBPOXIS_FACTS_H
#define LIBPOXIS_FACTS_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

/* The mailbox is one for the program: one thread at a time, until facts_busy is
 * false again. False: the calling thread is being killed. */
bool facts_take_turn(struct process *p);

/* The proxy answered a call with -OTR_NEED_FACTS: the call's result. */
int64_t facts_tell(struct thread *t);

int64_t sys_sysinfo(struct regs *r);

#endif
