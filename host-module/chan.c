// SPDX-License-Identifier: GPL-2.0
/*
 * Channels: message rings with requests and replies, wake bits, and readers of
 * the log and of memory. What the co-kernel wrote is copied once, then checked;
 * what cannot be true crashes the partition with "protocol error".
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "outrigger.h"

#define RECEIVE_MAX 1024u  /* messages a doorbell handles at most */
#define FULL_WAIT_MS 2
#define USELESS_MAX 20000u   /* messages a second that nobody waits for */
#define MESSAGES_MAX 1000000u /* messages a second */

/* ---- Sending ---- */

/* Pushes one message and rings. -EAGAIN: the ring is full. */
static int push(struct otr_partition *p, const struct otr_msg *msg)
{
	struct otr_ring *r = p->sh.h2c;
	unsigned long flags;
	u32 used;
	int ret = 0;

	spin_lock_irqsave(&p->tx_lock, flags);
	used = p->tx_tail - smp_load_acquire(&r->head);
	if (used > OTR_RING_COUNT)
		ret = -EPROTO;
	else if (used == OTR_RING_COUNT)
		ret = -EAGAIN;
	else {
		r->entry[p->tx_tail % OTR_RING_COUNT] = *msg;
		smp_store_release(&r->tail, ++p->tx_tail);
	}
	spin_unlock_irqrestore(&p->tx_lock, flags);
	if (ret == -EPROTO)
		otr_crash(p, "protocol error: H2C head claims %u entries of %u in use",
			  used, OTR_RING_COUNT);
	return ret;
}

/* Rings a CPU for what was just published, unless a ring is on its way already. */
static void ring(struct otr_partition *p, struct otr_cpu *c)
{
	if (xchg(&p->sh.wake_h2c->any, 1) == 0 && c)
		otr_cpu_ring(p, c);
}

static void ring_first(struct otr_partition *p)
{
	struct otr_cpu *c, *first = NULL;

	spin_lock(&p->ring_lock);
	list_for_each_entry(c, &p->cpus, link) {
		if (READ_ONCE(c->started)) {
			first = c;
			break;
		}
	}
	ring(p, first);
	spin_unlock(&p->ring_lock);
}

void otr_wake_send(struct otr_partition *p, u32 slot, u32 cpu_index)
{
	struct otr_cpu *c;

	set_bit(slot, (unsigned long *)p->sh.wake_h2c->word);
	spin_lock(&p->ring_lock);
	c = otr_cpu_by_index(p, cpu_index);
	if (!c || !READ_ONCE(c->started))
		c = list_first_entry_or_null(&p->cpus, struct otr_cpu, link);
	ring(p, c);
	spin_unlock(&p->ring_lock);
}

/* ---- Requests ---- */

static int enlist(struct otr_partition *p, struct otr_request *rq)
{
	int ret = 0;

	spin_lock_irq(&p->req_lock);
	if (p->chan_open) {
		rq->cookie = p->next_cookie++;
		list_add_tail(&rq->link, &p->requests);
	} else {
		ret = -EIO;
	}
	spin_unlock_irq(&p->req_lock);
	return ret;
}

static void delist(struct otr_partition *p, struct otr_request *rq)
{
	spin_lock_irq(&p->req_lock);
	if (!list_empty(&rq->link))
		list_del_init(&rq->link);
	spin_unlock_irq(&p->req_lock);
}

static int push_bounded(struct otr_partition *p, const struct otr_msg *msg, unsigned long end)
{
	int ret;

	for (;;) {
		ret = push(p, msg);
		if (ret != -EAGAIN)
			return ret;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		ring_first(p);
		schedule_timeout_uninterruptible(msecs_to_jiffies(FULL_WAIT_MS));
	}
}

/* Sends a request and waits for its reply: the reply's error, -ETIMEDOUT, -EINTR
 * (a fatal signal, if killable), or -EIO when the partition stopped. Sleeps. */
