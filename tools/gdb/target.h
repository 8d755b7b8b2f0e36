/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program under a debugger, as the protocol's server wants it: threads, registers,
 * memory, breakpoints, stops. Functions return 0 or -errno unless they say otherwise.
 */
#ifndef GDB_TARGET_H
#define GDB_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/debug.h"
#include "loader/outrigger.h"

struct target_thread {
	struct otr_thread_state s;
	bool changed_regs, changed_fpu;         /* to be written before it goes on */
	bool reported;                          /* gdb has been told of s.signal */
	uint32_t how, signal;                   /* plan for target_resume(); OTR_RESUME_* */
	bool planned;
};

struct target {
	struct outrigger o;                     /* fd: the debugger's file, can be polled */
	uint32_t pid;
	struct target_thread *thread;           /* while it is held; in order of tid */
	size_t count;
	struct { uint64_t at; uint8_t was; } brk[OTR_DEBUG_BREAKS];
	size_t break_count;
};

/* Becomes the debugger; the sentence for a refusal is in t->o.error. */
int target_attach(struct target *t, const char *partition, uint32_t pid);
/* Breakpoints go, the program goes on. */
void target_detach(struct target *t);
/* Holds all threads and looks at them. */
int target_stop(struct target *t);
/* Lets go what is planned, other threads if `others`. 1: something has stopped already. */
int target_resume(struct target *t, bool others);
/* 0: nothing new, 1: a thread has stopped, 2: it is over, *status as of wait(2). */
int target_event(struct target *t, uint32_t *status);
int target_kill(struct target *t);
int target_pass(struct target *t, uint64_t signals);
struct target_thread *target_find(struct target *t, int64_t tid);

/* Bytes that could be read or written, from the start on; 0 if none. The program's
 * memory as it is without breakpoints. */
size_t target_read(struct target *t, uint64_t at, void *to, size_t bytes);
size_t target_write(struct target *t, uint64_t at, const void *from, size_t bytes);
int target_break(struct target *t, uint64_t at);
int target_unbreak(struct target *t, uint64_t at);

/* The auxiliary vector: its bytes, at most `bytes`. */
size_t target_auxv(struct target *t, void *to, size_t bytes);
/* The program's file; false: it is not known, or no ELF file. */
bool target_exe(struct target *t, char *to, size_t bytes);

#endif
