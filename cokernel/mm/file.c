/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private pages of files. The host reads them into frames that nothing maps yet
 * (struct otr_fetch in abi/call.h); a piece is the pages around the one that was
 * touched, more while a program goes through the file in order. Whoever finds a
 * piece finished, a thread or the host's next question, puts its pages in place,
 * where the area is still the same.
 *
 * Pages of a file that has a version (struct otr_file_version) are kept in the
 * cache (filecache.h), and the next program finds them there. It has them marked
 * for copying, as pages are after a fork; what is written to at once, or has an end
 * of its own (where a segment's data ends within a page), is copied at once.
 */
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"
#include "cokernel/sched/thread.h"

#define AROUND_PAGES 8u         /* 32 KiB: a round trip costs about what copying these does */
#define RETURN_LOOK_NS 200000u
#define AHEAD_PAGES  128u       /* at most, for whoever reads in order */

/* ---- Files; mm->lock held ---- */

void file_get_locked(struct mapped_file *f)
{
	f->areas++;
	if (f->areas == 1)
		list_remove(&f->idle);
}

void file_put_locked(struct mm *mm, struct mapped_file *f)
{
	if (--f->areas == 0)
		list_push_back(&mm->idle_files, &f->idle);
}

static struct mapped_file *find(struct mm *mm, uint32_t number)
{
	struct tree_node *n = tree_floor(&mm->files, number);

	return n && n->key == number ? container_of(n, struct mapped_file, node) : NULL;
}

/* What the host has told of it. A version torn from two entries fits no slot. */
static void learn_version(struct mm *mm, uint32_t number, struct file_version *v)
{
	const struct otr_file_version *from = mm->zaps ? &mm->zaps->version[number % OTR_VERSIONS_RECENT] : NULL;

	if (from && load_acquire(&from->file) == number) {
		v->slot = load_acquire(&from->slot);
		v->number = load_acquire(&from->version);
	}
}

static struct mapped_file *get_file(struct mm *mm, uint32_t number, const struct file_version *version)
{
	struct mapped_file *f, *fresh = kmem_zalloc(sizeof(*fresh));

	if (!fresh)
		return NULL;
	spin_lock(&mm->lock);
	f = find(mm, number);
	if (!f) {
		f = fresh;
		fresh = NULL;
		list_init(&f->idle);
		tree_insert(&mm->files, &f->node, number);
	}
	if (version)
		f->version = *version;
	else
		learn_version(mm, number, &f->version);
	file_get_locked(f);
	spin_unlock(&mm->lock);
	kmem_free(fresh);
	return f;
}

struct mapped_file *mm_file_get(struct mm *mm, uint32_t number)
{
	return get_file(mm, number, NULL);
}

struct mapped_file *mm_file_inherit(struct mm *child, const struct mapped_file *parent)
{
	return get_file(child, (uint32_t)parent->node.key, &parent->version);
}

void mm_file_put(struct mm *mm, struct mapped_file *f)
{
	spin_lock(&mm->lock);
	file_put_locked(mm, f);
	spin_unlock(&mm->lock);
}

uint32_t mm_files_take_idle(struct mm *mm, uint32_t *number, uint32_t most)
{
	uint32_t n = 0;
	struct list *l;

	if (list_empty(&mm->idle_files))
		return 0;
	spin_lock(&mm->lock);
	while (n < most && (l = list_pop_front(&mm->idle_files))) {
		struct mapped_file *f = list_entry(l, struct mapped_file, idle);

		number[n++] = (uint32_t)f->node.key;
		tree_remove(&mm->files, &f->node);
		kmem_free(f);
	}
	spin_unlock(&mm->lock);
	return n;
}

/* ---- Pieces; mm->lock held ---- */

static uint32_t state_of(struct mm *mm, uint32_t i)
{
	return load_acquire(&mm->zaps->fetch[i].state);
}

static void release(struct mm *mm, uint32_t i)
{
	store_release(&mm->zaps->fetch[i].state, OTR_FETCH_FREE);
	mm->fetch[i].block = NULL;
}

static void put_pages(struct page *p, uint32_t from, uint32_t to)
{
	while (from < to)
		page_put(p + from++);
}

/* Makes a page the one of an empty entry. What others have too is marked for copying. */
static void set_entry(struct mm *mm, uint64_t *e, struct page *p, uint32_t prot, bool shared)
{
	uint64_t flags = pte_flags(prot);

	if (shared)
		flags = (flags & ~PTE_WRITE) | PTE_COW;
	store_release(e, page_to_phys(p).v | flags);
	mm->resident_pages++;
}

/* A copy of a page's first `bytes` bytes, then zeroes. */
static struct page *copy_of(struct page *p, uint64_t bytes)
{
	struct page *copy = page_alloc_movable(0);

	if (copy) {
		memcpy(page_to_virt(copy), page_to_virt(p), bytes);
		memset((char *)page_to_virt(copy) + bytes, 0, PAGE_SIZE - bytes);
	}
	return copy;
}

/* Puts a page of a file where area `a` begins, into the empty entry e: itself, with the
 * caller's reference, or a copy. False: neither, the reference is still the caller's. */
static bool place(struct mm *mm, uint64_t *e, const struct area *a, struct page *p, bool shared, bool write)
{
	uint64_t left = MIN(a->data_end - a->offset, PAGE_SIZE);
	struct page *copy;

	if (!shared) {
		memset((char *)page_to_virt(p) + left, 0, PAGE_SIZE - left);
		set_entry(mm, e, p, a->prot, false);
		return true;
	}
	if (!write && left == PAGE_SIZE) {
		set_entry(mm, e, p, a->prot, true);
		return true;
	}
	copy = copy_of(p, left);
	if (!copy)
		return false;
	set_entry(mm, e, copy, a->prot, false);
	page_put(p);
	return true;
}

/* The area that shows page `offset` of the file at va, if it does. */
static bool area_at(struct mm *mm, uint32_t number, uint64_t va, uint64_t offset, struct area *a)
{
	struct vma *v = vma_find(mm, va);

	if (!v || v->start > va || !v->a.file || v->a.file->node.key != number)
		return false;
	*a = vma_piece(v, va);
	return a->offset == offset && a->offset < a->data_end;
}

/* One page of a finished piece, which has `bytes` bytes of the file. */
static bool place_fetched(struct mm *mm, const struct fetch *f, uint32_t k, uint64_t bytes, bool write)
{
	uint64_t va = f->va + k * PAGE_SIZE, offset = f->offset + k * PAGE_SIZE, *e;
	struct page *p = f->block + k;
	struct area a;
	bool shared;

	if (!bytes)
		return false;
	if (bytes < PAGE_SIZE)
		memset((char *)page_to_virt(p) + bytes, 0, PAGE_SIZE - bytes);
	shared = filecache_add(&f->version, offset >> PAGE_SHIFT, p);
	if (!area_at(mm, f->number, va, offset, &a))
		return false;
	e = pt_ensure(mm->root, va, 0, page_alloc_table);
	return e && !pte_used(*e) && place(mm, e, &a, p, shared, write);
}

/* Puts the pages of a finished piece in place. For the one who waits for `va`, to write
 * to it or not: 0, look again; -ENXIO, the file has no such page (or cannot be read). */
static int finish(struct mm *mm, uint32_t i, uint64_t va, bool write)
{
	struct fetch *f = &mm->fetch[i];
	int64_t result = load_relaxed(&mm->zaps->fetch[i].result);
	uint64_t got = result > 0 ? MIN((uint64_t)result, f->pages * PAGE_SIZE) : 0;

	for (uint32_t k = 0; k < f->pages; k++) {
		uint64_t at = k * PAGE_SIZE;

		if (!place_fetched(mm, f, k, got > at ? got - at : 0, write && f->va + at == va))
			page_put(f->block + k);
	}
	release(mm, i);
	if (result == -EINTR || result == -EAGAIN || va < f->va || va - f->va < got)
		return 0;
	return result == -ENOMEM ? -ENOMEM : -ENXIO;
}

/* ---- Pieces that are there; mm->lock held ---- */

/* Puts a page of the cache at its place in v, unless another is there. */
static bool place_cached(struct mm *mm, struct vma *v, uint64_t va, struct page *p, bool write)
{
	struct area a = vma_piece(v, va);
	uint64_t *e = a.offset < a.data_end ? pt_ensure(mm->root, va, 0, page_alloc_table) : NULL;

	return e && !pte_used(*e) && place(mm, e, &a, p, true, write);
}

/* Maps the page of va from the cache, and, to read, those around it. False: it is not there. */
static bool map_cached(struct mm *mm, struct vma *v, uint64_t va, bool write)
{
	struct page *piece[FILECACHE_PIECE];
	uint64_t index = vma_piece(v, va).offset >> PAGE_SHIFT;
	uint32_t mine = index % FILECACHE_PIECE;
	bool mapped = false;

	if (!filecache_get(&v->a.file->version, index, piece))
		return false;
	for (uint32_t i = 0; i < FILECACHE_PIECE; i++) {
		uint64_t at = va + ((uint64_t)i - mine) * PAGE_SIZE;
		bool placed = false;

		if (!piece[i])
			continue;
		if (i == mine || (!write && at >= v->start && at < v->end))
			placed = place_cached(mm, v, at, piece[i], write);
		if (i == mine)
			mapped = placed;
		if (!placed)
			page_put(piece[i]);
	}
	return mapped;
}

/* ---- Requests; mm->lock held ---- */

static bool covers(const struct fetch *f, uint64_t va)
{
	return f->block && va >= f->va && va - f->va < f->pages * PAGE_SIZE;
}

/* A free one; finished ones that nobody came back for are seen to first. */
static int find_free(struct mm *mm)
{
	for (uint32_t i = 0; i < OTR_FETCH_COUNT; i++) {
		if (mm->fetch[i].block && state_of(mm, i) == OTR_FETCH_DONE)
			finish(mm, i, 0, false);
		if (!mm->fetch[i].block)
			return (int)i;
	}
	return -EAGAIN;
}

static bool is_absent(struct mm *mm, uint64_t va)
{
	int level;

	return !pte_used(*pt_walk(mm->root, va, &level));
}

/* How much around va is read: [*start, result). */
static uint64_t choose(struct mm *mm, struct vma *v, uint64_t va, uint64_t *start)
{
	uint64_t bytes, end, data = v->a.data_end - v->a.offset;
	bool ahead = v->fetch_pages && va == v->next_fetch;

	v->fetch_pages = ahead ? MIN(v->fetch_pages * 2, AHEAD_PAGES) : AROUND_PAGES;
	bytes = v->fetch_pages * PAGE_SIZE;
	*start = ahead ? va : MAX(ALIGN_DOWN(va, bytes), v->start);
	end = MIN(ahead ? va + bytes : ALIGN_DOWN(va, bytes) + bytes, v->end);
	if (data < end - v->start)
		end = MAX(v->start + ALIGN_UP(data, PAGE_SIZE), va + PAGE_SIZE);
	for (uint64_t at = va; at > *start; at -= PAGE_SIZE)
		if (!is_absent(mm, at - PAGE_SIZE)) {
			*start = at;
			break;
		}
	for (uint64_t at = va + PAGE_SIZE; at < end; at += PAGE_SIZE)
		if (!is_absent(mm, at))
			end = at;
	v->next_fetch = end;
	return end;
}

static int post(struct mm *mm, uint32_t i, struct vma *v, uint64_t va)
{
	struct otr_fetch *to = &mm->zaps->fetch[i];
	struct fetch *f = &mm->fetch[i];
	uint64_t start, end = choose(mm, v, va, &start);
	uint32_t order = 0, pages = (uint32_t)((end - start) >> PAGE_SHIFT);

	while (1u << order < pages)
		order++;
	f->block = page_alloc_movable(order);
	if (!f->block) {
		order = 0;
		pages = 1;
		start = va;
		f->block = page_alloc_movable(0);
	}
	if (!f->block)
		return -ENOMEM;
	page_split(f->block);
	put_pages(f->block, pages, 1u << order);
	f->pages = pages;
	f->number = (uint32_t)v->a.file->node.key;
	f->version = v->a.file->version;
	f->va = start;
	f->offset = vma_piece(v, start).offset;
	to->file = f->number;
	to->offset = f->offset;
	to->phys = page_to_phys(f->block).v;
	to->bytes = pages * PAGE_SIZE;
	to->result = 0;
	store_release(&to->state, OTR_FETCH_POSTED);
	return -EINPROGRESS;
}

int file_fault(struct mm *mm, uint64_t va, uint32_t access, uint32_t *index)
{
	bool write = access == MM_WRITE;
	struct vma *v;
	int i, ret = 0;

	va = ALIGN_DOWN(va, PAGE_SIZE);
	spin_lock(&mm->lock);
	if (!mm->zaps) {
		ret = -ENXIO;
		goto out;
	}
	for (i = 0; i < (int)OTR_FETCH_COUNT; i++)
		if (covers(&mm->fetch[i], va))
			break;
	if (i < (int)OTR_FETCH_COUNT) {
		*index = (uint32_t)i;
		ret = state_of(mm, *index) == OTR_FETCH_DONE ? finish(mm, *index, va, write) :
								     -EINPROGRESS;
		goto out;
	}
	v = vma_find(mm, va);
	if (!v || v->start > va || !v->a.file || !is_absent(mm, va))
		goto out;
	if (vma_piece(v, va).offset >= v->a.data_end) {
		ret = -ENXIO;
		goto out;
	}
	if (map_cached(mm, v, va, write))
		goto out;
	i = find_free(mm);
	if (i < 0) {
		ret = i;
		goto out;
	}
	/* Seeing to finished ones may have brought the page. */
	*index = (uint32_t)i;
	if (is_absent(mm, va))
		ret = post(mm, *index, v, va);
out:
	spin_unlock(&mm->lock);
	return ret;
}

void file_forget_fetches(struct mm *mm)
{
	for (uint32_t i = 0; i < OTR_FETCH_COUNT; i++) {
		if (!mm->fetch[i].block)
			continue;
		if (atomic_cas(&mm->zaps->fetch[i].state, OTR_FETCH_POSTED, OTR_FETCH_FREE) ||
		    state_of(mm, i) == OTR_FETCH_DONE) {
			put_pages(mm->fetch[i].block, 0, mm->fetch[i].pages);
			release(mm, i);
		}
	}
}

void file_fini(struct mm *mm)
{
	struct tree_node *n;

	for (uint32_t i = 0; i < OTR_FETCH_COUNT; i++)
		if (mm->fetch[i].block)
			put_pages(mm->fetch[i].block, 0, mm->fetch[i].pages);
	while ((n = tree_first(&mm->files))) {
		tree_remove(&mm->files, n);
		kmem_free(container_of(n, struct mapped_file, node));
	}
}

/* ---- For vfork children ---- */

bool mm_fetch_lend(struct mm *mm, uint32_t index, struct mm *via)
{
	struct otr_fetch *from, *to = &via->zaps->fetch[index];
	bool lent = false;

	spin_lock(&mm->lock);
	if (!mm->zaps)
		goto out;
	from = &mm->zaps->fetch[index];
	lent = load_acquire(&to->state) != OTR_FETCH_FREE;
	if (!atomic_cas(&from->state, OTR_FETCH_POSTED, OTR_FETCH_BUSY))
		goto out;
	to->file = from->file;
	to->offset = from->offset;
	to->phys = from->phys;
	to->bytes = from->bytes;
	to->result = 0;
	store_release(&to->state, OTR_FETCH_POSTED);
	lent = true;
out:
	spin_unlock(&mm->lock);
	return lent;
}

/* mm->lock held. */
static void fetch_return(struct mm *mm, struct mm *via, uint32_t i, enum mm_return how)
{
	struct otr_fetch *to = &via->zaps->fetch[i], *from = mm->zaps ? &mm->zaps->fetch[i] : NULL;
	uint32_t state = load_acquire(&to->state);

	if (state == OTR_FETCH_DONE) {
		if (from)
			from->result = to->result;
		store_release(&to->state, OTR_FETCH_FREE);
		if (from)
			store_release(&from->state, OTR_FETCH_DONE);
	} else if (how == MM_RETURN_OVER ? state != OTR_FETCH_FREE : how == MM_RETURN_ALL &&
		   atomic_cas(&to->state, OTR_FETCH_POSTED, OTR_FETCH_FREE)) {
		store_release(&to->state, OTR_FETCH_FREE);
		if (from)
			store_release(&from->state, OTR_FETCH_POSTED);
	}
}

bool mm_fetch_return(struct mm *mm, struct mm *via, enum mm_return how)
{
	/* The child was reaped before, and gave all back then. */
	if (!via->zaps)
		return true;
	for (uint32_t i = 0; i < OTR_FETCH_COUNT; i++) {
		for (;;) {
			spin_lock(&mm->lock);
			fetch_return(mm, via, i, how);
			spin_unlock(&mm->lock);
			if (how != MM_RETURN_ALL || state_of(via, i) != OTR_FETCH_BUSY)
				break;
			if (thread_killed(current_thread()))
				return false;
			thread_park_until(clock_uptime_ns() + RETURN_LOOK_NS);
		}
	}
	return true;
}
