/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The proxy: the Linux process that stands for a program in a partition. Its
 * threads are the twins of the program's threads and execute what the co-kernel
 * delegates (abi/call.h).
 *   program.c, elf.c, layout.c, stack.c   what is run
 *   proxy.c     attaching, mappings, start, end
 *   serve.c     a twin: waits for posted calls, executes them
 *   calls.c     the few calls that are not executed as they are
 *   signals.c   signals that the program handles
 *   fork.c, exec.c   fork and execve
 *   self.c, facts.c   what the program reads about itself
 *   share.c     memory that the program shares with Linux
 *   limits.c    limits on memory, which bind the program and not the proxy
 *   self.c      what the program reads about itself
 *   title.c     how the process looks in /proc
 *   signal.c    signals, on their way to the program's handlers
 *   trace.c, trace_format.c   --trace and --summary
 *   core.c, core_file.c, core_name.c   a program's core file
 *   debug.c     a program that waits for gdb
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
#include "tools/proxy/trace.h"

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
	struct twin *twins;         /* lock; all that serve */
};

struct self_file;

/* A thread of the proxy that serves a slot. */
struct twin {
	struct proxy *p;
	uint32_t slot;
	struct otr_slot *shared;
	uint32_t forwarded;         /* signals; written by forward() on this thread */
	bool held;                  /* all signals are blocked until the slot is free */
	uint64_t mask;              /* what the program wants blocked; all: nobody uses the twin */
	struct self_file *self;     /* waits for facts */
	struct twin *next;          /* p->lock */
	int tid;
};
/* The calling thread's, NULL if it is no twin. */
extern __thread struct twin *proxy_twin;

struct proxy_options {
	const char *partition;
	struct trace_options trace;
	bool debug;                 /* before it begins, wait for gdb at this address, see tools/gdb/ */
	const char *gdb;            /* listen.h; NULL: a Unix socket */
};

/* Runs argv in the partition with envp. Returns only if it did not start: 125
 * for failures of our own, 126, 127 as a shell; the sentence is in o->error. */
int proxy_run(struct outrigger *o, const struct proxy_options *how, char **argv, char **envp);

/* proxy.c: ends the process as the program ended. */
_Noreturn void proxy_end(struct proxy *p, uint32_t wait_status);
_Noreturn void proxy_fail(struct proxy *p, int status);

/* serve.c */
/* Makes the calling thread a twin. */
int serve_join(struct proxy *p, struct outrigger *o, struct twin *t);
_Noreturn void serve(struct twin *t);
/* Makes count more twins: how many it could. */
int serve_add_twins(struct proxy *p, uint64_t count);
/* Whether the thread is one of the program's, and not the proxy's own. */
bool serve_is_thread(struct proxy *p, int tid);
/* OTR_CALL_FETCH: 0 or -errno. */
long serve_fetch(struct twin *t, uint32_t index);
/* Rings the co-kernel for the twin's slot. */
void serve_kick(struct twin *t);

/* calls.c */
long call_execute(struct twin *t, uint32_t nr, const uint64_t arg[6], uint32_t sig_done);
/* signal.c. Makes a Linux call, or answers -OTR_AGAIN if *forwarded != done. */
__attribute__((visibility("hidden")))
long call_linux(const uint64_t a[6], long nr, const uint32_t *forwarded, uint32_t done);

/* fork.c, exec.c: OTR_CALL_FORK, OTR_CALL_EXEC */
long fork_call(struct proxy *p, uint64_t token);
long exec_call(struct proxy *p, const uint64_t a[6]);
/* proxy.c: in a forked child, a context of its own, started with the token; the
 * calling thread is its first twin. */
int proxy_reattach(struct proxy *p, uint64_t token, struct twin **first);

/* share.c: OTR_CALL_SHARE and its kin; 0 (a size) or -errno. */
long share_map(struct proxy *p, const uint64_t a[6]);
long share_unmap(struct proxy *p, const uint64_t a[6]);
long share_shmat(struct proxy *p, const uint64_t a[6]);
long share_remap(struct proxy *p, const uint64_t a[6]);
long share_grant(struct proxy *p, const uint64_t a[6]);
/* Maps the device around what is shared: 0 or -errno. */
int share_attach(struct proxy *p);

