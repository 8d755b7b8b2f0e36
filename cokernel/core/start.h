/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting CPUs. */
#ifndef COKERNEL_CORE_START_H
#define COKERNEL_CORE_START_H

#include "cokernel/arch/x86_64/cpu.h"

/* Gives CPU c a first stack, so that it may be started; -ENOMEM, -EBUSY while
 * another one is on its way. */
int start_prepare_cpu(struct cpu *c);

/* In-kernel tests, with "selftest" on the command line; the failures. */
int selftest_run(void);

#endif
