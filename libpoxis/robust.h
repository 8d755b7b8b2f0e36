/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LIBPOXIS_ROBUST_H
#define LIBPOXIS_ROBUST_H

struct thread;

/* The calling thread ends or execs: what it holds is marked, once. */
void robust_exit(struct thread *t);

#endif
