/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll, as long as all that a set watches is local. The Linux epoll behind it stays
 * empty until the set is given to Linux, after all that it watches.
 */
#ifndef LIBPOXIS_FILES_EPOLL_H
#define LIBPOXIS_FILES_EPOLL_H

#include "cokernel/sched/mutex.h"
#include "libpoxis/files/local.h"

struct epoll {
	struct local local;
	struct local_end end;
	struct mutex ctl;           /* whoever adds or changes items; taken after files.mutex */
	/* local.lock, which is taken after that of an item's object */
	struct list items;          /* struct item, each with a reference */
	struct list ready;          /* that may be; epoll_wait() looks again */
	uint32_t ready_count;
	struct list waiters;        /* struct local_waiter */
};

extern const struct local_ops epoll_ops;

static inline bool is_epoll(const struct local *o)
{
	return o->ops == &epoll_ops;
}

/* What the item with this watcher waits for has happened, maybe; the object's lock is
 * held. */
void epoll_tell(struct watcher *w);
/* The end is open nowhere any more: no set watches it from now on. */
void epoll_end_closed(struct local_end *e);

#endif
