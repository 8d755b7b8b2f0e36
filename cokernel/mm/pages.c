/* SPDX-License-Identifier: BSD-2-Clause */
/* The page-table side of an address space. */
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm_internal.h"

/* Above this many pages a full flush is cheaper than one by one (the value
 * that Linux uses too, tlb_single_page_flush_ceiling). */
#define FLUSH_SINGLE_MOST 33u

uint64_t pte_flags(uint32_t prot)
{
	uint64_t f = PTE_USER | PTE_ACCESSED | PTE_DIRTY;

	if (!prot)
		return f | PTE_NONE_PROT | PTE_NX;
	f |= PTE_PRESENT;
	if (prot & MM_WRITE)
		f |= PTE_WRITE;
	if (!(prot & MM_EXEC))
		f |= PTE_NX;
	return f;
}

/* ---- TLB ---- */

struct flush {
	struct mm *mm;
	uint64_t start, end;
};

static void flush_here(void *arg)
{
	struct flush *f = arg;

	if (this_cpu()->mm != f->mm)
		return;
	if ((f->end - f->start) >> PAGE_SHIFT > FLUSH_SINGLE_MOST) {
		write_cr3(read_cr3());
		return;
	}
	for (uint64_t va = f->start; va < f->end; va += PAGE_SIZE)
		invlpg(va);
}

void tlb_flush(struct mm *mm, uint64_t start, uint64_t end)
{
	struct flush f = { mm, start, end };

	flush_here(&f);
	xcall(&mm->cpus, flush_here, &f);
}

/* ---- Entries ---- */

static uint64_t span(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * level);
}

int pages_split_large(struct mm *mm, uint64_t *e, uint64_t va)
{
	paddr_t table = page_alloc_table();
	uint64_t *t, v, flags, pa;

	if (!table.v)
		return -ENOMEM;
	v = *e;
	flags = v & ~(PTE_ADDR | PTE_LARGE);
	pa = v & PTE_ADDR;
	t = phys_to_virt(table);
	for (uint64_t i = 0; i < 512; i++)
		t[i] = (pa + i * PAGE_SIZE) | flags;
	large_split(phys_to_page(PADDR(pa)));
	store_release(e, table.v | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED);
	return 0;
}

/* The leaf for va, split if it reaches out of [start, end). Sets *next to the
 * address behind it. NULL: nothing is mapped up to *next. */
static uint64_t *leaf_in(struct mm *mm, uint64_t va, uint64_t start, uint64_t end,
			 uint64_t *next, int *level, int *err)
{
	uint64_t *e = pt_walk(mm->root, va, level);

	arch_serve();
	*err = 0;
	*next = ALIGN_DOWN(va, span(*level)) + span(*level);
	if (!pte_used(*e))
		return NULL;
	if (*level == 1 && (ALIGN_DOWN(va, LARGE_SIZE) < start || *next > end)) {
		*err = pages_split_large(mm, e, va);
		if (*err)
			return NULL;
		e = pt_walk(mm->root, va, level);
		*next = ALIGN_DOWN(va, PAGE_SIZE) + PAGE_SIZE;
	}
	return e;
}

/* ---- Tables that map nothing any more ---- */

/* The entry of that level for va; NULL and *next behind the hole if there is none. */
static uint64_t *entry_at(struct mm *mm, uint64_t va, int level, uint64_t *next)
{
	uint64_t *t = phys_to_virt(mm->root);

	for (int l = 3;; l--) {
		uint64_t *e = &t[va >> (PAGE_SHIFT + 9 * l) & 511];

		*next = ALIGN_DOWN(va, span(l)) + span(l);
		if (l == level)
			return e;
		if (!(*e & PTE_PRESENT) || *e & PTE_LARGE)
			return NULL;
		t = phys_to_virt(PADDR(*e & PTE_ADDR));
	}
}

/* Takes the table out that maps the span of `level` at va, if there is one. */
static bool table_take(struct mm *mm, uint64_t va, int level, struct list *gone, uint64_t *next)
{
	uint64_t *e = entry_at(mm, va, level, next);

	if (!e || !(*e & PTE_PRESENT) || *e & PTE_LARGE)
		return false;
	list_push_back(gone, &phys_to_page(PADDR(*e & PTE_ADDR))->link);
	store_relaxed(e, 0);
	return true;
}

