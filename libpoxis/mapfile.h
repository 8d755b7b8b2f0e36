/* SPDX-License-Identifier: BSD-2-Clause */
/* Files behind a program's memory: what Linux is asked for about them. All but
 * mapfile_fetch() are called with mm->linux_lock held, by a thread of the program. */
#ifndef LIBPOXIS_MAPFILE_H
#define LIBPOXIS_MAPFILE_H

#include "cokernel/lib/types.h"
#include "cokernel/mm/mm.h"

/* The file of a descriptor (or OTR_FILE_*), for a private mapping with `prot`.
 * Its number; 0: it reads as zeroes; -errno as mmap(2) has it. */
int64_t mapfile_open(struct mm *mm, uint64_t fd, uint32_t prot);
/* Lets the host forget the files that no area shows any more. */
void mapfile_settle(struct mm *mm);
/* The calling thread is a vfork child that runs in it. */
bool mapfile_lent(const struct mm *mm);
/* mm->run_fetch. */
int mapfile_fetch(struct mm *mm, uint32_t index);

#endif
