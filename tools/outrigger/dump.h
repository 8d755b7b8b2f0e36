/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dump of a co-kernel: an ELF core file with the partition's memory, each
 * byte once, mapped at the co-kernel's virtual addresses, and the registers of
 * each CPU.
 *   dump_map.c    what is mapped where, from the co-kernel's page tables
 *   dump_core.c   the file
 *   dump.c        the command; what the shared region tells
 * All that is read from the partition may be wrong: it is checked, bounded, and
 * at worst leaves things out.
 */
#ifndef OUTRIGGER_DUMP_H
#define OUTRIGGER_DUMP_H

#include "abi/status.h"
#include "loader/outrigger.h"

#define DUMP_RUNS 60000u        /* program headers of a core file */
#define DUMP_RANGES 256u
#define DUMP_CPUS 1024u

struct dump_range {
	uint64_t start, end;        /* physical */
	uint64_t offset;            /* in the file */
};

/* Contiguous in both kinds of addresses, inside one range. */
struct dump_run {
	uint64_t virt, phys, bytes;
	uint32_t flags;             /* PF_* */
};

struct dump_cpu {
	uint32_t index, linux_cpu;
	struct otr_cpu_regs regs;
};

struct dump {
	struct outrigger *o;
	const char *name;
	uint32_t range_count, run_count, cpu_count;
	uint32_t skipped;           /* tables that could not be read */
	bool full;                  /* runs were left out */
	struct dump_range range[DUMP_RANGES];
	struct dump_run run[DUMP_RUNS];
	struct dump_cpu cpu[DUMP_CPUS];
};

/* The range that has all of [phys, +bytes), or NULL. */
const struct dump_range *dump_owned(const struct dump *d, uint64_t phys, uint64_t bytes);
/* Adds a mapping, clipped to what the partition owns. */
void dump_map(struct dump *d, const struct dump_run *m);
/* Adds the kernel half of a page table. */
void dump_walk(struct dump *d, uint64_t root);
/* Writes everything to fd. */
int dump_core(struct dump *d, int fd);

#endif
