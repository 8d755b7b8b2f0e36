/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/facts.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/usage.h"
#include "libpoxis/user.h"

#define TURN_LOOK_NS 100000u

bool facts_take_turn(struct process *p)
{
	while (atomic_exchange(&p->facts_busy, true)) {
		if (thread_killed(current_thread()))
			return false;
		thread_park_until(clock_uptime_ns() + TURN_LOOK_NS);
	}
	return true;
}

static void fill(struct process *p, struct mm *mm, struct otr_facts *f)
{
	*f = (struct otr_facts){
		.memory_bytes = phys_total_bytes(), .memory_free_bytes = phys_free_bytes(),
		.mapped_bytes = load_relaxed(&mm->mapped_bytes),
		.resident_bytes = load_relaxed(&mm->resident_pages) * PAGE_SIZE,
		.run_ns = usage_process_ns(p), .brk_start = mm->brk_start, .brk = load_relaxed(&mm->brk),
		.thread_count = load_relaxed(&p->thread_count), .cpu_count = load_relaxed(&cpu_online_count),
	};
	for (uint32_t w = 0; w < CPU_WORDS && w < OTR_FACTS_CPU_WORDS; w++)
		f->cpus[w] = load_relaxed(&cpu_online_mask.word[w]);
}

int64_t facts_tell(struct thread *t)
{
	struct process *p = t->process;
	struct otr_facts *f = kmem_alloc(sizeof(*f));
	uint64_t next = OTR_USER_START;
	int64_t ret = -OTR_NEED_FACTS;

	if (!f)
		return -ENOMEM;
	if (!facts_take_turn(p)) {
		kmem_free(f);
		return -EINTR;
	}
	fill(p, t->mm, f);
	while (ret == -OTR_NEED_FACTS && next) {
		f->area_count = mm_areas(t->mm, &next, f->area, OTR_FACTS_AREAS);
		f->more = next != 0;
		memcpy(&p->mailbox->facts, f, sizeof(*f));
		ret = slot_call_always(t->slot, OTR_CALL_FACTS, (uint64_t[6]){ 0 });
	}
	atomic_store(&p->facts_busy, false);
	kmem_free(f);
	return ret == -OTR_NEED_FACTS ? -EIO : ret;
}

/* ---- sysinfo(2) ---- */

struct sysinfo {
	int64_t uptime;
	uint64_t loads[3], total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
	uint16_t process_count, pad;
	uint32_t pad2;
	uint64_t total_high, free_high;
	uint32_t unit, rest;
};
_Static_assert(sizeof(struct sysinfo) == 112, "Linux's layout");

int64_t sys_sysinfo(struct regs *r)
{
	struct sysinfo s;
	int64_t ret = dispatch_delegate(r);

	if (ret)
		return ret;
	if (user_read(&s, r->rdi, sizeof(s)))
		return -EFAULT;
	s.total_ram = phys_total_bytes();
	s.free_ram = phys_free_bytes();
	s.shared_ram = s.buffer_ram = s.total_swap = s.free_swap = s.total_high = s.free_high = 0;
	s.process_count = (uint16_t)process_count();
	s.unit = 1;
	return user_write(r->rdi, &s, sizeof(s)) ? -EFAULT : 0;
}
