/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of address spaces: frames are shared and marked, the first write on
 * either side copies (fault.c). Large pages stay large. */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm_internal.h"

static uint64_t level_span(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * level);
}

static int share_area(struct mm *parent, struct mm *child, const struct vma *v)
{
	uint64_t va = v->start;
	struct area a = v->a;
	int err;

	if (a.flags & MM_DONTFORK)
		return 0;
	a.flags &= ~MM_LOCKED;      /* locks are not inherited */
	while (!(a.flags & MM_WIPEONFORK) && va < v->end) {
		int level;
		uint64_t *e = pt_walk(parent->root, va, &level), *c;
		uint64_t at = ALIGN_DOWN(va, level_span(level));

		/* A large page can lie in several areas, which differ in what a fork
		 * does with them. */
		if (level && pte_used(*e) && (at < v->start || at + level_span(level) > v->end)) {
			err = pages_split_large(parent, e, va);
			if (err)
				return err;
			continue;
		}
		/* What Linux shares is granted to the child when it touches it. */
		if (pte_used(*e) && !(*e & PTE_GRANT)) {
			c = pt_ensure(child->root, at, level, page_alloc_table);
			if (!c)
				return -ENOMEM;
			if (level)
				large_get(phys_to_page(PADDR(*e & PTE_ADDR)));
			else
				page_get(phys_to_page(PADDR(*e & PTE_ADDR)));
			store_relaxed(e, (*e & ~PTE_WRITE) | PTE_COW);
			store_relaxed(c, *e);
			child->resident_pages += 1ul << (9 * level);
		}
		va = at + level_span(level);
		arch_serve();
	}
	if (a.file) {
		a.file = mm_file_inherit(child, a.file);
		if (!a.file)
			return -ENOMEM;
	}
	err = vma_add(child, v->start, v->end, &a);
	if (a.file)
		mm_file_put(child, a.file);
	return err;
}

void mm_adopt(struct mm *to, struct mm *from)
{
	uint64_t *t, *f = phys_to_virt(from->root);
	struct list *l;

	spin_lock(&to->lock);
	t = phys_to_virt(to->root);
	for (uint64_t i = 0; i < ROOT_ENTRIES; i++) {
		store_release(&t[i], f[i]);
		f[i] = 0;
	}
	to->vmas = from->vmas;
	to->files = from->files;
	from->vmas.root = from->files.root = NULL;
	while ((l = list_pop_front(&from->idle_files)))
		list_push_back(&to->idle_files, l);
	to->mmap_top = from->mmap_top;
	to->mmap_next = from->mmap_next;
	to->brk_start = from->brk_start;
	to->brk = from->brk;
	to->mapped_bytes = from->mapped_bytes;
	to->data_bytes = from->data_bytes;
	to->locked_bytes = from->locked_bytes;
	to->limit_as = from->limit_as;
	to->limit_data = from->limit_data;
	to->resident_pages = from->resident_pages;
	to->shares = from->shares;
	spin_unlock(&to->lock);
	mm_destroy(from);
}

int mm_fork(struct mm *parent, struct mm *child, uint64_t *seq)
{
	int err = 0;

	lock_settled(parent);
	for (struct vma *v = vma_find(parent, 0); v && !err; v = vma_next(v))
		err = share_area(parent, child, v);
	child->mmap_top = parent->mmap_top;
	child->mmap_next = parent->mmap_next;
	child->brk_start = parent->brk_start;
	child->brk = parent->brk;
	child->shares = parent->shares;
	child->limit_as = parent->limit_as;
	child->limit_data = parent->limit_data;
	tlb_flush(parent, OTR_USER_START, OTR_USER_END);
	zap_push(parent, OTR_USER_START, OTR_USER_END);
	*seq = parent->zap_tail + (parent->overflow_end ? 1 : 0);
	spin_unlock(&parent->lock);
	return err;
}
