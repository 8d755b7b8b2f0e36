// SPDX-License-Identifier: GPL-2.0
/*
 * The second way to memory: contiguous pages from Linux's allocator, for small
 * requests and for machines whose memory blocks are too large or too busy. The
 * frames stay ordinary pages with one reference, ours. They do not show in
 * /proc/iomem: Linux cannot remove a memory block from the middle of a RAM
 * resource that has such children further up. Called by memory.c under
 * otr_memory_lock.
 */
#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "outrigger.h"

#define PIECE_MAX (128ull << 20)
#define TRIES_MAX 256
#define GFP_CONTIG (GFP_KERNEL | __GFP_NOWARN)

/* Whether a range is online, on the node, in one zone, and looks movable. */
static bool range_fits(unsigned long pfn, unsigned long count, int node)
{
	unsigned long i;
	struct zone *zone = NULL;
	struct page *page;
	unsigned int odd = 0;

	for (i = 0; i < count; i++) {
		if (!(i % pageblock_nr_pages)) {
			page = pfn_to_online_page(pfn + i);
			if (!page)
				return false;
			if (!zone)
				zone = page_zone(page);
			if (page_zone(page) != zone)
				return false;
			cond_resched();
		}
		page = pfn_to_page(pfn + i);
		if (page_to_nid(page) != node || PageReserved(page))
			return false;
		if (page_count(page) && !PageLRU(page) && ++odd > count / 128)
			return false;
	}
	return true;
}

static struct otr_chunk *take_range(struct otr_partition *p, unsigned long pfn,
				    unsigned long count, int node)
{
	struct otr_chunk *c = kzalloc(sizeof(*c), GFP_KERNEL);
	int ret;

	if (!c)
		return ERR_PTR(-ENOMEM);
	ret = alloc_contig_range(pfn, pfn + count, MIGRATE_MOVABLE, GFP_CONTIG);
	if (ret) {
		kfree(c);
		return ERR_PTR(ret);
	}
	c->start = PFN_PHYS(pfn);
	c->bytes = PFN_PHYS(count);
	c->node = node;
	c->kind = OTR_MEM_CONTIG;
	return c;
}

/* One node, pieces of one size, from the top down. */
static int take_pieces(struct otr_partition *p, int node, u64 piece, u64 bytes, u64 *taken,
		       struct list_head *to, int *tries)
{
	unsigned long count = piece >> PAGE_SHIFT;
	unsigned long start = ALIGN(node_start_pfn(node), count);
	unsigned long pfn = ALIGN_DOWN(node_end_pfn(node), count);
	struct otr_chunk *c;

	while (bytes - *taken >= piece && pfn >= start + count && *tries > 0) {
		pfn -= count;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!range_fits(pfn, count, node))
			continue;
		c = take_range(p, pfn, count, node);
		if (IS_ERR(c)) {
			--*tries;
			continue;
		}
		list_add(&c->link, to);
		*taken += piece;
	}
	return 0;
}

static int take_on_node(struct otr_partition *p, int node, u64 bytes, u64 *taken,
			struct list_head *to)
{
	u64 piece = min_t(u64, PIECE_MAX, rounddown_pow_of_two(bytes - *taken));
	int ret = 0, tries;

	for (; !ret && *taken < bytes && piece >= OTR_MIB2; piece >>= 1) {
		tries = TRIES_MAX;
		ret = take_pieces(p, node, piece, bytes, taken, to, &tries);
	}
	return ret;
}

/* Nothing is moved in a dry run: free memory is the estimate. */
static u64 could_take(int node)
{
	u64 pages = 0;
	int nid, z;

	for_each_online_node(nid) {
		if (node >= 0 && nid != node)
			continue;
		for (z = 0; z < MAX_NR_ZONES; z++)
			pages += zone_page_state(&NODE_DATA(nid)->node_zones[z], NR_FREE_PAGES);
	}
	return rounddown(PFN_PHYS(pages), OTR_MIB2);
}

int otr_contig_take(struct otr_partition *p, int node, u64 bytes, u64 *taken,
		    struct list_head *to, bool dry)
{
	int nid, far, ret = 0;

	if (dry) {
		*taken = min(bytes, could_take(node));
		return 0;
	}
	if (node >= 0)
		return take_on_node(p, node, bytes, taken, to);
	/* nodes of the partition's CPUs first */
	for (far = 0; far < 2; far++)
		for_each_node_state(nid, N_MEMORY)
			if (!ret && *taken < bytes && otr_memory_near(p, nid) == !far)
				ret = take_on_node(p, nid, bytes, taken, to);
	return ret;
}

int otr_contig_return(struct otr_chunk *c)
{
	free_contig_range(PHYS_PFN(c->start), c->bytes >> PAGE_SHIFT);
	return 0;
}
