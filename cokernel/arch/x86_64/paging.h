/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four-level page tables. Table pages are reached through the direct map. The
 * upper half (entries 256 to 511 of the root) is the kernel's and shared by
 * every root; the lower half belongs to one address space and is changed under
 * its lock only.
 */
#ifndef COKERNEL_ARCH_PAGING_H
#define COKERNEL_ARCH_PAGING_H

#include "cokernel/lib/types.h"

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_GLOBAL   (1ull << 8)
#define PTE_COW      (1ull << 9)    /* ours: write means copy */
#define PTE_NX       (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull

/* Where things are in the kernel's half. */
#define VA_DIRECT  0xffff800000000000ull
#define VA_STACKS  0xffffc00000000000ull
#define VA_MMIO    0xffffd00000000000ull
#define VA_VMEMMAP 0xffffe00000000000ull
#define VA_IMAGE   0xffffffff80000000ull

static inline void *phys_to_virt(paddr_t p)
{
	return (void *)(VA_DIRECT + p.v);
}

/* Of an address in the direct map. */
static inline paddr_t virt_to_phys(const void *v)
{
	return PADDR((uint64_t)v - VA_DIRECT);
}

/* Supplies zeroed table pages; returns physical 0 when there is none. */
typedef paddr_t (*pt_alloc_fn)(void);

/* Maps [va, va + bytes) to pa with the largest pages that fit; all multiples of
 * 4 KiB. Replaces nothing: -EEXIST. -ENOMEM leaves a part mapped. */
int pt_map(paddr_t root, uint64_t va, paddr_t pa, uint64_t bytes, uint64_t flags,
	   pt_alloc_fn alloc);
/* Removes what maps [va, va + bytes); large pages must lie inside whole. Does
 * not flush the TLB and frees nothing. */
void pt_unmap(paddr_t root, uint64_t va, uint64_t bytes);
/* The entry that decides va: the leaf, or the first that is not present.
 * *level: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB, 3. */
uint64_t *pt_walk(paddr_t root, uint64_t va, int *level);
/* The entry of va at `level`, making tables above it; NULL without memory or
 * where a larger page is in the way. */
uint64_t *pt_ensure(paddr_t root, uint64_t va, int level, pt_alloc_fn alloc);

#endif
