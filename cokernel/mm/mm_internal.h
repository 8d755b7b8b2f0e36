/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the address space; mm->lock is held throughout. */
#ifndef COKERNEL_MM_INTERNAL_H
#define COKERNEL_MM_INTERNAL_H

#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"

/* Entries of a root for programs. */
#define ROOT_SHIFT (PAGE_SHIFT + 27)
#define ROOT_ENTRIES (OTR_USER_END >> ROOT_SHIFT)
/* A leaf that is mapped but PROT_NONE keeps its frame, not present. */
#define PTE_NONE_PROT (1ull << 10)
/* A leaf with a frame of Linux's, granted: it has no descriptor here. */
#define PTE_GRANT     (1ull << 52)
/* A leaf whose frame is being moved: not present, whoever needs it waits. */
#define PTE_MOVING    (1ull << 11)

static inline bool pte_used(uint64_t e)
{
	return e & (PTE_PRESENT | PTE_NONE_PROT | PTE_MOVING);
}

static inline struct vma *vma_of(struct tree_node *n)
{
	return n ? container_of(n, struct vma, node) : NULL;
}

/* vma.c: the first area that ends above addr. */
struct vma *vma_find(struct mm *mm, uint64_t addr);
struct vma *vma_next(struct vma *v);
/* Makes area boundaries at start and end. -ENOMEM. */
int vma_cut(struct mm *mm, uint64_t start, uint64_t end);
/* Adds an area where there is none, joined with equal neighbours. -ENOMEM. */
int vma_add(struct mm *mm, uint64_t start, uint64_t end, const struct area *a);
/* What a piece of v that starts at `at` is. */
struct area vma_piece(const struct vma *v, uint64_t at);
/* Counts `bytes` more (or less) of such an area. */
void vma_count(struct mm *mm, const struct area *a, int64_t bytes);
void vma_delete(struct mm *mm, struct vma *v);
void vma_try_join(struct mm *mm, struct vma *v);
/* A free place of `bytes`, aligned; 0 if there is none. */
uint64_t vma_find_gap(struct mm *mm, uint64_t hint, uint64_t bytes, uint64_t align);

uint64_t vma_find_low(struct mm *mm, uint64_t bytes);
/* Whether so many more bytes are within the limits. */
bool vma_may_add(struct mm *mm, const struct area *a, uint64_t bytes);
/* mm.c; -ENOMEM unless areas cover [start, end) without a gap. */
int range_covered(struct mm *mm, uint64_t start, uint64_t end);
bool range_ok(uint64_t addr, uint64_t bytes);

/* file.c */
void file_get_locked(struct mapped_file *f);
void file_put_locked(struct mm *mm, struct mapped_file *f);
/* Without the lock; the page of va is not there and belongs to a file. 0: look
 * again; else as mm_fault_nowait(). */
int file_fault(struct mm *mm, uint64_t va, uint32_t access, uint32_t *index);
/* Takes back what nobody has begun. */
void file_forget_fetches(struct mm *mm);
/* Nothing is under way any more. */
void file_fini(struct mm *mm);
/* pages.c */
uint64_t pte_flags(uint32_t prot);
/* Unmaps all frames of the range into quarantine, flushes, zaps. -ENOMEM if a
 * large page cannot be split: nothing is lost then. */
int pages_remove(struct mm *mm, uint64_t start, uint64_t end);
int pages_protect(struct mm *mm, uint64_t start, uint64_t end, uint32_t prot);
/* Moves the entries of a range elsewhere; the target has none. -ENOMEM. */
int pages_move(struct mm *mm, uint64_t from, uint64_t to, uint64_t bytes);
/* Turns the 2 MiB page of an entry into 512 small ones with the same rights, for this
 * address space; others that have the frame keep it as it is. -ENOMEM. */
int pages_split_large(struct mm *mm, uint64_t *e, uint64_t va);
void lock_settled(struct mm *mm);
void pages_free_all(struct mm *mm);
void tlb_flush(struct mm *mm, uint64_t start, uint64_t end);
/* zap.c */
void zap_push(struct mm *mm, uint64_t start, uint64_t end);
void quarantine_add(struct mm *mm, struct page *p);
/* The same for a frame that other address spaces have as well (its link is not
 * ours). Memory for it is taken by the first, given to the second. */
struct parked_page {
	struct list link;
	struct page *page;
	uint64_t tag;
	bool large;
};
struct parked_page *quarantine_prepare(struct page *p, bool large);
void parked_free(struct parked_page *q);
void quarantine_add_shared(struct mm *mm, struct parked_page *q);
static inline bool page_is_shared(const struct page *p)
{
	return atomic_load(&p->refs) > 1;
}
/* large.c: references of an entry that maps 2 MiB; p is the first page. */
void large_get(struct page *p);
void large_put(struct page *p);
/* Nobody else has any of it. *whole: it is one frame still, which page_put() frees. */
bool large_is_ours(struct page *p, bool *whole);
/* From now on each page counts for itself. */
void large_split(struct page *p);
/* Zaps that the host has applied. */
uint64_t zap_done(struct mm *mm);

#endif
