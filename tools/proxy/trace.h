/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `outrigger run --trace` and `--summary`: what the program calls. The co-kernel
 * tells the calling thread's twin of each call before and after (abi/call.h,
 * OTR_CALL_TRACE); children of the program are traced with it.
 */
#ifndef PROXY_TRACE_H
#define PROXY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct outrigger;

struct trace_options {
	bool lines, summary;        /* --trace, --summary */
	bool json;
	const char *output;         /* file; NULL: standard error */
};

/* Opens the output. 0 or -errno with a sentence in o->error. */
int trace_start(struct outrigger *o, const struct trace_options *options);
/* OTR_EXEC_* flags for the co-kernel. */
uint64_t trace_flags(void);
/* OTR_CALL_TRACE + nr; OTR_CALL_TRACED. On the calling thread's twin. */
void trace_enter(uint32_t nr, const uint64_t arg[6]);
void trace_leave(const uint64_t arg[6]);
/* The program ended; the first process also writes the summary. */
void trace_end(int wait_status);
/* In a forked child, around hide_close_all(). */
void trace_before_close(void);
void trace_after_close(void);

#endif
