/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/mm/kvm.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/phys.h"

/* All upper root entries that will ever be used get their next level at the
 * start, so that roots copied from the kernel's never miss one: the direct map
 * by what the processor can address, a few for the rest. */
#define ROOT_INDEX(va) ((va) >> 39 & 511)
#define DIRECT_ROOT_MOST 64u    /* 32 TiB of physical addresses */

extern char text_start[], text_end[], rodata_end[], data_start[], image_end[], image_start[];

paddr_t kernel_root;
static struct spinlock lock;            /* kernel tables, the lists below */
static paddr_t spare_next, spare_end;   /* for spare_table() */
static uint64_t mmio_next = VA_MMIO;
static uint64_t stack_next = VA_STACKS;
static struct list free_stacks = LIST_INIT(free_stacks);
static uint32_t free_stack_count;
static struct list free_places = LIST_INIT(free_places);

/* A stack that is not in use keeps its pages and this at its top. */
struct free_stack { struct list link; };
/* Where a stack was whose pages went back. */
struct free_place {
	struct list link;
	uint64_t low;
};
/* More stacks than this go back, down to half of it, when a program has ended. */
#define FREE_STACKS_MOST 128u
#define TRIM_AT_ONCE     32u
#define STACK_STRIDE (2 * KSTACK_BYTES) /* the lower half is guard */

static paddr_t spare_table(void)
{
	paddr_t p = spare_next;

	if (p.v + PAGE_SIZE > spare_end.v)
		return PADDR(0);
	spare_next.v += PAGE_SIZE;
	memset(phys_to_virt(p), 0, PAGE_SIZE);
	return p;
}

static void map_early(uint64_t va, paddr_t pa, uint64_t bytes, uint64_t flags)
{
	if (bytes && pt_map(kernel_root, va, pa, bytes, flags, spare_table))
		panic("no memory for the kernel's page table");
}

static void map_image_part(const char *start, const char *end, uint64_t flags)
{
	uint64_t off = (uint64_t)start - boot_info.image_virt;

	map_early((uint64_t)start, PADDR(boot_info.image_phys + off),
		  ALIGN_UP((uint64_t)end, PAGE_SIZE) - (uint64_t)start, flags | PTE_GLOBAL);
}

static paddr_t image_frame(const char *at)
{
	return PADDR(boot_info.image_phys + ((uint64_t)at - boot_info.image_virt));
}

/* The direct map's view of a range. Code and constants lie in leaves of their own,
 * for kvm_seal(). */
static void map_direct(uint64_t start, uint64_t end)
{
	uint64_t cut[] = { start, image_frame(text_start).v, image_frame(rodata_end).v, end };

	for (uint32_t i = 0; i + 1 < ARRAY_SIZE(cut); i++) {
		uint64_t from = MAX(cut[i], start), to = MAX(cut[i + 1], start);

		from = MIN(from, end);
		to = MIN(to, end);
		map_early(VA_DIRECT + from, PADDR(from), to - from, PTE_NX | PTE_WRITE | PTE_GLOBAL);
	}
}

void kvm_init(paddr_t *free, paddr_t end)
{
	spare_next = *free;
	spare_end = end;
	kernel_root = spare_table();
	map_image_part(text_start, text_end, 0);
	map_image_part(text_end, rodata_end, PTE_NX);
	map_image_part(data_start, image_end, PTE_NX | PTE_WRITE);
	for (uint32_t i = 0; i < boot_info.range_count; i++) {
		const struct otr_boot_range *r = boot_range_entry(i);

		map_direct(r->start, r->start + r->bytes);
	}
	static const uint64_t areas[] = { VA_STACKS, VA_MMIO, VA_VMEMMAP };
	for (uint32_t i = 0; i < ARRAY_SIZE(areas); i++)
		if (!pt_ensure(kernel_root, areas[i], 2, spare_table))
			panic("no memory for the kernel's page table");
	for (uint32_t i = 0; i < DIRECT_ROOT_MOST; i++)
		if (!pt_ensure(kernel_root, VA_DIRECT + ((uint64_t)i << 39), 2, spare_table))
			panic("no memory for the kernel's page table");
	write_cr3(kernel_root.v);
	*free = spare_next;
}

