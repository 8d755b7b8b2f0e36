/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pipe with Linux's limits: 16 buffers of a page, to the last of which short
 * writes are added, so that the same sequence of calls finds it full at the same
 * byte. Ends are what open file descriptions are in Linux: dup and fork share them.
 */
#ifndef LIBPOXIS_FILES_PIPE_H
#define LIBPOXIS_FILES_PIPE_H

#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/types.h"

struct pipe;
struct thread;

#define PIPE_BUFFERS 16u
#define PIPE_BYTES   65536u     /* PIPE_BUFFERS pages */
#define PIPE_KEPT    2u         /* empty pages that it keeps */

/* What read and write answer when the pipe is no longer local, or should not be: there
 * is no memory for what Linux would take. */
#define PIPE_REMOTE  (-1000)
#define PIPE_CROWDED (-1001)

enum pipe_state {
	PIPE_IS_LOCAL,
	PIPE_IS_MOVING,             /* its bytes go to Linux; nobody reads or writes */
	PIPE_IS_REMOTE,             /* for good */
};

struct pipe_end {
	struct pipe *pipe;
	_Atomic uint32_t refs;      /* entries in tables, and calls */
	bool writes;
	_Atomic bool nonblock;      /* follows Linux's; pipe_set_nonblock() */
};

struct pipe_buffer {
	struct page *page;          /* NULL: not in use */
	uint32_t offset, bytes;
};

struct pipe {
	struct pipe_end end[2];     /* reads, writes */
	_Atomic uint32_t refs;      /* the two ends; who looks it up by inode */
	uint32_t uid;               /* of the program that made it */
	uint64_t inode;             /* of the Linux pipe behind it */

	struct spinlock lock;
	_Atomic uint32_t state;     /* PIPE_IS_*; read without the lock, too */
	bool reader, writer;        /* that end is open somewhere */
	uint32_t flag_changes;      /* of O_NONBLOCK in Linux, of which we know */
	uint32_t head, tail;        /* run freely; the buffers in use are [tail, head) */
	struct pipe_buffer buffer[PIPE_BUFFERS];
	struct page *kept[PIPE_KEPT];
	struct list readers;        /* struct pipe_waiter */
	struct list writers;
	/* Of the move; remote.c */
	bool moving;                /* a thread is at it */
	uint32_t moved_bytes;       /* that are in Linux's pipe */
	bool begun;                 /* more may be: a thread was killed before it was told */
	struct list movers;         /* struct pipe_waiter: wait for its end */

	struct list link;           /* in all pipes that are local; pipes_lock */
};

struct pipe_waiter {
	struct list link;
	struct thread *thread;
};

/* The program's memory, a piece after the other; a copy is cheap. */
struct iovec {
	uint64_t base, bytes;
};
struct pipe_memory {
	const struct iovec *v;      /* those that are left */
	uint32_t count;
	uint64_t done;              /* of the first */
	uint64_t left;              /* bytes in all */
};

/* With both ends, a reference each; NULL: memory is out, or pipes have their share. */
struct pipe *pipe_create(uint64_t inode, uint32_t uid, bool nonblock);
static inline struct pipe_end *pipe_end_get(struct pipe_end *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}
void pipe_end_put(struct pipe_end *e);
void pipe_put(struct pipe *p);
static inline bool pipe_is_remote(const struct pipe *p)
{
	return atomic_load_explicit(&p->state, memory_order_acquire) == PIPE_IS_REMOTE;
}
/* A local one by the inode in Linux, of this user or for root any, with a reference; NULL. */
struct pipe *pipe_find(uint64_t inode, uint32_t uid);

/* Bytes, or Linux's errors, -ERESTART for a signal; PIPE_REMOTE when it is no longer
 * local, and nothing was read. */
int64_t pipe_read(struct pipe_end *e, struct pipe_memory *to);
/* The same or PIPE_CROWDED, with both of which *from tells how far it came. *broken:
 * there is no reader, the thread gets SIGPIPE. */
int64_t pipe_write(struct pipe_end *e, struct pipe_memory *from, bool *broken);
/* O_NONBLOCK was changed in Linux: the number of this change. */
uint32_t pipe_flags_changed(struct pipe *p);
/* What Linux was asked for since. False: it was changed again, *change is the number,
 * ask again. */
bool pipe_set_nonblock(struct pipe_end *e, bool nonblock, uint32_t *change);
/* FIONREAD: the bytes that can be read, PIPE_REMOTE. */
int64_t pipe_bytes(struct pipe *p);

/* The lock is held for these. */
/* Parks until woken; *in_line is the list to stand in. The lock is let go meanwhile. */
void pipe_wait(struct pipe *p, struct list *in_line);
void pipe_wake_all(struct list *waiters);
/* Empty pages and what is still in it go. */
void pipe_drain(struct pipe *p);
/* It is, or no longer, among those that pipe_find() knows. */
void pipe_forget(struct pipe *p);

/* remote.c: gives it to Linux through descriptor `fd` of the current process, -1: one
 * of its table. 0, -ERESTART, -EBADF (the process has no descriptor of it any more),
 * -ENOMEM. */
int64_t pipe_make_remote(struct thread *t, struct pipe *p, int fd);
/* Waits for the end of a move, which it goes on with if whoever was at it is gone; it
 * may be local again after that. The same results. */
int64_t pipe_settle(struct thread *t, struct pipe *p);

#endif
