/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core file itself: an ELF file as Linux writes it for x86-64, with the notes
 * that gdb reads. Memory is written from where it lies: the program's addresses are
 * this process's as well.
 */
#ifndef PROXY_CORE_FILE_H
#define PROXY_CORE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/debug.h"

/* Of /proc/PID/coredump_filter, core(5). */
#define CORE_ANON_PRIVATE 1u
#define CORE_ANON_SHARED  2u
#define CORE_FILE_PRIVATE 4u
#define CORE_FILE_SHARED  8u
#define CORE_ELF_HEADERS 16u

struct core_file_name {
	uint32_t number;            /* as in struct otr_area */
	char *path;
};

struct core_image {
	const struct otr_thread_state *thread;  /* the first one died */
	size_t thread_count;        /* at least 1 */
	const struct otr_area *area;       /* ascending, each followed by its present parts */
	size_t area_count;
	const struct core_file_name *file;
	size_t file_count;
	const uint64_t *auxv;       /* with the final AT_NULL */
	size_t auxv_words;
	unsigned int filter;        /* CORE_* */
	uint64_t limit;             /* bytes to write at most; holes do not count */
	pid_t pid, ppid, pgrp, sid;
	uid_t uid;
	gid_t gid;
	const char *comm;
	const char *args;           /* the command line, separated by blanks */
};

/* Writes it to an empty file: 0, -ENOMEM, or the error of a write. Where the limit
 * is reached the file ends. */
int core_file_write(const struct core_image *c, int fd);

#endif
