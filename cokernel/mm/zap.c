/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames that a program gave up and its proxy may still map. The ring's head is
 * the host's and is checked against our tail: a wrong one only means that
 * nothing is freed.
 */
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm_internal.h"

void mm_ask_zap(struct mm *mm)
{
	uint64_t tail = load_relaxed(&mm->zap_tail);

	if (!mm->zaps || zap_done(mm) >= tail || atomic_xchg(&mm->zap_asked, tail) == tail)
		return;
	host_send3(OTR_MSG_ZAP, mm->context, 0, 0);
}

/* Zaps that the host has done, never more than there are. */
uint64_t zap_done(struct mm *mm)
{
	uint64_t head = load_acquire(&mm->zaps->zap_head);

	return head <= mm->zap_tail ? head : 0;
}

bool mm_zapped(struct mm *mm, uint64_t seq)
{
	return !mm->zaps || zap_done(mm) >= seq;
}

static bool publish(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t done = zap_done(mm);
	struct otr_zap *z;

	if (mm->zap_tail - done >= OTR_ZAP_COUNT)
		return false;
	z = &mm->zaps->zap[mm->zap_tail % OTR_ZAP_COUNT];
	z->start = start;
	z->end = end;
	mm->zap_tail++;
	store_release(&mm->zaps->zap_tail, mm->zap_tail);
	return true;
}

static void publish_overflow(struct mm *mm)
{
	if (mm->overflow_end && mm->zaps && publish(mm, mm->overflow_start, mm->overflow_end))
		mm->overflow_start = mm->overflow_end = 0;
}

void zap_push(struct mm *mm, uint64_t start, uint64_t end)
{
	if (!mm->zaps)
		return;
	publish_overflow(mm);
	if (!mm->overflow_end && publish(mm, start, end))
		return;
	mm->overflow_start = mm->overflow_end ? MIN(mm->overflow_start, start) : start;
	mm->overflow_end = MAX(mm->overflow_end, end);
}

/* Before zap_push() of the range the page was in: that zap, or the overflow
 * that takes it in, will have the number zap_tail or the one after it. */
void quarantine_add(struct mm *mm, struct page *p)
{
	if (!mm->zaps && !mm->lent_count) {
		page_put(p);
		return;
	}
	p->tag = mm->zap_tail + (mm->overflow_end ? 1 : 0);
	list_push_back(&mm->quarantine, &p->link);
	mm->quarantine_pages += 1ul << p->order;
}

struct parked_page *quarantine_prepare(struct page *p, bool large)
{
	struct parked_page *q = kmem_alloc(sizeof(*q));

	if (q) {
		q->page = p;
		q->large = large;
	}
	return q;
}

void parked_free(struct parked_page *q)
{
	if (q->large)
		large_put(q->page);
	else
		page_put(q->page);
	kmem_free(q);
}

void quarantine_add_shared(struct mm *mm, struct parked_page *q)
{
	if (!mm->zaps && !mm->lent_count) {
		parked_free(q);
		return;
	}
	q->tag = mm->zap_tail + (mm->overflow_end ? 1 : 0);
	list_push_back(&mm->shared_quarantine, &q->link);
}

static uint64_t collect_shared(struct mm *mm, uint64_t done)
{
	uint64_t freed = 0;

	while (!list_empty(&mm->shared_quarantine)) {
		struct parked_page *q = list_first(&mm->shared_quarantine, struct parked_page, link);

		if (q->tag >= done)
			break;
		list_remove(&q->link);
		freed++;
		parked_free(q);
	}
	return freed;
}

static uint64_t collect_locked(struct mm *mm)
{
	uint64_t done, freed = 0, shared;

	if (!mm->zaps || mm->lent_count || (list_empty(&mm->quarantine) && list_empty(&mm->shared_quarantine)))
		return 0;
	done = zap_done(mm);
	shared = collect_shared(mm, done);
	while (!list_empty(&mm->quarantine)) {
		struct page *p = list_first(&mm->quarantine, struct page, link);

		if (p->tag >= done)
			break;
		list_remove(&p->link);
		arch_serve();
		freed += 1ul << p->order;
		page_put(p);
	}
	mm->quarantine_pages -= freed;
	return freed + shared;
}

uint64_t mm_collect(struct mm *mm)
{
	uint64_t freed;

	spin_lock(&mm->lock);
	publish_overflow(mm);
	freed = collect_locked(mm);
	spin_unlock(&mm->lock);
	return freed;
}

uint64_t mm_zap_seq(struct mm *mm)
{
	if (!mm->zaps)
		return 0;
	if (unlikely(load_relaxed(&mm->overflow_end))) {
		spin_lock(&mm->lock);
		publish_overflow(mm);
		spin_unlock(&mm->lock);
	}
	return load_relaxed(&mm->zap_tail);
}
