/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/mm/phys.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/filecache.h"
#include "cokernel/mm/kvm.h"

struct zone {
	struct spinlock lock;
	bool live;                  /* takes part in allocation */
	bool movable;               /* for programs' pages, as long as there are others */
	uint32_t node;
	uint64_t start_pfn, end_pfn;    /* all of the range */
	uint64_t usable_pfn;        /* first frame behind the descriptors */
	uint64_t free_pages;
	struct list free[ORDER_MOST + 1];
};

/* Zones are made in chunks that never move, so readers need no lock. */
#define ZONES_PER_CHUNK 16u
#define ZONE_CHUNKS 1024u
static struct zone first_chunk[ZONES_PER_CHUNK];
static struct zone *chunks[ZONE_CHUNKS] = { first_chunk };
static uint32_t zone_count;     /* ever made; release-stored */
static struct spinlock zones_lock;  /* adding and removing */

#define ANY_NODE UINT64_MAX
#define PAGE_CACHE_MOST 64u
#define RESERVE_MOST 4096u      /* pages: 16 MiB */
#define RECLAIM_PAGES 256u      /* of the files' pages, at a time */

static struct zone *zone_at(uint32_t i)
{
	return &chunks[i / ZONES_PER_CHUNK][i % ZONES_PER_CHUNK];
}

static uint64_t page_pfn(const struct page *p)
{
	return (uint64_t)(p - (const struct page *)VA_VMEMMAP);
}

static struct page *pfn_page(uint64_t pfn)
{
	return (struct page *)VA_VMEMMAP + pfn;
}

/* ---- Buddy; zone lock held ---- */

static void block_insert(struct zone *z, struct page *p, uint32_t order)
{
	p->order = (uint8_t)order;
	p->free = 1;
	list_push_front(&z->free[order], &p->link);
}

static void block_free(struct zone *z, struct page *p, uint32_t order)
{
	uint64_t pfn = page_pfn(p);

	z->free_pages += 1ul << order;
	while (order < ORDER_MOST) {
		uint64_t buddy = pfn ^ (1ul << order);
		struct page *b;

		if (buddy < z->usable_pfn || buddy + (1ul << order) > z->end_pfn)
			break;
		b = pfn_page(buddy);
		if (!b->free || b->order != order)
			break;
		list_remove(&b->link);
		b->free = 0;
		pfn &= ~(1ul << order);
		order++;
	}
	block_insert(z, pfn_page(pfn), order);
}

static struct page *block_alloc(struct zone *z, uint32_t order)
{
	struct page *p;
	uint32_t o = order;

	while (o <= ORDER_MOST && list_empty(&z->free[o]))
		o++;
	if (o > ORDER_MOST)
		return NULL;
	p = list_first(&z->free[o], struct page, link);
	list_remove(&p->link);
	p->free = 0;
	while (o > order) {
		o--;
		block_insert(z, p + (1ul << o), o);
	}
	p->order = (uint8_t)order;
	z->free_pages -= 1ul << order;
	return p;
}

/* ---- Zones ---- */

static struct zone *zone_new(uint32_t *index)
{
	for (uint32_t i = 0; i < zone_count; i++)
		if (!zone_at(i)->end_pfn) {
			*index = i;
			return zone_at(i);
		}
	if (zone_count == ZONE_CHUNKS * ZONES_PER_CHUNK)
		return NULL;
	if (!chunks[zone_count / ZONES_PER_CHUNK]) {
		struct page *p = page_alloc_zeroed(2);

		_Static_assert(sizeof(first_chunk) <= 4 * PAGE_SIZE, "chunk fits its pages");
		if (!p)
			return NULL;
		chunks[zone_count / ZONES_PER_CHUNK] = page_to_virt(p);
	}
	*index = zone_count;
	return zone_at(zone_count);
}

int phys_zone_add(paddr_t start, paddr_t end, uint32_t node, bool movable)
{
	uint64_t first = start.v >> PAGE_SHIFT, last = end.v >> PAGE_SHIFT;
	uint64_t map_bytes = ALIGN_UP((last - first) * sizeof(struct page), PAGE_SIZE);
	uint64_t map_pages = map_bytes >> PAGE_SHIFT;
	struct zone *z;
	uint32_t index;
	int err;

	if (map_bytes + 8 * PAGE_SIZE >= end.v - start.v)
		return -EINVAL;
	/* The descriptors, and the table pages that map them, come from the
	 * range itself. */
	err = kvm_map_from(VA_VMEMMAP + first * sizeof(struct page), start, map_bytes,
			   PADDR(start.v + map_bytes), &map_pages);
	if (err)
		return err;
	memset(pfn_page(first), 0, (last - first) * sizeof(struct page));

	spin_lock(&zones_lock);
	z = zone_new(&index);
	if (!z) {
		spin_unlock(&zones_lock);
		return -ENOSPC;
	}
	z->node = node;
	z->movable = movable;
	z->start_pfn = first;
	z->usable_pfn = first + map_pages;
	z->free_pages = 0;
	for (uint32_t o = 0; o <= ORDER_MOST; o++)
		list_init(&z->free[o]);
	z->end_pfn = last;
	for (uint64_t pfn = z->usable_pfn; pfn < last; ) {
		uint32_t order = pfn ? (uint32_t)MIN(__builtin_ctzll(pfn), (int)ORDER_MOST) : ORDER_MOST;

		while (pfn + (1ul << order) > last)
			order--;
		for (uint64_t i = 0; i < 1ul << order; i++)
			pfn_page(pfn + i)->zone = (uint16_t)index;
		block_free(z, pfn_page(pfn), order);
		arch_serve();
		pfn += 1ul << order;
	}
	z->live = true;
	if (index == zone_count)
		store_release(&zone_count, index + 1);
	spin_unlock(&zones_lock);
	return 0;
}

