/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The proxy: the Linux process that stands for a program in a partition. Its
 * threads are the twins of the program's threads and execute what the co-kernel
 * delegates (abi/call.h).
 *   program.c, elf.c, layout.c, stack.c   what is run
 *   proxy.c     attaching, mappings, start, end
 *   serve.c     a twin: waits for posted calls, executes them
 *   calls.c     the few calls that are not executed as they are
 *   self.c      what the program reads about itself
 *   title.c     how the process looks in /proc
 *   hide.c      keeps the proxy's own descriptors out of the program's way
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/call.h"
#include "loader/outrigger.h"
#include "tools/proxy/program.h"

#define PROXY_PAGES 128u        /* of slots, as many as the module gives */

struct proxy {
	struct outrigger o;         /* fd: the context */
	const char *partition;
	struct program program;
	struct otr_ctx_mailbox *mailbox;
	int state_fd;               /* sysfs state of the partition */
	bool spins;                 /* another CPU can post while this one spins */
	_Atomic bool filled;        /* the program's memory is in place */
	_Atomic uint64_t zaps;      /* all below are applied */
	_Atomic bool ending;        /* one thread ends the process */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t page_count;        /* lock */
	uint32_t page[PROXY_PAGES];
	struct otr_slot *slots[PROXY_PAGES];
};

/* Runs argv in the partition with envp. Returns only if it did not start: 125
 * for failures of our own, 126, 127 as a shell; the sentence is in o->error. */
int proxy_run(struct outrigger *o, const char *partition, char **argv, char **envp);

/* proxy.c: ends the process as the program ended. */
_Noreturn void proxy_end(struct proxy *p, uint32_t wait_status);
_Noreturn void proxy_fail(struct proxy *p, int status);

/* serve.c */
/* Makes the calling thread a twin. */
int serve_join(struct proxy *p, struct outrigger *o, uint32_t *slot, struct otr_slot **shared);
_Noreturn void serve(struct proxy *p, uint32_t slot, struct otr_slot *shared);
/* Makes count more twins: how many it could. */
int serve_add_twins(struct proxy *p, uint64_t count);

/* calls.c */
long call_execute(struct proxy *p, uint32_t nr, const uint64_t arg[6]);

/* self.c */
/* Answers readlink() if the path names the program itself. */
bool self_readlink(struct proxy *p, uint64_t path, uint64_t to, uint64_t bytes, long *result);

/* title.c */
void title_set(const struct program *p);

/* hide.c */
/* Moves a descriptor out of the way; it stays close-on-exec. The new one. */
int hide_fd(int fd);
bool hide_is_hidden(uint64_t fd);
/* The next hidden descriptor from `from` on, or UINT32_MAX. */
uint32_t hide_next(uint32_t from);

static inline long raw_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			       uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#endif