/* No area but [start, end), which is going, reaches into the span. */
static bool is_vacant(struct mm *mm, uint64_t va, uint64_t bytes, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(mm, va);

	if (v && v->start < MIN(start, va + bytes))
		return false;
	v = vma_find(mm, MAX(end, va));
	return !v || v->start >= va + bytes;
}

/* Moves *va up to the next area that begins below end, if it is in none. Pages and
 * their tables are where areas are. */
static bool to_area(struct mm *mm, uint64_t *va, uint64_t end, uint64_t *area_end)
{
	struct vma *v = vma_find(mm, *va);

	if (!v || v->start >= end)
		return false;
	*va = MAX(*va, v->start);
	*area_end = v->end;
	return true;
}

/* Takes out the tables of spans that hold no other area than [start, end), into
 * `gone`. One is kept where the next mapping will probably be. Readers without
 * the lock (mm_populate) are waited for by the flush that follows, the host's
 * walks by the zap. */
static bool tables_remove(struct mm *mm, uint64_t start, uint64_t end, struct list *gone)
{
	uint64_t here = ALIGN_DOWN(mm->mmap_next - 1, LARGE_SIZE), kept = mm->kept_table, next;
	bool any = false;

	if (kept != here && kept && is_vacant(mm, kept, LARGE_SIZE, start, end))
		any = table_take(mm, kept, 1, gone, &next);
	if (kept != here)
		mm->kept_table = here >= ALIGN_DOWN(start, LARGE_SIZE) && here < end ? here : 0;
	for (int level = 1; level <= 3; level++) {
		uint64_t bytes = span(level), from = ALIGN_DOWN(start, bytes), to = ALIGN_UP(end, bytes);
		uint64_t area_end = 0;

		if (!is_vacant(mm, from, bytes, start, end))
			from += bytes;
		if (to > from && !is_vacant(mm, to - bytes, bytes, start, end))
			to -= bytes;
		for (uint64_t va = from; va < to; va = next) {
			/* Behind this area's last span is nothing until the next area. */
			if (va >= area_end) {
				if (!to_area(mm, &va, to, &area_end))
					break;
				va = ALIGN_DOWN(va, bytes);
			}
			next = va + bytes;
			if (!mm->kept_table || mm->kept_table - va >= bytes)
				any |= table_take(mm, va, level, gone, &next);
		}
	}
	return any;
}

int pages_remove(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t va = start, next;
	struct list gone = LIST_INIT(gone), shared = LIST_INIT(shared), *l;
	bool any = false, granted = false, whole;
	uint64_t area_end = start;
	int err = 0;

	/* Splits first: they may fail, and nothing was removed yet. */
	for (int side = 0; side < 2; side++) {
		int level;

		va = side ? end - 1 : start;
		leaf_in(mm, va, start, end, &next, &level, &err);
		if (err)
			return err;
	}
	for (va = start; va < end; va = next) {
		int level;
		uint64_t *e, v;
		struct page *p;

		if (va >= area_end && !to_area(mm, &va, end, &area_end))
			break;
		e = leaf_in(mm, va, start, end, &next, &level, &err);
		if (!e)
			continue;
		v = *e;
		if (v & PTE_GRANT) {
			store_relaxed(e, 0);
			granted = true;
			continue;
		}
		p = phys_to_page(PADDR(v & PTE_ADDR));
		if (level ? !large_is_ours(p, &whole) || !whole : page_is_shared(p)) {
			struct parked_page *q = quarantine_prepare(p, level);

			if (!q) {
				err = -ENOMEM;
				break;
			}
			list_push_back(&shared, &q->link);
		} else {
			list_push_back(&gone, &p->link);
		}
		store_relaxed(e, 0);
		any = true;
		mm->resident_pages -= 1ul << (9 * level);
	}
	if (!err)
		any |= tables_remove(mm, start, end, &gone);
	if (any || granted)
		tlb_flush(mm, start, end);
	while ((l = list_pop_front(&gone)))
		quarantine_add(mm, list_entry(l, struct page, link));
	while ((l = list_pop_front(&shared)))
		quarantine_add_shared(mm, list_entry(l, struct parked_page, link));
	if (any)
		zap_push(mm, start, end);
	return err;
}

