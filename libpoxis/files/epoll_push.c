/* SPDX-License-Identifier: BSD-2-Clause */
/* What a set is as an object, which is given to Linux: after all that it watches. */
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"
#include "libpoxis/files/epoll.h"
#include "libpoxis/files/files.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

static int64_t no_read(struct local_end *e, struct user_memory *to)
{
	(void)e;
	(void)to;
	return -EINVAL;
}

static int64_t no_write(struct local_end *e, struct user_memory *from, bool *broken)
{
	(void)e;
	(void)from;
	*broken = false;
	return -EINVAL;
}

static void stop(struct local *o)
{
	local_wake_all(&to_epoll(o)->waiters);
}

/* An item of which the object is not Linux's, with a reference; NULL. */
static struct epoll_item *still_local(struct epoll *ep)
{
	struct epoll_item *it, *found = NULL;

	spin_lock(&ep->local.lock);
	list_for_each(it, &ep->items, link)
		if (!local_is_remote(it->end->object)) {
			found = it;
			atomic_fetch_add(&it->refs, 1);
			break;
		}
	spin_unlock(&ep->local.lock);
	return found;
}

/* Only other processes have it open, so this one cannot tell Linux of it. */
static void leave_out(struct thread *t, struct epoll_item *it)
{
	log_info("%s[%u]: an epoll that becomes Linux's loses descriptor %u, which was closed here",
		 t->process->comm, t->tid, it->fd);
	epoll_remove(it);
}

static int64_t prepare(struct thread *t, struct local *o)
{
	struct epoll_item *it;
	int64_t err = 0;

	while (!err && (it = still_local(to_epoll(o)))) {
		err = local_make_remote(t, it->end->object, -1);
		if (err == -EBADF) {
			leave_out(t, it);
			err = 0;
		}
		epoll_item_put(it);
	}
	return err;
}

/* The item after this one, from which the reference is taken; NULL at the end. From the
 * start again if this one has been taken out: what Linux has already it has once. */
static struct epoll_item *next_item(struct epoll *ep, struct epoll_item *it)
{
	struct epoll_item *next = NULL;

	spin_lock(&ep->local.lock);
	if (list_empty(&it->link) && !list_empty(&ep->items))
		next = list_first(&ep->items, struct epoll_item, link);
	else if (!list_empty(&it->link) && it->link.next != &ep->items)
		next = list_first(&it->link, struct epoll_item, link);
	if (next)
		atomic_fetch_add(&next->refs, 1);
	spin_unlock(&ep->local.lock);
	epoll_item_put(it);
	return next;
}

/* The number that the current process has for it, its own if it can be; -ENOENT. */
static int64_t number_of(struct files *f, const struct epoll_item *it)
{
	if (files_peek(f, it->fd) == it->end)
		return it->fd;
	for (uint32_t fd = 0; fd < f->table.size; fd++)
		if (files_peek(f, fd) == it->end)
			return fd;
	return -ENOENT;
}

static int64_t push_item(struct thread *t, struct epoll_item *it, int fd)
{
	int64_t number = number_of(&t->process->files, it), ret;

	if (number < 0) {
		leave_out(t, it);
		return 0;
	}
	it->epoll->local.begun = true;
	ret = slot_call(t->slot, OTR_CALL_EPOLL_ADD, (uint64_t[6]){
		(uint64_t)fd, (uint64_t)number, it->watcher.events ? it->wanted : EPOLLONESHOT, it->data });
	local_last_call(t);
	return ret > 0 ? -EIO : ret;
}

static int64_t push(struct thread *t, struct local *o, int fd, bool writes)
{
	struct epoll *ep = to_epoll(o);
	struct epoll_item *it;
	int64_t err = 0;

	(void)writes;
	mutex_lock(&ep->ctl);
	it = still_local(ep);
	if (it) {
		epoll_item_put(it);
		err = LOCAL_UNPREPARED;
	}
	it = epoll_first(ep);
	while (it && !err) {
		err = push_item(t, it, fd);
		it = next_item(ep, it);
	}
	if (it)
		epoll_item_put(it);
	mutex_unlock(&ep->ctl);
	return err;
}

static void drain(struct local *o)
{
	(void)o;
}

static void forget(struct local *o)
{
	epoll_remove_all(to_epoll(o));
}

static void close_end(struct local_end *e)
{
	epoll_remove_all(to_epoll(e->object));
}

const struct local_ops epoll_ops = {
	.name = "an epoll", .read = no_read, .write = no_write, .stop = stop, .prepare = prepare,
	.push = push, .drain = drain, .forget = forget, .close = close_end,
};
