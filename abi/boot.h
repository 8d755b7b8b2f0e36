/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot header: what a co-kernel's first CPU finds. docs/boot-protocol.md
 * tells the whole protocol; this file is the layout.
 *
 * Written by the host before the first CPU starts and not changed while the
 * partition lives; the co-kernel only reads it. It lies at the start of the
 * shared region, the one piece of partition memory that the host reads and
 * writes while the co-kernel runs. "Offset" fields count bytes from the start
 * of the header.
 *
 * Physical layout of the boot range (range 0), all page aligned, ascending:
 *   shared region | image | initial page tables | free memory
 *
 * State of each CPU on entry: long mode, interrupts off, flat 64-bit CS,
 * CR0.WP, CR4.PAE|MCE, EFER.LME|NXE(|SCE 0), a root table that maps
 *   - the image at its link addresses, each segment with its ELF permissions,
 *   - range 0 at direct_base + physical address, read-write, no-execute,
 *   - the start-up page, identically (to be dropped).
 * RDI = virtual address of this header (in the direct map), RSI = CPU index.
 * No stack, no GDT or IDT to rely on. Index 0 is started first; the host starts
 * the others, one by one, when otr_status.state says RUNNING, or later through
 * OTR_MSG_CPU_ADD. The initial page tables must therefore stay intact.
 */
#ifndef ABI_BOOT_H
#define ABI_BOOT_H

#include "abi/types.h"

#define OTR_BOOT_MAGIC 0x52474749525455ffull /* "\xffUTRIGGR" */

#define OTR_BOOT_X2APIC      (1u << 0) /* CPUs are in x2APIC mode */
#define OTR_BOOT_CLOCK_TSC   (1u << 1) /* Linux's clocksource is the TSC */
#define OTR_BOOT_STANDALONE  (1u << 2) /* no host: made by the PVH entry itself */

/* Speculation mitigations that Linux applies on this machine
 * (from /sys/devices/system/cpu/vulnerabilities). */
#define OTR_MITIGATE_PTI          (1ull << 0)
#define OTR_MITIGATE_IBRS         (1ull << 1)  /* legacy or enhanced IBRS */
#define OTR_MITIGATE_RETPOLINE    (1ull << 2)
#define OTR_MITIGATE_IBPB         (1ull << 3)
#define OTR_MITIGATE_STIBP        (1ull << 4)
#define OTR_MITIGATE_SSBD         (1ull << 5)
#define OTR_MITIGATE_MDS_CLEAR    (1ull << 6)  /* VERW on return to user */
#define OTR_MITIGATE_L1TF         (1ull << 7)
#define OTR_MITIGATE_SWAPGS       (1ull << 8)

struct otr_boot {
	uint64_t magic;
	uint32_t version;           /* OTR_ABI_VERSION of the host */
	uint32_t size;              /* bytes, header and all tables below */
	uint64_t boot_id;           /* differs at every boot of any partition */
	uint64_t shared_phys;       /* = physical address of this header */
	uint64_t shared_bytes;
	uint64_t image_phys;        /* where the lowest image page was put */
	uint64_t image_virt;        /* its link address */
	uint64_t image_bytes;
	uint64_t table_phys;        /* initial page tables */
	uint64_t table_bytes;
	uint64_t free_phys;         /* [free_phys, end of range 0) is unused, zeroed */
	uint64_t direct_base;       /* virtual = direct_base + physical */
	uint64_t mitigations;       /* OTR_MITIGATE_* */
	uint64_t tsc_khz;
	uint64_t apic_khz;          /* local APIC timer input, 0: calibrate */
	uint64_t lapic_phys;        /* xAPIC registers */
	uint64_t tsc_at_load;       /* TSC when the host began this boot */
	uint32_t flags;             /* OTR_BOOT_* */
	uint32_t log_level;         /* 0 (emergency) to 7 (debug), as in Linux */
	uint32_t cpu_offset;        /* struct otr_boot_cpu[cpu_count] */
	uint32_t cpu_count;
	uint32_t range_offset;      /* struct otr_boot_range[range_count] */
	uint32_t range_count;
	uint32_t area_offset;       /* struct otr_boot_area[area_count] */
	uint32_t area_count;
	uint32_t cmdline_offset;    /* terminated by 0 */
	uint32_t cmdline_bytes;     /* with the 0 */
	uint32_t cpu_limit;         /* CPU indices are below this, for ever */
	uint32_t doorbell_hint;     /* vector range Linux's broadcasts use start here (0xe0) */
	char     name[OTR_NAME_SIZE];
	uint64_t reserved[3];       /* 0 */
};
OTR_ASSERT_SIZE(struct otr_boot, 240);
OTR_ASSERT_AT(struct otr_boot, flags, 136);

/* One CPU. Its index is its position in the table. */
struct otr_boot_cpu {
	uint32_t apic_id;
	uint32_t linux_cpu;
	uint32_t node;
	uint32_t flags;             /* 0 */
	uint64_t hwp_request;       /* IA32_HWP_REQUEST to set, 0: leave */
	uint64_t cppc_request;      /* MSR_AMD_CPPC_REQ to set, 0: leave */
};
OTR_ASSERT_SIZE(struct otr_boot_cpu, 32);

/* Memory that the partition owns. Range 0 is the boot range. */
struct otr_boot_range {
	uint64_t start;             /* physical, 2 MiB aligned */
	uint64_t bytes;             /* multiple of 2 MiB */
	uint32_t node;
	uint32_t flags;             /* 0 */
};
OTR_ASSERT_SIZE(struct otr_boot_range, 24);

/* Parts of the shared region. */
#define OTR_AREA_STATUS    1u  /* struct otr_status, then the per-CPU tables */
#define OTR_AREA_CLOCK     2u  /* struct otr_clock */
#define OTR_AREA_H2C       3u  /* struct otr_ring, messages host to co-kernel */
#define OTR_AREA_C2H       4u  /* struct otr_ring, messages co-kernel to host */
#define OTR_AREA_LOG       5u  /* struct otr_bytes */
#define OTR_AREA_CONSOLE   6u  /* struct otr_bytes, co-kernel to host */
#define OTR_AREA_INPUT     7u  /* struct otr_bytes, host to co-kernel */
#define OTR_AREA_WAKE_H2C  8u  /* struct otr_wake: calls that are done */
#define OTR_AREA_WAKE_C2H  9u  /* struct otr_wake: calls that are posted */
#define OTR_AREA_CONTEXTS 10u  /* pages for otr_ctx_private, otr_ctx_mailbox, slots */
#define OTR_AREA_DOORBELL 11u  /* struct otr_doorbell */
#define OTR_AREA_VERSIONS 12u  /* uint32_t[], of files; see otr_file_version in call.h */

struct otr_boot_area {
	uint32_t type;              /* OTR_AREA_* */
	uint32_t flags;             /* 0 */
	uint64_t phys;
	uint64_t bytes;
};
OTR_ASSERT_SIZE(struct otr_boot_area, 24);

#endif
