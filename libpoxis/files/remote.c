/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a local object becomes Linux's. It is one step for all who have it, in whatever
 * process:
 *   1. Under its lock the object is MOVING. Nobody reads or writes it from then on; who
 *      sleeps in it or polls it wakes up and waits for the end of this.
 *   2. One thread has its proxy write what it holds into the Linux object, which nobody has
 *      touched so far: through a descriptor of its own process, which a pipe's proxy opens for
 *      writing again if it can only read. The process's mutex keeps the descriptor, and
 *      keeps a fork from inheriting the one that is opened. Each piece of a pipe says how
 *      much must be there before it, an eventfd's that nothing is, so that a piece of which
 *      the answer was lost is not written twice.
 *   3. Under the lock the object is REMOTE, for good. All who wait make their call
 *      again, in Linux.
 * If the thread fails before Linux has a part, the object is local again and the call that
 * asked for this fails. If it is killed later, the next one who wants to read, write
 * or move goes on from there.
 */
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/pipe.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

#define NR_CLOSE 3u
#define NR_PIDFD_GETFD 438u
#define POLLFDS_MOST (1u << 20)

/* A killed thread waits so long for the call that it leaves behind. */
#define LAST_CALL_NS 1000000000ull
#define LOOK_NS 100000u

/* ---- The move ---- */

void local_last_call(struct thread *t)
{
	uint64_t end = clock_uptime_ns() + LAST_CALL_NS;

	while (thread_killed(t) && !slot_is_idle(t->slot) && clock_uptime_ns() < end)
		thread_park_until(clock_uptime_ns() + LOOK_NS);
}

/* A descriptor of it that the process has, one for writing if it can be; -EBADF. The
 * mutex is held. */
static int find_descriptor(struct files *f, const struct local *o, bool *writes)
{
	int found = -EBADF;

	for (uint32_t i = 0; i < f->table.size && !*writes; i++) {
		struct local_end *e = f->table.entry[i].end;

		if (!e || e->object != o)
			continue;
		found = (int)i;
		*writes = local_writes(e);
	}
	return found;
}

static int64_t push(struct thread *t, struct local *o, int fd)
{
	struct files *f = &t->process->files;
	bool writes = false;
	int64_t err;

	mutex_lock(&f->mutex);
	if (fd < 0)
		fd = find_descriptor(f, o, &writes);
	err = fd < 0 ? fd : o->ops->push(t, o, fd, writes);
	mutex_unlock(&f->mutex);
	return err;
}

/* One thread's turn at a move; the lock is held. */
static int64_t move(struct thread *t, struct local *o, int fd)
{
	int64_t err;

	o->moving = true;
	spin_unlock(&o->lock);
	err = push(t, o, fd);
	spin_lock(&o->lock);
	o->moving = false;
	if (!err) {
		o->ops->drain(o);
		atomic_store(&o->state, LOCAL_IS_REMOTE);
	} else if (!o->begun) {
		o->state = LOCAL_IS_HERE;
	}
	local_wake_all(&o->movers);
	if (!err || err == -EBADF || err == LOCAL_UNPREPARED)
		return err;
	if (!thread_killed(t))
		log_warn("%s[%u]: %s could not be given to Linux (errno %d)", t->process->comm, t->tid,
			 o->ops->name, (int)-err);
	return -ENOMEM;
}

/* The lock is held. */
static int64_t settle(struct thread *t, struct local *o, int fd)
{
	while (o->state == LOCAL_IS_MOVING) {
		if (!o->moving)
			return move(t, o, fd);
		if (thread_interrupted(t))
			return -ERESTART;
		local_wait(o, &o->movers);
	}
	return 0;
}

int64_t local_settle(struct thread *t, struct local *o)
{
	int64_t err;

	spin_lock(&o->lock);
	err = settle(t, o, -1);
	spin_unlock(&o->lock);
	return err;
}

static int64_t make_remote(struct thread *t, struct local *o, int fd)
{
	int64_t err = 0;

	spin_lock(&o->lock);
	while (o->state != LOCAL_IS_REMOTE && !err) {
		if (o->state == LOCAL_IS_HERE) {
			o->state = LOCAL_IS_MOVING;
			o->ops->stop(o);
			local_tell(o, UINT32_MAX);
		}
		err = settle(t, o, fd);
	}
	spin_unlock(&o->lock);
	return err;
}

int64_t local_make_remote(struct thread *t, struct local *o, int fd)
{
	int64_t err;

	do {
		err = o->ops->prepare && !local_is_remote(o) ? o->ops->prepare(t, o) : 0;
		if (!err)
			err = make_remote(t, o, fd);
	} while (err == LOCAL_UNPREPARED);
	if (!err)
		o->ops->forget(o);
	return err;
}

/* ---- What asks for it ---- */

static int64_t one(struct thread *t, uint64_t fd)
{
	struct files_use use;
	int64_t err;

	if (!files_get(&t->process->files, fd, &use))
		return 0;
	err = local_make_remote(t, use.end->object, -1);
	files_put(&use);
	/* Closed meanwhile by another thread: Linux knows. */
	return err == -EBADF ? 0 : err;
}

int64_t files_all_remote(struct thread *t)
{
	struct files *f = &t->process->files;
	int64_t err = 0;

	for (uint32_t fd = 0; !err && fd < load_relaxed(&f->table.size); fd++)
		err = one(t, fd);
	return err;
}

int64_t files_estrange(struct thread *t)
{
	struct files *f = &t->process->files;

	mutex_lock(&f->mutex);
	f->table.estranged = true;
	mutex_unlock(&f->mutex);
	return files_all_remote(t);
}

