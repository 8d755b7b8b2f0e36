/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll, select and their kin, where every descriptor of the set is local or none: the
 * thread stands among the watchers of each and parks. As soon as one of them is
 * Linux's, now or while the thread waits, Linux does the whole call: what else is
 * local goes there first (files_before()).
 */
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/pipe.h"
#include "libpoxis/files/wait.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/user.h"

#define NSEC_PER_SEC 1000000000ll
#define SEC_MOST 4000000000ll   /* longer is as good as for ever */

#define ITEMS_FEW  8u           /* on the stack */
#define ITEMS_MOST 256u
#define SELECT_MOST 1024        /* FD_SETSIZE; more is Linux's */
#define SELECT_WORDS (SELECT_MOST / 64)
/* What select's sets ask for: POLLIN_SET and so on of Linux's fs/select.c. */
#define SELECT_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRNORM | POLLWRBAND | POLLOUT | POLLERR)
#define SELECT_EX  POLLPRI

struct item {
	struct watcher watcher;     /* .events: what it is polled for */
	struct files_use use;       /* .end NULL: a negative descriptor */
	uint32_t got;               /* of watcher.events */
	uint32_t fd;
};

/* ---- Waiting ---- */

/* Fills in an item; false: it is not local, nothing is taken. */
static bool take(struct files *f, struct item *v, int32_t fd, uint32_t events)
{
	*v = (struct item){ .watcher = { .thread = current_thread(), .events = events }, .fd = (uint32_t)fd };
	if (fd < 0)
		return true;
	if (!files_any(f) || !files_get(f, (uint32_t)fd, &v->use))
		return false;
	v->watcher.end = v->use.end;
	if (likely(v->use.end->object->ops->poll))
		return true;
	files_put(&v->use);
	return false;
}

static void put_all(struct item *v, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (v[i].use.end)
			files_put(&v[i].use);
}

/* How many are ready, LOCAL_REMOTE; with `watch` its watchers stand in line from then on. */
static int64_t look(struct item *v, uint32_t count, bool watch)
{
	int64_t ready = 0;
	bool gone = false;

	for (uint32_t i = 0; i < count; i++) {
		struct local_end *e = v[i].use.end;
		struct local *o;

		if (!e)
			continue;
		o = e->object;
		spin_lock(&o->lock);
		gone |= o->state != LOCAL_IS_HERE;
		v[i].got = (likely(is_pipe(o)) ? pipe_poll(e) : o->ops->poll(e)) & v[i].watcher.events;
		if (watch)
			list_push_back(&o->watchers, &v[i].watcher.link);
		spin_unlock(&o->lock);
		ready += v[i].got != 0;
	}
	return unlikely(gone) ? LOCAL_REMOTE : ready;
}

static void unwatch(struct item *v, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (v[i].use.end) {
			struct local *o = v[i].use.end->object;

			spin_lock(&o->lock);
			list_remove(&v[i].watcher.link);
			spin_unlock(&o->lock);
		}
}

/* How many are ready, 0 when the time is over, -ERESTART_UNHANDLED, LOCAL_REMOTE. */
static int64_t wait_here(struct item *v, uint32_t count, struct wait *w)
{
	struct thread *t = current_thread();
	bool late = !w->timeout_ns;
	int64_t ret = look(v, count, false);

	if (ret)
		return ret;
	wait_begin(w);              /* before the look after which it parks */
	ret = look(v, count, true);
	/* In Linux's order: what is ready, signals, time. */
	while (!ret) {
		if (thread_interrupted(t))
			ret = -ERESTART_UNHANDLED;
		else if (late)
			break;
		else {
			late = signal_may_park(t) && thread_park_until(w->deadline) == -ETIMEDOUT;
			ret = look(v, count, false);
		}
	}
	unwatch(v, count);
	/* A handler runs next, with that mask: the call is over, wherever the rest is. */
	if (w->mask_at && signal_mask_end(t) && ret == LOCAL_REMOTE)
		ret = -ERESTART_UNHANDLED;
	return ret;
}

/* What Linux answered to a call, the beginning of which was here: a handler that it was
 * not begun for ends it. */
static int64_t by_linux(const struct wait *w, int64_t ret)
{
	return w->waited && signal_restarts(ret) ? -ERESTART_UNHANDLED : ret;
}

/* ---- The caller's times and masks; false: something is wrong, which Linux says ---- */

static bool take_timespec(struct wait *w, uaddr_t at)
{
	int64_t v[2];

	w->timeout_ns = WAIT_FOR_EVER;
	return !at || (!user_read(v, at, sizeof(v)) && wait_take_time(w, v[0], v[1]));
}

