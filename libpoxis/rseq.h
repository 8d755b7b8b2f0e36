/* SPDX-License-Identifier: BSD-2-Clause */
/* Restartable sequences, rseq(2). */
#ifndef LIBPOXIS_RSEQ_H
#define LIBPOXIS_RSEQ_H

#include "cokernel/arch/x86_64/regs.h"

struct thread;

/* WORK_RSEQ or a signal, before a return to user mode: a sequence in which the
 * thread was interrupted continues at its abort address, and the program learns
 * on which CPU the thread is. */
void rseq_resume(struct thread *t, struct regs *r);

#endif
