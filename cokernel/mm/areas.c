/* SPDX-License-Identifier: BSD-2-Clause */
/* An address space described, for /proc/self/maps. */
#include "cokernel/mm/mm_internal.h"

uint32_t mm_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most)
{
	struct vma *v;
	uint32_t n = 0;

	spin_lock(&mm->lock);
	for (v = vma_find(mm, *next); v && n < most; v = vma_next(v))
		to[n++] = (struct otr_area){ .start = v->start, .end = v->end, .prot = v->a.prot };
	*next = v ? v->start : 0;
	spin_unlock(&mm->lock);
	return n;
}
