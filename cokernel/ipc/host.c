/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/ipc/host.h"
#include "abi/call.h"
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/ipc/control.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/slot.h"

struct pending {
	struct list link;
	struct otr_msg msg;
};

/* Receiving: our own copies of what the peer cannot be trusted with. */
static struct otr_ring *h2c;
static uint32_t h2c_head, h2c_count;
static struct spinlock h2c_lock;

static struct otr_ring *c2h;
static uint32_t c2h_tail, c2h_count;
static struct spinlock c2h_lock;
static struct list backlog = LIST_INIT(backlog);   /* under c2h_lock */

static struct otr_wake *wake_in, *wake_out;
static uint64_t wake_words;
static uint8_t *contexts;
static uint64_t context_pages;
static const struct otr_doorbell *doorbell;

static struct thread *worker;
static struct list work = LIST_INIT(work);
static struct spinlock work_lock;

static struct otr_ring *ring_area(uint32_t type, uint32_t *count)
{
	uint64_t bytes;
	struct otr_ring *r = boot_area(type, &bytes);

	if (!r || bytes < sizeof(*r))
		return NULL;
	*count = r->count;
	if (!*count || *count & (*count - 1) || *count > (bytes - sizeof(*r)) / sizeof(struct otr_msg))
		return NULL;
	return r;
}

void *host_context_page(uint64_t number)
{
	return number < context_pages ? contexts + number * PAGE_SIZE : NULL;
}

/* ---- To Linux ---- */

void host_ring(void)
{
	uint32_t dest, icr, enabled, seq;

	if (!doorbell)
		return;
	/* Retargeting is rare and short; after the bound any copy will do, as a
	 * lost ring is made good by the next one. */
	for (int i = 0; i < 10000; i++) {
		seq = load_acquire(&doorbell->seq);
		enabled = load_relaxed(&doorbell->enabled);
		dest = load_relaxed(&doorbell->dest);
		icr = load_relaxed(&doorbell->icr_low);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && load_relaxed(&doorbell->seq) == seq)
			break;
		cpu_pause();
	}
	if (enabled)
		apic_send_raw(dest, icr);
}

static void ring_if_first(void)
{
	if (wake_out && !atomic_xchg(&wake_out->any, 1u))
		host_ring();
}

void host_wake_worker(uint32_t slot)
{
	if (slot / 64 >= wake_words)
		return;
	atomic_or(&wake_out->word[slot / 64], 1ull << (slot % 64));
	ring_if_first();
}

/* c2h_lock held. */
static bool try_push(const struct otr_msg *m)
{
	uint32_t used = c2h_tail - load_acquire(&c2h->head);

	if (used >= c2h_count)
		return false;
	c2h->entry[c2h_tail & (c2h_count - 1)] = *m;
	c2h_tail++;
	store_release(&c2h->tail, c2h_tail);
	return true;
}

static void flush_backlog(void)
{
	while (!list_empty(&backlog)) {
		struct pending *p = list_first(&backlog, struct pending, link);

		if (!try_push(&p->msg))
			return;
		list_remove(&p->link);
		kmem_free(p);
	}
}

void host_send(const struct otr_msg *m)
{
	if (!c2h)
		return;
	spin_lock(&c2h_lock);
	flush_backlog();
	if (!list_empty(&backlog) || !try_push(m)) {
		struct pending *p = kmem_alloc(sizeof(*p));

		if (p) {
			p->msg = *m;
			list_push_back(&backlog, &p->link);
		} else {
			log_err("no memory to keep a message (type %u) to the host", m->type);
		}
	}
	spin_unlock(&c2h_lock);
	store_release(&wake_out->messages, 1u);
	ring_if_first();
}

/* ---- From Linux ---- */

static void wake_callers(void)
{
	if (!wake_in || !load_relaxed(&wake_in->any) || !atomic_xchg(&wake_in->any, 0u))
		return;
	for (uint64_t w = 0; w < wake_words; w++) {
		uint64_t bits;

		if (!load_relaxed(&wake_in->word[w]))
			continue;
		bits = atomic_xchg(&wake_in->word[w], 0ull);
		for (; bits; bits &= bits - 1)
			slot_wake_caller((uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits));
	}
}

static void defer(const struct otr_msg *m)
{
	struct pending *p = kmem_alloc(sizeof(*p));

	if (!p) {
		control_reply(m->cookie, -ENOMEM, 0);
		return;
	}
	p->msg = *m;
	spin_lock(&work_lock);
	list_push_back(&work, &p->link);
	spin_unlock(&work_lock);
	thread_unpark(worker);
}

static void take_messages(void)
{
	if (!h2c || load_acquire(&h2c->tail) == load_relaxed(&h2c_head))
		return;
	spin_lock(&h2c_lock);
	for (;;) {
		uint32_t used = load_acquire(&h2c->tail) - h2c_head;
		struct otr_msg m;

		if (!used)
			break;
		if (used > h2c_count)
			panic("the host's message ring is broken: %u of %u entries", used, h2c_count);
		m = h2c->entry[h2c_head & (h2c_count - 1)];
		h2c_head++;
		store_release(&h2c->head, h2c_head);
		if (!control_message_now(&m))
			defer(&m);
	}
	spin_unlock(&h2c_lock);
}

void host_doorbell(void)
{
	struct cpu *c = this_cpu();
	uint32_t ping = load_relaxed(&c->control->ping);

	if (c->status->ping_ack != ping || c->served_pings) {
		c->served_pings = 0;
		store_release(&c->status->ping_ack, ping);
		store_relaxed(&boot_status()->mem_free_bytes, phys_free_bytes());
	}
	wake_callers();
	take_messages();
	if (c2h && !list_empty(&backlog)) {
		spin_lock(&c2h_lock);
		flush_backlog();
		spin_unlock(&c2h_lock);
	}
}

static void worker_main(void *arg)
{
	for (;;) {
		struct list *l;
		struct pending *p;

		spin_lock(&work_lock);
		l = list_pop_front(&work);
		spin_unlock(&work_lock);
		if (!l) {
			thread_park();
			continue;
		}
		p = list_entry(l, struct pending, link);
		control_message_later(&p->msg);
		kmem_free(p);
	}
}

void host_init(void)
{
	uint64_t bytes;

	h2c = ring_area(OTR_AREA_H2C, &h2c_count);
	c2h = ring_area(OTR_AREA_C2H, &c2h_count);
	wake_in = boot_area(OTR_AREA_WAKE_H2C, &bytes);
	wake_out = boot_area(OTR_AREA_WAKE_C2H, &bytes);
	wake_words = wake_out ? (bytes - sizeof(*wake_out)) / 8 : 0;
	contexts = boot_area(OTR_AREA_CONTEXTS, &bytes);
	context_pages = contexts ? bytes / PAGE_SIZE : 0;
	doorbell = boot_area(OTR_AREA_DOORBELL, NULL);
	worker = thread_create(worker_main, NULL);
	if (!worker)
		panic("no memory for the control thread");
	thread_start(worker);
}
