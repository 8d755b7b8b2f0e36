/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/mm/filecache.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/spinlock.h"

#define BUCKETS_LEAST    256u
#define PAGES_PER_BUCKET 64u    /* of the memory there is at boot: about one piece each when full */
#define ORDER_OF_TABLE_MOST 8u
#define LOCKS            64u    /* each for every 64th bucket */
#define SHARE            4u     /* at most this part of memory */
#define TRIM             64u    /* pages that make room at a time */

/* Pages of a bucket by page.link; page.tag is version and index. While a page is here,
 * its other users leave both alone: they look whether they are the only ones. */
static struct list *bucket;
static uint32_t bucket_mask;
static struct spinlock lock[LOCKS];
static _Atomic uint64_t pages;
static _Atomic uint32_t hand;       /* the bucket where memory is looked for next */
static const uint32_t *version;     /* the host's, by slot */
static uint64_t version_count;

void filecache_init(void)
{
	uint64_t wanted = phys_total_bytes() / PAGE_SIZE / PAGES_PER_BUCKET, bytes;
	uint32_t order = 0;
	struct page *p;

	version = boot_area(OTR_AREA_VERSIONS, &bytes);
	if (!version)
		return;             /* no host: no files */
	version_count = bytes / sizeof(*version);
	wanted = MAX(wanted, (uint64_t)BUCKETS_LEAST);
	while (order < ORDER_OF_TABLE_MOST && (PAGE_SIZE << order) < wanted * sizeof(*bucket))
		order++;
	p = page_alloc(order);
	if (!p) {
		version = NULL;
		log_info("no memory for the table of the files' pages");
		return;
	}
	bucket_mask = (uint32_t)((PAGE_SIZE << order) / sizeof(*bucket)) - 1;
	bucket = page_to_virt(p);
	for (uint32_t i = 0; i <= bucket_mask; i++)
		list_init(&bucket[i]);
}

bool filecache_is_current(const struct file_version *v)
{
	return v->number && version && v->slot < version_count && load_acquire(&version[v->slot]) == v->number;
}

static uint64_t tag_of(uint32_t number, uint64_t index)
{
	return (uint64_t)number << 32 | index;
}

static uint32_t bucket_of(uint64_t tag)
{
	/* Fibonacci hashing of the piece. */
	return (uint32_t)((tag / FILECACHE_PIECE) * 0x9e3779b97f4a7c15ull >> 32) & bucket_mask;
}

static struct spinlock *lock_of(uint32_t b)
{
	return &lock[b % LOCKS];
}

bool filecache_get(const struct file_version *v, uint64_t index, struct page *piece[FILECACHE_PIECE])
{
	uint64_t tag = tag_of(v->number, index);
	uint32_t b = bucket_of(tag), mine = tag % FILECACHE_PIECE;
	struct page *p;

	if (index > UINT32_MAX || !filecache_is_current(v))
		return false;
	for (uint32_t i = 0; i < FILECACHE_PIECE; i++)
		piece[i] = NULL;
	spin_lock(lock_of(b));
	list_for_each(p, &bucket[b], link)
		if (p->tag / FILECACHE_PIECE == tag / FILECACHE_PIECE)
			piece[p->tag % FILECACHE_PIECE] = p;
	for (uint32_t i = 0; piece[mine] && i < FILECACHE_PIECE; i++)
		if (piece[i])
			page_get(piece[i]);
	spin_unlock(lock_of(b));
	return piece[mine];
}

/* The bucket's lock is held. */
static void drop(struct page *p)
{
	list_remove(&p->link);
	atomic_fetch_sub_explicit(&pages, 1, memory_order_relaxed);
	page_put(p);
}

static bool has(uint32_t b, uint64_t tag)
{
	struct page *p;

	list_for_each(p, &bucket[b], link)
		if (p->tag == tag)
			return true;
	return false;
}

bool filecache_add(const struct file_version *v, uint64_t index, struct page *p)
{
	uint64_t tag = tag_of(v->number, index);
	uint32_t b = bucket_of(tag);
	bool fresh;

	if (index > UINT32_MAX || !filecache_is_current(v) || !page_stays(p) ||
	    (filecache_bytes() >= phys_total_bytes() / SHARE && !filecache_reclaim(TRIM)))
		return false;
	spin_lock(lock_of(b));
	fresh = !has(b, tag);
	if (fresh) {
		p->tag = tag;
		page_get(p);
		list_push_front(&bucket[b], &p->link);
		atomic_fetch_add_explicit(&pages, 1, memory_order_relaxed);
	}
	spin_unlock(lock_of(b));
	return fresh;
}

void filecache_evict(paddr_t start, paddr_t end)
{
	struct page *p, *next;

	for (uint32_t b = 0; bucket && b <= bucket_mask; b++) {
		spin_lock(lock_of(b));
		list_for_each_safe(p, next, &bucket[b], link)
			if (page_to_phys(p).v >= start.v && page_to_phys(p).v < end.v)
				drop(p);
		spin_unlock(lock_of(b));
		arch_serve();
	}
}

uint64_t filecache_reclaim(uint64_t most)
{
	uint64_t freed = 0;
	struct page *p, *next;

	for (uint32_t i = 0; bucket && i <= bucket_mask && freed < most && atomic_load_explicit(&pages, memory_order_relaxed); i++) {
		uint32_t b = atomic_fetch_add_explicit(&hand, 1, memory_order_relaxed) & bucket_mask;

		spin_lock(lock_of(b));
		/* A page that only the cache has gets another user under this lock alone. */
		list_for_each_safe(p, next, &bucket[b], link)
			if (atomic_load_explicit(&p->refs, memory_order_acquire) == 1) {
				drop(p);
				freed++;
			}
		spin_unlock(lock_of(b));
		arch_serve();
	}
	return freed;
}

uint64_t filecache_bytes(void)
{
	return atomic_load_explicit(&pages, memory_order_relaxed) << PAGE_SHIFT;
}
