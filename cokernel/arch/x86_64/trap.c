/* SPDX-License-Identifier: BSD-2-Clause */
/* What entries into the kernel lead to, system calls apart. */
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/trap.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/log.h"
#include "cokernel/core/stop.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/debug.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"

void trap_dispatch(struct regs *r);
void trap_paranoid_dispatch(struct regs *r);

struct extable_entry { uint64_t at, fixup; };
extern const struct extable_entry extable_start[], extable_end[];

/* Exceptions (SDM 3, table 6-1) */
enum {
	TRAP_DIVIDE = 0, TRAP_DEBUG = 1, TRAP_NMI = 2, TRAP_BREAKPOINT = 3, TRAP_OVERFLOW = 4,
	TRAP_BOUND = 5, TRAP_OPCODE = 6, TRAP_DEVICE = 7, TRAP_DOUBLE = 8, TRAP_TSS = 10,
	TRAP_SEGMENT = 11, TRAP_STACK = 12, TRAP_PROTECTION = 13, TRAP_PAGE = 14, TRAP_X87 = 16,
	TRAP_ALIGNMENT = 17, TRAP_MACHINE = 18, TRAP_SIMD = 19,
};

static int signal_of(uint64_t vector)
{
	switch (vector) {
	case TRAP_DIVIDE: case TRAP_X87: case TRAP_SIMD:
		return SIGFPE;
	case TRAP_DEBUG: case TRAP_BREAKPOINT:
		return SIGTRAP;
	case TRAP_OPCODE: case TRAP_DEVICE:
		return SIGILL;
	case TRAP_ALIGNMENT: case TRAP_STACK: case TRAP_SEGMENT:
		return SIGBUS;
	default:
		return SIGSEGV;
	}
}

/* siginfo's si_code (uapi/asm-generic/siginfo.h). */
static int code_of(const struct regs *r)
{
	enum { SI_KERNEL = 0x80, FPE_INTDIV = 1, FPE_FLTINV = 7, ILL_ILLOPN = 2, TRAP_BRKPT = 1,
	       TRAP_TRACE = 2, BUS_ADRALN = 1 };

	switch (r->vector) {
	case TRAP_DIVIDE: return FPE_INTDIV;
	case TRAP_X87: case TRAP_SIMD: return FPE_FLTINV;
	case TRAP_OPCODE: return ILL_ILLOPN;
	case TRAP_DEBUG: return TRAP_TRACE;
	case TRAP_ALIGNMENT: return BUS_ADRALN;
	default: return SI_KERNEL;
	}
}

static bool fix_up(struct regs *r)
{
	for (const struct extable_entry *e = extable_start; e < extable_end; e++)
		if (e->at == r->rip) {
			r->rip = e->fixup;
			return true;
		}
	return false;
}

static void page_fault(struct regs *r, uint64_t va)
{
	uint32_t access = r->error & PF_WRITE ? MM_WRITE : r->error & PF_FETCH ? MM_EXEC : MM_READ;
	struct thread *t = current_thread();
	int err = -EFAULT;

	if (va >= OTR_USER_START && va < OTR_USER_END && t && t->mm &&
	    (regs_from_user(r) || (access != MM_EXEC && !t->no_fault)))
		err = mm_fault(t->mm, va, access);
	if (!err)
		return;
	if (regs_from_user(r)) {
		if (err == -ENOMEM)
			process_out_of_memory(t->process);
		else if (err == -ENXIO)
			signal_fault(t, r, SIGBUS, 2, va);      /* BUS_ADRERR */
		else
			/* SEGV_MAPERR, SEGV_ACCERR */
			signal_fault(t, r, SIGSEGV, err == -EACCES ? 2 : 1, va);
		return;
	}
	if (va < OTR_USER_END && fix_up(r))
		return;
	panic_regs(r, "page fault in the kernel at %#lx (error %#lx)", va, r->error);
}

static void exception(struct regs *r)
{
	if (r->vector == TRAP_PAGE) {
		page_fault(r, read_cr2());
		return;
	}
	if (regs_from_user(r)) {
		int number = signal_of(r->vector);

		if (r->vector == TRAP_DEBUG) {
			debug_trap(current_thread(), r);
			return;
		}
		if (r->vector == TRAP_BREAKPOINT) {
			debug_break(current_thread(), r);
			return;
		}

		signal_fault(current_thread(), r, number, code_of(r),
			     number == SIGFPE || number == SIGILL ? r->rip : 0);
		return;
	}
	if (r->vector == TRAP_PROTECTION && fix_up(r))
		return;
	panic_regs(r, "exception %lu in the kernel (error %#lx)", r->vector, r->error);
}

static void interrupt(struct regs *r)
{
	struct cpu *c = this_cpu();

	if (r->vector != VECTOR_SPURIOUS)
		apic_eoi();
	switch (r->vector) {
	case VECTOR_DOORBELL:
		c->status->doorbell_count++;
		host_doorbell();
		break;
	case VECTOR_POLL:
		arch_poll();
		break;
	case VECTOR_TIMER:
		c->status->timer_count++;
		timer_interrupt();
		break;
	default:
		/* Linux's broadcasts reach every enabled APIC. */
		c->status->foreign_count++;
	}
	sched_interrupt();
}

void trap_dispatch(struct regs *r)
{
	if (r->vector < 32)
		exception(r);
	else
		interrupt(r);
	if (regs_from_user(r))
		trap_user_return(r);
}

void trap_user_return(struct regs *r)
{
	struct thread *t = current_thread();

	while (unlikely(atomic_load_explicit(&t->work, memory_order_relaxed)))
		process_work(t, r);
	/* iret and sysret must not fault: that would happen with the program's
	 * GS or stack pointer loaded. */
	if (unlikely(r->rip >= OTR_USER_END)) {
		signal_fault(t, r, SIGSEGV, 0x80, 0);
		process_work(t, r);
	}
}

void trap_paranoid_dispatch(struct regs *r)
{
	struct cpu *c = this_cpu();

	switch (r->vector) {
	case TRAP_NMI:
		if (stop_requested(c))
			stop_here(r);
		if (c->control && c->status->nmi_ack != load_relaxed(&c->control->nmi))
			store_release(&c->status->nmi_ack, load_relaxed(&c->control->nmi));
		else
			c->status->foreign_count++;
		break;
	case TRAP_DOUBLE:
		if (kvm_in_stack_guard(read_cr2()))
			panic_regs(r, "kernel stack overflow (%#lx is in the guard)", read_cr2());
		panic_regs(r, "double fault");
	default:
		panic_regs(r, "machine check (MCG_STATUS %#lx)", rdmsr(0x17a));
	}
}
