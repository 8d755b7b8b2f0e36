/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set has an item for each descriptor that it watches. An item is a watcher of its
 * object: what happens there puts it among those that are ready, and who asks for events
 * looks at the object again, as Linux does. Who waits is woken one at a time.
 *
 * An item is known by the end and the number under which it was added, and goes with the
 * end, as in Linux; it has no reference to the end, but to the object, which keeps its
 * memory. What an item says is under its object's lock, where it stands under the set's.
 */
#include "libpoxis/files/epoll.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/files/wait.h"
#include "libpoxis/signal.h"
#include "libpoxis/user.h"

/* Of all sets together; the rest are Linux's. */
#define ITEMS_MOST 65536u

static _Atomic uint32_t item_count;

/* ---- Items ---- */

void epoll_item_put(struct epoll_item *it)
{
	if (atomic_fetch_sub(&it->refs, 1) > 1)
		return;
	local_put(it->end->object);
	kmem_free(it);
	atomic_fetch_sub_explicit(&item_count, 1, memory_order_relaxed);
}

/* The object's lock is held, and maybe the set's. */
static void set_ready(struct epoll_item *it, bool locked, bool first)
{
	struct epoll *ep = it->epoll;

	if (!locked)
		spin_lock(&ep->local.lock);
	if (!it->is_ready) {
		it->is_ready = true;
		ep->ready_count++;
		if (first)
			list_push_front(&ep->ready, &it->ready);
		else
			list_push_back(&ep->ready, &it->ready);
	}
	local_wake_first(&ep->waiters);
	if (!locked)
		spin_unlock(&ep->local.lock);
}

void epoll_tell(struct watcher *w)
{
	set_ready(container_of(w, struct epoll_item, watcher), false, false);
}

/* Both locks are held. */
static void not_ready(struct epoll_item *it)
{
	if (!it->is_ready)
		return;
	list_remove(&it->ready);
	it->is_ready = false;
	it->epoll->ready_count--;
}

/* The object's lock is held; the set's reference is the caller's then, if it was there. */
static bool take_out(struct epoll_item *it)
{
	if (it->gone)
		return false;
	it->gone = true;
	list_remove(&it->watcher.link);
	spin_lock(&it->epoll->local.lock);
	list_remove(&it->link);
	not_ready(it);
	spin_unlock(&it->epoll->local.lock);
	return true;
}

void epoll_remove(struct epoll_item *it)
{
	bool taken;

	spin_lock(&it->end->object->lock);
	taken = take_out(it);
	spin_unlock(&it->end->object->lock);
	if (taken)
		epoll_item_put(it);
}

struct epoll_item *epoll_first(struct epoll *ep)
{
	struct epoll_item *it = NULL;

	spin_lock(&ep->local.lock);
	if (!list_empty(&ep->items)) {
		it = list_first(&ep->items, struct epoll_item, link);
		atomic_fetch_add(&it->refs, 1);
	}
	spin_unlock(&ep->local.lock);
	return it;
}

void epoll_remove_all(struct epoll *ep)
{
	struct epoll_item *it;

	while ((it = epoll_first(ep))) {
		epoll_remove(it);
		epoll_item_put(it);
	}
}

/* The object's lock is held. */
static struct epoll_item *find(const struct epoll *ep, const struct local_end *e, uint32_t fd)
{
	struct watcher *w;

	list_for_each(w, &e->object->watchers, link) {
		struct epoll_item *it = container_of(w, struct epoll_item, watcher);

		if (!w->thread && it->epoll == ep && it->end == e && it->fd == fd)
			return it;
	}
	return NULL;
}

static struct epoll_item *find_any(const struct local_end *e)
{
	struct watcher *w;

	list_for_each(w, &e->object->watchers, link)
		if (!w->thread && container_of(w, struct epoll_item, watcher)->end == e)
			return container_of(w, struct epoll_item, watcher);
	return NULL;
}

