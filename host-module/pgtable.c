// SPDX-License-Identifier: GPL-2.0
/*
 * Builder of the co-kernel's initial page tables (four levels, Intel SDM vol. 3,
 * 4.5.4), from zeroed partition memory that it takes page by page. The first
 * page of that memory is the root.
 */
#include "outrigger.h"

static u64 *table_of(u64 entry)
{
	return __va(entry & OTR_PTE_ADDR);
}

/* The next lower table of an entry, made if missing; upper levels allow all. */
static u64 *descend(struct otr_tables *t, u64 *entry)
{
	if (!(*entry & OTR_PTE_P)) {
		if (t->limit - t->used < PAGE_SIZE)
			return NULL;
		*entry = (t->phys + t->used) | OTR_PTE_P | OTR_PTE_W | OTR_PTE_AD;
		t->used += PAGE_SIZE;
	}
	return *entry & OTR_PTE_PS ? NULL : table_of(*entry);
}

/* Maps bytes (page aligned) with 2 MiB entries where both sides allow it.
 * -ENOSPC: the tables' memory is used up. */
int otr_tables_map(struct otr_tables *t, u64 virt, u64 phys, u64 bytes, u64 flags)
{
	u64 step;

	if (!t->used)
		t->used = PAGE_SIZE;
	for (; bytes; virt += step, phys += step, bytes -= step) {
		u64 *table = __va(t->phys);

		table = descend(t, &table[(virt >> 39) & 511]);
		if (table)
			table = descend(t, &table[(virt >> 30) & 511]);
		if (!table)
			return -ENOSPC;
		step = PAGE_SIZE;
		if (IS_ALIGNED(virt | phys, OTR_MIB2) && bytes >= OTR_MIB2) {
			step = OTR_MIB2;
			table[(virt >> 21) & 511] = phys | flags | OTR_PTE_PS | OTR_PTE_AD | OTR_PTE_P;
			continue;
		}
		table = descend(t, &table[(virt >> 21) & 511]);
		if (!table)
			return -ENOSPC;
		table[(virt >> 12) & 511] = phys | flags | OTR_PTE_AD | OTR_PTE_P;
	}
	return 0;
}
