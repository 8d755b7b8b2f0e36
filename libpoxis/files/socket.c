/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is sent is copied without a lock, then queued; what is received is copied under the
 * pair's, as in pipe.c. The rules by which a sender waits, and is woken, are Linux's: it
 * may send while what is charged to it is below its buffer, and who waits is woken when it
 * has fallen to a quarter.
 */
#include "libpoxis/files/socket.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"

/* Of the partition's memory what is in sockets has at most this part, a chunk at a time. */
#define SHARE 16u
#define CHUNK 65536u

/* Of Linux's sk_buffs (include/linux/skbuff.h), which have been of this size for long: the
 * head of a message's memory ends with skb_shared_info, what is not in the head in pages. */
#define SK_BUFF     256u
#define SHARED_INFO 320u
#define SK_ALIGN    64u
#define HEAD_MOST   (4096u - SHARED_INFO)           /* SKB_MAX_HEAD(0) */
#define MESSAGE_MOST (HEAD_MOST + 32768u)           /* with UNIX_SKB_FRAGS_SZ */

#define SMALL_BYTES (512u - (uint32_t)sizeof(struct part))
#define PART_BYTES  ((uint32_t)PAGE_SIZE - (uint32_t)sizeof(struct part))

enum { IN = POLLIN | POLLRDNORM, OUT = POLLOUT | POLLWRNORM | POLLWRBAND };

static _Atomic uint64_t reserved_bytes;

static struct socket *to_socket(const struct local_end *e)
{
	return container_of(e, struct socket, end);
}

static struct socket_pair *pair_of(const struct socket *s)
{
	return to_pair(s->end.object);
}

static struct socket *peer_of(const struct socket *s)
{
	struct socket_pair *p = pair_of(s);

	return &p->side[s == &p->side[0]];
}

/* ---- What Linux counts ---- */

/* truesize of the sk_buff in which unix_stream_sendmsg() would put so much. */
static uint32_t charge_of(const struct socket_pair *p, uint32_t bytes)
{
	uint32_t paged = bytes > HEAD_MOST ? MIN(bytes, ALIGN_UP(bytes - HEAD_MOST, (uint32_t)PAGE_SIZE)) : 0;
	uint32_t need = ALIGN_UP(bytes - paged, SK_ALIGN) + SHARED_INFO, head = p->least_head;

	while (head < need)
		head = head & (head - 1) ? 1u << (32 - __builtin_clz(head)) : head * 2;
	return SK_BUFF + head + ALIGN_UP(paged, (uint32_t)PAGE_SIZE);
}

static uint32_t message_most(const struct socket_pair *p)
{
	return MIN(p->buffer / 2 - 64, MESSAGE_MOST);
}

/* unix_writable(); `held`: what Linux counts beside it. */
static bool writable(const struct socket *s, uint32_t held)
{
	return ((uint64_t)s->charged + held) * 4 <= pair_of(s)->buffer;
}

/* ---- Parts; the lock is held where a socket is named ---- */

static void free_part(struct socket *sender, struct part *p)
{
	if (p->small && !sender->spare)
		sender->spare = p;
	else
		kmem_free(p);
}

static void free_parts(struct list *parts)
{
	struct list *l;

	while ((l = list_pop_front(parts)))
		kmem_free(list_entry(l, struct part, link));
}

static struct part *take_spare(struct socket *s)
{
	struct part *p = s->spare;

	s->spare = NULL;
	return p;
}

/* The next n bytes as a message, in `parts`, and *from goes on behind it; without a lock.
 * -ENOMEM, -EFAULT: what is in parts is to be freed. The spare part is used up. */
static int make_message(struct list *parts, struct part *spare, struct user_memory *from, uint32_t n, uint32_t charge)
{
	while (n) {
		uint32_t bytes = MIN(n, PART_BYTES);
		bool small = bytes <= SMALL_BYTES;
		struct part *p = small && spare ? spare : kmem_alloc(sizeof(*p) + (small ? SMALL_BYTES : bytes));

		if (p == spare)
			spare = NULL;
		if (!p)
			break;
		p->offset = 0;
		p->bytes = bytes;
		n -= bytes;
		p->charge = n ? 0 : charge;
		p->small = small;
		list_push_back(parts, &p->link);
		if (user_memory_read(from, p->data, bytes)) {
			kmem_free(spare);
			return -EFAULT;
		}
	}
	kmem_free(spare);
	return n ? -ENOMEM : 0;
}

/* ---- Life ---- */

