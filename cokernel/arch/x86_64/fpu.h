/* SPDX-License-Identifier: BSD-2-Clause */
/* Vector state of programs. The kernel itself uses none, so the registers keep
 * a thread's state until another user thread runs on the CPU. */
#ifndef COKERNEL_ARCH_FPU_H
#define COKERNEL_ARCH_FPU_H

struct thread;

/* A fresh state as execve(2) leaves it; NULL without memory. */
void *fpu_alloc(void);
void fpu_reset(void *state);
void fpu_save(struct thread *t);
void fpu_restore(struct thread *t);

#endif
