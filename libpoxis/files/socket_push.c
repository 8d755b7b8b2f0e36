/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in a pair of sockets goes to Linux's, message by message as it was sent, so that
 * it fits there as it did here; then what was shut down. remote.c has the whole.
 */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/facts.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/socket.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

#define NR_SHUTDOWN 48u

/* Has the proxy keep n bytes of the message from its byte `at` on. */
static int64_t push_piece(struct thread *t, const char *from, uint32_t at, uint32_t n)
{
	int64_t ret;

	if (!facts_take_turn(t->process))
		return -EINTR;
	memcpy((char *)t->process->mailbox->facts.area, from, n);
	ret = slot_call(t->slot, OTR_CALL_SOCKET_PIECE, (uint64_t[6]){ at, n });
	local_last_call(t);
	atomic_store(&t->process->facts_busy, false);
	return ret;
}

/* The first message of the queue; *bytes: its own. */
static int64_t push_pieces(struct thread *t, const struct list *queue, uint32_t *bytes)
{
	const struct part *p;
	int64_t err = 0;

	*bytes = 0;
	list_for_each(p, queue, link) {
		for (uint32_t done = 0; !err && done < p->bytes;) {
			uint32_t n = MIN(p->bytes - done, OTR_PIPE_PIECE);

			err = push_piece(t, p->data + p->offset + done, *bytes, n);
			done += n;
			*bytes += n;
		}
		if (err || p->charge)
			break;
	}
	return err;
}

/* Linux has the first message of the queue. */
static void take_off(struct list *queue)
{
	struct part *p;
	bool last;

	do {
		p = list_entry(list_pop_front(queue), struct part, link);
		last = p->charge;
		kmem_free(p);
	} while (!last && !list_empty(queue));
}

static int64_t push_queue(struct thread *t, struct socket *sender, struct socket *receiver, const int64_t fd[2])
{
	struct local *o = sender->end.object;
	int64_t err = 0;
	uint32_t bytes;

	/* Nobody else touches the queue of a pair that moves, and both ends stay open: the
	 * process has them, and we its mutex. */
	while (!err && !list_empty(&receiver->queue)) {
		err = push_pieces(t, &receiver->queue, &bytes);
		if (err)
			break;
		err = slot_call(t->slot, OTR_CALL_SOCKET_FILL, (uint64_t[6]){
			(uint64_t)fd[0], (uint64_t)fd[1], sender->moved_bytes, bytes });
		local_last_call(t);
		if (!err) {
			sender->moved_bytes += bytes;
			receiver->queued_bytes -= bytes;
			take_off(&receiver->queue);
			o->begun = true;
		} else if (thread_killed(t)) {
			o->begun = true;    /* the answer may be lost, the message in Linux's socket */
		}
	}
	return err;
}

/* The process's number of an end; -1. */
static int64_t number_of(struct files *f, const struct local_end *e)
{
	for (uint32_t fd = 0; fd < f->table.size; fd++)
		if (files_peek(f, fd) == e)
			return fd;
	return -1;
}

int64_t socket_push(struct thread *t, struct local *o, int any, bool writes)
{
	struct socket_pair *p = to_pair(o);
	struct files *f = &t->process->files;
	int64_t fd[2] = { number_of(f, &p->side[0].end), number_of(f, &p->side[1].end) };
	int64_t err;

	(void)any;
	(void)writes;
	/* One went without a word, which nobody here could keep from it. */
	if (fd[0] < 0 || fd[1] < 0)
		return -EIO;
	err = push_queue(t, &p->side[0], &p->side[1], fd);
	if (!err)
		err = push_queue(t, &p->side[1], &p->side[0], (int64_t[2]){ fd[1], fd[0] });
	if (!err && p->side[0].shut) {
		o->begun = true;
		/* Its peer's half is Linux's to set. */
		err = slot_call_always(t->slot, NR_SHUTDOWN, (uint64_t[6]){ (uint64_t)fd[0], p->side[0].shut - 1u });
		local_last_call(t);
	}
	return err > 0 ? -EIO : err;
}