int otr_request(struct otr_partition *p, struct otr_msg *msg, struct otr_msg *reply,
		u32 timeout_ms, bool killable)
{
	unsigned long timeout = msecs_to_jiffies(timeout_ms), end = jiffies + timeout;
	struct otr_request rq = { .err = -ETIMEDOUT };
	long left;
	int ret;

	INIT_LIST_HEAD(&rq.link);
	init_completion(&rq.done);
	ret = enlist(p, &rq);
	if (ret)
		return ret;
	msg->cookie = rq.cookie;
	ret = push_bounded(p, msg, end);
	if (ret) {
		delist(p, &rq);
		return ret;
	}
	WRITE_ONCE(p->sh.wake_h2c->messages, 1);
	ring_first(p);
	left = killable ? wait_for_completion_killable_timeout(&rq.done, timeout)
			: wait_for_completion_timeout(&rq.done, timeout);
	delist(p, &rq);
	if (completion_done(&rq.done)) {
		/* the reply came between the timeout and delist() */
	} else if (left == 0) {
		return -ETIMEDOUT;
	} else if (left < 0) {
		return -EINTR;
	}
	if (!rq.err && reply)
		*reply = rq.reply;
	return rq.err;
}

/* A message that nobody waits for. A few are normal; the watchdog counts anew
 * each second. */
static void useless(struct otr_partition *p)
{
	if (++p->useless_count == USELESS_MAX)
		otr_crash(p, "protocol error: %u messages within a second that nobody waits for",
			  USELESS_MAX);
}

static void reply_arrived(struct otr_partition *p, const struct otr_msg *m)
{
	struct otr_request *rq;
	s64 err = (s64)m->arg[0];
	bool found;

	spin_lock_irq(&p->req_lock);
	list_for_each_entry(rq, &p->requests, link) {
		if (rq->cookie != m->cookie)
			continue;
		list_del_init(&rq->link);
		rq->reply = *m;
		rq->err = err < 0 && err >= -MAX_ERRNO ? err : err ? -EPROTO : 0;
		complete(&rq->done);
		break;
	}
	found = !list_entry_is_head(rq, &p->requests, link);
	spin_unlock_irq(&p->req_lock);
	if (!found)	/* its request timed out, or there was none */
		useless(p);
}

/* ---- Receiving ---- */

bool otr_chan_pending(struct otr_partition *p)
{
	return READ_ONCE(p->sh.c2h->tail) != READ_ONCE(p->rx_head);
}

static void dispatch(struct otr_partition *p, const struct otr_msg *m)
{
	switch (m->type) {
	case OTR_MSG_REPLY:
		reply_arrived(p, m);
		return;
	case OTR_MSG_PROC_EXIT:
		otr_ctx_exit(p, m->arg[0], m->arg[1]);
		return;
	case OTR_MSG_ZAP:
		if (!otr_ctx_zap_hint(p, m->arg[0]))
			useless(p);	/* it may just have been reaped */
		return;
	case OTR_MSG_DEBUG_EVENT:
		if (!otr_ctx_debug_event(p, m->arg[0]))
			useless(p);
		return;
	case OTR_MSG_PROC_RUN:
		useless(p);
		return;
	}
	otr_crash(p, "protocol error: message of unknown type %u", m->type);
}

/* Doorbell thread only. */
void otr_chan_receive(struct otr_partition *p)
{
	struct otr_ring *r = p->sh.c2h;
	u32 tail, used, n;
	struct otr_msg m;

	for (n = 0; n < RECEIVE_MAX && (OTR_IN(otr_state(p)) & OTR_LIVE); n++) {
		tail = smp_load_acquire(&r->tail);
		used = tail - p->rx_head;
		if (!used)
			return;
		if (used > OTR_RING_COUNT) {
			otr_crash(p, "protocol error: C2H tail claims %u entries of %u in use",
				  used, OTR_RING_COUNT);
			WRITE_ONCE(p->rx_head, tail);
			return;
		}
		m = *(volatile struct otr_msg *)&r->entry[p->rx_head % OTR_RING_COUNT];
		WRITE_ONCE(p->rx_head, p->rx_head + 1);
		smp_store_release(&r->head, p->rx_head);
		if (++p->message_count == MESSAGES_MAX)
			otr_crash(p, "protocol error: %u messages within a second", MESSAGES_MAX);
		dispatch(p, &m);
		cond_resched();
	}
}

