/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in a pair of sockets goes to Linux's, message by message as it was sent, so that
 * it fits there as it did here; then what was shut down, and the module lets go of both ends, so
 * that one which is open nowhere is closed. remote.c has the whole.
 */
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/facts.h"
#include "libpoxis/files/socket.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

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

/* Linux's own message: 0, and it has it, at the latest when somebody asks again. */
static int64_t fill(struct thread *t, struct socket *sender, uint32_t bytes, int fd)
{
	struct socket_pair *p = to_pair(sender->end.object);
	int64_t err = slot_call(t->slot, OTR_CALL_SOCKET_FILL, (uint64_t[6]){
		(uint64_t)fd, sender == &p->side[1], sender->moved_bytes, bytes });

	local_last_call(t);
	if (!err)
		sender->moved_bytes += bytes;
	/* Of a killed thread the answer may be lost, and the message in Linux's socket. */
	if (!err || thread_killed(t))
		p->local.begun = true;
	return err;
}

/* What `sender` has sent. Nobody else touches the queue of a pair that moves, nor does the
 * close of an end. */
static int64_t push_queue(struct thread *t, struct socket *sender, struct socket *receiver, int fd)
{
	int64_t err = 0;
	uint32_t bytes;

	while (!err && !list_empty(&receiver->queue)) {
		err = push_pieces(t, &receiver->queue, &bytes);
		if (!err)
			err = fill(t, sender, bytes, fd);
		if (err)
			break;
		receiver->queued_bytes -= bytes;
		take_off(&receiver->queue);
	}
	/* Its peer was closed with bytes unread, which Linux tells of one that is closed so. */
	if (!err && sender->reset && !sender->moved_bytes) {
		err = push_piece(t, "", 0, 1);
		if (!err)
			err = fill(t, sender, 1, fd);
	}
	return err;
}

int64_t socket_push(struct thread *t, struct local *o, int fd, bool writes)
{
	struct socket_pair *p = to_pair(o);
	struct socket *s = p->side;
	int64_t err = 0;
	uint8_t shut;

	(void)writes;
	if (!p->handed_over)
		err = push_queue(t, &s[0], &s[1], fd);
	if (!err && !p->handed_over)
		err = push_queue(t, &s[1], &s[0], fd);
	if (err)
		return err > 0 ? -EIO : err;
	spin_lock(&o->lock);
	shut = s[0].shut;           /* its peer's half is Linux's to set */
	spin_unlock(&o->lock);
	o->begun = p->handed_over = true;
	err = slot_call(t->slot, OTR_CALL_SOCKET_LET_GO, (uint64_t[6]){ (uint64_t)fd, shut });
	local_last_call(t);
	return err > 0 ? -EIO : err;
}
