/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/hotplug.h"
#include "abi/status.h"
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/core/start.h"
#include "cokernel/core/stop.h"
#include "cokernel/ipc/control.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/filecache.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/process.h"

#define PARK_WAIT_NS 1000000000ull
#define EXIT_WAIT_NS 3000000000ull
#define EVACUATE_ROUNDS 40

/* ---- Memory ---- */

static bool aligned(paddr_t start, uint64_t bytes)
{
	return bytes && !((start.v | bytes) & (LARGE_SIZE - 1)) && start.v + bytes > start.v;
}

static void publish_memory(void)
{
	struct otr_status *s = boot_status();

	store_relaxed(&s->mem_total_bytes, phys_total_bytes());
	store_relaxed(&s->mem_free_bytes, phys_free_bytes());
}

int hotplug_memory_add(paddr_t start, uint64_t bytes, uint32_t node)
{
	paddr_t end = PADDR(start.v + bytes);
	int err;

	if (!aligned(start, bytes))
		return -EINVAL;
	err = kvm_direct_add(start, end);
	if (err)
		return err;
	err = phys_zone_add(start, end, node, true);
	if (err)
		kvm_direct_remove(start, end);
	publish_memory();
	if (!err)
		log_info("memory %#lx-%#lx (node %u) added", start.v, end.v, node);
	return err;
}

int hotplug_memory_remove(paddr_t start, uint64_t bytes)
{
	paddr_t end = PADDR(start.v + bytes);
	int err, moved = 0;

	if (!aligned(start, bytes))
		return -EINVAL;
	if (start.v <= boot_info.shared_phys && boot_info.shared_phys < end.v)
		return -EPERM;
	err = phys_zone_close(start, end);
	if (err)
		return err;
	/* What programs put there while it was open moves away; what is on its
	 * way out (quarantine) needs a few rounds. */
	for (int i = 0; i < EVACUATE_ROUNDS; i++) {
		filecache_evict(start, end);
		moved = process_evacuate_memory(start, end);
		err = phys_zone_remove(start, end);
		if (err != -EBUSY)
			break;
		thread_park_until(clock_uptime_ns() + 5000000);
	}
	if (err) {
		log_info("memory %#lx-%#lx stays: %lu KiB in use%s", start.v, end.v,
			 phys_zone_used_bytes(start, end) >> 10,
			 moved == -ENOMEM ? ", no memory elsewhere for programs' pages" :
			 moved ? ", pinned by Linux" : "");
		phys_zone_open(start, end);
		return err;
	}
	kvm_direct_remove(start, end);
	publish_memory();
	log_info("memory %#lx-%#lx removed", start.v, end.v);
	return 0;
}

/* ---- CPUs ---- */

/* The CPU that is to park, or none. */
static uint32_t parking = UINT32_MAX;

int hotplug_cpu_add(uint32_t index, uint32_t apic_id, uint32_t node, uint32_t linux_cpu)
{
	struct cpu *c;

	if (index >= boot_info.cpu_limit || index >= CPUS_MOST)
		return -EINVAL;
	if (cpumask_test(&cpu_online_mask, index))
		return -EEXIST;
	c = cpu_create(index, apic_id, node, linux_cpu);
	return c ? start_prepare_cpu(c) : -ENOMEM;
}

void hotplug_cpu_poll(void)
{
	struct cpu *c = this_cpu();

	if (likely(load_relaxed(&parking) != c->index) || c->current != c->idle)
		return;
	sched_evacuate();
	stop_park();
}

noreturn_ void stop_park(void)
{
	struct cpu *c = this_cpu();
	struct cpu *to = NULL;

	mm_leave();
	for (uint32_t i = 0; i < CPUS_MOST && !to; i++)
		if (i != c->index && cpumask_test(&cpu_online_mask, i))
			to = cpu_table[i];
	if (to)                     /* else it is the last one */
		timer_evacuate(to);
	apic_timer_arm(0);
	phys_cache_flush();
	c->fpu_owner = NULL;
	store_release(&parking, UINT32_MAX);
	store_release(&c->status->state, OTR_CPU_PARKED);
	halt_forever();
}

static int park_cpu(uint32_t index)
{
	struct cpu *c = cpu_table[index];
	uint64_t end = clock_uptime_ns() + PARK_WAIT_NS;

	/* From now on nothing new is put there. */
	cpumask_clear(&cpu_online_mask, index);
	store_release(&parking, index);
	while (load_acquire(&c->status->state) == OTR_CPU_ONLINE && clock_uptime_ns() < end) {
		atomic_store(&c->resched, true);
		cpu_kick(c);
		thread_park_until(clock_uptime_ns() + 1000000);
	}
	if (load_acquire(&c->status->state) == OTR_CPU_PARKED)
		return 0;
	store_release(&parking, UINT32_MAX);
	cpumask_set(&cpu_online_mask, index);
	return -EBUSY;
}

int hotplug_cpu_remove(uint32_t index)
{
	struct thread *me = current_thread();
	int err;

	if (index >= CPUS_MOST || !cpumask_test(&cpu_online_mask, index))
		return -EINVAL;
	if (cpu_online_count == 1)
		return -EBUSY;
	cpumask_clear(&me->affinity, index);
	if (this_cpu()->index == index)
		sched_migrate();
	err = park_cpu(index);
	cpumask_set(&me->affinity, index);
	if (!err)
		log_info("CPU %u (Linux %u) removed", index, cpu_table[index]->linux_cpu);
	return err;
}

/* ---- Shutdown ---- */

int hotplug_shutdown(uint32_t cookie)
{
	struct otr_status *s = boot_status();
	uint64_t end = clock_uptime_ns() + EXIT_WAIT_NS;

	log_info("shutting down");
	process_kill_all(SIGKILL);
	while (load_relaxed(&s->thread_count) && clock_uptime_ns() < end)
		thread_park_until(clock_uptime_ns() + 1000000);
	if (load_relaxed(&s->thread_count))
		return -ETIMEDOUT;
	for (uint32_t i = 0; i < CPUS_MOST; i++)
		if (i != this_cpu()->index && cpumask_test(&cpu_online_mask, i)) {
			int err = hotplug_cpu_remove(i);

			if (err)
				return err;
		}
	log_info("stopped");
	control_reply(cookie, 0, 0);
	store_release(&s->state, OTR_CK_STOPPED);
	stop_park();
}