struct socket_pair *socket_pair_create(uint32_t buffer, uint32_t least_charge, bool nonblock)
{
	struct socket_pair *p;

	/* What other kernels would count is not known here. */
	if (least_charge <= SK_BUFF + SHARED_INFO || least_charge > SK_BUFF + PAGE_SIZE ||
	    buffer < 4096 || buffer > INT32_MAX)
		return NULL;
	p = kmem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	local_init(&p->local, &socket_ops, 2);
	p->buffer = buffer;
	p->least_head = least_charge - SK_BUFF;
	for (uint32_t i = 0; i < 2; i++) {
		struct socket *s = &p->side[i];

		s->end = (struct local_end){ .object = &p->local, .refs = 1, .modes = LOCAL_READS | LOCAL_WRITES,
					     .nonblock = nonblock };
		list_init(&s->queue);
		list_init(&s->receivers);
		list_init(&s->senders);
	}
	return p;
}

static void drain(struct local *o)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct socket *s = &to_pair(o)->side[i];

		free_parts(&s->queue);
		kmem_free(take_spare(s));
		atomic_fetch_sub_explicit(&reserved_bytes, s->reserved, memory_order_relaxed);
		s->reserved = 0;
	}
}

static void forget(struct local *o)
{
	(void)o;                    /* nothing in /proc opens it again */
}

/* ---- Waiting; the lock is held ---- */

static void wake_side(struct socket *s)
{
	local_wake_all(&s->receivers);
	local_wake_all(&s->senders);
}

static void stop(struct local *o)
{
	wake_side(&to_pair(o)->side[0]);
	wake_side(&to_pair(o)->side[1]);
}

/* unix_poll() */
static uint32_t poll(const struct local_end *e)
{
	const struct socket *s = to_socket(e);

	return (s->reset ? POLLERR : 0) | (s->shut == (SOCKET_SHUT_RECEIVE | SOCKET_SHUT_SEND) ? POLLHUP : 0) |
	       (s->shut & SOCKET_SHUT_RECEIVE ? POLLRDHUP | IN : 0) | (list_empty(&s->queue) ? 0 : IN) |
	       (writable(s, 1) ? OUT : 0);
}

/* What it sent is gone: sock_wfree(), which tells of it before the last byte is given back. */
static void refund(struct socket *sender, uint32_t charge)
{
	if (!charge)
		return;
	sender->charged -= charge;
	if (!writable(sender, 2))
		return;
	local_wake_all(&sender->senders);
	local_tell_end(&sender->end, OUT);
}

/* Both are told of all, as by Linux's sk_state_change(). */
static void state_changed(struct socket *s)
{
	wake_side(s);
	local_tell_end(&s->end, UINT32_MAX);
}

/* ---- Ends ---- */

int64_t socket_shutdown(struct local_end *e, uint32_t how)
{
	struct socket *s = to_socket(e), *peer = peer_of(s);
	int64_t ret = 0;

	if (how > 2)
		return -EINVAL;
	spin_lock(&e->object->lock);
	if (e->object->state != LOCAL_IS_HERE) {
		ret = LOCAL_REMOTE;
	} else {
		uint8_t shut = (uint8_t)(how + 1);

		s->shut |= shut;
		peer->shut |= (shut & SOCKET_SHUT_RECEIVE ? SOCKET_SHUT_SEND : 0) |
			      (shut & SOCKET_SHUT_SEND ? SOCKET_SHUT_RECEIVE : 0);
		state_changed(s);
		state_changed(peer);
	}
	spin_unlock(&e->object->lock);
	return ret;
}

static void close_end(struct local_end *e)
{
	struct socket *s = to_socket(e), *peer = peer_of(s);
	struct local *o = e->object;

	spin_lock(&o->lock);
	s->shut = peer->shut = SOCKET_SHUT_RECEIVE | SOCKET_SHUT_SEND;
	peer->reset |= !list_empty(&s->queue);
	/* Of one that moves the queue is the mover's. */
	while (o->state == LOCAL_IS_HERE && !list_empty(&s->queue)) {
		struct part *p = list_entry(list_pop_front(&s->queue), struct part, link);

		peer->charged -= p->charge;
		s->queued_bytes -= p->bytes;
		kmem_free(p);
	}
	state_changed(peer);
	spin_unlock(&o->lock);
}

/* ---- Receiving ---- */