void otr_chan_open(struct otr_partition *p)
{
	p->tx_tail = 0;
	p->rx_head = 0;
	spin_lock_irq(&p->req_lock);
	p->chan_open = true;
	spin_unlock_irq(&p->req_lock);
}

/* Every waiting request fails with -EIO, and new ones at once. */
void otr_chan_close(struct otr_partition *p)
{
	struct otr_request *rq, *next;

	spin_lock_irq(&p->req_lock);
	p->chan_open = false;
	list_for_each_entry_safe(rq, next, &p->requests, link) {
		list_del_init(&rq->link);
		rq->err = -EIO;
		complete(&rq->done);
	}
	spin_unlock_irq(&p->req_lock);
}

/* ---- Log and memory ---- */

#define LOG_PIECE (64u << 10)

/* Copies what is there from req->position on; the producer may overtake us
 * while we copy, so what it may have overwritten is dropped afterwards. */
int otr_log_read(struct otr_partition *p, struct otr_ioc_log *req, struct otr_note *note)
{
	u32 room = min(req->data_bytes, LOG_PIECE), cap, i;
	u64 head, pos = req->position, n, stale = 0;
	struct otr_bytes *b;
	u8 *copy;
	int ret = 0;

	req->data_bytes = 0;
	req->lost_bytes = 0;
	if (req->which > OTR_LOG_CONSOLE)
		return otr_refuse(note, -EINVAL, "no log number %u", req->which);
	copy = kvmalloc(LOG_PIECE, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	down_read(&p->shared_lock);
	if (!p->shared_valid)
		goto unlock;
	b = req->which == OTR_LOG_KERNEL ? p->sh.log : p->sh.console;
	cap = req->which == OTR_LOG_KERNEL ? OTR_LOG_BYTES : OTR_CONSOLE_BYTES;
	head = smp_load_acquire(&b->head);
	if (pos > head)
		pos = 0;	/* the partition was booted again since */
	if (head - pos > cap) {
		req->lost_bytes = head - pos - cap;
		pos = head - cap;
	}
	n = min_t(u64, room, head - pos);
	for (i = 0; i < n; i++)
		copy[i] = READ_ONCE(b->data[(pos + i) % cap]);
	smp_rmb();	/* the bytes before the second look at head */
	head = READ_ONCE(b->head);
	if (head - pos > cap)
		stale = min_t(u64, n, head - pos - cap);
	req->lost_bytes += stale;
	req->position = pos + n;
	req->data_bytes = n - stale;
unlock:
	up_read(&p->shared_lock);
	if (req->data_bytes && copy_to_user(u64_to_user_ptr(req->data), copy + stale,
					    req->data_bytes))
		ret = -EFAULT;
	kvfree(copy);
	return ret;
}

/* op_lock held, so that the memory stays. */
int otr_peek(struct otr_partition *p, const struct otr_ioc_peek *req, struct otr_note *note)
{
	if (!req->bytes || req->bytes > OTR_MIB2)
		return otr_refuse(note, -EINVAL, "%llu bytes; 1 to 2 MiB can be read at once", req->bytes);
	if (req->phys + req->bytes < req->phys || !otr_memory_owns(p, req->phys, req->bytes, NULL))
		return otr_refuse(note, -EFAULT, "[%#llx, +%llu) is not memory of %s",
				  req->phys, req->bytes, p->name);
	if (copy_to_user(u64_to_user_ptr(req->data), __va(req->phys), req->bytes))
		return -EFAULT;
	return 0;
}