static void cache_flush(void *arg)
{
	struct cpu *c = this_cpu();

	for (int kind = 0; kind < 2; kind++) {
		struct list *l;

		while ((l = list_pop_front(&c->page_cache[kind]))) {
			struct page *p = list_entry(l, struct page, link);
			struct zone *z = zone_at(p->zone);

			spin_lock(&z->lock);
			block_free(z, p, 0);
			spin_unlock(&z->lock);
		}
		c->page_cache_count[kind] = 0;
	}
}

void phys_cache_flush(void)
{
	cache_flush(NULL);
}

/* zones_lock held. */
static struct zone *zone_find(paddr_t start, paddr_t end)
{
	for (uint32_t i = 0; i < zone_count; i++)
		if (zone_at(i)->start_pfn == start.v >> PAGE_SHIFT &&
		    zone_at(i)->end_pfn == end.v >> PAGE_SHIFT)
			return zone_at(i);
	return NULL;
}

int phys_zone_close(paddr_t start, paddr_t end)
{
	struct zone *z;

	spin_lock(&zones_lock);
	z = zone_find(start, end);
	if (z)
		store_release(&z->live, false);
	spin_unlock(&zones_lock);
	return z ? 0 : -ENOENT;
}

void phys_zone_open(paddr_t start, paddr_t end)
{
	struct zone *z;

	spin_lock(&zones_lock);
	z = zone_find(start, end);
	if (z)
		store_release(&z->live, true);
	spin_unlock(&zones_lock);
}

uint64_t phys_zone_used_bytes(paddr_t start, paddr_t end)
{
	uint64_t pages = 0;
	struct zone *z;

	spin_lock(&zones_lock);
	z = zone_find(start, end);
	if (z)
		pages = z->end_pfn - z->usable_pfn - load_relaxed(&z->free_pages);
	spin_unlock(&zones_lock);
	return pages << PAGE_SHIFT;
}

int phys_zone_remove(paddr_t start, paddr_t end)
{
	struct zone *z;
	bool empty;

	xcall(&cpu_online_mask, cache_flush, NULL);
	cache_flush(NULL);
	spin_lock(&zones_lock);
	z = zone_find(start, end);
	if (!z) {
		spin_unlock(&zones_lock);
		return -ENOENT;
	}
	spin_lock(&z->lock);
	empty = z->free_pages == z->end_pfn - z->usable_pfn;
	if (empty)
		z->start_pfn = z->end_pfn = z->free_pages = 0;
	spin_unlock(&z->lock);
	if (empty)
		kvm_unmap_from(VA_VMEMMAP + (start.v >> PAGE_SHIFT) * sizeof(struct page),
			       ALIGN_UP(((end.v - start.v) >> PAGE_SHIFT) * sizeof(struct page), PAGE_SIZE),
			       start, end);
	spin_unlock(&zones_lock);
	return empty ? 0 : -EBUSY;
}

/* ---- Allocation ---- */

/* What programs leave of a zone that is not movable: when that ran out, the
 * kernel's own pages would end up in zones that are to be emptied again. */
static uint64_t reserve_of(const struct zone *z)
{
	uint64_t pages = (z->end_pfn - z->start_pfn) / 32;

	return MIN(pages, (uint64_t)RESERVE_MOST);
}

static uint64_t node_bit(const struct zone *z)
{
	return z->node < 64 ? 1ull << z->node : 0;
}

/* From movable zones or from the others, on the nodes of a mask (ANY_NODE: all,
 * also those that no mask can name). */
static struct page *alloc_from(bool movable, uint32_t order, bool for_program, uint64_t nodes)
{
	uint32_t count = load_acquire(&zone_count), node = this_cpu()->node;

	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < count; i++) {
			struct zone *z = zone_at(i);
			struct page *p;

			if (!load_relaxed(&z->live) || z->movable != movable ||
			    (nodes != ANY_NODE && !(node_bit(z) & nodes)) || (z->node == node) != (pass == 0) ||
			    load_relaxed(&z->free_pages) <
				    (1ul << order) + (for_program && !z->movable ? reserve_of(z) : 0))
				continue;
			spin_lock(&z->lock);
			p = z->live ? block_alloc(z, order) : NULL;
			spin_unlock(&z->lock);
			if (p)
				return p;
		}
	return NULL;
}

