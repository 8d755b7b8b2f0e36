/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all local objects have in common: ends that descriptors refer to, whoever
 * sleeps in them or polls them, and the way to Linux. A pipe (pipe.h), an eventfd
 * (eventfd.h), a pair of sockets (socket.h) and an epoll (epoll.h) begin with a struct local.
 */
#ifndef LIBPOXIS_FILES_LOCAL_H
#define LIBPOXIS_FILES_LOCAL_H

#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/thread.h"

struct local;
struct local_end;
struct regs;

/* What read and write answer when the object is no longer local, or should not be:
 * there is no memory for what Linux would take, or no clock. */
#define LOCAL_REMOTE  (-1000)
#define LOCAL_CROWDED (-1001)
/* What push answers when something has come since prepare(). */
#define LOCAL_UNPREPARED (-1002)

enum local_state {
	LOCAL_IS_HERE,
	LOCAL_IS_MOVING,            /* what it holds goes to Linux; nobody reads or writes */
	LOCAL_IS_REMOTE,            /* for good */
};

enum { LOCAL_READS = 1, LOCAL_WRITES = 2 };

/* asm-generic/poll.h */
enum {
	POLLIN = 1, POLLPRI = 2, POLLOUT = 4, POLLERR = 8, POLLHUP = 0x10, POLLRDNORM = 0x40, POLLRDBAND = 0x80,
	POLLWRNORM = 0x100, POLLWRBAND = 0x200, POLLMSG = 0x400, POLLRDHUP = 0x2000,
};

/* The program's memory, a piece after the other; a copy is cheap. */
struct iovec {
	uint64_t base, bytes;
};
struct user_memory {
	const struct iovec *v;      /* those that are left */
	uint32_t count;
	uint64_t done;              /* of the first */
	uint64_t left;              /* bytes in all */
};
/* What has been done of it. */
static inline void user_memory_advance(struct user_memory *m, uint64_t bytes)
{
	m->left -= bytes;
	m->done += bytes;
	while (m->count && m->done >= m->v->bytes) {
		m->done -= m->v->bytes;
		m->v++;
		m->count--;
	}
}

struct local_ops {
	const char *name;           /* with its article, for the log */
	/* Bytes, or Linux's errors, -ERESTART for a signal; LOCAL_REMOTE when it is no
	 * longer local, and nothing was read. */
	int64_t (*read)(struct local_end *e, struct user_memory *to);
	/* The same or LOCAL_CROWDED, with both of which *from tells how far it came. *broken:
	 * there is no reader, the thread gets SIGPIPE. */
	int64_t (*write)(struct local_end *e, struct user_memory *from, bool *broken);
	/* One vector is one read, and one write; else Linux does what has several. */
	bool vectors;
	/* POLL*, as Linux's poll() of it; the lock is held. NULL: only Linux can. */
	uint32_t (*poll)(const struct local_end *e);
	/* Wakes all who sleep in it; the lock is held. */
	void (*stop)(struct local *o);
	/* Before a move: what the object refers to goes first. No lock is held. 0 or an error;
	 * NULL: there is nothing. */
	int64_t (*prepare)(struct thread *t, struct local *o);
	/* Has Linux's object hold what this one does, through descriptor `fd` of the current
	 * process, whose mutex is held. Again after any failure: what Linux has already stays
	 * one. Sets o->begun as long as Linux may have a part. 0, an error, or LOCAL_UNPREPARED:
	 * prepare() again. */
	int64_t (*push)(struct thread *t, struct local *o, int fd, bool writes);
	/* Linux has all; the lock is held. */
	void (*drain)(struct local *o);
	/* Linux's is being used from now on, or nobody can refer to it; more than once. */
	void (*forget)(struct local *o);
	/* This end is open nowhere any more. */
	void (*close)(struct local_end *e);
};

/* What an open file description is in Linux: dup and fork share it. */
struct local_end {
	struct local *object;
	_Atomic uint32_t refs;      /* entries in tables, and calls */
	uint8_t modes;              /* LOCAL_READS, LOCAL_WRITES */
	_Atomic bool nonblock;      /* follows Linux's; local_set_nonblock() */
};

struct local {
	const struct local_ops *ops;
	_Atomic uint32_t refs;      /* its ends; who found it otherwise */

	struct spinlock lock;       /* and of what the object adds */
	_Atomic uint32_t state;     /* LOCAL_IS_*; read without the lock, too */
	uint32_t flag_changes;      /* of O_NONBLOCK in Linux, of which we know */
	struct list watchers;       /* struct watcher */
	/* Of the move; remote.c */
	bool moving;                /* a thread is at it */
	bool begun;                 /* Linux may have a part: there is no way back */
	struct list movers;         /* struct local_waiter: wait for its end */
};

struct local_waiter {
	struct list link;
	struct thread *thread;
};

/* Somebody who polls it. It stays in the list while it is woken: it may not be the only
 * thing that its thread waits for. */
struct watcher {
	struct list link;
	struct thread *thread;      /* NULL: it is a set's (epoll.h) */
	const struct local_end *end;    /* that it polls */
	uint32_t events;            /* POLL*, for which it is woken */
};

