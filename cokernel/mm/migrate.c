/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves a program's pages out of memory that goes back to the host, while the
 * program runs. A page is first made to move: not present, unmapped in the
 * proxy as well (the zap is waited for, so that no delegated call still writes
 * to the old frame); then it is copied and present again.
 */
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"
#include "cokernel/sched/thread.h"

#define BATCH 256u
/* A zap comes late when a page is pinned in Linux: then it stays where it is. */
#define ZAP_WAIT_NS 200000000ull

struct move {
	uint64_t va;
	uint64_t entry;             /* before, present or PTE_NONE_PROT */
	uint32_t order;
	struct page *to;
};

struct batch {
	struct move move[BATCH];
	uint32_t count;
	uint64_t next_va;           /* where to look on */
	uint64_t zap_seq;
};

static bool inside(uint64_t e, paddr_t start, paddr_t end)
{
	return (e & PTE_ADDR) >= start.v && (e & PTE_ADDR) < end.v;
}

static uint64_t level_span(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * level);
}

/* Marks up to BATCH pages from b->next_va on; -ENOMEM without room for them. */
static int begin(struct mm *mm, struct batch *b, paddr_t start, paddr_t end)
{
	int err = 0;

	b->count = 0;
	spin_lock(&mm->lock);
	while (b->next_va < OTR_USER_END && b->count < BATCH) {
		struct vma *v = vma_find(mm, b->next_va);
		struct move *m = &b->move[b->count];
		uint64_t *e;
		int level;

		if (!v) {
			b->next_va = OTR_USER_END;
			break;
		}
		b->next_va = MAX(b->next_va, v->start);
		e = pt_walk(mm->root, b->next_va, &level);
		if (pte_used(*e) && !(*e & PTE_MOVING) && inside(*e, start, end)) {
			m->va = ALIGN_DOWN(b->next_va, level_span(level));
			m->order = 9 * (uint32_t)level;
			m->entry = *e;
			m->to = page_alloc_movable(m->order);
			/* No 2 MiB in one piece: small pages will do. */
			if (!m->to && m->order && !pages_split_large(mm, e, b->next_va))
				continue;
			if (!m->to) {
				err = -ENOMEM;
				break;
			}
			store_relaxed(e, (*e & ~(PTE_PRESENT | PTE_NONE_PROT)) | PTE_MOVING);
			b->count++;
		}
		b->next_va = ALIGN_DOWN(b->next_va, level_span(level)) + level_span(level);
	}
	mm->moving = b->count;
	if (b->count) {
		/* One for all: what lies between comes back by faults. */
		tlb_flush(mm, b->move[0].va, b->next_va);
		zap_push(mm, b->move[0].va, b->next_va);
	}
	b->zap_seq = mm->zap_tail + (mm->overflow_end ? 1 : 0);
	spin_unlock(&mm->lock);
	return err;
}

static bool wait_for_zaps(struct mm *mm, const struct batch *b)
{
	uint64_t until = clock_uptime_ns() + ZAP_WAIT_NS;

	if (!mm->zaps || !b->count)
		return true;
	while (zap_done(mm) < b->zap_seq) {
		if (clock_uptime_ns() > until)
			return false;
		mm_collect(mm);         /* pushes what waits for room, too */
		mm_ask_zap(mm);
		thread_park_until(clock_uptime_ns() + 1000000);
	}
	return true;
}

/* Copies and makes present again, or puts back what was. */
static void end_batch(struct mm *mm, struct batch *b, bool moved)
{
	spin_lock(&mm->lock);
	for (uint32_t i = 0; i < b->count; i++) {
		struct move *m = &b->move[i];
		struct page *old = phys_to_page(PADDR(m->entry & PTE_ADDR));
		int level;
		uint64_t *e = pt_walk(mm->root, m->va, &level);

		/* mm->moving kept everybody from changing it. */
		assert_kernel(*e & PTE_MOVING && 9 * (uint32_t)level == m->order);
		if (!moved) {
			store_release(e, (*e & ~PTE_MOVING) | (m->entry & (PTE_PRESENT | PTE_NONE_PROT)));
			page_put(m->to);
			continue;
		}
		memcpy(page_to_virt(m->to), page_to_virt(old), PAGE_SIZE << m->order);
		store_release(e, page_to_phys(m->to).v | (*e & ~(PTE_ADDR | PTE_MOVING)) |
				 (m->entry & (PTE_PRESENT | PTE_NONE_PROT)));
		if (m->order)
			large_put(old);
		else
			page_put(old);
	}
	mm->moving = false;
	spin_unlock(&mm->lock);
}

int mm_evacuate(struct mm *mm, paddr_t start, paddr_t end)
{
	struct batch *b = kmem_alloc(sizeof(*b));
	bool all = true;
	int err;

	if (!b)
		return -ENOMEM;
	b->next_va = OTR_USER_START;
	do {
		bool moved;

		err = begin(mm, b, start, end);
		moved = wait_for_zaps(mm, b);
		end_batch(mm, b, moved);
		all = all && moved;
	} while (!err && b->next_va < OTR_USER_END);
	/* A program that makes no calls has its last unmapped pages in quarantine. */
	mm_ask_zap(mm);
	mm_collect(mm);
	kmem_free(b);
	return err ? err : all ? 0 : -EBUSY;
}
