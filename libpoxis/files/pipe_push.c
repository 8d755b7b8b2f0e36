/* SPDX-License-Identifier: BSD-2-Clause */
/* A pipe's bytes go to Linux's, a piece after the other; remote.c has the whole. */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/phys.h"
#include "libpoxis/facts.h"
#include "libpoxis/files/pipe.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

/* Copies the next bytes out: how many. */
static uint32_t gather(const struct pipe *p, char *to, uint32_t most)
{
	uint32_t n = 0;

	for (uint32_t i = p->tail; i != p->head && n < most; i++) {
		const struct pipe_buffer *b = &p->buffer[i % PIPE_BUFFERS];
		uint32_t part = MIN(b->bytes, most - n);

		memcpy(to + n, (char *)page_to_virt(b->page) + b->offset, part);
		n += part;
	}
	return n;
}

/* They are in Linux. */
static void consume(struct pipe *p, uint32_t bytes)
{
	uint32_t tail = p->tail;

	p->moved_bytes += bytes;
	p->local.begun = true;
	while (bytes) {
		struct pipe_buffer *b = &p->buffer[tail % PIPE_BUFFERS];
		uint32_t part = MIN(b->bytes, bytes);

		b->offset += part;
		b->bytes -= part;
		bytes -= part;
		tail += !b->bytes;
	}
	/* The emptied pages go at the end: drain() starts at tail. */
}

static uint32_t left(const struct pipe *p)
{
	uint32_t n = 0;

	for (uint32_t i = p->tail; i != p->head; i++)
		n += p->buffer[i % PIPE_BUFFERS].bytes;
	return n;
}

static int64_t push_piece(struct thread *t, struct pipe *p, int fd, bool writes)
{
	char *to = (char *)t->process->mailbox->facts.area;
	uint32_t n;
	int64_t ret;

	if (!facts_take_turn(t->process))
		return -EINTR;
	n = gather(p, to, OTR_PIPE_PIECE);
	ret = slot_call(t->slot, OTR_CALL_PIPE_FILL, (uint64_t[6]){ (uint64_t)fd, writes, p->moved_bytes, n });
	local_last_call(t);
	atomic_store(&t->process->facts_busy, false);
	if (ret == (int64_t)n)
		consume(p, n);
	else if (thread_killed(t))
		p->local.begun = true;  /* the answer may be lost, the piece in Linux's pipe */
	return ret == (int64_t)n ? 0 : ret < 0 ? ret : -EIO;
}

int64_t pipe_push(struct thread *t, struct local *o, int fd, bool writes)
{
	struct pipe *p = to_pipe(o);
	int64_t err = 0;

	/* What nobody can read any more need not be anywhere. */
	while (!err && left(p) && load_relaxed(&p->reader))
		err = push_piece(t, p, fd, writes);
	return err;
}