static void flush_all(void *arg)
{
	uint64_t cr4 = read_cr4();

	write_cr4(cr4 & ~CR4_PGE);
	write_cr4(cr4);
}

void kvm_seal(void)
{
	uint64_t va = VA_DIRECT + image_frame(text_start).v, end = VA_DIRECT + image_frame(rodata_end).v;

	while (va < end) {
		int level;
		uint64_t *e = pt_walk(kernel_root, va, &level);

		*e &= ~PTE_WRITE;
		va += 1ull << (PAGE_SHIFT + 9 * level);
	}
	flush_all(NULL);
}

int kvm_direct_add(paddr_t start, paddr_t end)
{
	int err;

	if (end.v > (uint64_t)DIRECT_ROOT_MOST << 39)
		return -EOVERFLOW;
	spin_lock(&lock);
	err = pt_map(kernel_root, VA_DIRECT + start.v, start, end.v - start.v,
		     PTE_NX | PTE_WRITE | PTE_GLOBAL, page_alloc_table);
	if (err && err != -EEXIST)
		pt_unmap(kernel_root, VA_DIRECT + start.v, end.v - start.v);
	spin_unlock(&lock);
	return err;
}

void kvm_direct_remove(paddr_t start, paddr_t end)
{
	spin_lock(&lock);
	pt_unmap(kernel_root, VA_DIRECT + start.v, end.v - start.v);
	spin_unlock(&lock);
	xcall(&cpu_online_mask, flush_all, NULL);
	flush_all(NULL);
}

int kvm_map_from(uint64_t va, paddr_t pa, uint64_t bytes, paddr_t spare, uint64_t *pages)
{
	int err;

	spin_lock(&lock);
	spare_next = spare;
	spare_end = PADDR(spare.v + 64 * PAGE_SIZE);
	err = pt_map(kernel_root, va, pa, bytes, PTE_NX | PTE_WRITE | PTE_GLOBAL, spare_table);
	if (err)
		pt_unmap(kernel_root, va, bytes);
	else
		*pages += (spare_next.v - spare.v) >> PAGE_SHIFT;
	spin_unlock(&lock);
	return err;
}

/* Removes from the table at `level` every entry below that points to a table
 * page in [start, end); the root's next level stays. */
static void drop_tables(uint64_t va, uint64_t bytes, paddr_t start, paddr_t end)
{
	for (int level = 1; level <= 2; level++) {
		uint64_t step = 1ull << (PAGE_SHIFT + 9 * level);

		for (uint64_t at = ALIGN_DOWN(va, step); at < va + bytes; at += step) {
			uint64_t *e = pt_ensure(kernel_root, at, level, spare_table);

			if (e && *e & PTE_PRESENT && !(*e & PTE_LARGE) &&
			    (*e & PTE_ADDR) >= start.v && (*e & PTE_ADDR) < end.v)
				*e = 0;
		}
	}
}

void kvm_unmap_from(uint64_t va, uint64_t bytes, paddr_t start, paddr_t end)
{
	spin_lock(&lock);
	pt_unmap(kernel_root, va, bytes);
	spare_next = spare_end = PADDR(0);
	drop_tables(va, bytes, start, end);
	spin_unlock(&lock);
	xcall(&cpu_online_mask, flush_all, NULL);
	flush_all(NULL);
}

void *kvm_map_mmio(paddr_t at, uint64_t bytes)
{
	uint64_t off = at.v & (PAGE_SIZE - 1), va;
	int err;

	bytes = ALIGN_UP(bytes + off, PAGE_SIZE);
	spin_lock(&lock);
	va = mmio_next;
	mmio_next += bytes + PAGE_SIZE;
	err = pt_map(kernel_root, va, PADDR(at.v - off), bytes,
		     PTE_NX | PTE_WRITE | PTE_PCD | PTE_PWT | PTE_GLOBAL, page_alloc_table);
	spin_unlock(&lock);
	return err ? NULL : (void *)(va + off);
}

