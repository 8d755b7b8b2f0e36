/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a co-kernel that found itself broken. Touches as little as it can:
 * no allocation, no lock that somebody may hold for ever. */
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/serial.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/core/stop.h"
#include "cokernel/core/symbols.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/format.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/sched/thread.h"

#define BACKTRACE_MOST 32
#define ICR_NMI 0x4400u

static uint32_t panicking;

bool stop_requested(const struct cpu *c)
{
	return load_acquire(&panicking) || (c->control && load_acquire(&c->control->stop));
}

static void save_regs(struct otr_cpu_regs *to, const struct regs *r)
{
	/* Order: Linux's elf_gregset (abi/status.h). */
	const uint64_t gpr[] = {
		r->r15, r->r14, r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10, r->r9, r->r8,
		r->rax, r->rcx, r->rdx, r->rsi, r->rdi, r->error, r->rip, r->cs, r->rflags,
		r->rsp, r->ss, rdmsr(MSR_FS_BASE), rdmsr(MSR_GS_BASE), 0, 0, 0, 0,
	};

	_Static_assert(sizeof(gpr) == sizeof(to->gpr), "one for one");
	memcpy(to->gpr, gpr, sizeof(gpr));
	to->cr2 = read_cr2();
	to->cr3 = read_cr3();
	store_release(&to->valid, 1u);
}

noreturn_ void stop_here(const struct regs *r)
{
	struct cpu *c = this_cpu();

	save_regs(c->saved_regs, r);
	store_release(&c->status->state, OTR_CPU_STOPPED);
	halt_forever();
}

static bool readable(uint64_t va)
{
	int level;

	return va >= VA_DIRECT && va < UINT64_MAX - 16 && kernel_root.v &&
	       *pt_walk(kernel_root, va, &level) & PTE_PRESENT &&
	       *pt_walk(kernel_root, va + 15, &level) & PTE_PRESENT;
}

static void log_address(const char *what, uint64_t at)
{
	uint64_t offset;
	const char *name = symbol_find(at, &offset);

	if (name)
		log_line(LOG_EMERG, "%s %#lx %s+%#lx", what, at, name, offset);
	else
		log_line(LOG_EMERG, "%s %#lx", what, at);
}

static void backtrace(uint64_t rip, uint64_t rbp)
{
	log_address("  at", rip);
	for (int i = 0; i < BACKTRACE_MOST && readable(rbp); i++) {
		uint64_t next = ((uint64_t *)rbp)[0], ret = ((uint64_t *)rbp)[1];

		if (!ret)
			break;
		log_address("  by", ret);
		if (next <= rbp)
			break;
		rbp = next;
	}
}

static void stop_others(struct cpu *me)
{
	for (uint32_t i = 0; i < boot_info.cpu_limit && i < CPUS_MOST; i++)
		if (cpu_table[i] && cpu_table[i] != me && cpumask_test(&cpu_online_mask, i))
			apic_send_raw(cpu_table[i]->apic_id, ICR_NMI);
}

static void log_cpus(void)
{
	for (uint32_t i = 0; i < boot_info.cpu_limit && i < CPUS_MOST; i++) {
		struct cpu *c = cpu_table[i];
		struct thread *t = c ? c->current : NULL;

		if (c && cpumask_test(&cpu_online_mask, i))
			log_line(LOG_EMERG, "CPU %u (Linux %u): %s tid %u, %u waiting, %lu switches",
				 i, c->linux_cpu, !t || t == c->idle ? "idle" : "thread",
				 t ? t->tid : 0, c->run_count, c->status->switch_count);
	}
}

static noreturn_ void finish(const struct regs *r, const char *fmt, va_list args)
{
	struct cpu *c = this_cpu();
	struct otr_status *s = boot_status();
	char reason[sizeof(s->reason)];

	irq_disable();
	if (atomic_xchg(&panicking, 1u))
		halt_forever();     /* a second panic, here or elsewhere */
	format_v(reason, sizeof(reason), fmt, args);
	stop_others(c);
	log_break_lock();
	log_line(LOG_EMERG, "panic on CPU %u: %s", c->index, reason);
	log_line(LOG_EMERG, "rip %#lx rsp %#lx rflags %#lx cr2 %#lx cr3 %#lx", r->rip, r->rsp,
		 r->rflags, read_cr2(), read_cr3());
	log_line(LOG_EMERG, "rax %#lx rbx %#lx rcx %#lx rdx %#lx rsi %#lx rdi %#lx rbp %#lx",
		 r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp);
	log_line(LOG_EMERG, "r8 %#lx r9 %#lx r10 %#lx r11 %#lx r12 %#lx r13 %#lx r14 %#lx r15 %#lx",
		 r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15);
	backtrace(r->rip, r->rbp);
	log_cpus();
	save_regs(c->saved_regs, r);
	store_release(&c->status->state, OTR_CPU_STOPPED);
	str_copy(s->reason, reason, sizeof(s->reason));
	s->panic_cpu = c->index;
	store_release(&s->state, OTR_CK_PANIC);
	host_ring();
	serial_exit(0x11);
}

noreturn_ void panic_regs(const struct regs *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	finish(r, fmt, args);
}

noreturn_ void panic(const char *fmt, ...)
{
	struct regs r = { .cs = SEL_KERNEL_CS, .ss = SEL_KERNEL_DS };
	uint64_t *frame = __builtin_frame_address(0);
	va_list args;

	r.rbp = frame[0];
	r.rip = frame[1];
	r.rsp = (uint64_t)(frame + 2);
	va_start(args, fmt);
	finish(&r, fmt, args);
}