/* limits.c: the program's RLIMIT_AS and RLIMIT_DATA. */
void limits_init(void);
/* UINT64_MAX: none. */
uint64_t limits_program(int resource);
long limits_get(uint64_t resource, bool hard);
/* getrlimit(), setrlimit(), prlimit64() of this process: false if it is Linux's to answer. */
bool limits_call(uint64_t pid, uint64_t resource, uint64_t new, uint64_t old, long *result);

/* self.c */
/* Answers readlink() if the path names the program itself. */
bool self_readlink(struct proxy *p, uint64_t path, uint64_t to, uint64_t bytes, long *result);
/* The program's file if the path names it; NULL. */
const char *self_exe(struct proxy *p, uint64_t path);
/* What open() answered: the descriptor, or -OTR_NEED_FACTS. */
long self_opened(struct twin *t, long fd, uint64_t flags);
/* OTR_CALL_FACTS: the descriptor, -OTR_NEED_FACTS for more, -errno. */
long self_facts(struct twin *t);
/* What getdents64() answered, without the proxy's own; 0 only at the end. */
long self_list(struct twin *t, int fd, uint64_t at, long bytes);

/* pipe.c: OTR_CALL_PIPE, OTR_CALL_PIPE_FILL, OTR_CALL_EVENTFD_FILL, OTR_CALL_EPOLL_ADD,
 * OTR_CALL_TIMERFD_SET */
long pipe_make(struct twin *t, uint64_t flags);
long pipe_fill(struct proxy *p, const uint64_t a[6]);
long eventfd_fill(const uint64_t a[6]);
long epoll_add(const uint64_t a[6]);
long timerfd_set(const uint64_t a[6]);
/* Tells the co-kernel, beside the result of a call that made the descriptor, which
 * unnamed pipe it is of, if it is. */
void pipe_opened(struct twin *t, long fd);
/* OTR_CALL_PIDFD */
long pidfd_context(struct proxy *p, uint64_t fd);

/* socket.c: OTR_CALL_SOCKETPAIR, OTR_CALL_SOCKET_PIECE, OTR_CALL_SOCKET_FILL, OTR_CALL_SOCKET_LET_GO */
long socket_make(struct twin *t, uint64_t flags);
long socket_piece(struct proxy *p, const uint64_t a[6]);
long socket_fill(struct proxy *p, const uint64_t a[6]);
long socket_let_go(struct proxy *p, const uint64_t a[6]);

/* core.c: OTR_CALL_CORE */
long core_call(struct proxy *p, uint64_t what, uint64_t signal);

/* debug.c: a server for gdb holds the program, which is attached and not started. */
int debug_start(struct proxy *p, const char *address);

/* title.c */
void title_set(const struct program *p);

/* signal.c */
/* Threads that are not the program's receive no signals. The old mask. */
uint64_t signal_block_all(void);
void signal_restore(uint64_t mask);
/* Once, before the first signal_action(): learns what was inherited. */
void signal_init(void);
/* OTR_CALL_SIGACTION, OTR_CALL_SIGMASK: 0 or -errno. */
long signal_action(uint64_t number, uint64_t how, uint64_t flags);
long signal_mask(struct twin *t, uint64_t mask);
/* OTR_CALL_RAISE with its arguments. 0 or -errno. */
long signal_raise(const uint64_t a[6]);
/* Tells the co-kernel what the program inherits. */
void signal_describe(struct otr_exec *x);
/* For execve: what the program handled gets its default action. */
void signal_default_handlers(void);
/* What dumps core goes to the co-kernel even without a handler: before the start. */
void signal_catch_cores(void);
/* A signal waits for the slot to be free: true while it does, after a moment. */
bool signal_held(struct twin *t);

/* hide.c */
/* Moves a descriptor out of the way; it stays close-on-exec. The new one. */
int hide_fd(int fd);
bool hide_is_hidden(uint64_t fd);
/* No longer hidden: the descriptor, which the caller closes. */
int hide_release(int fd);
/* In a forked child: what the parent hid is none of ours. */
void hide_close_all(void);
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
