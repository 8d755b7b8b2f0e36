/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to be run: finds it as a shell would, follows `#!` lines, reads the
 * headers of the program and its dynamic loader, chooses addresses, describes
 * the result for the co-kernel (struct otr_exec), and writes the stack when asked.
 */
#ifndef PROXY_PROGRAM_H
#define PROXY_PROGRAM_H

#include "abi/call.h"
#include "tools/proxy/elf.h"
#include "tools/proxy/stack.h"

struct loaded_file {
	int fd;                     /* -1: none */
	uint64_t base;              /* added to the file's addresses */
	struct elf_file elf;
};

struct program {
	char path[PATH_MAX];        /* of the ELF file */
	char *execfn;               /* what was asked for, or found on PATH */
	char **argv;                /* with what `#!` lines add; own array, borrowed strings */
	char **envp;                /* borrowed */
	struct loaded_file exe, interpreter;
	uint64_t stack_top;
	uint8_t random[16];
	struct otr_exec exec;
	void *owned[16];            /* strings made on the way */
	unsigned int owned_count;
};

/* -ENOENT: there is no such program (a shell says 127); other errors: it cannot
 * be run (126). The sentence is in o->error. */
int program_open(struct outrigger *o, struct program *p, char **argv, char **envp);
/* The same for a path that is not looked for on PATH; -errno as of execve(2). */
int program_open_file(struct outrigger *o, struct program *p, char *path, char **argv, char **envp);
/* Writes the first stack to its place in this process, which shares the program's
 * addresses: 0 or -errno. Closes the files, which the module holds by now. */
int program_fill(struct outrigger *o, struct program *p, uint64_t vdso);
void program_close(struct program *p);

/* layout.c: chooses bases, stack, heap and mmap area, and writes p->exec. */
int program_layout(struct outrigger *o, struct program *p);

#endif
