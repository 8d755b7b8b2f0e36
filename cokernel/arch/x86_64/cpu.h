/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU has to itself. Reached through GS; written by its own CPU
 * unless a field says otherwise.
 */
#ifndef COKERNEL_ARCH_CPU_H
#define COKERNEL_ARCH_CPU_H

#include "abi/boot.h"
#include "abi/status.h"
#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/tree.h"
#include "cokernel/lib/types.h"

struct mm;
struct thread;

/* CPU indices are below this; a partition of more CPUs is refused at boot. */
#define CPUS_MOST 1024u
#define CPU_WORDS (CPUS_MOST / 64)

struct cpumask { uint64_t word[CPU_WORDS]; };

/* Interrupt vectors; Linux's own broadcasts use 0xe0 and above. */
#define VECTOR_DOORBELL 0x40u   /* from the host */
#define VECTOR_POLL     0x41u   /* from another CPU: cross calls, reschedule */
#define VECTOR_TIMER    0x42u
#define VECTOR_SPURIOUS 0xffu

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap;
} __attribute__((packed));

#define IST_DOUBLE_FAULT  1u
#define IST_NMI           2u
#define IST_MACHINE_CHECK 3u
#define IST_STACK_BYTES   8192u

struct cpu {
	struct cpu *self;           /* offset 0, known to entry.S as the next two */
	uint64_t kernel_rsp;        /* top of the current thread's kernel stack */
	uint64_t user_rsp;          /* scratch of syscall_entry */
	struct thread *current;

	uint32_t index;             /* in the boot header's sense */
	uint32_t apic_id;
	uint32_t node;
	uint32_t linux_cpu;
	struct otr_cpu_status *status;
	const struct otr_cpu_control *control;
	struct otr_cpu_regs *saved_regs;
	_Atomic bool online;

	struct mm *mm;              /* whose user half CR3 maps; NULL: the kernel's */
	uint64_t mm_last;           /* id of the last one that was in CR3 */
	struct thread *fpu_owner;   /* whose vector state the registers hold */
	struct thread *idle;

	/* Run queue; any CPU, under run_lock. */
	struct spinlock run_lock;
	struct tree run_queue;      /* threads by virtual time; sched/sched.c */
	uint64_t run_floor;
	uint32_t run_count;         /* queued, without the current thread */
	struct thread *prev;        /* switched away from; for sched_finish_switch */
	_Atomic bool resched;       /* set by others: look at the queue */
	uint32_t served_pings;      /* answered by arch_serve() since the last doorbell taken */
	_Atomic bool misplaced;     /* set by others: a thread here may have lost the right to run here */
	uint64_t run_offset;        /* virtual time of the current thread = uptime + this */

	/* Timers of this CPU; any CPU, under timer_lock. */
	struct spinlock timer_lock;
	struct tree timers;
	uint64_t timer_armed_ns;    /* deadline in the local APIC, 0: none */
	uint64_t slice_end_ns;      /* 0: one thread, no slice */
	_Atomic bool timer_changed; /* another CPU put an earlier one in */

	/* Single pages kept back from the zones; the second of movable ones. */
	struct list page_cache[2];
	uint32_t page_cache_count[2];

	/* Cross calls: bit i: CPU i has something for this one (any CPU). */
	_Atomic uint64_t xcall_from[CPU_WORDS];
	_Atomic bool xcall_any;
	void (*xcall_fn)(void *arg);    /* this CPU's own call to others */
	void *xcall_arg;
	_Atomic uint32_t xcall_left;

	uint64_t gdt[10] aligned_(16);
	struct tss tss aligned_(16);
	uint8_t ist_stacks[3][IST_STACK_BYTES] aligned_(16);
};

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

static inline struct thread *current_thread(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(t) : "i"(offsetof(struct cpu, current)));
	return t;
}

/* All CPUs that were ever started, by index; NULL where there is none. */
extern struct cpu *cpu_table[CPUS_MOST];
extern struct cpumask cpu_online_mask;
extern uint32_t cpu_online_count;

static inline bool cpumask_test(const struct cpumask *m, uint32_t i)
{
	return __atomic_load_n(&m->word[i / 64], __ATOMIC_RELAXED) >> (i % 64) & 1;
}
static inline void cpumask_set(struct cpumask *m, uint32_t i)
{
	__atomic_fetch_or(&m->word[i / 64], 1ull << (i % 64), __ATOMIC_SEQ_CST);
}
static inline void cpumask_clear(struct cpumask *m, uint32_t i)
{
	__atomic_fetch_and(&m->word[i / 64], ~(1ull << (i % 64)), __ATOMIC_SEQ_CST);
}

/* What this processor can do; the same on all CPUs of a partition. */
struct cpu_features {
	bool x2apic, tsc_deadline, xsave, xsaveopt, fsgsbase, umip, page_1g, rdtscp;
	uint32_t xsave_bytes;       /* size of a thread's vector state */
	uint64_t xcr0;
	uint32_t hwcap;             /* CPUID.1:EDX, AT_HWCAP */
};
extern struct cpu_features cpu_features;

/* Fills cpu_features; 0 or -ENODEV with the missing feature in *what. */
int cpu_features_detect(const char **what);
/* GDT, TSS, IDT, GS, control registers and MSRs of the calling CPU. */
void cpu_init_early(struct cpu *c);
void cpu_init_idt(void);
/* A descriptor for CPU `index`, allocated; NULL without memory. */
struct cpu *cpu_create(uint32_t index, uint32_t apic_id, uint32_t node, uint32_t linux_cpu);

/* Runs fn(arg) on every CPU of mask but this one, and waits until all have. */
void xcall(const struct cpumask *mask, void (*fn)(void *arg), void *arg);
/* In loops that may take long with interrupts off: answers other CPUs, and the
 * host's pings (for a minute at most, so that a deadlock is still found). Any
 * lock may be held. */
void arch_serve(void);
/* Makes CPU c look at its flags (resched, timer_changed, thread work). */
void cpu_kick(struct cpu *c);

noreturn_ void enter_user(struct regs *r);
void arch_switch_stack(uint64_t *save_rsp, uint64_t load_rsp);

#endif
