/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/slot.h"
#include "abi/boot.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/vfork.h"

/* How long a caller with nothing else to run watches its slot before it lets
 * the CPU sleep: about the cost of a doorbell and a wake-up in Linux. */
#define SPIN_NS 20000u
#define POST_WAIT_NS 100000u

static struct slot **pages;     /* by page number: 32 slots each */
static uint64_t page_count;
static struct spinlock pages_lock;

void slot_init(void)
{
	uint64_t bytes = 0;

	boot_area(OTR_AREA_CONTEXTS, &bytes);
	page_count = bytes / OTR_PAGE_SIZE;
	if (!page_count)
		return;
	pages = kmem_zalloc(page_count * sizeof(*pages));
	if (!pages)
		panic("no memory for the slot table");
}

int slot_page_add(uint64_t page, struct process *p, struct slot **first)
{
	struct otr_slot *shared = host_context_page(page);
	struct slot *s;
	int err = 0;

	if (!shared || page >= page_count)
		return -EINVAL;
	s = kmem_zalloc(OTR_SLOTS_PER_PAGE * sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < OTR_SLOTS_PER_PAGE; i++) {
		s[i].shared = shared + i;
		s[i].process = p;
		s[i].twin_mask = UINT64_MAX;
		s[i].number = (uint32_t)page * OTR_SLOTS_PER_PAGE + i;
		list_init(&s[i].link);
	}
	spin_lock(&pages_lock);
	if (pages[page])
		err = -EEXIST;
	else
		store_release(&pages[page], s);
	spin_unlock(&pages_lock);
	if (err)
		kmem_free(s);
	else
		*first = s;
	return err;
}

void slot_page_remove(uint64_t page)
{
	struct slot *s;

	spin_lock(&pages_lock);
	s = pages[page];
	pages[page] = NULL;
	spin_unlock(&pages_lock);
	kmem_free(s);
}

void slot_wake_caller(uint32_t number)
{
	uint64_t page = number / OTR_SLOTS_PER_PAGE;
	struct slot *s;

	if (page >= page_count)
		return;
	spin_lock(&pages_lock);
	s = pages[page];
	if (s) {
		s += number % OTR_SLOTS_PER_PAGE;
		signal_take(s->process, s);
		spin_lock(&s->lock);
		if (s->caller)
			thread_unpark(s->caller);
		spin_unlock(&s->lock);
	}
	spin_unlock(&pages_lock);
}

static bool done(const struct otr_slot *o)
{
	return !(load_acquire(&o->state) & OTR_SLOT_POSTED);
}

/* True when the call ended within the time. */
static bool spin(const struct otr_slot *o)
{
	struct cpu *c = this_cpu();
	uint64_t end = clock_uptime_ns() + SPIN_NS;

	for (;;) {
		for (int i = 0; i < 64; i++) {
			if (done(o))
				return true;
			arch_poll();
		}
		if (load_relaxed(&c->run_count) || clock_uptime_ns() > end)
			return false;
	}
}

static int64_t sleep(struct slot *s)
{
	struct thread *t = current_thread();
	struct otr_slot *o = s->shared;

	store_relaxed(&o->cpu, this_cpu()->index);
	for (;;) {
		uint32_t state = load_acquire(&o->state);

		if (!(state & OTR_SLOT_POSTED))
			return 0;
		if (thread_killed(t))
			return -EINTR;
		if (!(state & OTR_SLOT_CALLER_SLEEPS) &&
		    !atomic_cas(&o->state, state, state | OTR_SLOT_CALLER_SLEEPS))
			continue;
		thread_park();
	}
}

static void post(struct slot *s, uint32_t nr, const uint64_t arg[6])
{
	struct otr_slot *o = s->shared;

	/* A request that nobody waits for may still be there (slot_post). */
	while (unlikely(!done(o)) && !thread_killed(current_thread()) && !spin(o))
		thread_park_until(clock_uptime_ns() + POST_WAIT_NS);
	o->nr = nr;
	for (int i = 0; i < 6; i++)
		o->arg[i] = arg[i];
	o->zap_seq = current_thread()->mm ? vfork_zap_seq(s->process) : 0;
	if (atomic_xchg(&o->state, OTR_SLOT_POSTED) & OTR_SLOT_WORKER_SLEEPS)
		host_wake_worker(s->number);
}

bool slot_is_idle(const struct slot *s)
{
	return done(s->shared);
}

int64_t slot_call(struct slot *s, uint32_t nr, const uint64_t arg[6])
{
	int64_t err = 0;

	/* Its twin is gone, or still in the call out of which the thread was killed. */
	if (unlikely(!done(s->shared)) && thread_killed(current_thread()))
		return -EINTR;
	s->calls += nr < OTR_CALL_BASE;
	post(s, nr, arg);
	if (!spin(s->shared))
		err = sleep(s);
	signal_take(s->process, s);
	return err ? err : (int64_t)load_relaxed(&s->shared->arg[0]);
}

int64_t slot_call_always(struct slot *s, uint32_t nr, const uint64_t arg[6])
{
	int64_t ret;

	do {
		s->shared->sig_done = atomic_load(&s->signals_taken);
		ret = slot_call(s, nr, arg);
	} while ((ret == -OTR_AGAIN || ret == -OTR_NOT_MADE || ret == -EINTR) && !thread_killed(current_thread()));
	return ret;
}

void slot_post(struct slot *s, uint32_t nr, uint64_t arg0)
{
	post(s, nr, (uint64_t[6]){ arg0 });
}

struct slot *slot_find(uint32_t number)
{
	uint64_t page = number / OTR_SLOTS_PER_PAGE;
	struct slot *s;

	if (page >= page_count)
		return NULL;
	s = load_acquire(&pages[page]);
	return s ? s + number % OTR_SLOTS_PER_PAGE : NULL;
}
