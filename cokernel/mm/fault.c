/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages on demand. */
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"
#include "cokernel/sched/thread.h"

static bool entry_allows(uint64_t e, uint32_t access)
{
	if (!(e & PTE_PRESENT))
		return false;
	if (access == MM_WRITE)
		return e & PTE_WRITE;
	return access != MM_EXEC || !(e & PTE_NX);
}

static bool vma_allows(const struct vma *v, uint32_t access)
{
	if (v->a.fixed && access == MM_WRITE)
		return false;
	/* As on every x86 Linux, what may be written or run may be read. */
	return access == MM_READ ? v->a.prot != 0 : v->a.prot & access;
}

/* How often a thread looks whether a page that is moved has arrived. */
#define MOVING_WAIT_NS 200000u
#define ZAP_WAIT_ROUNDS 2500
#define FETCHES_AT_ONCE 16
#define GRANT_AHEAD 16u         /* 64 KiB */

/* A page for va, for the current thread unless the area has a policy of its own. */
static struct page *page_for(uint32_t order, uint64_t va, const struct policy *area)
{
	const struct policy *p = area;

	if (likely(p->mode == POLICY_DEFAULT && current_thread()))
		p = &current_thread()->policy;
	if (likely(p->mode == POLICY_DEFAULT))
		return page_alloc_movable(order);
	return page_alloc_policy(order, p, va >> (PAGE_SHIFT + order));
}

static struct page *zeroed_page(uint32_t order, uint64_t va, const struct policy *area)
{
	struct page *p = page_for(order, va, area);

	if (p)
		memset(page_to_virt(p), 0, PAGE_SIZE << order);
	return p;
}

/* What a fault at va needs, under the lock. */
struct need {
	uint64_t va;                /* start of the page */
	uint32_t order;
	uint32_t prot;
	bool file;                  /* the page is the file's */
	bool share;                 /* it is Linux's */
	bool copy;                  /* of the frame below, which is shared */
	paddr_t from;
	struct policy policy;       /* the area's */
	struct parked_page *parked; /* for the frame below */
};

/* Entries of fixed pages are marked as grants: they are nobody's to free. */
static int place_fixed(struct mm *mm, const struct vma *v, uint64_t va)
{
	uint64_t index = vma_piece(v, va).offset >> PAGE_SHIFT, *e;

	if (index >= v->a.fixed->count)
		return -ENXIO;
	e = pt_ensure(mm->root, va, 0, page_alloc_table);
	if (!e)
		return -ENOMEM;
	store_release(e, v->a.fixed->frame[index].v | PTE_GRANT | (pte_flags(v->a.prot) & ~PTE_WRITE));
	return 1;
}

/* 1: nothing to do; 0: *n says what; else -errno. */
static int examine(struct mm *mm, uint64_t va, uint32_t access, struct need *n)
{
	struct vma *v = vma_find(mm, va);
	uint64_t large = ALIGN_DOWN(va, LARGE_SIZE), *e;
	int level;

	if (!v || v->start > va)
		return -EFAULT;
	if (!vma_allows(v, access))
		return -EACCES;
	e = pt_walk(mm->root, va, &level);
	if (entry_allows(*e, access))
		return 1;
	if (v->a.fixed)
		return place_fixed(mm, v, va);
	if (v->a.share) {
		*n = (struct need){ .share = true };
		return 0;
	}
	*n = (struct need){ .va = ALIGN_DOWN(va, PAGE_SIZE), .prot = v->a.prot, .policy = v->a.policy };
	if (*e & PTE_MOVING)
		return -EAGAIN;
	if (pte_used(*e)) {
		struct page *p = phys_to_page(PADDR(*e & PTE_ADDR));
		bool whole;

		if (!(*e & PTE_COW))
			return -EACCES;
		/* No more than is written is copied; the rest stays one for all. */
		if (level && !large_is_ours(p, &whole)) {
			if (pages_split_large(mm, e, va))
				return -ENOMEM;
			p += (va - large) >> PAGE_SHIFT;
			e = pt_walk(mm->root, va, &level);
		}
		if (level || !page_is_shared(p)) {
			store_relaxed(e, (*e & ~PTE_COW) | PTE_WRITE);
			return 1;
		}
		n->copy = true;
		n->from = PADDR(*e & PTE_ADDR);
		page_get(p);
		return 0;
	}
	n->file = v->a.file;
	if (!n->file && level >= 1 && !(v->a.flags & MM_NOHUGE) && v->start <= large && v->end >= large + LARGE_SIZE) {
		n->va = large;
		n->order = ORDER_LARGE;
	}
	return 0;
}

static int install(struct mm *mm, const struct need *n, struct page *p)
{
	uint64_t *e = pt_ensure(mm->root, n->va, n->order == ORDER_LARGE, page_alloc_table);
	uint64_t old;

	if (!e)
		return -ENOMEM;
	old = *e;
	if (n->copy) {
		if ((old & PTE_ADDR) != n->from.v || !(old & PTE_COW))
			return -EEXIST;
		store_release(e, page_to_phys(p).v | pte_flags(n->prot));
		tlb_flush(mm, n->va, n->va + PAGE_SIZE);
		/* The reference of the entry, while the proxy may still map it. */
		quarantine_add_shared(mm, n->parked);
		zap_push(mm, n->va, n->va + PAGE_SIZE);
		return 0;
	}
	if (pte_used(old))
		return -EEXIST;
	store_release(e, page_to_phys(p).v | pte_flags(n->prot) |
		      (n->order == ORDER_LARGE ? PTE_LARGE : 0));
	mm->resident_pages += 1ul << n->order;
	return 0;
}

