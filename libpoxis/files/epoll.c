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
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

enum { NR_EPOLL_CREATE1 = 291, NR_CLOSE = 3 };
/* linux/eventpoll.h */
enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3, EPOLL_CLOEXEC = 02000000 };
#define EPOLLONESHOT (1u << 30)
#define EPOLLET      (1u << 31)
#define ALWAYS       ((uint32_t)POLLERR | POLLHUP)
#define EVENTS       ((uint32_t)POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | \
		      POLLMSG | POLLRDHUP | ALWAYS)
#define LINUX_END    0x7ffffffff000ull
#define NSEC_PER_SEC 1000000000ull
#define SEC_MOST     4000000000ull  /* longer is as good as for ever */
#define FOR_EVER     UINT64_MAX
/* Of all sets together; the rest are Linux's. */
#define ITEMS_MOST   65536u

/* What collect() and wait_here() say when the set, or what it watches, is no longer local. */
#define GONE (-1000)

struct item {
	struct watcher watcher;     /* .events: what it is told of; 0: it was, once (EPOLLONESHOT) */
	struct epoll *epoll;
	struct local_end *end;
	uint32_t fd;
	_Atomic uint32_t refs;
	/* The lock of the end's object */
	uint32_t wanted;            /* with EPOLLET and EPOLLONESHOT */
	uint64_t data;
	bool gone;
	/* The set's lock, too */
	struct list link, ready;
	bool is_ready;
};

struct __attribute__((packed)) epoll_event {
	uint32_t events;
	uint64_t data;
};

static _Atomic uint32_t item_count;

static struct epoll *to_epoll(const struct local *o)
{
	return container_of(o, struct epoll, local);
}

/* ---- Items ---- */

static void item_put(struct item *it)
{
	if (atomic_fetch_sub(&it->refs, 1) > 1)
		return;
	local_put(it->end->object);
	kmem_free(it);
	atomic_fetch_sub_explicit(&item_count, 1, memory_order_relaxed);
}

/* The object's lock is held, and maybe the set's. */
static void set_ready(struct item *it, bool locked, bool first)
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
	set_ready(container_of(w, struct item, watcher), false, false);
}

/* Both locks are held. */
static void not_ready(struct item *it)
{
	if (!it->is_ready)
		return;
	list_remove(&it->ready);
	it->is_ready = false;
	it->epoll->ready_count--;
}

/* The object's lock is held; the set's reference is the caller's then, if it was there. */
static bool take_out(struct item *it)
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

static void remove(struct item *it)
{
	bool taken;

	spin_lock(&it->end->object->lock);
	taken = take_out(it);
	spin_unlock(&it->end->object->lock);
	if (taken)
		item_put(it);
}

/* With a reference, NULL. */
static struct item *first_item(struct epoll *ep)
{
	struct item *it = NULL;

	spin_lock(&ep->local.lock);
	if (!list_empty(&ep->items)) {
		it = list_first(&ep->items, struct item, link);
		atomic_fetch_add(&it->refs, 1);
	}
	spin_unlock(&ep->local.lock);
	return it;
}

static void remove_all(struct epoll *ep)
{
	struct item *it;

	while ((it = first_item(ep))) {
		remove(it);
		item_put(it);
	}
}

/* The object's lock is held. */
static struct item *find(const struct epoll *ep, const struct local_end *e, uint32_t fd)
{
	struct watcher *w;

	list_for_each(w, &e->object->watchers, link) {
		struct item *it = container_of(w, struct item, watcher);

		if (!w->thread && it->epoll == ep && it->end == e && it->fd == fd)
			return it;
	}
	return NULL;
}

static struct item *find_any(const struct local_end *e)
{
	struct watcher *w;

	list_for_each(w, &e->object->watchers, link)
		if (!w->thread && container_of(w, struct item, watcher)->end == e)
			return container_of(w, struct item, watcher);
	return NULL;
}

void epoll_end_closed(struct local_end *e)
{
	struct local *o = e->object;
	struct item *it;

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
			item_put(it);
	} while (it);
}

/* ---- What a set is as an object ---- */

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
static struct item *still_local(struct epoll *ep)
{
	struct item *it, *found = NULL;

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
static void leave_out(struct thread *t, struct item *it)
{
	log_info("%s[%u]: an epoll that becomes Linux's loses descriptor %u, which was closed here",
		 t->process->comm, t->tid, it->fd);
	remove(it);
}

static int64_t prepare(struct thread *t, struct local *o)
{
	struct item *it;
	int64_t err = 0;

	while (!err && (it = still_local(to_epoll(o)))) {
		err = local_make_remote(t, it->end->object, -1);
		if (err == -EBADF) {
			leave_out(t, it);
			err = 0;
		}
		item_put(it);
	}
	return err;
}

/* The item after this one, from which the reference is taken; NULL at the end. From the
 * start again if this one has been taken out: what Linux has already it has once. */
static struct item *next_item(struct epoll *ep, struct item *it)
{
	struct item *next = NULL;