/* The lock is held. */
static void consume(struct socket *s, struct part *p, uint32_t n)
{
	p->offset += n;
	p->bytes -= n;
	s->queued_bytes -= n;
	if (p->bytes)
		return;
	list_remove(&p->link);
	refund(peer_of(s), p->charge);
	free_part(peer_of(s), p);
}

/* Bytes, -EFAULT: a page may be missing. The lock is held, and the queue is not empty. */
static int64_t receive_part(struct socket *s, struct user_memory *to)
{
	struct part *p = list_first(&s->queue, struct part, link);
	uint32_t n = (uint32_t)MIN((uint64_t)p->bytes, to->left);

	if (unlikely(user_memory_copy(*to, p->data + p->offset, n, true)))
		return -EFAULT;
	user_memory_advance(to, n);
	consume(s, p, n);
	return n;
}

/* The same of all that is there, which stays. */
static int64_t peek(struct socket *s, struct user_memory *to)
{
	struct part *p;
	int64_t done = 0;

	list_for_each(p, &s->queue, link) {
		uint32_t n = (uint32_t)MIN((uint64_t)p->bytes, to->left);

		if (user_memory_copy(*to, p->data + p->offset, n, true))
			return -EFAULT;
		user_memory_advance(to, n);
		done += n;
		if (!to->left)
			break;
	}
	return done;
}

/* Until there is something to receive, or nothing will be: 0 or what the call answers, of
 * which LOCAL_REMOTE. *over: there will be nothing. The lock is held. */
static int64_t await(struct socket *s, uint32_t flags, bool *over)
{
	struct local *o = s->end.object;
	int64_t ret;

	*over = false;
	for (;;) {
		if (unlikely(o->state != LOCAL_IS_HERE))
			return LOCAL_REMOTE;
		if (!list_empty(&s->queue))
			return 0;
		if (s->reset) {
			s->reset = false;
			return -ECONNRESET;
		}
		*over = s->shut & SOCKET_SHUT_RECEIVE;
		if (*over)
			return 0;
		ret = local_may_wait(&s->end, !(flags & MSG_DONTWAIT));
		if (ret)
			return ret;
		local_wait(o, &s->receivers);
	}
}

int64_t socket_receive(struct local_end *e, struct user_memory *to, uint32_t flags)
{
	struct socket *s = to_socket(e);
	struct local *o = e->object;
	struct user_memory start = *to;
	bool again = false, over;
	int64_t ret = 0, done = 0;

	spin_lock(&o->lock);
	for (;;) {
		/* What has come satisfies all but MSG_WAITALL. */
		if (done && list_empty(&s->queue) && !(flags & MSG_WAITALL))
			break;
		ret = await(s, flags, &over);
		if (ret || over)
			break;
		ret = flags & MSG_PEEK ? peek(s, to) : receive_part(s, to);
		if (likely(ret >= 0)) {
			done += ret;
			ret = 0;
			if (flags & MSG_PEEK || !to->left)
				break;
			continue;
		}
		/* Of what lies behind a bad address Linux tells what came before it. */
		if (flags & MSG_PEEK && again)
			break;
		if (flags & MSG_PEEK)
			*to = start;
		again = true;
		{
			uint64_t n = MIN(to->left, (uint64_t)s->queued_bytes);

			if (!(flags & MSG_PEEK))
				n = MIN(n, (uint64_t)list_first(&s->queue, struct part, link)->bytes);
			spin_unlock(&o->lock);
			ret = user_memory_bring_in(*to, n, true);
			spin_lock(&o->lock);
		}
		if (ret && !(flags & MSG_PEEK))
			break;
	}
	if (!list_empty(&s->queue) && !list_empty(&s->receivers))
		local_wake_first(&s->receivers);
	spin_unlock(&o->lock);
	if (flags & MSG_PEEK)
		done = (int64_t)(start.left - to->left);
	if (ret == LOCAL_REMOTE && (!done || flags & MSG_WAITALL))
		return LOCAL_REMOTE;
	return done ? done : ret;
}

static int64_t socket_read(struct local_end *e, struct user_memory *to)
{
	return to->left ? socket_receive(e, to, 0) : 0;
}

/* ---- Sending ---- */

/* Memory of ours for what is charged. The lock is held. */
static bool reserve(struct socket *s)
{
	while (unlikely(s->charged > s->reserved)) {
		if (atomic_fetch_add_explicit(&reserved_bytes, CHUNK, memory_order_relaxed) + CHUNK >
		    phys_total_bytes() / SHARE) {
			atomic_fetch_sub_explicit(&reserved_bytes, CHUNK, memory_order_relaxed);
			return false;
		}
		s->reserved += CHUNK;
	}
	return true;
}

