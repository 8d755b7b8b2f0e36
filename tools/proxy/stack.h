/* SPDX-License-Identifier: BSD-2-Clause */
/* The first stack of a program, as the System V ABI for x86-64 (3.4.1) has it. */
#ifndef PROXY_STACK_H
#define PROXY_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "loader/outrigger.h"

struct stack_input {
	char *const *argv;
	char *const *envp;
	const char *execfn;
	uint8_t random[16];         /* AT_RANDOM */
	uint64_t vdso;              /* AT_SYSINFO_EHDR, 0: none; the size does not depend on it */
	uint64_t hwcap;             /* AT_HWCAP */
	uint64_t header_addr, header_count, entry, base;  /* AT_PHDR, AT_PHNUM, AT_ENTRY, AT_BASE */
};

struct stack {
	uint64_t sp;                /* address of data[0], a multiple of 16 */
	uint8_t *data;              /* up to the top; free() it */
	size_t bytes;
};

/* Lays it out below top, a multiple of 16. -E2BIG if it would need more than
 * limit bytes. */
int stack_build(struct outrigger *o, const struct stack_input *in, uint64_t top, size_t limit,
		struct stack *out);

#endif
