/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls by number: the table and the three ways out of it. */
#ifndef LIBPOXIS_DISPATCH_H
#define LIBPOXIS_DISPATCH_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

struct thread;

enum sys_kind { SYS_UNKNOWN, SYS_PORTED, SYS_DELEGATED, SYS_REFUSED };

/* How one argument refers to memory or descriptors. */
struct sys_arg {
	uint8_t index;              /* of the argument */
	uint8_t kind;               /* a letter of syscalls.def */
	uint8_t length_arg;         /* of i, o, V, W, P, B: the argument that counts */
	uint16_t bytes;             /* of I, O */
};

struct sys_row {
	const char *name;
	enum sys_kind kind;
	int64_t (*fn)(struct regs *r);  /* ported */
	const char *args;           /* delegated, if only at times: as in syscalls.def */
	int error;                  /* refused: -errno */
	const char *reason;
	uint32_t memory_count;
	struct sys_arg memory[6];   /* those of args that are populated; read once at start */
	uint32_t file_count;
	struct sys_arg file[6];     /* those that name what must not be local: files_before() */
	bool opens;                 /* D: files_opened() */
};

void dispatch_init(void);
/* Delegates the call in r by its row: the result. */
int64_t dispatch_delegate(struct regs *r);
/* One call of the current thread in Linux; as it is, nothing is looked at before. */
int64_t dispatch_linux(struct thread *t, uint32_t nr, const uint64_t arg[6]);
/* Answers it with its row's errno, or `error`, and reports that once. */
int64_t dispatch_refuse(struct regs *r, int error, const char *reason);

/* From entry.S; true if sysret may be used. */
bool syscall_dispatch(struct regs *r);

#endif
