/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways a CPU ends: stopped for a dump, or parked in order. */
#ifndef COKERNEL_CORE_STOP_H
#define COKERNEL_CORE_STOP_H

#include "cokernel/arch/x86_64/cpu.h"

/* In an NMI: is it meant, or one of Linux's broadcasts? */
bool stop_requested(const struct cpu *c);
/* Saves the registers for the host's dump and halts. */
noreturn_ void stop_here(const struct regs *r);
/* Parks the calling CPU: it has nothing left to run and INIT is safe. */
noreturn_ void stop_park(void);

#endif
