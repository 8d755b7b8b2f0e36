/* SPDX-License-Identifier: BSD-2-Clause */
/* The vDSO in programs' address spaces; its code is in libpoxis/vdso/. */
#ifndef LIBPOXIS_VDSO_H
#define LIBPOXIS_VDSO_H

#include "cokernel/mm/mm.h"

void vdso_init(void);
/* Maps it into an address space: its address for AT_SYSINFO_EHDR; 0: there is none
 * (no clock page or no rdtscp, or no room). */
uint64_t vdso_map(struct mm *mm);

#endif
