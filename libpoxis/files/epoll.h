/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll, as long as all that a set watches is local. The Linux epoll behind it stays
 * empty until the set is given to Linux, after all that it watches.
 */
#ifndef LIBPOXIS_FILES_EPOLL_H
#define LIBPOXIS_FILES_EPOLL_H

#include "cokernel/lib/types.h"
#include "cokernel/sched/mutex.h"
#include "libpoxis/files/local.h"

struct wait;

/* linux/eventpoll.h */
enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3, EPOLL_CLOEXEC = 02000000 };
#define EPOLLONESHOT (1u << 30)
#define EPOLLET      (1u << 31)
/* What may happen, of which this is told unasked. */
#define EPOLL_ALWAYS ((uint32_t)POLLERR | POLLHUP)
#define EPOLL_EVENTS ((uint32_t)POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | \
		      POLLMSG | POLLRDHUP | EPOLL_ALWAYS)
struct __attribute__((packed)) epoll_event {
	uint32_t events;
	uint64_t data;
};

struct epoll {
	struct local local;
	struct local_end end;
	struct mutex ctl;           /* whoever adds or changes items; taken after files.mutex */
	/* local.lock, which is taken after that of an item's object */
	struct list items;          /* struct epoll_item, each with a reference */
	struct list ready;          /* that may be; epoll_wait() looks again */
	uint32_t ready_count;
	struct list waiters;        /* struct local_waiter */
};

struct epoll_item {
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

extern const struct local_ops epoll_ops;

static inline bool is_epoll(const struct local *o)
{
	return o->ops == &epoll_ops;
}
static inline struct epoll *to_epoll(const struct local *o)
{
	return container_of(o, struct epoll, local);
}

/* ---- epoll.c ---- */

/* What the item with this watcher waits for has happened, maybe; the object's lock is
 * held. */
void epoll_tell(struct watcher *w);
/* The end is open nowhere any more: no set watches it from now on. */
void epoll_end_closed(struct local_end *e);

/* The first item, with a reference; NULL. */
struct epoll_item *epoll_first(struct epoll *ep);
void epoll_item_put(struct epoll_item *it);
void epoll_remove(struct epoll_item *it);
void epoll_remove_all(struct epoll *ep);

/* EPOLL_CTL_`op` of an end that can be polled: 0, Linux's errors, or LOCAL_REMOTE: the
 * set, or what it is to watch, is or must become Linux's. */
int64_t epoll_ctl(struct epoll *ep, struct local_end *e, uint32_t op, uint32_t fd, const struct epoll_event *event);
/* How many events were written, at most `most`; 0 when the time is over, -EINTR, -EFAULT,
 * LOCAL_REMOTE. */
int64_t epoll_wait_here(struct epoll *ep, uaddr_t at, uint32_t most, struct wait *w);

#endif