static bool take_timeval(struct wait *w, uaddr_t at)
{
	int64_t v[2];

	w->timeout_ns = WAIT_FOR_EVER;
	return !at || (!user_read(v, at, sizeof(v)) && v[0] >= 0 &&
		       wait_take_time(w, MIN(v[0], SEC_MOST) + v[1] / 1000000, v[1] % 1000000 * 1000));
}

static bool take_mask(struct wait *w, uaddr_t at, uint64_t bytes)
{
	w->mask_at = at;
	return !at || (bytes == sizeof(w->mask) && !user_read(&w->mask, at, sizeof(w->mask)));
}

/* As poll_select_finish() of Linux's fs/select.c; `unit` in nanoseconds: of the second
 * word. What cannot be written is no error. */
static void tell_left(const struct wait *w, uaddr_t at, int64_t unit)
{
	int64_t ns, v[2];

	if (!at || !w->timeout_ns)
		return;
	ns = (int64_t)wait_left_ns(w);
	v[0] = ns / NSEC_PER_SEC;
	v[1] = ns % NSEC_PER_SEC / unit;
	user_write(at, v, sizeof(v));
}

/* ---- poll ---- */

struct pollfd {
	int32_t fd;
	int16_t events, revents;
};

static int64_t poll_items(struct item *v, uaddr_t at, uint32_t count, struct wait *w)
{
	struct files *f = &current_thread()->process->files;
	int64_t ret = 0;
	uint32_t taken = 0;

	for (; taken < count; taken++) {
		struct pollfd p;

		if (user_read(&p, at + taken * sizeof(p), sizeof(p)) ||
		    !take(f, &v[taken], p.fd, (uint16_t)p.events | POLLERR | POLLHUP)) {
			ret = LOCAL_REMOTE;
			break;
		}
	}
	if (!ret)
		ret = wait_here(v, count, w);
	put_all(v, taken);
	for (uint32_t i = 0; i < count && ret != LOCAL_REMOTE && ret != -EFAULT; i++) {
		uint16_t revents = (uint16_t)v[i].got;

		if (user_write(at + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents), &revents,
			       sizeof(revents)))
			ret = -EFAULT;
	}
	return ret;
}

/* The result, or LOCAL_REMOTE: Linux must do it. */
static int64_t poll_here(uaddr_t at, uint32_t count, struct wait *w)
{
	struct item few[ITEMS_FEW], *v = few;
	int64_t ret;

	if (count > ITEMS_MOST)
		return LOCAL_REMOTE;
	if (count > ITEMS_FEW) {
		v = kmem_alloc(count * sizeof(*v));
		if (!v)
			return LOCAL_REMOTE;
	}
	ret = poll_items(v, at, count, w);
	if (v != few)
		kmem_free(v);
	return ret;
}

int64_t sys_poll(struct regs *r)
{
	struct thread *t = current_thread();
	struct wait w = { .timeout_ns = wait_from_ms((int32_t)r->rdx),
			  .deadline = t->poll_deadline_ns };
	int64_t ret;

	t->poll_deadline_ns = 0;
	ret = poll_here(r->rdi, (uint32_t)r->rsi, &w);
	if (ret == LOCAL_REMOTE && !w.deadline) {
		ret = by_linux(&w, dispatch_delegate(r));
	} else if (ret == LOCAL_REMOTE) {
		/* It has waited for a part already. */
		uint64_t rdx = r->rdx;

		r->rdx = wait_left_ms(&w);
		ret = by_linux(&w, dispatch_delegate(r));
		r->rdx = rdx;
	}
	if (ret == -ERESTART_UNHANDLED)
		t->poll_deadline_ns = w.deadline;
	return ret;
}

int64_t sys_ppoll(struct regs *r)
{
	struct wait w = { 0 };
	int64_t ret = LOCAL_REMOTE;

	if (take_timespec(&w, r->rdx) && take_mask(&w, r->r10, r->r8))
		ret = poll_here(r->rdi, (uint32_t)r->rsi, &w);
	if (ret != LOCAL_REMOTE || w.waited)
		tell_left(&w, r->rdx, 1);
	return ret != LOCAL_REMOTE ? ret : by_linux(&w, signal_call_masked(r, r->r10));
}

/* ---- select ---- */

struct select_sets {
	uint64_t asked[3][SELECT_WORDS];    /* in, out, exceptional */
	uaddr_t at[3];
	uint32_t words;
};

static const uint32_t select_events[3] = { SELECT_IN, SELECT_OUT, SELECT_EX };