/* sock_alloc_send_pskb(): room for a message of this charge, for which it may wait; 0 or
 * what the call answers. The lock is held. */
static int64_t charge(struct socket *s, uint32_t bytes, uint32_t flags)
{
	struct local *o = s->end.object;
	int64_t ret;

	for (;;) {
		if (unlikely(o->state != LOCAL_IS_HERE))
			return LOCAL_REMOTE;
		if (unlikely(s->reset)) {
			s->reset = false;
			return -ECONNRESET;
		}
		if (unlikely(s->shut & SOCKET_SHUT_SEND))
			return -EPIPE;
		if (s->charged < pair_of(s)->buffer)
			break;
		ret = local_may_wait(&s->end, !(flags & MSG_DONTWAIT));
		if (ret)
			return ret;
		local_wait(o, &s->senders);
	}
	s->charged += bytes;
	if (likely(reserve(s)))
		return 0;
	refund(s, bytes);
	return LOCAL_CROWDED;
}

/* One message of the next n bytes: 0 or what the call answers; *broken: the peer receives
 * no more. The lock is held, but not while the bytes are copied. */
static int64_t send_message(struct socket *s, struct user_memory *from, uint32_t n, uint32_t flags, bool *broken)
{
	struct socket *peer = peer_of(s);
	struct local *o = s->end.object;
	uint32_t bytes = charge_of(pair_of(s), n);
	struct user_memory rest = *from;
	struct list parts = LIST_INIT(parts);
	struct part *spare;
	int64_t ret = charge(s, bytes, flags);

	if (ret)
		return ret;
	spare = take_spare(s);
	spin_unlock(&o->lock);
	ret = make_message(&parts, spare, &rest, n, bytes);
	spin_lock(&o->lock);
	if (ret == -ENOMEM)
		ret = LOCAL_CROWDED;
	if (!ret && unlikely(o->state != LOCAL_IS_HERE))
		ret = LOCAL_REMOTE;
	if (!ret && unlikely(peer->shut & SOCKET_SHUT_RECEIVE)) {
		*broken = true;
		ret = -EPIPE;
	}
	if (unlikely(ret)) {
		free_parts(&parts);
		refund(s, bytes);
		return ret;
	}
	while (!list_empty(&parts))
		list_push_back(&peer->queue, list_pop_front(&parts));
	peer->queued_bytes += n;
	*from = rest;
	local_wake_first(&peer->receivers);
	local_tell_end(&peer->end, IN | POLLPRI | POLLRDBAND);
	return 0;
}

int64_t socket_send(struct local_end *e, struct user_memory *from, uint32_t flags, bool *broken)
{
	struct socket *s = to_socket(e);
	struct local *o = e->object;
	uint64_t all = from->left;
	int64_t ret = 0;

	*broken = false;
	spin_lock(&o->lock);
	if (unlikely(o->state != LOCAL_IS_HERE)) {
		ret = LOCAL_REMOTE;
	} else if (unlikely(s->shut & SOCKET_SHUT_SEND)) {
		*broken = true;
		ret = -EPIPE;
	}
	while (!ret && from->left)
		ret = send_message(s, from, (uint32_t)MIN(from->left, (uint64_t)message_most(to_pair(o))), flags, broken);
	spin_unlock(&o->lock);
	/* As Linux: SIGPIPE only for a call that sent nothing. */
	*broken &= from->left == all && !(flags & MSG_NOSIGNAL);
	if (ret == LOCAL_REMOTE || ret == LOCAL_CROWDED)
		return ret;
	return all > from->left ? (int64_t)(all - from->left) : ret;
}

static int64_t socket_write(struct local_end *e, struct user_memory *from, bool *broken)
{
	return socket_send(e, from, 0, broken);
}

/* ---- The rest ---- */

int64_t socket_bytes(struct local_end *e, bool sent)
{
	struct socket *s = to_socket(e);
	int64_t n;

	spin_lock(&e->object->lock);
	n = e->object->state != LOCAL_IS_HERE ? LOCAL_REMOTE : (int64_t)(sent ? s->charged : s->queued_bytes);
	spin_unlock(&e->object->lock);
	return n;
}

const struct local_ops socket_ops = {
	.name = "a socket pair", .read = socket_read, .write = socket_write, .vectors = true, .poll = poll, .stop = stop,
	.push = socket_push, .drain = drain, .forget = forget, .close = close_end,
};
