/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pipe with Linux's limits: 16 buffers of a page, to the last of which short
 * writes are added, so that the same sequence of calls finds it full at the same
 * byte. Ends are what open file descriptions are in Linux: dup and fork share them.
 */
#ifndef LIBPOXIS_FILES_PIPE_H
#define LIBPOXIS_FILES_PIPE_H

#include "cokernel/lib/list.h"
#include "cokernel/lib/types.h"
#include "libpoxis/files/local.h"

#define PIPE_BUFFERS 16u
#define PIPE_BYTES   65536u     /* PIPE_BUFFERS pages */
#define PIPE_KEPT    2u         /* empty pages that it keeps */

struct pipe_buffer {
	struct page *page;          /* NULL: not in use */
	uint32_t offset, bytes;
};

struct pipe {
	struct local local;
	struct local_end end[2];    /* reads, writes */
	uint32_t uid;               /* of the program that made it */
	uint64_t inode;             /* of the Linux pipe behind it */

	/* local.lock */
	bool reader, writer;        /* that end is open somewhere */
	uint32_t head, tail;        /* run freely; the buffers in use are [tail, head) */
	struct pipe_buffer buffer[PIPE_BUFFERS];
	struct page *kept[PIPE_KEPT];
	struct list readers;        /* struct local_waiter */
	struct list writers;
	uint32_t moved_bytes;       /* that are in Linux's pipe; of the thread at the move */

	struct list link;           /* in all pipes that are local; pipes_lock */
};

extern const struct local_ops pipe_ops;

static inline bool is_pipe(const struct local *o)
{
	return o->ops == &pipe_ops;
}
static inline struct pipe *to_pipe(const struct local *o)
{
	return container_of(o, struct pipe, local);
}

/* With both ends, a reference each; NULL: memory is out, or pipes have their share. */
struct pipe *pipe_create(uint64_t inode, uint32_t uid, bool nonblock);
/* A local one by the inode in Linux, of this user or for root any, with a reference; NULL. */
struct pipe *pipe_find(uint64_t inode, uint32_t uid);
/* As local_ops has them. */
int64_t pipe_read(struct local_end *e, struct user_memory *to);
int64_t pipe_write(struct local_end *e, struct user_memory *from, bool *broken);
uint32_t pipe_poll(const struct local_end *e);
/* FIONREAD: the bytes that can be read, LOCAL_REMOTE. */
int64_t pipe_bytes(struct pipe *p);

/* pipe_push.c */
int64_t pipe_push(struct thread *t, struct local *o, int fd, bool writes);

#endif
