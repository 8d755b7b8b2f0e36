/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/core.h"
#include "abi/call.h"
#include "abi/debug.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/facts.h"
#include "libpoxis/hold.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"

#define CORE_DUMPED 0x80u       /* of a wait status */

bool core_is_dumped(int number)
{
	/* signal(7): QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS */
	const uint64_t core = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 11 |
			      1u << 24 | 1u << 25 | 1u << 31;

	return number > 0 && number < 32 && core >> number & 1;
}

static int64_t tell(struct thread *t, uint64_t what, int number)
{
	return slot_call_always(t->slot, OTR_CALL_CORE, (uint64_t[6]){ what, (uint64_t)number });
}

/* A page goes through the mailbox, where the proxy reads it. */
static int64_t tell_page(struct thread *t, uint64_t what, int number, const void *page, size_t bytes)
{
	memcpy(t->process->mailbox, page, bytes);
	return tell(t, what, number);
}

static int64_t tell_threads(struct thread *t, int number, struct otr_thread_state *page)
{
	uint32_t tid = t->tid - 1;
	int64_t ret;

	/* The one that dies first. */
	if (!hold_describe_next(t->process, tid, page))
		return -ESRCH;
	ret = tell_page(t, OTR_CORE_THREAD, number, page, sizeof(*page));
	for (tid = 0; !ret && (tid = hold_describe_next(t->process, tid, page));)
		if (tid != t->tid)
			ret = tell_page(t, OTR_CORE_THREAD, number, page, sizeof(*page));
	return ret;
}

static int64_t tell_areas(struct thread *t, int number, struct otr_core_areas *page)
{
	uint64_t next = OTR_USER_START;
	int64_t ret = 0;

	while (!ret && next) {
		memset(page, 0, sizeof(*page));
		page->count = mm_core_areas(t->mm, &next, page->area, OTR_CORE_AREAS);
		ret = tell_page(t, OTR_CORE_AREA, number, page, sizeof(*page));
	}
	return ret;
}

static bool dump(struct thread *t, const struct signal_info *info)
{
	struct process *p = t->process;
	int number = info->number;
	int64_t ret = 0;
	void *page;

	/* A vfork child has no memory of its own to show. */
	if (!core_is_dumped(number) || p->lender || tell(t, OTR_CORE_BEGIN, number) != 1)
		return false;
	hold_all(p);
	if (hold_settle(p))
		log_warn("%s[%u]: some of its threads still run: their registers in the core file are old",
			 p->comm, p->pid);
	page = kmem_alloc(OTR_PAGE_SIZE);
	if (!page || !facts_take_turn(p)) {
		kmem_free(page);
		return false;
	}
	t->stopped_by = info;
	ret = tell_threads(t, number, page);
	t->stopped_by = NULL;
	if (!ret)
		ret = tell_areas(t, number, page);
	if (!ret)
		ret = tell(t, OTR_CORE_END, number);
	kmem_free(page);
	if (ret != 1 && !thread_killed(t))
		log_info("%s[%u]: no core file (%ld)", p->comm, p->pid, ret);
	return ret == 1;
}

void core_die(struct thread *t, const struct signal_info *info)
{
	struct process *p = t->process;
	bool first;

	spin_lock(&p->lock);
	first = !p->dying && !p->dumping;
	p->dumping = true;
	spin_unlock(&p->lock);
	/* Another thread is at it, and will end us. */
	while (!first && !thread_killed(t))
		thread_park();
	if (first)
		process_exit(p, ((uint32_t)info->number & 0x7f) | (dump(t, info) ? CORE_DUMPED : 0));
}
