/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LIBPOXIS_FORK_H
#define LIBPOXIS_FORK_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

/* clone(2) of a process: all that is not CLONE_THREAD. */
struct fork_request {
	uint64_t flags, stack, tls;
	uaddr_t child_tid, parent_tid;
};

/* Forks the calling thread: the child's pid, or -errno. */
int64_t fork_call(struct thread *t, const struct fork_request *q);
/* In the control thread: makes p, which is empty, the copy that `token` names. */
int fork_start(struct process *p, uint64_t token);
/* Puts the current thread's live vector and base registers into it. */
void fork_save_user(struct thread *t);

int64_t sys_execve(struct regs *r);
int64_t sys_execveat(struct regs *r);

#endif
