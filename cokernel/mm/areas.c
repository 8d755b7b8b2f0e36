/* SPDX-License-Identifier: BSD-2-Clause */
/* An address space described, for /proc/self/maps. */
#include "cokernel/mm/mm_internal.h"

static struct otr_area describe(const struct vma *v)
{
	struct otr_area c = { .start = v->start, .end = v->end, .prot = v->a.prot };

	if (v->a.file) {
		c.file = (uint32_t)v->a.file->node.key;
		c.offset = v->a.offset;
	}
	if (v->a.share)
		c.flags = OTR_AREA_SHARED | (v->a.flags & (MM_UNNAMED | MM_SYSV) ? 0 : OTR_AREA_NAMED);
	if (v->a.flags & MM_DONTDUMP)
		c.flags |= OTR_AREA_DONTDUMP;
	if (v->a.fixed)
		c.flags |= OTR_AREA_FIXED;
	return c;
}

uint32_t mm_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most)
{
	struct vma *v;
	uint32_t n = 0;

	spin_lock(&mm->lock);
	for (v = vma_find(mm, *next); v && n < most; v = vma_next(v))
		to[n++] = describe(v);
	*next = v ? v->start : 0;
	spin_unlock(&mm->lock);
	return n;
}

/* ---- For a core file ---- */

#define STEPS_MOST 4096u        /* entries looked at under the lock at once */

/* The next part of [*at, end) that has pages, or as much of it as STEPS_MOST allow.
 * *at moves behind what was looked at. False: nothing yet. */
static bool next_present(struct mm *mm, uint64_t *at, uint64_t end, struct otr_area *to)
{
	uint32_t steps = 0;
	bool found = false;

	while (*at < end && steps++ < STEPS_MOST) {
		int level;
		uint64_t e = *pt_walk(mm->root, *at, &level), bytes = 1ull << (PAGE_SHIFT + 9 * level);
		uint64_t next = MIN(ALIGN_DOWN(*at, bytes) + bytes, end);

		if (!pte_used(e)) {
			if (found)
				return true;
		} else {
			if (!found)
				*to = (struct otr_area){ .start = *at, .flags = OTR_AREA_PRESENT };
			to->end = next;
			found = true;
		}
		*at = next;
	}
	return found;
}

uint32_t mm_core_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most)
{
	uint64_t at = *next;
	uint32_t n = 0;

	/* The lowest bit of *next: its area has been described. */
	while (at && n < most) {
		uint64_t from = at & ~1ull;
		struct vma *v;

		spin_lock(&mm->lock);
		v = vma_find(mm, from);
		if (!v) {
			at = 0;
		} else if (!(at & 1) || v->start > from) {
			to[n++] = describe(v);
			at = v->start | 1;
		} else {
			if (!v->a.share && next_present(mm, &from, v->end, &to[n]))
				n++;
			at = v->a.share || from >= v->end ? v->end : from | 1;
		}
		spin_unlock(&mm->lock);
	}
	*next = at;
	return n;
}
