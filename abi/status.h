/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each side publishes about itself in the shared region: OTR_AREA_STATUS,
 * OTR_AREA_CLOCK and OTR_AREA_DOORBELL. The status area is
 *   struct otr_status | struct otr_cpu_status[cpu_limit] | struct otr_cpu_control[cpu_limit]
 *   | struct otr_cpu_regs[cpu_limit].
 * Everything that the co-kernel writes is a claim: the host prints and compares
 * it, and never indexes with it unchecked.
 */
#ifndef ABI_STATUS_H
#define ABI_STATUS_H

#include "abi/types.h"

#define OTR_STATUS_MAGIC 0x5354415455534f54ull

/* otr_status.state */
#define OTR_CK_NONE      0u   /* nothing written yet */
#define OTR_CK_BOOTING   1u   /* entered, checking the header */
#define OTR_CK_RUNNING   2u   /* takes messages; other CPUs may be started */
#define OTR_CK_STOPPED   3u   /* shut down in order; all CPUs parked */
#define OTR_CK_PANIC     4u   /* see reason */
#define OTR_CK_REFUSED   5u   /* will not run with this header: see reason */

/* Written by the co-kernel. */
struct otr_status {
	uint64_t magic;             /* OTR_STATUS_MAGIC, written last at start */
	uint32_t version;           /* OTR_ABI_VERSION of the co-kernel */
	uint32_t state;             /* OTR_CK_*, release-stored */
	uint32_t doorbell_vector;   /* IPI vector for the host's doorbells, 32 to 255 */
	uint32_t panic_cpu;
	uint32_t process_count;
	uint32_t thread_count;
	uint64_t mem_total_bytes;
	uint64_t mem_free_bytes;
	uint64_t tsc_entry;         /* first instruction */
	uint64_t tsc_running;       /* when state became RUNNING */
	uint64_t tsc_first_user;    /* first return to user mode, 0: not yet */
	char     reason[256];       /* for PANIC and REFUSED, terminated by 0 */
	uint64_t kernel_root;       /* page table of the co-kernel, for dumps */
	uint64_t reserved[22];
};
OTR_ASSERT_SIZE(struct otr_status, 512);

/* otr_cpu_status.state */
#define OTR_CPU_OFF      0u
#define OTR_CPU_ONLINE   1u
#define OTR_CPU_PARKED   2u   /* gave itself up (cpu remove, shutdown); INIT is safe */
#define OTR_CPU_STOPPED  3u   /* stopped by NMI or panic; registers saved */

/* One CPU's view; written by that CPU of the co-kernel only. */
struct otr_cpu_status {
	uint32_t state;             /* OTR_CPU_*, release-stored */
	uint32_t ping_ack;          /* last otr_cpu_control.ping seen */
	uint64_t timer_count;       /* local timer interrupts taken */
	uint64_t doorbell_count;    /* doorbell IPIs taken */
	uint64_t foreign_count;     /* Linux's broadcast IPIs and NMIs, ignored */
	uint64_t switch_count;      /* context switches */
	uint64_t idle_ns;
	uint32_t current_pid;       /* program running now, 0: none */
	uint32_t current_tid;
	uint64_t syscall_count;
	uint32_t nmi_ack;           /* last otr_cpu_control.nmi seen */
	uint32_t reserved[15];
};
OTR_ASSERT_SIZE(struct otr_cpu_status, 128);

/* Written by the host only. */
struct otr_cpu_control {
	uint32_t ping;              /* answer by storing it into ping_ack */
	uint32_t stop;              /* 1: the next NMI is the host's: save registers, halt */
	uint32_t nmi;               /* an NMI is answered by storing it into nmi_ack */
	uint32_t reserved[13];
};
OTR_ASSERT_SIZE(struct otr_cpu_control, 64);

/* Registers at a panic or a stop NMI; written by the co-kernel.
 * Order of gpr: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi
 * orig_rax rip cs rflags rsp ss fs_base gs_base ds es fs gs, which is Linux's
 * elf_gregset, so that a dump can carry it as NT_PRSTATUS. */
struct otr_cpu_regs {
	uint32_t valid;
	uint32_t reserved0;
	uint64_t gpr[27];
	uint64_t cr2;
	uint64_t cr3;
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_cpu_regs, 256);

/*
 * Linux's clocks, in the TSC's terms, as its own vDSO keeps them. Written by the host
 * under seq (odd while it writes). With b = base[id] and s = scale[0], for
 * CLOCK_MONOTONIC_RAW scale[1]:
 *   time = b.sec s + ((tsc - cycle_last) * s.mult + b.ns) >> s.shift
 * and for the coarse clocks
 *   time = b.sec s + b.ns >> s.shift
 */
#define OTR_CLOCK_TSC     1u   /* fields are valid */
#define OTR_CLOCK_OTHER   2u   /* Linux uses another clocksource: delegate */

/* Linux's numbers (uapi/linux/time.h) of the clocks that have a base. */
#define OTR_CLOCK_REALTIME         0
#define OTR_CLOCK_MONOTONIC        1
#define OTR_CLOCK_MONOTONIC_RAW    4
#define OTR_CLOCK_REALTIME_COARSE  5
#define OTR_CLOCK_MONOTONIC_COARSE 6
#define OTR_CLOCK_BOOTTIME         7
#define OTR_CLOCK_TAI              11
#define OTR_CLOCK_BASES            12
#define OTR_CLOCKS_COARSE (1u << OTR_CLOCK_REALTIME_COARSE | 1u << OTR_CLOCK_MONOTONIC_COARSE)
#define OTR_CLOCKS_FINE   (1u << OTR_CLOCK_REALTIME | 1u << OTR_CLOCK_MONOTONIC | \
			   1u << OTR_CLOCK_MONOTONIC_RAW | 1u << OTR_CLOCK_BOOTTIME | \
			   1u << OTR_CLOCK_TAI)

struct otr_clock {
	uint32_t seq;
	uint32_t mode;              /* OTR_CLOCK_* */
	uint64_t cycle_last;
	struct {
		uint32_t mult;
		uint32_t shift;     /* below 64 */
	} scale[2];
	uint64_t reserved[4];
	struct {
		int64_t  sec;
		uint64_t ns;        /* shifted left by the scale's shift; below a second */
	} base[OTR_CLOCK_BASES];
};
OTR_ASSERT_SIZE(struct otr_clock, 256);

/*
 * How the co-kernel rings Linux: store icr_low with destination dest into the
 * local APIC's interrupt command register. Rewritten under seq (odd while the
 * host writes) whenever Linux moves the interrupt.
 */
struct otr_doorbell {
	uint32_t seq;
	uint32_t enabled;           /* 0: do not ring */
	uint32_t dest;              /* 32 bits; in xAPIC mode bits 0 to 7 count */
	uint32_t icr_low;           /* vector, delivery and destination mode */
	uint32_t reserved[12];
};
OTR_ASSERT_SIZE(struct otr_doorbell, 64);

#endif