int pages_protect(struct mm *mm, uint64_t start, uint64_t end, uint32_t prot)
{
	uint64_t va, next, flags = pte_flags(prot);
	bool less = false;
	int err = 0;

	for (va = start; va < end; va = next) {
		int level;
		uint64_t *e = leaf_in(mm, va, start, end, &next, &level, &err), old, new;

		if (err)
			break;
		if (!e)
			continue;
		old = *e;
		if (old & PTE_GRANT) {
			/* Asked for anew, with the new rights. */
			store_relaxed(e, 0);
			less = true;
			continue;
		}
		new = (old & (PTE_ADDR | PTE_LARGE | PTE_COW)) | flags;
		if (old & PTE_COW)
			new &= ~PTE_WRITE;
		store_relaxed(e, new);
		if ((old & PTE_PRESENT) && (!(new & PTE_PRESENT) ||
		    (old & PTE_WRITE && !(new & PTE_WRITE)) || (!(old & PTE_NX) && new & PTE_NX)))
			less = true;
	}
	if (less) {
		tlb_flush(mm, start, end);
		zap_push(mm, start, end);
	}
	return err;
}

int pages_move(struct mm *mm, uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t end = from + bytes, va, next;
	bool same_large = !((from ^ to) & (LARGE_SIZE - 1));
	struct list gone = LIST_INIT(gone);
	int err = 0;

	/* The empty table that is kept for the next mapping would be lost below a
	 * large page. */
	if (mm->kept_table >= to && mm->kept_table + LARGE_SIZE <= to + bytes) {
		if (table_take(mm, mm->kept_table, 1, &gone, &next)) {
			tlb_flush(mm, mm->kept_table, mm->kept_table + LARGE_SIZE);
			quarantine_add(mm, list_entry(list_pop_front(&gone), struct page, link));
			zap_push(mm, mm->kept_table, mm->kept_table + LARGE_SIZE);
		}
		mm->kept_table = 0;
	}
	/* Tables of the target and splits first. */
	for (va = from; va < end; va = next) {
		int level;
		uint64_t *e = leaf_in(mm, va, from, end, &next, &level, &err);

		if (err)
			return err;
		if (e && level == 1 && !same_large) {
			err = pages_split_large(mm, e, va);
			if (err)
				return err;
			next = va;
			continue;
		}
		if (e && !pt_ensure(mm->root, to + (va - from), level, page_alloc_table))
			return -ENOMEM;
	}
	for (va = from; va < end; va = next) {
		int level;
		uint64_t *e = leaf_in(mm, va, from, end, &next, &level, &err), *t;

		if (!e)
			continue;
		if (*e & PTE_GRANT) {
			store_relaxed(e, 0);
			continue;
		}
		t = pt_ensure(mm->root, to + (va - from), level, page_alloc_table);
		store_relaxed(t, *e);
		store_relaxed(e, 0);
	}
	tlb_flush(mm, from, end);
	zap_push(mm, from, end);
	return 0;
}

static void free_table(paddr_t table, int level)
{
	uint64_t *t = phys_to_virt(table);

	for (uint32_t i = 0; i < (level == 3 ? 256u : 512u); i++) {
		if (!pte_used(t[i]) || t[i] & PTE_GRANT)
			continue;
		arch_serve();
		if (level > 0 && !(t[i] & PTE_LARGE))
			free_table(PADDR(t[i] & PTE_ADDR), level - 1);
		else if (level > 0)
			large_put(phys_to_page(PADDR(t[i] & PTE_ADDR)));
		else
			page_put(phys_to_page(PADDR(t[i] & PTE_ADDR)));
	}
	if (level < 3)
		page_put(phys_to_page(table));
}

void pages_free_all(struct mm *mm)
{
	free_table(mm->root, 3);
}