void epoll_end_closed(struct local_end *e)
{
	struct local *o = e->object;
	struct epoll_item *it;

	/* Who adds one has the end open. */
	if (likely(list_empty(&o->watchers)))
		return;
	do {
		spin_lock(&o->lock);
		it = find_any(e);
		if (it)
			take_out(it);
		spin_unlock(&o->lock);
		if (it)
			epoll_item_put(it);
	} while (it);
}

/* ---- Changing ---- */

/* The object's lock is held; and the item is the set's from now on. False: one of them is
 * no longer local. */
static bool insert(struct epoll *ep, struct epoll_item *it, struct local *o)
{
	bool here;

	spin_lock(&ep->local.lock);
	here = ep->local.state == LOCAL_IS_HERE && o->state == LOCAL_IS_HERE;
	if (here) {
		list_push_back(&ep->items, &it->link);
		list_push_back(&o->watchers, &it->watcher.link);
		if (o->ops->poll(it->end) & it->watcher.events)
			set_ready(it, true, false);
	}
	spin_unlock(&ep->local.lock);
	return here;
}

static int64_t add(struct epoll *ep, struct local_end *e, uint32_t fd, const struct epoll_event *event)
{
	struct local *o = e->object;
	struct epoll_item *it;
	int64_t ret = 0;

	if (atomic_load_explicit(&item_count, memory_order_relaxed) >= ITEMS_MOST)
		return LOCAL_REMOTE;
	it = kmem_alloc(sizeof(*it));
	if (!it)
		return LOCAL_REMOTE;
	atomic_fetch_add_explicit(&item_count, 1, memory_order_relaxed);
	*it = (struct epoll_item){
		.watcher = { .events = (event->events & EPOLL_EVENTS) | EPOLL_ALWAYS, .end = e },
		.epoll = ep, .end = e, .fd = fd, .refs = 1,
		.wanted = event->events, .data = event->data,
	};
	local_get(o);
	list_init(&it->ready);
	spin_lock(&o->lock);
	if (find(ep, e, fd))
		ret = -EEXIST;
	else if (!insert(ep, it, o))
		ret = LOCAL_REMOTE;
	spin_unlock(&o->lock);
	if (ret)
		epoll_item_put(it);
	return ret;
}

static int64_t change(struct epoll *ep, struct local_end *e, uint32_t fd, const struct epoll_event *event)
{
	struct local *o = e->object;
	int64_t ret = -ENOENT;
	struct epoll_item *it;

	spin_lock(&o->lock);
	it = find(ep, e, fd);
	if (it && o->state == LOCAL_IS_HERE) {
		it->wanted = event->events;
		it->data = event->data;
		it->watcher.events = (event->events & EPOLL_EVENTS) | EPOLL_ALWAYS;
		if (o->ops->poll(e) & it->watcher.events)
			set_ready(it, false, false);
		ret = 0;
	} else if (it) {
		ret = LOCAL_REMOTE;
	}
	spin_unlock(&o->lock);
	return ret;
}

static int64_t delete(struct epoll *ep, struct local_end *e, uint32_t fd)
{
	struct local *o = e->object;
	struct epoll_item *it;

	spin_lock(&o->lock);
	it = find(ep, e, fd);
	if (it)
		take_out(it);
	spin_unlock(&o->lock);
	if (!it)
		return -ENOENT;
	epoll_item_put(it);
	return 0;
}

int64_t epoll_ctl(struct epoll *ep, struct local_end *e, uint32_t op, uint32_t fd, const struct epoll_event *event)
{
	int64_t ret;

	mutex_lock(&ep->ctl);
	if (ep->local.state != LOCAL_IS_HERE)
		ret = LOCAL_REMOTE;
	else if (op == EPOLL_CTL_ADD)
		ret = add(ep, e, fd, event);
	else if (op == EPOLL_CTL_MOD)
		ret = change(ep, e, fd, event);
	else
		ret = delete(ep, e, fd);
	mutex_unlock(&ep->ctl);
	return ret;
}

/* ---- Waiting ---- */

/* The next that may be ready, with a reference; NULL. */
static struct epoll_item *pop(struct epoll *ep)
{
	struct epoll_item *it = NULL;

