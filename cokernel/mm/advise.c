/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs say and ask about areas without changing what is in them. */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm_internal.h"

bool vma_may_add(struct mm *mm, const struct area *a, uint64_t bytes)
{
	if (a->flags & MM_STACK || a->fixed)
		return true;
	if (mm->mapped_bytes > mm->limit_as || bytes > mm->limit_as - mm->mapped_bytes)
		return false;
	return !(a->prot & MM_WRITE) || a->share || mm->limit_data == UINT64_MAX ||
	       (mm->data_bytes <= mm->limit_data && bytes <= mm->limit_data - mm->data_bytes);
}

int mm_change_flags(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t clear, uint32_t set)
{
	uint64_t end = addr + ALIGN_UP(bytes, PAGE_SIZE), next;
	struct vma *v;
	int err;

	if (!range_ok(addr, end - addr))
		return -ENOMEM;
	lock_settled(mm);
	err = vma_cut(mm, addr, end);
	for (v = vma_find(mm, addr); !err && v && v->start < end; v = vma_find(mm, next)) {
		next = v->end;
		vma_count(mm, &v->a, -(int64_t)(v->end - v->start));
		v->a.flags = (v->a.flags & ~clear) | set;
		vma_count(mm, &v->a, (int64_t)(v->end - v->start));
		vma_try_join(mm, v);
	}
	if (!err)
		err = range_covered(mm, addr, end);
	spin_unlock(&mm->lock);
	return err;
}

int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t bytes, const struct policy *policy)
{
	uint64_t end = addr + ALIGN_UP(bytes, PAGE_SIZE), next;
	struct vma *v;
	int err;

	if (!range_ok(addr, end - addr))
		return -ENOMEM;
	lock_settled(mm);
	err = range_covered(mm, addr, end);
	if (!err)
		err = vma_cut(mm, addr, end);
	for (v = vma_find(mm, addr); !err && v && v->start < end; v = vma_find(mm, next)) {
		next = v->end;
		v->a.policy = *policy;
		vma_try_join(mm, v);
	}
	spin_unlock(&mm->lock);
	return err;
}

int mm_get_policy(struct mm *mm, uint64_t va, struct policy *policy)
{
	struct vma *v;
	int err = -EFAULT;

	spin_lock(&mm->lock);
	v = vma_find(mm, va);
	if (v && v->start <= va) {
		err = 0;
		if (v->a.policy.mode != POLICY_DEFAULT)
			*policy = v->a.policy;
	}
	spin_unlock(&mm->lock);
	return err;
}

int mm_node_of(struct mm *mm, uint64_t va)
{
	int level, node = -EFAULT;
	uint64_t *e;

	spin_lock(&mm->lock);
	e = pt_walk(mm->root, va, &level);
	if (pte_used(*e) && !(*e & PTE_GRANT))
		node = (int)page_node(phys_to_page(PADDR(*e & PTE_ADDR)));
	spin_unlock(&mm->lock);
	return node;
}

void mm_measure(struct mm *mm, uint64_t addr, uint64_t bytes, uint64_t *locked, uint64_t *mapped)
{
	uint64_t end = addr + bytes;

	*locked = *mapped = 0;
	spin_lock(&mm->lock);
	for (struct vma *v = vma_find(mm, addr); v && v->start < end; v = vma_next(v)) {
		uint64_t part = MIN(v->end, end) - MAX(v->start, addr);

		*mapped += part;
		if (v->a.flags & MM_LOCKED)
			*locked += part;
	}
	spin_unlock(&mm->lock);
}

bool mm_any(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t flags, bool file)
{
	uint64_t end = addr + bytes;
	bool any = false;

	spin_lock(&mm->lock);
	for (struct vma *v = vma_find(mm, addr); v && v->start < end && !any; v = vma_next(v))
		any = v->a.flags & flags || (file && v->a.file);
	spin_unlock(&mm->lock);
	return any;
}

void mm_present(struct mm *mm, uint64_t addr, uint32_t pages, uint8_t *to)
{
	spin_lock(&mm->lock);
	for (uint32_t i = 0; i < pages; i++) {
		int level;
		uint64_t *e = pt_walk(mm->root, addr + i * PAGE_SIZE, &level);

		to[i] = pte_used(*e);
	}
	spin_unlock(&mm->lock);
}
