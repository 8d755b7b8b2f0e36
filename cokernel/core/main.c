/* SPDX-License-Identifier: BSD-2-Clause */
/* The co-kernel's way up: a table of contents. */
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/serial.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/arch/x86_64/mitigate.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/core/start.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/filecache.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/futex.h"
#include "libpoxis/slot.h"
#include "libpoxis/vdso.h"

static struct cpu boot_cpu;     /* index 0, before there is memory */
static struct thread boot_idle;

extern char boot_stack_end[];
extern uint64_t ap_root, ap_stack;

static void refuse(const char *why)
{
	struct otr_status *s = boot_status();

	str_copy(s->reason, why, sizeof(s->reason));
	s->magic = OTR_STATUS_MAGIC;
	store_release(&s->state, OTR_CK_REFUSED);
	log_err("refusing to run: %s", why);
	serial_exit(0x11);
}

static void adopt_cpu(struct cpu *c, const struct otr_boot_cpu *b, uint32_t index)
{
	c->index = index;
	c->apic_id = b->apic_id;
	c->node = b->node;
	c->linux_cpu = b->linux_cpu;
	c->status = boot_cpu_status(index);
	c->control = boot_cpu_control(index);
	c->saved_regs = boot_cpu_regs(index);
	cpu_table[index] = c;
}

static void init_memory(void)
{
	const struct otr_boot_range *r = boot_range_entry(0);
	paddr_t free = PADDR(boot_info.free_phys), end = PADDR(r->start + r->bytes);

	kvm_init(&free, end);
	/* Zones are whole large pages; what kvm_init() took is rounded up. */
	free.v = ALIGN_UP(free.v, LARGE_SIZE);
	if (phys_zone_add(free, end, r->node, false))
		panic("no memory");
	for (uint32_t i = 1; i < boot_info.range_count; i++) {
		r = boot_range_entry(i);
		if (phys_zone_add(PADDR(r->start), PADDR(r->start + r->bytes), r->node, true))
			log_err("memory %#lx-%#lx cannot be used", r->start, r->start + r->bytes);
	}
}

static void become_idle(struct cpu *c, struct thread *idle, void *stack_top)
{
	idle->stack_top = stack_top;
	idle->cpu = c;
	c->current = idle;
	c->kernel_rsp = (uint64_t)stack_top;
	c->tss.rsp[0] = (uint64_t)stack_top;
	sched_init_cpu();
}

static void set_performance(const struct otr_boot_cpu *b)
{
	/* Linux leaves an offlined CPU at its lowest performance. */
	if (b->hwp_request)
		wrmsr(0x774, b->hwp_request);   /* IA32_HWP_REQUEST */
	if (b->cppc_request)
		wrmsr(0xc00102b3, b->cppc_request); /* MSR_AMD_CPPC_REQ */
}

static void announce(void)
{
	struct otr_status *s = boot_status();

	s->version = OTR_ABI_VERSION;
	s->doorbell_vector = VECTOR_DOORBELL;
	s->mem_total_bytes = phys_total_bytes();
	s->mem_free_bytes = phys_free_bytes();
	s->tsc_entry = boot_tsc_entry;
	s->kernel_root = kernel_root.v;
	s->tsc_running = rdtsc();
	store_release(&this_cpu()->status->state, OTR_CPU_ONLINE);
	s->magic = OTR_STATUS_MAGIC;
	store_release(&s->state, OTR_CK_RUNNING);
	host_ring();
}

noreturn_ void boot_main(const struct otr_boot *header, uint64_t index)
{
	const char *what;
	char value[8];

	boot_accept(header);
	adopt_cpu(&boot_cpu, boot_cpu_entry(0), 0);
	cpu_init_idt();
	if (cpu_features_detect(&what))
		refuse("this CPU lacks a feature that the co-kernel needs (NX, SMEP, SMAP)");
	cpu_init_early(&boot_cpu);
	clock_init();
	log_init();
	boot_status()->state = OTR_CK_BOOTING;
	log_info("Outrigger co-kernel, ABI %u, partition %s, %u CPUs, %u memory ranges",
		 OTR_ABI_VERSION, boot_info.name, boot_info.cpu_count, boot_info.range_count);
	init_memory();
	mitigate_init();
	kvm_seal();
	for (uint32_t i = 1; i < boot_info.cpu_count; i++) {
		const struct otr_boot_cpu *b = boot_cpu_entry(i);

		if (!cpu_create(i, b->apic_id, b->node, b->linux_cpu))
			panic("no memory for CPU %u", i);
	}
	if (apic_map(PADDR(boot_info.lapic_phys)))
		panic("cannot map the local APIC");
	apic_timer_calibrate(boot_info.apic_khz, boot_info.tsc_khz);
	apic_init_cpu();
	set_performance(boot_cpu_entry(0));
	become_idle(&boot_cpu, &boot_idle, boot_stack_end);
	ap_root = kernel_root.v;
	slot_init();
	filecache_init();
	futex_init();
	vdso_init();
	dispatch_init();
	host_init();
	if (boot_info.cpu_count > 1 && start_prepare_cpu(cpu_table[1]))
		panic("no memory for a stack");
	announce();
	log_info("running: %lu MiB, %lu MiB free", phys_total_bytes() >> 20, phys_free_bytes() >> 20);
	if (boot_option("selftest", value, sizeof(value)))
		serial_exit(selftest_run() ? 0x11 : 0x10);
	sched_idle();
}

/* ---- The other CPUs, one at a time ---- */

static struct thread *next_idle;    /* of the CPU that ap_stack is for */

int start_prepare_cpu(struct cpu *c)
{
	struct thread *t;
	void *stack;

	if (load_acquire(&next_idle))
		return -EBUSY;
	t = kmem_zalloc(sizeof(*t));
	stack = kvm_stack_alloc();
	if (!t || !stack) {
		kmem_free(t);
		if (stack)
			kvm_stack_free(stack);
		return -ENOMEM;
	}
	t->stack_top = stack;
	ap_stack = (uint64_t)stack;
	store_release(&next_idle, t);
	return 0;
}

noreturn_ void ap_main(uint32_t index)
{
	struct cpu *c = index < CPUS_MOST ? cpu_table[index] : NULL;
	struct thread *idle = load_acquire(&next_idle);

	if (!c || !idle)
		halt_forever();
	c->mm = NULL;
	c->timer_armed_ns = 0;
	cpu_init_early(c);
	mitigate_init_cpu();
	apic_init_cpu();
	become_idle(c, idle, idle->stack_top);
	store_release(&next_idle, NULL);
	if (index < boot_info.cpu_count)
		set_performance(boot_cpu_entry(index));
	/* The host starts the next one when this one is online: be ready. */
	if (index + 1 < boot_info.cpu_count && !atomic_load(&cpu_table[index + 1]->online) &&
	    start_prepare_cpu(cpu_table[index + 1]))
		log_err("no memory to start CPU %u", index + 1);
	log_info("CPU %u (Linux %u, APIC %u, node %u) online", index, c->linux_cpu, c->apic_id, c->node);
	store_release(&c->status->state, OTR_CPU_ONLINE);
	sched_idle();
}