	spin_lock(&ep->local.lock);
	if (list_empty(&it->link) && !list_empty(&ep->items))
		next = list_first(&ep->items, struct item, link);
	else if (!list_empty(&it->link) && it->link.next != &ep->items)
		next = list_first(&it->link, struct item, link);
	if (next)
		atomic_fetch_add(&next->refs, 1);
	spin_unlock(&ep->local.lock);
	item_put(it);
	return next;
}

/* The number that the current process has for it, its own if it can be; -ENOENT. */
static int64_t number_of(struct files *f, const struct item *it)
{
	if (files_peek(f, it->fd) == it->end)
		return it->fd;
	for (uint32_t fd = 0; fd < f->table.size; fd++)
		if (files_peek(f, fd) == it->end)
			return fd;
	return -ENOENT;
}

static int64_t push_item(struct thread *t, struct item *it, int fd)
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
	struct item *it;
	int64_t err = 0;

	(void)writes;
	mutex_lock(&ep->ctl);
	it = still_local(ep);
	if (it) {
		item_put(it);
		err = LOCAL_UNPREPARED;
	}
	it = first_item(ep);
	while (it && !err) {
		err = push_item(t, it, fd);
		it = next_item(ep, it);
	}
	if (it)
		item_put(it);
	mutex_unlock(&ep->ctl);
	return err;
}

static void drain(struct local *o)
{
	(void)o;
}

static void forget(struct local *o)
{
	remove_all(to_epoll(o));
}

static void close_end(struct local_end *e)
{
	remove_all(to_epoll(e->object));
}

const struct local_ops epoll_ops = {
	.name = "an epoll", .read = no_read, .write = no_write, .stop = stop, .prepare = prepare,
	.push = push, .drain = drain, .forget = forget, .close = close_end,
};

/* ---- Making ---- */

static int64_t make(struct regs *r, uint32_t flags)
{
	struct thread *t = current_thread();
	struct files *f = &t->process->files;
	struct epoll *ep = f->table.estranged ? NULL : kmem_zalloc(sizeof(*ep));
	struct local_end *old;
	int64_t ret;

	if (!ep)
		return dispatch_delegate(r);
	local_init(&ep->local, &epoll_ops, 1);
	ep->end = (struct local_end){ .object = &ep->local, .refs = 1, .modes = LOCAL_READS | LOCAL_WRITES };
	list_init(&ep->items);
	list_init(&ep->ready);
	list_init(&ep->waiters);
	mutex_lock(&f->mutex);
	ret = dispatch_linux(t, NR_EPOLL_CREATE1, (uint64_t[6]){ flags });
	old = &ep->end;
	/* Else it stays Linux's alone. */
	if (ret >= 0 && !f->table.estranged && !files_room(f, (uint32_t)ret & INT32_MAX))
		/* An old one's close was lost: execve has closed it, and its table is about to be told. */
		old = files_set(f, (uint32_t)ret & INT32_MAX, &ep->end, flags & EPOLL_CLOEXEC);
	mutex_unlock(&f->mutex);
	if (old)
		local_end_put(old);
	return ret;
}

int64_t sys_epoll_create(struct regs *r)
{
	return (int32_t)r->rdi > 0 ? make(r, 0) : dispatch_delegate(r);
}

int64_t sys_epoll_create1(struct regs *r)
{
	return (uint32_t)r->rdi & ~(uint32_t)EPOLL_CLOEXEC ? dispatch_delegate(r) : make(r, (uint32_t)r->rdi);
}

/* ---- Changing ---- */

/* The object's lock is held; and the item is the set's from now on. False: one of them is
 * no longer local. */
static bool insert(struct epoll *ep, struct item *it, struct local *o)
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
	struct item *it;
	int64_t ret = 0;

	if (atomic_load_explicit(&item_count, memory_order_relaxed) >= ITEMS_MOST)
		return GONE;
	it = kmem_alloc(sizeof(*it));
	if (!it)
		return GONE;
	atomic_fetch_add_explicit(&item_count, 1, memory_order_relaxed);
	*it = (struct item){
		.watcher.events = (event->events & EVENTS) | ALWAYS, .epoll = ep, .end = e, .fd = fd, .refs = 1,
		.wanted = event->events, .data = event->data,
	};
	local_get(o);
	list_init(&it->ready);
	spin_lock(&o->lock);
	if (find(ep, e, fd))
		ret = -EEXIST;
	else if (!insert(ep, it, o))
		ret = GONE;
	spin_unlock(&o->lock);
	if (ret)
		item_put(it);
	return ret;
}