static bool take_sets(struct select_sets *s, const struct regs *r)
{
	uint32_t last = (uint32_t)r->rdi % 64;

	s->at[0] = r->rsi;
	s->at[1] = r->rdx;
	s->at[2] = r->r10;
	s->words = ((uint32_t)r->rdi + 63) / 64;
	for (uint32_t k = 0; k < 3; k++) {
		if (!s->at[k])
			memset(s->asked[k], 0, s->words * sizeof(uint64_t));
		else if (user_read(s->asked[k], s->at[k], s->words * sizeof(uint64_t)))
			return false;
		if (last)
			s->asked[k][s->words - 1] &= (1ull << last) - 1;
	}
	return true;
}

/* How many descriptors are in any of them. */
static uint32_t set_count(const struct select_sets *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->words; i++)
		for (uint64_t w = s->asked[0][i] | s->asked[1][i] | s->asked[2][i]; w; w &= w - 1)
			n++;
	return n;
}

/* What is ready of what was asked for, in its place; the bits of all. */
static int64_t give_sets(struct select_sets *s, const struct item *v, uint32_t count)
{
	uint64_t ready[SELECT_WORDS];
	int64_t n = 0;

	for (uint32_t k = 0; k < 3; k++) {
		memset(ready, 0, s->words * sizeof(ready[0]));
		for (uint32_t i = 0; i < count; i++) {
			uint64_t bit = s->asked[k][v[i].fd / 64] & 1ull << v[i].fd % 64;

			if (!bit || !(v[i].got & select_events[k]))
				continue;
			ready[v[i].fd / 64] |= bit;
			n++;
		}
		if (s->at[k] && user_write(s->at[k], ready, s->words * sizeof(ready[0])))
			return -EFAULT;
	}
	return n;
}

static int64_t select_items(struct item *v, struct select_sets *s, uint32_t count, struct wait *w)
{
	struct files *f = &current_thread()->process->files;
	uint32_t taken = 0;
	int64_t ret = 0;

	for (uint32_t i = 0; i < s->words && !ret; i++) {
		uint64_t word = s->asked[0][i] | s->asked[1][i] | s->asked[2][i];

		for (; word && !ret; word &= word - 1) {
			uint64_t bit = word & -word;
			uint32_t fd = i * 64 + (uint32_t)__builtin_ctzll(word), events = 0;

			for (uint32_t k = 0; k < 3; k++)
				events |= s->asked[k][i] & bit ? select_events[k] : 0;
			if (take(f, &v[taken], (int32_t)fd, events))
				taken++;
			else
				ret = LOCAL_REMOTE;
		}
	}
	if (!ret)
		ret = wait_here(v, count, w);
	put_all(v, taken);
	return ret < 0 ? ret : give_sets(s, v, count);
}

/* The result, or LOCAL_REMOTE: Linux must do it. */
static int64_t select_here(struct regs *r, struct wait *w)
{
	struct item few[ITEMS_FEW], *v = few;
	struct select_sets s;
	uint32_t count;
	int64_t ret;

	if ((int32_t)r->rdi < 0 || (int32_t)r->rdi > SELECT_MOST || !take_sets(&s, r))
		return LOCAL_REMOTE;
	count = set_count(&s);
	if (count > ITEMS_MOST || (count && !files_any(&current_thread()->process->files)))
		return LOCAL_REMOTE;
	if (count > ITEMS_FEW) {
		v = kmem_alloc(count * sizeof(*v));
		if (!v)
			return LOCAL_REMOTE;
	}
	ret = select_items(v, &s, count, w);
	if (v != few)
		kmem_free(v);
	return ret;
}

int64_t sys_select(struct regs *r)
{
	struct wait w = { 0 };
	int64_t ret = take_timeval(&w, r->r8) ? select_here(r, &w) : LOCAL_REMOTE;

	if (ret != LOCAL_REMOTE || w.waited)
		tell_left(&w, r->r8, 1000);
	return ret != LOCAL_REMOTE ? ret : by_linux(&w, dispatch_delegate(r));
}

int64_t sys_pselect6(struct regs *r)
{
	uint64_t sixth[2] = { 0 };      /* pointer to the mask, its size */
	struct wait w = { 0 };
	int64_t ret = LOCAL_REMOTE;

	if (r->r9 && user_read(sixth, r->r9, sizeof(sixth)))
		return -EFAULT;
	if (take_timespec(&w, r->r8) && take_mask(&w, sixth[0], sixth[1]))
		ret = select_here(r, &w);
	if (ret != LOCAL_REMOTE || w.waited)
		tell_left(&w, r->r8, 1);
	return ret != LOCAL_REMOTE ? ret : by_linux(&w, signal_call_masked(r, sixth[0]));
}
