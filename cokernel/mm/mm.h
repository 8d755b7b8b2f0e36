/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's address space: areas (VMAs) in a tree, pages on demand, 2 MiB at a
 * time where an area covers them. Frames that the proxy may map stay in
 * quarantine after they were unmapped until the host has zapped them there
 * (abi/call.h). All functions take mm->lock themselves.
 */
#ifndef COKERNEL_MM_MM_H
#define COKERNEL_MM_MM_H

#include "abi/call.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/tree.h"
#include "cokernel/lib/types.h"

/* Protection; Linux's PROT_* values. */
#define MM_READ  1u
#define MM_WRITE 2u
#define MM_EXEC  4u

/* mm_map() flags */
#define MM_FIXED      1u    /* at this address, replacing what is there */
#define MM_NOREPLACE  2u    /* with MM_FIXED: -EEXIST instead */
#define MM_NOHUGE     4u
#define MM_POPULATE   8u

struct vma {
	struct tree_node node;      /* key: start */
	uint64_t start, end;
	uint32_t prot;
	uint32_t flags;             /* MM_NOHUGE */
};

struct mm {
	struct spinlock lock;
	paddr_t root;
	struct tree vmas;
	uint64_t mmap_top;          /* new mappings lie below */
	uint64_t mmap_next;         /* where the next search starts */
	uint64_t kept_table;        /* address of an empty span whose table stayed; 0 */
	uint64_t brk_start, brk;
	uint64_t mapped_bytes;      /* sum of the areas */
	uint64_t resident_pages;
	bool moving;                /* mm_evacuate() has pages under way */
	struct cpumask cpus;        /* where it is in CR3; any CPU, atomic */

	uint64_t id;                /* never used again */
	uint32_t context;           /* whose it is, for mm_ask_zap() */
	uint64_t zap_asked;         /* the host was asked for zaps below this */
	struct otr_ctx_private *zaps;   /* NULL: no proxy, nothing to wait for */
	uint64_t zap_tail;          /* our own copy */
	uint64_t overflow_start, overflow_end;  /* waits for room in the ring */
	struct list quarantine;     /* pages; tag: the zap that must be done */
	uint64_t quarantine_pages;
	struct list shared_quarantine;  /* struct parked_page: frames that others map too */
	uint32_t lent_count;        /* vfork children that run in it: nothing is freed */
};

/* Asks the host to apply all zaps now, once for each state of the ring. */
void mm_ask_zap(struct mm *mm);

struct mm *mm_create(struct otr_ctx_private *zaps);
/* Frees everything; no thread runs on it and the proxy has no mapping left. */
void mm_destroy(struct mm *mm);
/* Loads it on the calling CPU. */
void mm_switch(struct mm *mm);
/* Unloads whatever is loaded on the calling CPU. */
void mm_leave(void);

/* Address or -errno. addr is a hint unless MM_FIXED. */
int64_t mm_map(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot, uint32_t flags);
int mm_unmap(struct mm *mm, uint64_t addr, uint64_t bytes);
int mm_protect(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot);
/* mremap(2) with Linux's flags (MAYMOVE 1, FIXED 2). */
int64_t mm_remap(struct mm *mm, uint64_t old, uint64_t old_bytes, uint64_t new_bytes,
		 uint32_t flags, uint64_t new_addr);
/* Drops the pages; the area stays and reads zero. -ENOMEM where nothing is mapped. */
int mm_discard(struct mm *mm, uint64_t addr, uint64_t bytes);
/* brk(2): the new break, or the old one if it cannot be had. */
uint64_t mm_brk(struct mm *mm, uint64_t addr);
/* Makes `child`, which is empty, a copy: all frames shared until one side writes.
 * *seq: the parent's zaps below it must be applied before the child may run. */
int mm_fork(struct mm *parent, struct mm *child, uint64_t *seq);
/* lend.c: `to`, whose proxy is another, refers to mm's tables; again after faults
 * that may have made new ones. */
void mm_lend(struct mm *mm, struct mm *to);
void mm_lend_sync(struct mm *mm, struct mm *to);
/* Empties `to` again: the zap to wait for before mm_lend_end(), after which mm may
 * free what its borrower's proxy had mapped. */
uint64_t mm_lend_take_back(struct mm *to);
void mm_lend_end(struct mm *mm);
/* As mm_zap_seq() for a call of a borrower: zaps of mm since *seen become one of
 * all in `to`. */
uint64_t mm_lend_zap_seq(struct mm *mm, struct mm *to, uint64_t *seen);
/* Pushes a zap of everything: the number to wait for with mm_zapped(). */
uint64_t mm_zap_all(struct mm *mm);
/* Empties it for exec. */
void mm_clear(struct mm *mm);

/* areas.c: the first `most` areas from *next on; their number. *next becomes the
 * start of the one behind, 0 at the end. */
uint32_t mm_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most);

/* Makes the page of va usable for `access` (MM_READ, MM_WRITE or MM_EXEC).
 * -EFAULT: nothing is mapped; -EACCES: not this way; -ENOMEM. The first may
 * park while the page is being moved; the second answers -EAGAIN then. */
int mm_fault(struct mm *mm, uint64_t va, uint32_t access);
int mm_fault_nowait(struct mm *mm, uint64_t va, uint32_t access);
/* Moves the program's pages out of [start, end), which no allocation uses any
 * more. -EBUSY: some are pinned or came back; -ENOMEM. */
int mm_evacuate(struct mm *mm, paddr_t start, paddr_t end);
/* The same for every page of [va, va + bytes). */
int mm_populate(struct mm *mm, uint64_t va, uint64_t bytes, uint32_t access);
/* The number up to which zaps must be applied for a call made now; pushes what
 * waits for room first. */
uint64_t mm_zap_seq(struct mm *mm);
/* All zaps below seq are applied. */
bool mm_zapped(struct mm *mm, uint64_t seq);
/* Frees quarantined frames whose zaps are done; returns pages freed. */
uint64_t mm_collect(struct mm *mm);

#endif