static inline bool local_is_remote(const struct local *o)
{
	return atomic_load_explicit(&o->state, memory_order_acquire) == LOCAL_IS_REMOTE;
}
static inline bool local_writes(const struct local_end *e)
{
	return e->modes & LOCAL_WRITES;
}
static inline struct local_end *local_end_get(struct local_end *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}
static inline void local_get(struct local *o)
{
	atomic_fetch_add(&o->refs, 1);
}

/* ---- local.c ---- */

/* All but the lock's and the ends' fields, which are zero. `ends`: its references. */
void local_init(struct local *o, const struct local_ops *ops, uint32_t ends);
void local_end_put(struct local_end *e);
/* Its memory goes with the last one. */
void local_put(struct local *o);
/* O_NONBLOCK was changed in Linux: the number of this change. */
uint32_t local_flags_changed(struct local *o);
/* What Linux was asked for since. False: it was changed again, *change is the number,
 * ask again. */
bool local_set_nonblock(struct local_end *e, bool nonblock, uint32_t *change);

/* The lock is held for these. */
/* Parks until woken; *in_line is the list to stand in. The lock is let go meanwhile. */
void local_wait(struct local *o, struct list *in_line);
static inline void local_wake_first(struct list *waiters)
{
	struct list *l = list_pop_front(waiters);

	if (l)
		thread_unpark(list_entry(l, struct local_waiter, link)->thread);
}
void local_wake_all(struct list *waiters);
/* Whether the current thread may sleep for it: 0, -EAGAIN (the end does not block, or this
 * call is not to), -ERESTART (a signal is there). */
int local_may_wait(const struct local_end *e, bool call_blocks);
/* Those who poll this end, NULL: any, for any of these; errors and hang-ups all wait for. */
void local_wake_watchers(struct local *o, const struct local_end *e, uint32_t events);
/* The same; to be called where nobody watches mostly. */
static inline void local_tell(struct local *o, uint32_t events)
{
	if (unlikely(!list_empty(&o->watchers)))
		local_wake_watchers(o, NULL, events);
}
static inline void local_tell_end(const struct local_end *e, uint32_t events)
{
	if (unlikely(!list_empty(&e->object->watchers)))
		local_wake_watchers(e->object, e, events);
}

/* ---- user_memory.c; 0 or -EFAULT ---- */

/* The first `bytes` of it, all or nothing counts; under a spin lock. */
int user_memory_copy(struct user_memory m, char *at, uint64_t bytes, bool to_program);
/* Brings in what that could not reach; without a lock. */
int user_memory_bring_in(struct user_memory m, uint64_t bytes, bool write);
/* Copies them out and goes on behind them; without a lock. */
int user_memory_read(struct user_memory *m, char *to, uint64_t bytes);
/* What a read of a number answers: 8, and m is behind it; it is in one piece. As Linux: what cannot be
 * told is lost. */
int64_t user_memory_tell(struct user_memory *m, uint64_t number);

/* ---- calls.c; of the current thread ---- */

/* What Linux moves at most in one call, and how many pieces that has. */
#define LOCAL_BYTES_MOST  0x7ffff000ull
#define LOCAL_IOVECS_MOST 1024u
/* Linux would look at memory there at all: its users' addresses end so. */
static inline bool local_range_ok(uaddr_t at, uint64_t bytes)
{
	return bytes <= 0x7ffffffff000ull && at <= 0x7ffffffff000ull - bytes;
}
/* Copies a vector of `count` pieces, at most LOCAL_IOVECS_MOST, to v and has m tell of it. As Linux
 * checks it, in its order: 0, -EINVAL, -EFAULT. */
int64_t local_take_vector(struct iovec *v, uaddr_t at, uint64_t count, struct user_memory *m);
/* Has Linux make two descriptors, by `call` (OTR_CALL_*) with these flags, and tells the program their
 * numbers; *said is what the proxy said beside. The mutex of the files is held. 0, or an error, and
 * there are none. */
int64_t local_make_two(uint32_t call, uint64_t flags, uaddr_t tell, uint32_t fd[2], uint64_t *said);
/* Puts ends in for two descriptors that have just been made. */
void local_set_two(const uint32_t fd[2], struct local_end *first, struct local_end *second, bool cloexec);
/* The object, of which r->rdi is a number, is Linux's from now on, and so is this call. */
int64_t local_by_linux(struct regs *r, struct local_end *e);

/* ---- remote.c ---- */

/* Gives it to Linux through descriptor `fd` of the current process, -1: one of its
 * table. 0, -ERESTART, -EBADF (the process has no descriptor of it any more), -ENOMEM. */
int64_t local_make_remote(struct thread *t, struct local *o, int fd);
/* Waits for the end of a move, which it goes on with if whoever was at it is gone; it
 * may be local again after that. The same results. */
int64_t local_settle(struct thread *t, struct local *o);
/* After a call of `push` to Linux: who goes on after a thread that is killed must not
 * meet that call half-way. */
void local_last_call(struct thread *t);

#endif
