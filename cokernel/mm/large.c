/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 2 MiB frames that several address spaces have. While such a frame is whole, its first
 * page counts the entries that map it. One address space may split its entry, to write to
 * 4 KiB of it, without the others: then each of the 512 pages counts for itself, and an
 * entry that still maps all of them has a reference of each. It stays so until the
 * pages are freed, one by one.
 */
#include "cokernel/lib/atomic.h"
#include "cokernel/mm/mm_internal.h"

#define LOCKS 64u
#define PAGES (LARGE_SIZE / PAGE_SIZE)

static struct spinlock lock[LOCKS];     /* of the frame, around whether it is whole */

static struct spinlock *lock_of(const struct page *p)
{
	return &lock[page_to_phys(p).v / LARGE_SIZE % LOCKS];
}

static bool is_whole(const struct page *p)
{
	return p->order == ORDER_LARGE;
}

void large_get(struct page *p)
{
	bool whole;

	spin_lock(lock_of(p));
	whole = is_whole(p);
	if (whole)
		page_get(p);
	spin_unlock(lock_of(p));
	for (uint32_t i = 0; !whole && i < PAGES; i++)
		page_get(p + i);
}

void large_put(struct page *p)
{
	bool whole;

	spin_lock(lock_of(p));
	whole = is_whole(p);
	if (whole)
		page_put(p);
	spin_unlock(lock_of(p));
	for (uint32_t i = 0; !whole && i < PAGES; i++)
		page_put(p + i);
}

bool large_is_ours(struct page *p, bool *whole)
{
	bool ours = true;

	spin_lock(lock_of(p));
	*whole = is_whole(p);
	for (uint32_t i = 0; ours && i < (*whole ? 1u : PAGES); i++)
		ours = atomic_load(&p[i].refs) == 1;
	spin_unlock(lock_of(p));
	return ours;
}

void large_split(struct page *p)
{
	uint32_t refs;

	spin_lock(lock_of(p));
	if (is_whole(p)) {
		refs = atomic_load(&p->refs);
		page_split(p);
		for (uint32_t i = 0; refs > 1 && i < PAGES; i++)
			atomic_store(&p[i].refs, refs);
	}
	spin_unlock(lock_of(p));
}
