/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the headers of a program (ELF64, x86-64, fixed or position independent)
 * and says what has to be loaded where. The file may be anything.
 */
#ifndef PROXY_ELF_H
#define PROXY_ELF_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "loader/outrigger.h"

#define ELF_SEGMENTS 31u    /* two files and the stack fit into the mailbox */

/* Addresses are the file's own: add the base of a position independent one. */
struct elf_segment {
	uint64_t start;             /* first byte, not aligned */
	uint64_t end;               /* behind the last byte in memory */
	uint64_t offset;            /* of `start` in the file */
	uint64_t file_bytes;        /* <= end - start; the rest is zero */
	uint32_t prot;              /* OTR_PROT_* */
};

struct elf_file {
	bool pie;
	uint16_t header_count;
	uint64_t header_addr;       /* program headers in memory, 0: not loaded */
	uint64_t entry;
	uint64_t align;             /* a power of two, at least a page */
	uint64_t low, high;         /* of all segments, page aligned */
	uint32_t segment_count;
	struct elf_segment segment[ELF_SEGMENTS];  /* ascending, no byte in two */
	char interpreter[PATH_MAX]; /* "": none */
};

/* path is for messages. -ENOEXEC, or the errno of a failed read. */
int elf_read(struct outrigger *o, int fd, const char *path, struct elf_file *e);

#endif