/* The pages of a stack, out of the kernel's table; put after a flush. */
static void take_stack_pages(uint64_t low, uint64_t bytes, struct list *gone)
{
	for (uint64_t off = 0; off < bytes; off += PAGE_SIZE) {
		int level;
		uint64_t *e = pt_walk(kernel_root, low + off, &level);

		list_push_back(gone, &phys_to_page(PADDR(*e & PTE_ADDR))->link);
		*e = 0;
	}
}

static void put_pages(struct list *gone)
{
	struct list *l;

	while ((l = list_pop_front(gone)))
		page_put(list_entry(l, struct page, link));
}

/* A stack's pages at [low, +KSTACK_BYTES); nobody has looked there since the last
 * flush. Under the lock. */
static bool map_stack(uint64_t low)
{
	struct list gone = LIST_INIT(gone);

	for (uint64_t off = 0; off < KSTACK_BYTES; off += PAGE_SIZE) {
		struct page *p = page_alloc_zeroed(0);

		if (!p || pt_map(kernel_root, low + off, page_to_phys(p), PAGE_SIZE,
				 PTE_NX | PTE_WRITE | PTE_GLOBAL, page_alloc_table)) {
			if (p)
				page_put(p);
			take_stack_pages(low, off, &gone);
			put_pages(&gone);
			return false;
		}
	}
	return true;
}

void *kvm_stack_alloc(void)
{
	struct free_place *place = NULL;
	struct list *l;
	uint64_t low;

	spin_lock(&lock);
	l = list_pop_front(&free_stacks);
	if (l) {
		free_stack_count--;
		spin_unlock(&lock);
		return list_entry(l, struct free_stack, link) + 1;
	}
	l = list_pop_front(&free_places);
	if (l)
		place = list_entry(l, struct free_place, link);
	low = place ? place->low : stack_next + KSTACK_BYTES;
	if (!map_stack(low)) {
		if (place)
			list_push_front(&free_places, &place->link);
		spin_unlock(&lock);
		return NULL;
	}
	if (!place)
		stack_next += STACK_STRIDE;
	spin_unlock(&lock);
	kmem_free(place);
	return (void *)(low + KSTACK_BYTES);
}

void kvm_stack_free(void *top)
{
	struct free_stack *s = (struct free_stack *)top - 1;

	spin_lock(&lock);
	list_push_front(&free_stacks, &s->link);
	free_stack_count++;
	spin_unlock(&lock);
}

/* Some stacks back to the allocator; how many. */
static uint32_t trim_some(void)
{
	struct list pages = LIST_INIT(pages), places = LIST_INIT(places), *l;
	uint32_t n = 0;

	while (n < TRIM_AT_ONCE) {
		struct free_place *place = kmem_alloc(sizeof(*place));

		if (!place)
			break;
		spin_lock(&lock);
		l = free_stack_count > FREE_STACKS_MOST / 2 ? list_pop_front(&free_stacks) : NULL;
		if (l) {
			free_stack_count--;
			place->low = (uint64_t)(list_entry(l, struct free_stack, link) + 1) - KSTACK_BYTES;
			take_stack_pages(place->low, KSTACK_BYTES, &pages);
		}
		spin_unlock(&lock);
		if (!l) {
			kmem_free(place);
			break;
		}
		list_push_back(&places, &place->link);
		n++;
	}
	if (!n)
		return 0;
	xcall(&cpu_online_mask, flush_all, NULL);
	flush_all(NULL);
	put_pages(&pages);
	spin_lock(&lock);
	while ((l = list_pop_front(&places)))
		list_push_back(&free_places, l);
	spin_unlock(&lock);
	return n;
}

void kvm_stacks_trim(void)
{
	if (load_relaxed(&free_stack_count) <= FREE_STACKS_MOST)
		return;
	while (trim_some())
		arch_serve();
}

bool kvm_in_stack_guard(uint64_t va)
{
	return va >= VA_STACKS && va < stack_next && (va - VA_STACKS) % STACK_STRIDE < KSTACK_BYTES;
}

paddr_t kvm_root_alloc(void)
{
	paddr_t root = page_alloc_table();

	if (root.v)
		memcpy((uint64_t *)phys_to_virt(root) + 256,
		       (uint64_t *)phys_to_virt(kernel_root) + 256, 256 * 8);
	return root;
}

void kvm_root_free(paddr_t root)
{
	page_put(phys_to_page(root));
}
