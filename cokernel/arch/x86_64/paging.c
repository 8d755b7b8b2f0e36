/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"

static uint64_t level_bytes(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * level);
}

static uint64_t *table_entry(paddr_t table, uint64_t va, int level)
{
	uint64_t *t = phys_to_virt(table);

	return &t[va >> (PAGE_SHIFT + 9 * level) & 511];
}

uint64_t *pt_walk(paddr_t root, uint64_t va, int *level)
{
	paddr_t table = root;

	for (int l = 3;; l--) {
		uint64_t *e = table_entry(table, va, l);
		uint64_t v = load_relaxed(e);

		if (l == 0 || !(v & PTE_PRESENT) || (l < 3 && v & PTE_LARGE)) {
			*level = l;
			return e;
		}
		table = PADDR(v & PTE_ADDR);
	}
}

uint64_t *pt_ensure(paddr_t root, uint64_t va, int level, pt_alloc_fn alloc)
{
	uint64_t user = va < 1ull << 47 ? PTE_USER : 0;
	paddr_t table = root;

	for (int l = 3;; l--) {
		uint64_t *e = table_entry(table, va, l);
		uint64_t v = *e;

		if (l == level)
			return e;
		if (!(v & PTE_PRESENT)) {
			paddr_t fresh = alloc();

			if (!fresh.v)
				return NULL;
			v = fresh.v | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | user;
			store_release(e, v);
		} else if (v & PTE_LARGE) {
			return NULL;
		}
		table = PADDR(v & PTE_ADDR);
	}
}

int pt_map(paddr_t root, uint64_t va, paddr_t pa, uint64_t bytes, uint64_t flags,
	   pt_alloc_fn alloc)
{
	while (bytes) {
		int level = 0;
		uint64_t *e, large;

		if (cpu_features.page_1g && !((va | pa.v) & (HUGE_SIZE - 1)) && bytes >= HUGE_SIZE)
			level = 2;
		else if (!((va | pa.v) & (LARGE_SIZE - 1)) && bytes >= LARGE_SIZE)
			level = 1;
		e = pt_ensure(root, va, level, alloc);
		if (!e)
			return -ENOMEM;
		if (*e & PTE_PRESENT)
			return -EEXIST;
		large = level ? PTE_LARGE : 0;
		*e = pa.v | flags | large | PTE_PRESENT | PTE_ACCESSED |
		     (flags & PTE_WRITE ? PTE_DIRTY : 0);
		va += level_bytes(level);
		pa.v += level_bytes(level);
		bytes -= level_bytes(level);
	}
	return 0;
}

void pt_unmap(paddr_t root, uint64_t va, uint64_t bytes)
{
	uint64_t end = va + bytes;

	while (va < end) {
		int level;
		uint64_t *e = pt_walk(root, va, &level);

		if (*e & PTE_PRESENT)
			store_relaxed(e, 0);
		va = ALIGN_DOWN(va, level_bytes(level)) + level_bytes(level);
	}
}
