/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls as text, in strace's manner: what each argument of a call means,
 * and how it is written. Arguments are read when the call begins, except buffers
 * that it fills.
 */
#ifndef PROXY_TRACE_FORMAT_H
#define PROXY_TRACE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_CALLS 512u
#define TRACE_ARG_BYTES 192u

struct trace_args {
	uint32_t count;
	uint32_t filled;            /* bit i: text[i] waits for the call's end */
	char text[6][TRACE_ARG_BYTES];
};

/* Copies up to bytes of the program's memory: how many it could. */
typedef size_t trace_read_fn(uint64_t at, void *to, size_t bytes);

/* "openat", or NULL for a number without a row in the table. */
const char *trace_call_name(uint32_t nr);
/* Writes what is known when the call begins. */
void trace_format_enter(struct trace_args *to, uint32_t nr, const uint64_t arg[6], trace_read_fn *read);
/* Writes the buffers that the call has filled. */
void trace_format_leave(struct trace_args *to, uint32_t nr, const uint64_t arg[6], int64_t result,
			trace_read_fn *read);
/* "3", "0x7f0000000000", "-1 ENOENT (No such file or directory)" or "?". */
void trace_format_result(char *to, size_t room, uint32_t nr, int64_t result);
/* The errno's name, or NULL. */
const char *trace_error_name(int64_t result);

#endif
