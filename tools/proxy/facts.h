/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of files in /proc and /sys that describe the program or its machine:
 * the program's own and the partition's, from what the co-kernel told
 * (struct otr_facts) and from Linux's text about the proxy.
 */
#ifndef PROXY_FACTS_H
#define PROXY_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/call.h"
#include "tools/proxy/program.h"

enum fact_file {
	FACT_NONE, FACT_MAPS, FACT_STATUS, FACT_STAT, FACT_STATM, FACT_CPUINFO, FACT_MEMINFO, FACT_CPU_LIST,
};

/* A file that areas show. */
struct fact_mapped {
	uint32_t number;            /* as they have it */
	uint32_t major, minor;
	uint64_t inode;
	char *path;                 /* free() */
};

struct facts {
	struct otr_facts f;
	struct otr_area *area;      /* all; free() */
	size_t area_count;
	struct fact_mapped *mapped; /* likewise; only those that are known */
	size_t mapped_count;
};

/* Which file a name as in /proc/self/fd is, for the process `pid`. */
enum fact_file fact_file_of(const char *name, int pid);
/* Which directory it is: "fd" or "task" of the process, 0 neither. */
char fact_directory_of(const char *name, int pid);
/* The text; `linux_text` is what Linux would give. malloc()ed, NULL: no memory. */
char *fact_text(enum fact_file file, const struct facts *f, const struct program *p, uint64_t vdso,
		const char *linux_text);

#endif
