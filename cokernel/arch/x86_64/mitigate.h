/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mitigations against speculation, as far as Linux applies them on this machine
 * (otr_boot.mitigations): retpolines, buffer clearing, IBRS, STIBP, SSBD, branch
 * barriers between programs. Code that some machines do not need is patched out
 * at the start; docs/architecture.md has the table of what is not covered.
 */
#ifndef COKERNEL_ARCH_MITIGATE_H
#define COKERNEL_ARCH_MITIGATE_H

#include "cokernel/lib/types.h"

/* First CPU, before the others start and before the first program: chooses the
 * code and logs what is applied and what is missing. After the direct map. */
void mitigate_init(void);
/* Each CPU: sets IA32_SPEC_CTRL. */
void mitigate_init_cpu(void);
/* Before the first program of another address space runs on this CPU. */
void mitigate_switch(void);

#endif
