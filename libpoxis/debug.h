/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The co-kernel's part of a debugger (abi/debug.h): it holds threads and lets them
 * go, shows and sets their registers, puts breakpoints into code, and sees signals
 * before the program does. What gdb speaks, and all that can be done from outside,
 * is done by `outrigger gdb`.
 */
#ifndef LIBPOXIS_DEBUG_H
#define LIBPOXIS_DEBUG_H

#include "abi/debug.h"
#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct process;
struct signal_info;
struct thread;

/* OTR_MSG_DEBUG: the result, or -errno. page: for data, or NULL. Any context. */
int64_t debug_request(struct process *p, uint64_t op, const uint64_t arg[3], void *page);
/* A signal for t, the calling thread, shown to a debugger if there is one: waits until
 * it lets the thread go. False: the signal is not to be delivered; *info may have
 * become another one. */
bool debug_signal(struct thread *t, struct signal_info *info);
/* Vector 1, from user mode. */
void debug_trap(struct thread *t, struct regs *r);
/* Vector 3, from user mode. */
void debug_break(struct thread *t, struct regs *r);
/* WORK_STEP, last on the way to user mode. */
void debug_step(struct thread *t, struct regs *r);
/* On the way out of a call with TF set: a step over the call ends behind it. */
void debug_step_call(struct thread *t, struct regs *r);
/* A child has its parent's memory, but not its debugger; a vfork child until it leaves
 * that memory again. */
void debug_fork(struct process *parent, struct process *child);
void debug_vfork_end(struct process *parent);
/* t has replaced its program. */
void debug_exec(struct thread *t);

#endif
