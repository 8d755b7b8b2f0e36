/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/dump.h"

#include <elf.h>
#include <string.h>

/* Intel SDM 3A, 4.5: 4-level paging. */
#define PTE_P  1ull
#define PTE_W  2ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull
#define ENTRIES 512u
#define KERNEL_HALF 256u

/* A table may point at itself: the walk ends. */
#define TABLES_MAX (1u << 17)

struct walk {
	struct dump *d;
	unsigned int tables;
};

const struct dump_range *dump_owned(const struct dump *d, uint64_t phys, uint64_t bytes)
{
	uint32_t i;

	for (i = 0; i < d->range_count; i++)
		if (phys >= d->range[i].start && phys < d->range[i].end &&
		    bytes <= d->range[i].end - phys)
			return &d->range[i];
	return NULL;
}

static void add(struct dump *d, const struct dump_run *m)
{
	struct dump_run *last = &d->run[d->run_count - 1];

	if (d->run_count && last->virt + last->bytes == m->virt &&
	    last->phys + last->bytes == m->phys && last->flags == m->flags &&
	    dump_owned(d, last->phys, last->bytes + m->bytes)) {
		last->bytes += m->bytes;
		return;
	}
	if (d->run_count == DUMP_RUNS)
		d->full = true;
	else
		d->run[d->run_count++] = *m;
}

void dump_map(struct dump *d, const struct dump_run *m)
{
	uint32_t i;

	for (i = 0; i < d->range_count; i++) {
		uint64_t end = m->phys + m->bytes;
		uint64_t from = m->phys > d->range[i].start ? m->phys : d->range[i].start;
		uint64_t to = end < d->range[i].end ? end : d->range[i].end;

		if (end > m->phys && from < to)
			add(d, &(struct dump_run){ m->virt + (from - m->phys), from, to - from, m->flags });
	}
}

static void walk(struct walk *w, uint64_t table, unsigned int level, uint64_t virt, uint32_t flags)
{
	uint64_t entry[ENTRIES];
	uint64_t span = 1ull << (12 + 9 * level);
	unsigned int i;

	if (++w->tables > TABLES_MAX || !dump_owned(w->d, table, sizeof(entry)) ||
	    outrigger_peek(w->d->o, w->d->name, table, entry, sizeof(entry))) {
		w->d->skipped++;
		return;
	}
	for (i = level == 3 ? KERNEL_HALF : 0; i < ENTRIES; i++) {
		uint64_t e = entry[i], at = virt + i * span;
		uint32_t f = flags & ~((e & PTE_W ? 0u : PF_W) | (e & PTE_NX ? PF_X : 0u));

		if (!(e & PTE_P))
			continue;
		if (level == 3)
			at |= 0xffffull << 48;
		if (!level || (level < 3 && e & PTE_PS))
			dump_map(w->d, &(struct dump_run){ at, e & PTE_ADDR & ~(span - 1), span, f });
		else
			walk(w, e & PTE_ADDR, level - 1, at, f);
	}
}

void dump_walk(struct dump *d, uint64_t root)
{
	struct walk w = { .d = d };

	walk(&w, root & PTE_ADDR, 3, 0, PF_R | PF_W | PF_X);
}