static int64_t change(struct epoll *ep, struct local_end *e, uint32_t fd, const struct epoll_event *event)
{
	struct local *o = e->object;
	int64_t ret = -ENOENT;
	struct item *it;

	spin_lock(&o->lock);
	it = find(ep, e, fd);
	if (it && o->state == LOCAL_IS_HERE) {
		it->wanted = event->events;
		it->data = event->data;
		it->watcher.events = (event->events & EVENTS) | ALWAYS;
		if (o->ops->poll(e) & it->watcher.events)
			set_ready(it, false, false);
		ret = 0;
	} else if (it) {
		ret = GONE;
	}
	spin_unlock(&o->lock);
	return ret;
}

static int64_t delete(struct epoll *ep, struct local_end *e, uint32_t fd)
{
	struct local *o = e->object;
	struct item *it;

	spin_lock(&o->lock);
	it = find(ep, e, fd);
	if (it)
		take_out(it);
	spin_unlock(&o->lock);
	if (!it)
		return -ENOENT;
	item_put(it);
	return 0;
}

static int64_t ctl(struct epoll *ep, struct local_end *e, uint32_t op, uint32_t fd, const struct epoll_event *event)
{
	int64_t ret;

	mutex_lock(&ep->ctl);
	if (ep->local.state != LOCAL_IS_HERE)
		ret = GONE;
	else if (op == EPOLL_CTL_ADD)
		ret = add(ep, e, fd, event);
	else if (op == EPOLL_CTL_MOD)
		ret = change(ep, e, fd, event);
	else
		ret = delete(ep, e, fd);
	mutex_unlock(&ep->ctl);
	return ret;
}

/* The set is Linux's from now on; 0: Linux makes the call. */
static int64_t to_linux(const struct regs *r, struct local_end *e)
{
	int64_t err = local_make_remote(current_thread(), e->object, -1);

	/* Else another thread closed the number. */
	return err ? err : files_is(&current_thread()->process->files, r->rdi, e) ? 0 : -EBADF;
}

static int64_t ctl_here(const struct regs *r, struct epoll *ep)
{
	struct files *f = &current_thread()->process->files;
	uint32_t op = (uint32_t)r->rsi, fd = (uint32_t)r->rdx;
	struct epoll_event event = { 0 };
	struct files_use use;
	int64_t ret = GONE;

	if (op != EPOLL_CTL_DEL && user_read(&event, r->r10, sizeof(event)))
		return -EFAULT;
	if (event.events & ~(EVENTS | EPOLLET | EPOLLONESHOT) || op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD ||
	    !files_get(f, fd, &use))
		return GONE;
	if (use.end->object->ops->poll)
		ret = ctl(ep, use.end, op, fd, &event);
	files_put(&use);
	return ret;
}

int64_t sys_epoll_ctl(struct regs *r)
{
	struct files *f = &current_thread()->process->files;
	struct files_use use;
	int64_t ret;

	if (!files_any(f) || !files_get(f, r->rdi, &use))
		return dispatch_delegate(r);
	ret = is_epoll(use.end->object) ? ctl_here(r, to_epoll(use.end->object)) : GONE;
	if (ret == GONE) {
		ret = is_epoll(use.end->object) ? to_linux(r, use.end) : 0;
		if (!ret)
			ret = dispatch_delegate(r);
	}
	files_put(&use);
	return ret;
}

/* ---- Waiting ---- */

struct wait {
	uint64_t timeout_ns;        /* or FOR_EVER */
	uint64_t deadline;          /* clock_uptime_ns(), of one that waits; 0: none */
	bool waited;                /* it came to that */
	uaddr_t mask_at;            /* of signals, meanwhile; 0: none */
	uint64_t mask;
};

/* The next that may be ready, with a reference; NULL. */
static struct item *pop(struct epoll *ep)
{
	struct item *it = NULL;

	spin_lock(&ep->local.lock);
	if (!list_empty(&ep->ready)) {
		it = list_first(&ep->ready, struct item, ready);
		atomic_fetch_add(&it->refs, 1);
		not_ready(it);
	}
	spin_unlock(&ep->local.lock);
	return it;
}