/* Memory without a name is granted some pages ahead; where it is a file's, pages
 * that were not asked for would be written to, or made. */
static int run_grant(struct mm *mm, uint64_t va, bool write)
{
	uint32_t pages = 1;
	struct vma *v;

	va = ALIGN_DOWN(va, PAGE_SIZE);
	spin_lock(&mm->lock);
	v = vma_find(mm, va);
	if (v && v->start <= va && v->a.flags & MM_UNNAMED)
		pages = (uint32_t)MIN((v->end - va) >> PAGE_SHIFT, (uint64_t)GRANT_AHEAD);
	spin_unlock(&mm->lock);
	return mm->run_grant(mm, va, pages, write);
}

int mm_fault(struct mm *mm, uint64_t va, uint32_t access)
{
	int err, rounds = 0, fetches = 0;
	uint32_t fetch;

	for (;;) {
		err = mm_fault_nowait(mm, va, access, &fetch);
		if (err == -ENOMEM && mm->quarantine_pages && rounds++ < ZAP_WAIT_ROUNDS) {
			mm_ask_zap(mm);     /* much may come back soon */
		} else if (err == -EINPROGRESS) {
			err = fetch == MM_FETCH_GRANT ? run_grant(mm, va, access == MM_WRITE) :
			      mm->run_fetch(mm, fetch);
			if (err)
				return err;
			/* A proxy may say that it is done when it is not. */
			if (++fetches < FETCHES_AT_ONCE)
				continue;
		} else if (err != -EAGAIN) {
			return err;
		}
		thread_park_until(clock_uptime_ns() + MOVING_WAIT_NS);
	}
}

int mm_fault_nowait(struct mm *mm, uint64_t va, uint32_t access, uint32_t *fetch)
{
	for (;;) {
		struct need n, again;
		struct page *p = NULL;
		int ret;

		spin_lock(&mm->lock);
		ret = examine(mm, va, access, &n);
		spin_unlock(&mm->lock);
		if (ret)
			return ret > 0 ? 0 : ret;
		if (n.share) {
			*fetch = MM_FETCH_GRANT;
			return -EINPROGRESS;
		}
		if (n.file) {
			ret = file_fault(mm, va, access, fetch);
			if (ret)
				return ret;
			continue;
		}
		/* Zeroing 2 MiB takes long: without the lock. */
		n.parked = n.copy ? quarantine_prepare(phys_to_page(n.from), false) : NULL;
		if (n.copy)
			p = n.parked ? page_for(0, n.va, &n.policy) : NULL;
		else if (n.order)
			p = zeroed_page(n.order, n.va, &n.policy);
		if (!p && !n.copy) {
			n.order = 0;
			n.va = ALIGN_DOWN(va, PAGE_SIZE);
			p = zeroed_page(0, n.va, &n.policy);
		}
		if (!p) {
			if (n.copy)
				page_put(phys_to_page(n.from));
			kmem_free(n.parked);
			if (mm_collect(mm))
				continue;
			return -ENOMEM;
		}
		if (n.copy)
			memcpy(page_to_virt(p), phys_to_virt(n.from), PAGE_SIZE);
		spin_lock(&mm->lock);
		ret = examine(mm, va, access, &again);
		if (ret > 0)
			ret = -EEXIST;      /* somebody else was faster */
		if (!ret) {
			if (again.copy)
				page_put(phys_to_page(again.from));
			if (again.file || again.share || again.copy != n.copy || again.prot != n.prot || (n.order && !again.order))
				ret = -EEXIST;
			else
				ret = install(mm, &n, p);
		}
		spin_unlock(&mm->lock);
		if (n.copy)
			page_put(phys_to_page(n.from));     /* examine()'s */
		if (ret) {
			page_put(p);
			kmem_free(n.parked);
		}
		if (ret != -EEXIST)
			return ret;
	}
}

int mm_populate(struct mm *mm, uint64_t va, uint64_t bytes, uint32_t access)
{
	uint64_t end = va + bytes;

	if (!bytes)
		return 0;
	if (va < OTR_USER_START || end < va || end > OTR_USER_END)
		return -EFAULT;
	while (va < end) {
		int level;
		uint64_t e = load_relaxed(pt_walk(mm->root, va, &level));

		if (unlikely(!entry_allows(e, access))) {
			int err = mm_fault(mm, va, access);

			if (err)
				return err;
			if (unlikely(thread_killed(current_thread())))
				return -EINTR;
			thread_breathe();
			continue;
		}
		va = ALIGN_DOWN(va, 1ull << (PAGE_SHIFT + 9 * level)) + (1ull << (PAGE_SHIFT + 9 * level));
	}
	return 0;
}

void mm_populate_all(struct mm *mm)
{
	uint64_t at = OTR_USER_START, end;
	uint32_t prot;

	for (;;) {
		struct vma *v;

		spin_lock(&mm->lock);
		v = vma_find(mm, at);
		if (v) {
			at = v->start;
			end = v->end;
			/* A stack is made at its full size. */
			prot = v->a.flags & MM_STACK ? 0 : v->a.prot;
		}
		spin_unlock(&mm->lock);
		if (!v)
			return;
		if (prot)
			mm_populate(mm, at, end - at, prot & MM_WRITE ? MM_WRITE : MM_READ);
		if (thread_killed(current_thread()))
			return;
		at = end;
	}
}
