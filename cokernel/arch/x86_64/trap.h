/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef COKERNEL_ARCH_TRAP_H
#define COKERNEL_ARCH_TRAP_H

#include "cokernel/arch/x86_64/regs.h"

/* Does what must be done before a return to user mode; may not return. */
void trap_user_return(struct regs *r);

#endif