/* The cache of files' pages gives some back. Large pages are a matter of speed, for
 * which it does not go. */
static bool reclaim(uint32_t order)
{
	return order < ORDER_LARGE && filecache_reclaim(order ? UINT64_MAX : RECLAIM_PAGES);
}

static struct page *alloc(bool movable, uint32_t order)
{
	struct cpu *c = this_cpu();
	struct page *p = NULL;

	if (order == 0 && c->page_cache_count[movable]) {
		p = list_entry(list_pop_front(&c->page_cache[movable]), struct page, link);
		c->page_cache_count[movable]--;
		/* Its zone may have been closed since it was kept. */
		if (unlikely(!load_relaxed(&zone_at(p->zone)->live))) {
			list_push_front(&c->page_cache[movable], &p->link);
			cache_flush(NULL);
			p = NULL;
		}
	}
	do {
		if (!p)
			p = alloc_from(movable, order, movable, ANY_NODE);
		if (!p)
			p = alloc_from(!movable, order, movable, ANY_NODE);
	} while (unlikely(!p) && reclaim(order));
	if (!p)
		return NULL;
	p->order = (uint8_t)order;
	atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

struct page *page_alloc(uint32_t order)
{
	return alloc(false, order);
}

struct page *page_alloc_movable(uint32_t order)
{
	return alloc(true, order);
}

/* The n-th set bit of a mask, counted round and round. */
static uint64_t nth_node(uint64_t nodes, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t m = nodes; m; m &= m - 1)
		count++;
	for (n %= count; n; n--)
		nodes &= nodes - 1;
	return nodes & -nodes;
}

static struct page *alloc_on(uint32_t order, uint64_t nodes)
{
	struct page *p;

	do {
		p = alloc_from(true, order, true, nodes);
		if (!p)
			p = alloc_from(false, order, true, nodes);
	} while (unlikely(!p) && reclaim(order));
	if (p) {
		p->order = (uint8_t)order;
		atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
	}
	return p;
}

struct page *page_alloc_policy(uint32_t order, const struct policy *policy, uint64_t turn)
{
	struct page *p = NULL;

	switch (policy->mode) {
	case POLICY_BIND:
		return alloc_on(order, policy->nodes);
	case POLICY_INTERLEAVE:
		p = alloc_on(order, nth_node(policy->nodes, turn));
		break;
	case POLICY_PREFERRED:
	case POLICY_PREFERRED_MANY:
		p = alloc_on(order, policy->nodes);
		break;
	default:
		break;
	}
	return p ? p : page_alloc_movable(order);
}

uint64_t phys_nodes(void)
{
	uint64_t nodes = 0;

	for (uint32_t i = 0; i < load_acquire(&zone_count); i++)
		if (zone_at(i)->end_pfn)
			nodes |= node_bit(zone_at(i));
	return nodes;
}

bool page_stays(const struct page *p)
{
	return load_relaxed(&zone_at(p->zone)->live);
}

uint32_t page_node(const struct page *p)
{
	return zone_at(p->zone)->node;
}

struct page *page_alloc_zeroed(uint32_t order)
{
	struct page *p = page_alloc(order);

	if (p)
		memset(page_to_virt(p), 0, PAGE_SIZE << order);
	return p;
}

void page_put(struct page *p)
{
	struct cpu *c = this_cpu();
	uint32_t old = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
	struct zone *z;

	assert_kernel(old);
	if (old > 1)
		return;
	z = zone_at(p->zone);
	if (p->order == 0 && c->page_cache_count[z->movable] < PAGE_CACHE_MOST && load_relaxed(&z->live)) {
		list_push_front(&c->page_cache[z->movable], &p->link);
		c->page_cache_count[z->movable]++;
		return;
	}
	spin_lock(&z->lock);
	block_free(z, p, p->order);
	spin_unlock(&z->lock);
}

void page_split(struct page *p)
{
	uint32_t count = 1u << p->order;

	for (uint32_t i = 0; i < count; i++) {
		p[i].order = 0;
		p[i].free = 0;
		atomic_store_explicit(&p[i].refs, 1, memory_order_relaxed);
	}
}

paddr_t page_alloc_table(void)
{
	struct page *p = page_alloc_zeroed(0);

	return p ? page_to_phys(p) : PADDR(0);
}

static uint64_t sum(bool only_free)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < load_acquire(&zone_count); i++)
		pages += only_free ? zone_at(i)->free_pages : zone_at(i)->end_pfn - zone_at(i)->start_pfn;
	return pages << PAGE_SHIFT;
}

uint64_t phys_total_bytes(void)
{
	return sum(false);
}

uint64_t phys_free_bytes(void)
{
	uint64_t cached = 0;

	for (uint32_t i = 0; i < CPUS_MOST && i < boot_info.cpu_limit; i++)
		if (cpu_table[i])
			cached += load_relaxed(&cpu_table[i]->page_cache_count[0]) +
				  load_relaxed(&cpu_table[i]->page_cache_count[1]);
	return sum(true) + (cached << PAGE_SHIFT) + filecache_bytes();
}
