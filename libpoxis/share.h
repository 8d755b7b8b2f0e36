/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that a program shares with Linux and with other programs: the proxy has
 * the real mapping at the same addresses (tools/proxy/share.c). What changes it is
 * asked of Linux first. Called with mm->linux_lock held unless said otherwise.
 */
#ifndef LIBPOXIS_SHARE_H
#define LIBPOXIS_SHARE_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/mm/mm.h"

/* Whether any of it is shared with Linux; without the lock. */
bool share_any(struct mm *mm, uint64_t start, uint64_t bytes);
/* mmap(2) of shared memory; takes the lock. */
int64_t share_map(struct regs *r, uint32_t prot, uint32_t how);
/* What is shared there becomes the program's own addresses again, still mapped here. */
void share_leave(struct mm *mm, uint64_t start, uint64_t bytes);
/* Calls Linux's `nr` (start, bytes, a, b) for each shared piece: 0 or the first error. */
int64_t share_call(struct mm *mm, uint32_t nr, uint64_t start, uint64_t bytes, uint64_t a, uint64_t b);
/* The same for any range that a call names, with the lock taken here. */
int64_t share_ask(struct mm *mm, uint32_t nr, uint64_t start, uint64_t bytes, uint64_t a);
/* mprotect(2) of what is shared of a range; takes the lock. */
int64_t share_protect(struct mm *mm, uint64_t start, uint64_t bytes, uint64_t prot);
/* mremap(2) of a shared area; takes the lock. */
int64_t share_remap(struct regs *r);
/* Empties the address space for exec; takes the lock. */
void share_clear(struct mm *mm);
/* mm->run_grant; without the lock. */
int share_grant(struct mm *mm, uint64_t va, uint32_t pages, bool write);

#endif
