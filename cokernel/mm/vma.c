/* SPDX-License-Identifier: BSD-2-Clause */
/* The areas of an address space. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"

struct vma *vma_find(struct mm *mm, uint64_t addr)
{
	struct vma *v = vma_of(tree_floor(&mm->vmas, addr));

	if (v && v->end > addr)
		return v;
	return v ? vma_next(v) : vma_of(tree_first(&mm->vmas));
}

struct vma *vma_next(struct vma *v)
{
	return vma_of(tree_next(&v->node));
}

static struct vma *vma_insert(struct mm *mm, uint64_t start, uint64_t end, uint32_t prot,
			      uint32_t flags)
{
	struct vma *v = kmem_zalloc(sizeof(*v));

	if (!v)
		return NULL;
	v->start = start;
	v->end = end;
	v->prot = prot;
	v->flags = flags;
	tree_insert(&mm->vmas, &v->node, start);
	mm->mapped_bytes += end - start;
	return v;
}

void vma_delete(struct mm *mm, struct vma *v)
{
	tree_remove(&mm->vmas, &v->node);
	mm->mapped_bytes -= v->end - v->start;
	kmem_free(v);
}

static int cut_at(struct mm *mm, uint64_t at)
{
	struct vma *v = vma_find(mm, at);
	uint64_t end;

	if (!v || v->start >= at)
		return 0;
	end = v->end;
	if (!vma_insert(mm, at, end, v->prot, v->flags))
		return -ENOMEM;
	v->end = at;
	mm->mapped_bytes -= end - at;
	return 0;
}

int vma_cut(struct mm *mm, uint64_t start, uint64_t end)
{
	int err = cut_at(mm, start);

	return err ? err : cut_at(mm, end);
}

void vma_try_join(struct mm *mm, struct vma *v)
{
	struct vma *prev = vma_of(tree_prev(&v->node)), *next;

	if (prev && prev->end == v->start && prev->prot == v->prot && prev->flags == v->flags) {
		uint64_t end = v->end;

		vma_delete(mm, v);
		mm->mapped_bytes += end - prev->end;
		prev->end = end;
		v = prev;
	}
	next = vma_next(v);
	if (next && v->end == next->start && next->prot == v->prot && next->flags == v->flags) {
		uint64_t end = next->end;

		vma_delete(mm, next);
		mm->mapped_bytes += end - v->end;
		v->end = end;
	}
}

int vma_add(struct mm *mm, uint64_t start, uint64_t end, uint32_t prot, uint32_t flags)
{
	struct vma *v = vma_insert(mm, start, end, prot, flags);

	if (!v)
		return -ENOMEM;
	vma_try_join(mm, v);
	return 0;
}

static bool is_free(struct mm *mm, uint64_t start, uint64_t bytes)
{
	struct vma *v = vma_find(mm, start);

	return start >= OTR_USER_START && start + bytes <= mm->mmap_top &&
	       (!v || v->start >= start + bytes);
}

/* Downwards from `below`, the highest place that is free. */
static uint64_t search_down(struct mm *mm, uint64_t below, uint64_t bytes, uint64_t align)
{
	struct vma *v = vma_of(tree_floor(&mm->vmas, below - 1));
	uint64_t top = below;

	for (;;) {
		uint64_t floor = v ? MIN(v->end, top) : OTR_USER_START;

		if (top > floor && top - floor >= bytes) {
			uint64_t at = ALIGN_DOWN(top - bytes, align);

			if (at >= floor && at >= OTR_USER_START)
				return at;
		}
		if (!v)
			return 0;
		top = MIN(top, v->start);
		v = vma_of(tree_prev(&v->node));
	}
}

uint64_t vma_find_gap(struct mm *mm, uint64_t hint, uint64_t bytes, uint64_t align)
{
	uint64_t at;

	hint = ALIGN_DOWN(hint, PAGE_SIZE);
	if (hint && is_free(mm, hint, bytes))
		return hint;
	at = mm->mmap_next ? search_down(mm, mm->mmap_next, bytes, align) : 0;
	/* Stay high and dense: fall back to the whole range when the search ran
	 * below everything that was mapped so far. */
	if (!at)
		at = search_down(mm, mm->mmap_top, bytes, align);
	if (at)
		mm->mmap_next = at;
	return at;
}
