/* SPDX-License-Identifier: BSD-2-Clause */
/* The areas of an address space. */
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"

#define LOW_END (2ul << 30)     /* of MAP_32BIT */

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

struct area vma_piece(const struct vma *v, uint64_t at)
{
	struct area a = v->a;

	a.offset += at - v->start;
	return a;
}

void vma_count(struct mm *mm, const struct area *a, int64_t bytes)
{
	if (!(a->flags & MM_STACK)) {
		mm->mapped_bytes += (uint64_t)bytes;
		if (a->prot & MM_WRITE && !a->share)
			mm->data_bytes += (uint64_t)bytes;
	}
	if (a->flags & MM_LOCKED)
		mm->locked_bytes += (uint64_t)bytes;
}

static struct vma *vma_insert(struct mm *mm, uint64_t start, uint64_t end, const struct area *a)
{
	struct vma *v = kmem_zalloc(sizeof(*v));

	if (!v)
		return NULL;
	v->start = start;
	v->end = end;
	v->a = *a;
	if (a->file)
		file_get_locked(a->file);
	tree_insert(&mm->vmas, &v->node, start);
	vma_count(mm, a, (int64_t)(end - start));
	return v;
}

void vma_delete(struct mm *mm, struct vma *v)
{
	tree_remove(&mm->vmas, &v->node);
	vma_count(mm, &v->a, -(int64_t)(v->end - v->start));
	if (v->a.file)
		file_put_locked(mm, v->a.file);
	kmem_free(v);
}

static int cut_at(struct mm *mm, uint64_t at)
{
	struct vma *v = vma_find(mm, at);
	struct area upper;
	uint64_t end;

	if (!v || v->start >= at)
		return 0;
	end = v->end;
	upper = vma_piece(v, at);
	if (!vma_insert(mm, at, end, &upper))
		return -ENOMEM;
	v->end = at;
	vma_count(mm, &v->a, -(int64_t)(end - at));
	return 0;
}

int vma_cut(struct mm *mm, uint64_t start, uint64_t end)
{
	int err = cut_at(mm, start);

	return err ? err : cut_at(mm, end);
}

static bool joins(const struct vma *v, const struct vma *next)
{
	return v->end == next->start && v->a.prot == next->a.prot && v->a.flags == next->a.flags &&
	       v->a.file == next->a.file && v->a.share == next->a.share &&
	       v->a.fixed == next->a.fixed && policy_equal(&v->a.policy, &next->a.policy) &&
	       (!(v->a.file || v->a.share || v->a.fixed) || (vma_piece(v, v->end).offset == next->a.offset &&
			       v->a.data_end == next->a.data_end));
}

/* `next` goes, v takes its place too. */
static void join(struct mm *mm, struct vma *v, struct vma *next)
{
	uint64_t end = next->end;

	/* The same memory; it may have been touched in one of the two only. */
	if (!v->a.identity[1])
		memcpy(v->a.identity, next->a.identity, sizeof(v->a.identity));
	vma_delete(mm, next);
	vma_count(mm, &v->a, (int64_t)(end - v->end));
	v->end = end;
}

void vma_try_join(struct mm *mm, struct vma *v)
{
	struct vma *prev = vma_of(tree_prev(&v->node)), *next;

	if (prev && joins(prev, v)) {
		join(mm, prev, v);
		v = prev;
	}
	next = vma_next(v);
	if (next && joins(v, next))
		join(mm, v, next);
}

int vma_add(struct mm *mm, uint64_t start, uint64_t end, const struct area *a)
{
	struct vma *v = vma_insert(mm, start, end, a);

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

uint64_t vma_find_low(struct mm *mm, uint64_t bytes)
{
	return search_down(mm, LOW_END, bytes, PAGE_SIZE);
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