	spin_lock(&ep->local.lock);
	if (!list_empty(&ep->ready)) {
		it = list_first(&ep->ready, struct epoll_item, ready);
		atomic_fetch_add(&it->refs, 1);
		not_ready(it);
	}
	spin_unlock(&ep->local.lock);
	return it;
}

/* Whether there is an event of it: 1, 0, or LOCAL_REMOTE. */
static int64_t harvest(struct epoll_item *it, struct epoll_event *event)
{
	struct local *o = it->end->object;
	int64_t ret = 0;
	uint32_t now;

	spin_lock(&o->lock);
	if (!it->gone && o->state != LOCAL_IS_HERE) {
		set_ready(it, false, true);
		ret = LOCAL_REMOTE;
	} else if (!it->gone) {
		now = o->ops->poll(it->end) & it->watcher.events;
		*event = (struct epoll_event){ now, it->data };
		ret = now != 0;
		if (now && it->wanted & EPOLLONESHOT)
			it->watcher.events = 0;
		else if (now && !(it->wanted & EPOLLET))
			set_ready(it, false, false);
	}
	spin_unlock(&o->lock);
	return ret;
}

/* Its event could not be told. */
static void give_back(struct epoll_item *it)
{
	struct local *o = it->end->object;

	spin_lock(&o->lock);
	if (!it->gone) {
		it->watcher.events = (it->wanted & EPOLL_EVENTS) | EPOLL_ALWAYS;
		set_ready(it, false, true);
	}
	spin_unlock(&o->lock);
}

/* How many events were written, -EFAULT, LOCAL_REMOTE. */
static int64_t collect(struct epoll *ep, uaddr_t at, uint32_t most)
{
	uint32_t left, done = 0;
	int64_t ret = 0;
	bool here;

	spin_lock(&ep->local.lock);
	left = ep->ready_count;
	here = ep->local.state == LOCAL_IS_HERE;
	spin_unlock(&ep->local.lock);
	if (!here)
		return LOCAL_REMOTE;
	while (ret >= 0 && done < most && left--) {
		struct epoll_item *it = pop(ep);
		struct epoll_event event;

		if (!it)
			break;
		ret = harvest(it, &event);
		if (ret > 0 && user_write(at + done * sizeof(event), &event, sizeof(event))) {
			give_back(it);
			ret = -EFAULT;
		}
		done += ret > 0;
		epoll_item_put(it);
	}
	return done ? (int64_t)done : MIN(ret, (int64_t)0);
}

/* Until something may be ready; -ETIMEDOUT. */
static int stand(struct epoll *ep, uint64_t deadline)
{
	struct local_waiter me = { .thread = current_thread() };
	int ret = 0;

	list_init(&me.link);
	spin_lock(&ep->local.lock);
	if (list_empty(&ep->ready) && ep->local.state == LOCAL_IS_HERE) {
		list_push_back(&ep->waiters, &me.link);
		spin_unlock(&ep->local.lock);
		ret = signal_may_park(me.thread) ? thread_park_until(deadline) : 0;
		spin_lock(&ep->local.lock);
		list_remove(&me.link);
	}
	spin_unlock(&ep->local.lock);
	return ret;
}

int64_t epoll_wait_here(struct epoll *ep, uaddr_t at, uint32_t most, struct wait *w)
{
	struct thread *t = current_thread();
	int64_t ret = collect(ep, at, most);
	bool late = false;

	if (ret || !w->timeout_ns)
		return ret;
	wait_begin(w);              /* before the look after which it parks */
	for (;;) {
		ret = collect(ep, at, most);
		if (ret || late)
			break;
		if (thread_interrupted(t)) {
			ret = -EINTR;
			break;
		}
		late = stand(ep, w->deadline) == -ETIMEDOUT;
	}
	/* A handler runs next, with that mask: the call is over, wherever the rest is. */
	if (w->mask_at && signal_mask_end(t) && ret == LOCAL_REMOTE)
		ret = -EINTR;
	return ret;
}
