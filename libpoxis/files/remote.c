/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a local pipe becomes Linux's. It is one step for all who have it, in whatever
 * process:
 *   1. Under its lock the pipe is MOVING. Nobody reads or writes it from then on; who
 *      sleeps in it wakes up and waits for the end of this.
 *   2. One thread has its proxy write the bytes into the Linux pipe, which nobody has
 *      touched so far: through a descriptor of its own process, opened for writing
 *      again if it can only read. The process's mutex keeps the descriptor, and keeps a
 *      fork from inheriting the one that is opened. Each piece says how much must
 *      be there before it, so that a piece of which the answer was lost is not
 *      written twice.
 *   3. Under the lock the pipe is REMOTE, for good. All who wait make their call
 *      again, in Linux.
 * If the thread fails before Linux has a byte, the pipe is local again and the call that
 * asked for this fails. If it is killed later, the next one who wants to read, write
 * or move goes on from there.
 */
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/facts.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/pipe.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

#define NR_CLOSE 3u
#define POLLFDS_MOST (1u << 20)

/* A killed thread waits so long for the call that it leaves behind. */
#define LAST_CALL_NS 1000000000ull
#define LAST_CALL_LOOK_NS 100000u

/* ---- The move ---- */

/* Copies the next bytes out: how many. */
static uint32_t gather(const struct pipe *p, char *to, uint32_t most)
{
	uint32_t n = 0;

	for (uint32_t i = p->tail; i != p->head && n < most; i++) {
		const struct pipe_buffer *b = &p->buffer[i % PIPE_BUFFERS];
		uint32_t part = MIN(b->bytes, most - n);

		memcpy(to + n, (char *)page_to_virt(b->page) + b->offset, part);
		n += part;
	}
	return n;
}

/* They are in Linux. */
static void consume(struct pipe *p, uint32_t bytes)
{
	uint32_t tail = p->tail;

	p->moved_bytes += bytes;
	while (bytes) {
		struct pipe_buffer *b = &p->buffer[tail % PIPE_BUFFERS];
		uint32_t part = MIN(b->bytes, bytes);

		b->offset += part;
		b->bytes -= part;
		bytes -= part;
		tail += !b->bytes;
	}
	/* The emptied pages go at the end: pipe_drain() starts at tail. */
}

static uint32_t left(const struct pipe *p)
{
	uint32_t n = 0;

	for (uint32_t i = p->tail; i != p->head; i++)
		n += p->buffer[i % PIPE_BUFFERS].bytes;
	return n;
}

static int64_t push_piece(struct thread *t, struct pipe *p, int fd, bool writes)
{
	char *to = (char *)t->process->mailbox->facts.area;
	uint64_t end;
	uint32_t n;
	int64_t ret;

	if (!facts_take_turn(t->process))
		return -EINTR;
	n = gather(p, to, OTR_PIPE_PIECE);
	ret = slot_call(t->slot, OTR_CALL_PIPE_FILL, (uint64_t[6]){ (uint64_t)fd, writes, p->moved_bytes, n });
	/* Who goes on after us must not meet it half-way. */
	end = clock_uptime_ns() + LAST_CALL_NS;
	while (thread_killed(t) && !slot_is_idle(t->slot) && clock_uptime_ns() < end)
		thread_park_until(clock_uptime_ns() + LAST_CALL_LOOK_NS);
	atomic_store(&t->process->facts_busy, false);
	if (ret == (int64_t)n)
		consume(p, n);
	else if (thread_killed(t))
		p->begun = true;        /* the answer may be lost, the piece in Linux's pipe */
	return ret == (int64_t)n ? 0 : ret < 0 ? ret : -EIO;
}

/* A descriptor of it that the process has, one for writing if it can be; -EBADF. The
 * mutex is held. */
static int find_descriptor(struct files *f, const struct pipe *p, bool *writes)
{
	int found = -EBADF;

	for (uint32_t i = 0; i < f->table.size && !*writes; i++) {
		struct pipe_end *e = f->table.entry[i].end;

		if (!e || e->pipe != p)
			continue;
		found = (int)i;
		*writes = e->writes;
	}
	return found;
}

static int64_t push(struct thread *t, struct pipe *p, int fd)
{
	struct files *f = &t->process->files;
	bool writes = false;
	int64_t err = 0;

	mutex_lock(&f->mutex);
	if (fd < 0)
		fd = find_descriptor(f, p, &writes);
	if (fd < 0)
		err = fd;
	/* What nobody can read any more need not be anywhere. */
	while (!err && left(p) && load_relaxed(&p->reader))
		err = push_piece(t, p, fd, writes);
	mutex_unlock(&f->mutex);
	return err;
}

/* One thread's turn at a move; the lock is held. */
static int64_t move(struct thread *t, struct pipe *p, int fd)
{
	int64_t err;

	p->moving = true;
	spin_unlock(&p->lock);
	err = push(t, p, fd);
	spin_lock(&p->lock);
	p->moving = false;
	if (!err) {
		pipe_drain(p);
		atomic_store(&p->state, PIPE_IS_REMOTE);
	} else if (!p->moved_bytes && !p->begun) {
		p->state = PIPE_IS_LOCAL;
	}
	pipe_wake_all(&p->movers);
	if (!err || err == -EBADF)
		return err;
	if (!thread_killed(t))
		log_warn("%s[%u]: a pipe could not be given to Linux (errno %d)", t->process->comm, t->tid,
			 (int)-err);
	return -ENOMEM;
}

/* The lock is held. */
static int64_t settle(struct thread *t, struct pipe *p, int fd)
{
	while (p->state == PIPE_IS_MOVING) {
		if (!p->moving)
			return move(t, p, fd);
		if (thread_interrupted(t))
			return -ERESTART;
		pipe_wait(p, &p->movers);
	}
	return 0;
}

int64_t pipe_settle(struct thread *t, struct pipe *p)
{
	int64_t err;

	spin_lock(&p->lock);
	err = settle(t, p, -1);
	spin_unlock(&p->lock);
	return err;
}

int64_t pipe_make_remote(struct thread *t, struct pipe *p, int fd)
{
	int64_t err = 0;

	spin_lock(&p->lock);
	while (p->state != PIPE_IS_REMOTE && !err) {
		if (p->state == PIPE_IS_LOCAL) {
			p->state = PIPE_IS_MOVING;
			pipe_wake_all(&p->readers);
			pipe_wake_all(&p->writers);
		}
		err = settle(t, p, fd);
	}
	spin_unlock(&p->lock);
	if (!err)
		pipe_forget(p);
	return err;
}

/* ---- What asks for it ---- */

static int64_t one(struct thread *t, uint64_t fd)
{
	struct files_use use;
	int64_t err;

	if (!files_get(&t->process->files, fd, &use))
		return 0;
	err = pipe_make_remote(t, use.end->pipe, -1);
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
	err = pipe_make_remote(t, p, (int)result);
	pipe_put(p);
	if (!err)
		return result;
	slot_call_always(t->slot, NR_CLOSE, (uint64_t[6]){ (uint64_t)result });
	return err;
}
