/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An address space that a vfork child runs in until it execs. The child's threads
 * load the lender's page table; the child's own, which the host walks for its
 * proxy, refers to the lender's tables. While it is lent, the lender frees no
 * frame: the child's proxy may map it too.
 */
#include "cokernel/lib/atomic.h"
#include "cokernel/mm/mm_internal.h"

void mm_lend_sync(struct mm *mm, struct mm *to)
{
	const uint64_t *from_root = phys_to_virt(mm->root);
	uint64_t *to_root = phys_to_virt(to->root);

	for (uint64_t i = 0; i < ROOT_ENTRIES; i++)
		store_relaxed(&to_root[i], load_relaxed(&from_root[i]));
}

void mm_lend(struct mm *mm, struct mm *to)
{
	spin_lock(&mm->lock);
	mm->lent_count++;
	spin_unlock(&mm->lock);
	mm_lend_sync(mm, to);
}

uint64_t mm_lend_take_back(struct mm *to)
{
	uint64_t *root = phys_to_virt(to->root);

	for (uint64_t i = 0; i < ROOT_ENTRIES; i++)
		store_relaxed(&root[i], 0ul);
	return mm_zap_all(to);
}

void mm_lend_end(struct mm *mm)
{
	spin_lock(&mm->lock);
	mm->lent_count--;
	spin_unlock(&mm->lock);
}

uint64_t mm_zap_all(struct mm *mm)
{
	uint64_t seq;

	spin_lock(&mm->lock);
	zap_push(mm, OTR_USER_START, OTR_USER_END);
	seq = mm->zap_tail + (mm->overflow_end ? 1 : 0);
	spin_unlock(&mm->lock);
	return seq;
}

uint64_t mm_lend_zap_seq(struct mm *mm, struct mm *to, uint64_t *seen)
{
	uint64_t seq = mm_zap_seq(mm);

	if (seq != *seen || load_relaxed(&mm->overflow_end)) {
		*seen = seq;
		mm_zap_all(to);
	}
	return mm_zap_seq(to);
}
