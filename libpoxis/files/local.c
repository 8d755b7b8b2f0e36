/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/files/local.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/files/epoll.h"
#include "libpoxis/signal.h"

void local_init(struct local *o, const struct local_ops *ops, uint32_t ends)
{
	o->ops = ops;
	o->refs = ends;
	list_init(&o->watchers);
	list_init(&o->movers);
}

void local_put(struct local *o)
{
	if (atomic_fetch_sub(&o->refs, 1) > 1)
		return;
	o->ops->drain(o);
	kmem_free(o);               /* is the object's first member */
}

void local_end_put(struct local_end *e)
{
	struct local *o = e->object;

	if (atomic_fetch_sub(&e->refs, 1) > 1)
		return;
	epoll_end_closed(e);
	o->ops->close(e);
	local_put(o);
}

uint32_t local_flags_changed(struct local *o)
{
	uint32_t change;

	spin_lock(&o->lock);
	change = ++o->flag_changes;
	spin_unlock(&o->lock);
	return change;
}

bool local_set_nonblock(struct local_end *e, bool nonblock, uint32_t *change)
{
	struct local *o = e->object;
	bool latest;

	spin_lock(&o->lock);
	latest = o->flag_changes == *change;
	if (latest)
		atomic_store(&e->nonblock, nonblock);
	*change = o->flag_changes;
	spin_unlock(&o->lock);
	return latest;
}

/* ---- Waiting; the lock is held ---- */

int local_may_wait(const struct local_end *e, bool call_blocks)
{
	if (!call_blocks || atomic_load_explicit(&e->nonblock, memory_order_relaxed))
		return -EAGAIN;
	return thread_interrupted(current_thread()) ? -ERESTART : 0;
}

void local_wait(struct local *o, struct list *in_line)
{
	struct local_waiter me = { .thread = current_thread() };

	list_push_back(in_line, &me.link);
	spin_unlock(&o->lock);
	if (signal_may_park(me.thread))
		thread_park();
	spin_lock(&o->lock);
	list_remove(&me.link);
}

void local_wake_all(struct list *waiters)
{
	while (!list_empty(waiters))
		local_wake_first(waiters);
}

void local_wake_watchers(struct local *o, const struct local_end *e, uint32_t events)
{
	struct watcher *w;

	list_for_each(w, &o->watchers, link)
		if (!(w->events & events) || (e && w->end != e))
			continue;
		else if (w->thread)
			thread_unpark(w->thread);
		else
			epoll_tell(w);
}