static int64_t pollfds(struct thread *t, uint64_t at, uint64_t count)
{
	struct { int32_t fd; int16_t events, revents; } v[32];
	int64_t err = 0;

	count = MIN(count, (uint64_t)POLLFDS_MOST);
	for (uint64_t i = 0; i < count && !err; i += ARRAY_SIZE(v)) {
		uint64_t n = MIN(count - i, (uint64_t)ARRAY_SIZE(v));

		/* Linux answers EFAULT itself. */
		if (user_read(v, at + i * sizeof(v[0]), n * sizeof(v[0])))
			return 0;
		for (uint64_t k = 0; k < n && !err; k++)
			if (v[k].fd >= 0)
				err = one(t, (uint32_t)v[k].fd);
	}
	return err;
}

static int64_t fd_set(struct thread *t, uint64_t at, uint64_t count)
{
	struct files *f = &t->process->files;
	int64_t err = 0;
	uint64_t word;

	if (!at || (int32_t)count <= 0)
		return 0;
	count = MIN((uint64_t)(uint32_t)count, (uint64_t)load_relaxed(&f->table.size));
	for (uint64_t i = 0; i < count && !err; i += 64) {
		if (user_read(&word, at + i / 8, sizeof(word)))
			return 0;
		for (; word && !err; word &= word - 1)
			err = one(t, i + (uint64_t)__builtin_ctzll(word));
	}
	return err;
}

/* With ancillary data a message may carry descriptors. */
static int64_t message(struct thread *t, uint64_t at)
{
	uint64_t header[7];         /* struct msghdr; [5]: msg_controllen */

	if (user_read(header, at, sizeof(header)) || !header[5])
		return 0;
	return files_all_remote(t);
}

int64_t files_before(struct thread *t, const struct sys_row *row, const uint64_t arg[6])
{
	bool any = files_any(&t->process->files);
	int64_t err = 0;

	for (uint32_t i = 0; i < row->file_count && !err; i++) {
		const struct sys_arg *a = &row->file[i];

		if (a->kind == 'A') {
			t->user_known = false;
			err = files_estrange(t);
		} else if (!any) {
			continue;
		} else if (a->kind == 'F') {
			err = one(t, arg[a->index]);
		} else if (a->kind == 'P') {
			err = pollfds(t, arg[a->index], arg[a->length_arg]);
		} else if (a->kind == 'B') {
			err = fd_set(t, arg[a->index], arg[a->length_arg]);
		} else if (a->kind == 'M') {
			err = message(t, arg[a->index]);
		} else if (a->kind == 'E') {
			err = files_all_remote(t);
		}
	}
	return err;
}

int64_t files_opened(struct thread *t, int64_t result)
{
	/* Of an unnamed pipe, by its link in /proc, say. */
	uint64_t inode = load_relaxed(&t->slot->shared->arg[1]);
	struct pipe *p;
	int64_t err;

	if (result < 0 || result > INT32_MAX || !inode)
		return result;
	p = pipe_find(inode, t->process->uid);
	if (!p)
		return result;
	err = local_make_remote(t, &p->local, (int)result);
	local_put(&p->local);
	if (!err)
		return result;
	slot_call_always(t->slot, NR_CLOSE, (uint64_t[6]){ (uint64_t)result });
	return err;
}

/* Of the process behind a descriptor, with a reference, if its objects may be given to this
 * one; NULL. */
static struct process *owner_of(struct thread *t, uint64_t pidfd)
{
	struct process *me = t->process, *p;
	int64_t context;

	/* The mutex keeps a fork from inheriting what the proxy opens for this. */
	mutex_lock(&me->files.mutex);
	context = slot_call(t->slot, OTR_CALL_PIDFD, (uint64_t[6]){ pidfd });
	mutex_unlock(&me->files.mutex);
	p = context > 0 && context <= UINT32_MAX ? process_find((uint32_t)context) : NULL;
	/* Linux says whether it may; the proxy that says whose it is may lie. */
	if (!p || p->uid == me->uid || !me->uid)
		return p;
	process_put(p);
	return NULL;
}

/* The call in Linux, and what it took: *o, with a reference, NULL if that is Linux's anyway. No
 * lock that others need is held meanwhile, as this program may be stopped. -ERESTART. */
static int64_t take(struct thread *t, struct regs *r, struct process *from, struct local **o)
{
	for (;;) {
		uint32_t before, after;
		bool settled = files_look(&from->files, r->rsi, o, &before);
		struct local *unused;
		int64_t ret = dispatch_linux(t, NR_PIDFD_GETFD, (uint64_t[6]){ r->rdi, r->rsi, r->rdx });

		settled &= files_look(&from->files, r->rsi, &unused, &after);
		if (unused)
			local_put(unused);
		if (ret < 0 || (settled && before == after))
			return ret;
		/* The number may have been something else in between. */
		if (*o)
			local_put(*o);
		*o = NULL;
		slot_call_always(t->slot, NR_CLOSE, (uint64_t[6]){ (uint64_t)ret });
		if (thread_interrupted(t))
			return -ERESTART;
		thread_park_until(clock_uptime_ns() + LOOK_NS);
	}
}

/* What it takes from a program of this partition is Linux's from then on. */
int64_t sys_pidfd_getfd(struct regs *r)
{
	struct thread *t = current_thread();
	struct process *from = owner_of(t, r->rdi);
	struct local *o = NULL;
	int64_t ret, err = 0;

	if (!from)
		return dispatch_delegate(r);
	ret = take(t, r, from, &o);
	process_put(from);
	if (ret >= 0 && o)
		err = local_make_remote(t, o, (int)ret);
	if (o)
		local_put(o);
	if (!err)
		return ret;
	slot_call_always(t->slot, NR_CLOSE, (uint64_t[6]){ (uint64_t)ret });
	return err;
}
