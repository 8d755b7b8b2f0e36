/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of Linux's that a program shares. The frames are not the partition's:
 * the host grants them one by one and takes them back at any time. Entries for
 * them carry PTE_GRANT; nothing here ever looks at their frame descriptors.
 */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm_internal.h"

static void place(struct mm *mm, uint64_t va, uint64_t grant, const uint64_t identity[2], int *err)
{
	struct vma *v = vma_find(mm, va);
	uint64_t *e, entry;

	if (!v || v->start > va || !v->a.share || !v->a.prot)
		return;
	v->a.identity[0] = identity[0];
	v->a.identity[1] = identity[1];
	e = pt_ensure(mm->root, va, 0, page_alloc_table);
	if (!e) {
		*err = -ENOMEM;
		return;
	}
	entry = (grant & PTE_ADDR) | pte_flags(v->a.prot) | PTE_GRANT;
	if (!(grant & OTR_GRANT_WRITE))
		entry &= ~PTE_WRITE;
	/* A wider right comes in place of a narrower one, never the other way. */
	if (pte_used(*e) && (!(*e & PTE_GRANT) || *e & PTE_WRITE))
		return;
	store_release(e, entry);
}

int mm_grant(struct mm *mm, uint64_t addr, uint64_t count, const uint64_t identity[2])
{
	int err = 0;

	if (!mm->zaps || count > OTR_GRANT_COUNT || addr & (PAGE_SIZE - 1) || addr < OTR_USER_START ||
	    addr > OTR_USER_END - count * PAGE_SIZE)
		return -EINVAL;
	spin_lock(&mm->lock);
	for (uint64_t i = 0; i < count && !err; i++) {
		uint64_t grant = load_relaxed(&mm->zaps->grant[i]);

		if (grant & OTR_GRANT_VALID)
			place(mm, addr + i * PAGE_SIZE, grant, identity, &err);
	}
	spin_unlock(&mm->lock);
	return err;
}

static uint64_t level_span(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * level);
}

void mm_revoke(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t low = UINT64_MAX, high = 0;

	spin_lock(&mm->lock);
	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
		uint64_t va = MAX(v->start, start), to = MIN(v->end, end);

		while (v->a.share && va < to) {
			int level;
			uint64_t *e = pt_walk(mm->root, va, &level);

			if (*e & PTE_GRANT) {
				store_relaxed(e, 0);
				low = MIN(low, va);
				high = va + PAGE_SIZE;
			}
			va = ALIGN_DOWN(va, level_span(level)) + level_span(level);
		}
	}
	if (high)
		tlb_flush(mm, low, high);
	spin_unlock(&mm->lock);
}

bool mm_next_shared(struct mm *mm, uint64_t *start, uint64_t *end)
{
	struct vma *v;

	spin_lock(&mm->lock);
	for (v = vma_find(mm, *start); v && !v->a.share; v = vma_next(v))
		;
	if (v && v->start < *end) {
		*start = MAX(v->start, *start);
		*end = MIN(v->end, *end);
	} else {
		v = NULL;
	}
	spin_unlock(&mm->lock);
	return v;
}

bool mm_shared_extent(struct mm *mm, uint64_t start, uint64_t *end)
{
	struct vma *v;
	bool found;

	spin_lock(&mm->lock);
	v = vma_find(mm, start);
	found = v && v->start == start && v->a.flags & MM_SYSV && !v->a.offset;
	if (found) {
		uint64_t share = v->a.share;

		*end = v->end;
		while ((v = vma_next(v)) && v->start == *end && v->a.share == share)
			*end = v->end;
	}
	spin_unlock(&mm->lock);
	return found;
}

void mm_memory_key(struct mm *mm, uint64_t va, uint64_t key[3])
{
	struct vma *v;

	key[0] = (uint64_t)mm;
	key[1] = 0;
	key[2] = va;
	spin_lock(&mm->lock);
	v = vma_find(mm, va);
	if (v && v->start <= va && v->a.share) {
		key[0] = v->a.identity[0];
		key[1] = v->a.identity[1];
		key[2] = v->a.offset + (va - v->start);
	}
	spin_unlock(&mm->lock);
}
