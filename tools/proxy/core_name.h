/* SPDX-License-Identifier: BSD-2-Clause */
/* The name of a core file, from /proc/sys/kernel/core_pattern (core(5)). */
#ifndef PROXY_CORE_NAME_H
#define PROXY_CORE_NAME_H

#include <stddef.h>
#include <stdint.h>

struct core_facts {
	const char *comm;           /* of the program */
	const char *exe;            /* its file's path */
	const char *host;
	int pid, tid, signal;
	unsigned int uid, gid, cpu;
	int64_t time;               /* seconds since 1970 */
	uint64_t limit;             /* RLIMIT_CORE, bytes */
	int uses_pid;               /* kernel.core_uses_pid: ".PID" if the pattern has none */
};

/* Writes the name, relative to the program's directory unless it begins with '/'. A
 * pattern that names a program to pipe into gives "core.PID": that program would be
 * started by Linux with all rights, which nobody but Linux may do. -ENAMETOOLONG. */
int core_name(const char *pattern, const struct core_facts *f, char *to, size_t bytes);

#endif