/* Whether there is an event of it: 1, 0, or GONE. */
static int64_t harvest(struct item *it, struct epoll_event *event)
{
	struct local *o = it->end->object;
	int64_t ret = 0;
	uint32_t now;

	spin_lock(&o->lock);
	if (!it->gone && o->state != LOCAL_IS_HERE) {
		set_ready(it, false, true);
		ret = GONE;
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
static void give_back(struct item *it)
{
	struct local *o = it->end->object;

	spin_lock(&o->lock);
	if (!it->gone) {
		it->watcher.events = (it->wanted & EVENTS) | ALWAYS;
		set_ready(it, false, true);
	}
	spin_unlock(&o->lock);
}

/* How many events were written, -EFAULT, GONE. */
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
		return GONE;
	while (ret >= 0 && done < most && left--) {
		struct item *it = pop(ep);
		struct epoll_event event;

		if (!it)
			break;
		ret = harvest(it, &event);
		if (ret > 0 && user_write(at + done * sizeof(event), &event, sizeof(event))) {
			give_back(it);
			ret = -EFAULT;
		}
		done += ret > 0;
		item_put(it);
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
		ret = thread_park_until(deadline);
		spin_lock(&ep->local.lock);
		list_remove(&me.link);
	}
	spin_unlock(&ep->local.lock);
	return ret;
}

/* How many events, 0 when the time is over, -EINTR, -EFAULT, GONE. */
static int64_t wait_here(struct epoll *ep, uaddr_t at, uint32_t most, struct wait *w)
{
	struct thread *t = current_thread();
	int64_t ret = collect(ep, at, most);
	bool late = false;

	if (ret || !w->timeout_ns)
		return ret;
	w->waited = true;
	if (w->timeout_ns != FOR_EVER)
		w->deadline = clock_uptime_ns() + w->timeout_ns;
	/* Before the look after which it parks: this call may take an unpark. */
	if (w->mask_at)
		signal_mask_begin(t, w->mask);
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
	if (w->mask_at && signal_mask_end(t) && ret == GONE)
		ret = -EINTR;
	return ret;
}

/* Linux makes the call, of the time that is left; epoll_pwait2's is in memory that is not
 * ours to change. */
static int64_t wait_in_linux(struct regs *r, const struct wait *w)
{
	enum { NR_EPOLL_PWAIT = 281, NR_EPOLL_PWAIT2 = 441 };
	uint64_t nr = r->error, time = r->r10, now;
	int64_t ret;

	if (w->deadline) {
		now = clock_uptime_ns();
		r->r10 = now >= w->deadline ? 0 : MIN((w->deadline - now + 999999) / 1000000, (uint64_t)INT32_MAX);
		r->error = nr == NR_EPOLL_PWAIT2 ? NR_EPOLL_PWAIT : nr;
	}
	ret = signal_call_masked(r, w->mask_at);
	r->error = nr;
	r->r10 = time;
	/* A handler that it was not begun for ends it all the same. */
	return w->waited && signal_restarts(ret) ? -EINTR : ret;
}

static int64_t wait_for(struct regs *r, struct local_end *e, struct wait *w)
{
	uint32_t most = (uint32_t)r->rdx;
	int64_t ret = GONE;

	if (is_epoll(e->object)) {
		if (!most || most > INT32_MAX / sizeof(struct epoll_event))
			return -EINVAL;
		if (r->rsi > LINUX_END - most * sizeof(struct epoll_event))
			return -EFAULT;
		if (w->mask_at && user_read(&w->mask, w->mask_at, sizeof(w->mask)))
			return -EFAULT;
		ret = wait_here(to_epoll(e->object), r->rsi, most, w);
		if (ret == GONE)
			ret = to_linux(r, e);
		else
			return ret;
		if (ret)
			return ret;
	}
	return wait_in_linux(r, w);
}

static int64_t epoll_wait(struct regs *r, struct wait *w)
{
	struct files *f = &current_thread()->process->files;
	struct files_use use;
	int64_t ret;

	if (!files_any(f) || !files_get(f, r->rdi, &use))
		return wait_in_linux(r, w);
	ret = wait_for(r, use.end, w);
	files_put(&use);
	return ret;
}

static uint64_t from_ms(uint64_t ms)
{
	return (int32_t)ms < 0 ? FOR_EVER : (uint32_t)ms * 1000000ull;
}

int64_t sys_epoll_wait(struct regs *r)
{
	struct wait w = { .timeout_ns = from_ms(r->r10) };

	return epoll_wait(r, &w);
}

int64_t sys_epoll_pwait(struct regs *r)
{
	struct wait w = { .timeout_ns = from_ms(r->r10), .mask_at = r->r8 };

	return r->r8 && r->r9 != sizeof(w.mask) ? -EINVAL : epoll_wait(r, &w);
}

int64_t sys_epoll_pwait2(struct regs *r)
{
	struct wait w = { .timeout_ns = FOR_EVER, .mask_at = r->r8 };
	int64_t v[2];

	if (r->r10 && user_read(v, r->r10, sizeof(v)))
		return -EFAULT;
	if (r->r10 && (v[0] < 0 || v[1] < 0 || (uint64_t)v[1] >= NSEC_PER_SEC))
		return -EINVAL;
	if (r->r10)
		w.timeout_ns = MIN((uint64_t)v[0], SEC_MOST) * NSEC_PER_SEC + (uint64_t)v[1];
	return r->r8 && r->r9 != sizeof(w.mask) ? -EINVAL : epoll_wait(r, &w);
}
