/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory: zones (one for each range that the host gave), each a binary
 * buddy allocator with its own lock, and a small cache of single pages per CPU.
 * Ranges come and go while the co-kernel runs.
 */
#ifndef COKERNEL_MM_PHYS_H
#define COKERNEL_MM_PHYS_H

#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/types.h"
#include "cokernel/mm/policy.h"

#define ORDER_LARGE 9u          /* 2 MiB */
#define ORDER_MOST  18u         /* 1 GiB */

/* One 4 KiB frame. */
struct page {
	_Atomic uint32_t refs;      /* 0: free */
	uint8_t order;              /* of the block that starts here */
	uint8_t free;               /* 1: head of a free block, in a zone's list */
	uint16_t zone;
	uint64_t tag;               /* owner's: slab class, zap sequence */
	struct list link;           /* owner's, or the zone's free list */
};
_Static_assert(sizeof(struct page) == 32, "VA_VMEMMAP is laid out for it");

static inline struct page *phys_to_page(paddr_t p)
{
	return (struct page *)VA_VMEMMAP + (p.v >> PAGE_SHIFT);
}
static inline paddr_t page_to_phys(const struct page *p)
{
	return PADDR((uint64_t)(p - (const struct page *)VA_VMEMMAP) << PAGE_SHIFT);
}
static inline void *page_to_virt(const struct page *p)
{
	return phys_to_virt(page_to_phys(p));
}

/* Takes over [start, end), 2 MiB aligned, already in the direct map. The first
 * part holds the frames' descriptors. A movable zone gives pages to the kernel
 * only when the others are empty, so that it can be emptied again. -ENOMEM,
 * -ENOSPC (too many zones). */
int phys_zone_add(paddr_t start, paddr_t end, uint32_t node, bool movable);
/* Gives back exactly what one phys_zone_add() took, in three steps: close stops
 * allocation from it (-ENOENT); remove ends it (-EBUSY while any of it is in
 * use); open takes close back. */
int phys_zone_close(paddr_t start, paddr_t end);
int phys_zone_remove(paddr_t start, paddr_t end);
/* What of it is in use; 0 if there is no such zone. */
uint64_t phys_zone_used_bytes(paddr_t start, paddr_t end);
void phys_zone_open(paddr_t start, paddr_t end);

/* A block of 2^order pages with refs 1, contents undefined; NULL when memory is
 * out. Prefers the calling CPU's node. The second is for pages of programs,
 * which can be moved. */
struct page *page_alloc(uint32_t order);
struct page *page_alloc_movable(uint32_t order);
struct page *page_alloc_zeroed(uint32_t order);
/* For a page of a program, where its policy wants it; `turn` chooses when nodes take
 * turns. NULL also where other nodes have memory that the policy forbids. */
struct page *page_alloc_policy(uint32_t order, const struct policy *policy, uint64_t turn);
/* The partition's nodes, as far as a mask of 64 can name them. */
uint64_t phys_nodes(void);
uint32_t page_node(const struct page *p);
/* Drops a reference of a block that page_alloc() returned. */
void page_put(struct page *p);
static inline void page_get(struct page *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}
/* Makes single pages, each with one reference, of a block with one. */
void page_split(struct page *p);
/* For pt_* functions: a zeroed table page, 0 when memory is out. */
paddr_t page_alloc_table(void);
/* Its zone has not been closed. */
bool page_stays(const struct page *p);

/* Gives the calling CPU's cached pages back to their zones. */
void phys_cache_flush(void);
uint64_t phys_total_bytes(void);
/* With what the cache of files' pages holds, which goes when it is wanted. */
uint64_t phys_free_bytes(void);

#endif
