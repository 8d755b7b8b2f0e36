/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfork: the child runs in its parent's address space, and the thread that made
 * it waits, until the child has exec'd or is over. posix_spawn() needs both: it
 * learns from a variable on its stack why an exec failed.
 */
#ifndef LIBPOXIS_VFORK_H
#define LIBPOXIS_VFORK_H

#include "cokernel/lib/types.h"

struct process;
struct slot;
struct thread;
struct vfork;

/* What the parent's thread waits for, with its reference. NULL: no memory. */
struct vfork *vfork_create(struct thread *parent);
struct vfork *vfork_get(struct vfork *v);
/* The parent's: waits for the child, or until the thread is killed, and gives
 * its reference back. */
void vfork_wait(struct vfork *v);
void vfork_put(struct vfork *v);

/* p, which is empty, is to run in the address space that `from`, a thread of
 * `parent`, runs in. */
void vfork_borrow(struct process *p, struct process *parent);
/* Lets the parent go on; any number of times. */
void vfork_release(struct process *p);
/* The calling thread, its process's only one, leaves the borrowed address space
 * for the process's own, which is empty. -ETIMEDOUT: Linux did not let go;
 * -EINTR: killed. */
int vfork_leave(struct thread *t);
/* The end of a process: its proxy maps nothing any more. */
void vfork_end(struct process *p);
/* The zaps that must be applied before the current thread's call. */
uint64_t vfork_zap_seq(struct process *p);
/* A page that p's proxy needs; as mm_fault_nowait(). */
int vfork_fault(struct process *p, uint64_t va, uint32_t access, uint32_t *fetch);

#endif
