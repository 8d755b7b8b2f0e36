/* SPDX-License-Identifier: BSD-2-Clause */
/* A debugger's way into a program's memory. */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/mm_internal.h"

/* mm->lock held. The byte, through the direct map; NULL and *err: 1, no page is there. */
static uint8_t *byte_at(struct mm *mm, uint64_t va, uint64_t **e, int *level, int *err)
{
	struct vma *v = vma_find(mm, va);

	*err = -EFAULT;
	if (!v || v->start > va || v->a.share || v->a.fixed)
		return NULL;
	*e = pt_walk(mm->root, va, level);
	*err = **e & PTE_MOVING ? -EAGAIN : 1;
	if (**e & PTE_MOVING || !pte_used(**e))
		return NULL;
	*err = **e & PTE_GRANT ? -EFAULT : 0;
	return *err ? NULL : (uint8_t *)phys_to_virt(PADDR(**e & PTE_ADDR)) + (va & ((PAGE_SIZE << 9 * *level) - 1));
}

/* A small frame of its own in place of a shared one, with the same rights. */
static int unshare(struct mm *mm, uint64_t *e, uint64_t va)
{
	struct page *old = phys_to_page(PADDR(*e & PTE_ADDR)), *fresh = page_alloc_movable(0);
	struct parked_page *q = fresh ? quarantine_prepare(old, false) : NULL;

	if (!q) {
		if (fresh)
			page_put(fresh);
		return -ENOMEM;
	}
	memcpy(page_to_virt(fresh), page_to_virt(old), PAGE_SIZE);
	va = ALIGN_DOWN(va, PAGE_SIZE);
	store_release(e, page_to_phys(fresh).v | (*e & ~PTE_ADDR));
	tlb_flush(mm, va, va + PAGE_SIZE);
	quarantine_add_shared(mm, q);
	zap_push(mm, va, va + PAGE_SIZE);
	return 0;
}

int mm_poke(struct mm *mm, uint64_t va, uint8_t value, uint8_t *was)
{
	uint32_t fetch;
	struct page *p;
	uint64_t *e;
	uint8_t *at;
	int err, level;
	bool whole;

	for (;;) {
		spin_lock(&mm->lock);
		at = byte_at(mm, va, &e, &level, &err);
		p = at ? phys_to_page(PADDR(*e & PTE_ADDR)) : NULL;
		if (p && (level ? !large_is_ours(p, &whole) : page_is_shared(p))) {
			err = level ? pages_split_large(mm, e, va) : unshare(mm, e, va);
			spin_unlock(&mm->lock);
			if (err)
				return err;
			continue;
		}
		if (at) {
			*was = *at;
			store_release(at, value);
		}
		spin_unlock(&mm->lock);
		if (err <= 0)
			return err;
		err = mm_fault_nowait(mm, va, MM_READ, &fetch);
		if (err)
			return err == -EINPROGRESS ? -EAGAIN : err == -ENOMEM ? err : -EFAULT;
	}
}

int mm_peek(struct mm *mm, uint64_t va, uint8_t *value)
{
	uint64_t *e;
	uint8_t *at;
	int err, level;

	spin_lock(&mm->lock);
	at = byte_at(mm, va, &e, &level, &err);
	if (at)
		*value = *at;
	spin_unlock(&mm->lock);
	return err > 0 ? -EFAULT : err;
}
