/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program's memory is touched under the pipe's spin lock, where no fault can be
 * served: when a page is missing the lock is let go, the page brought in, and the
 * step made again, so that no fault of one program keeps others from the pipe.
 */
#include "libpoxis/files/pipe.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/signal.h"

/* Of the partition's memory pages in pipes have at most this part. */
#define SHARE 16u

static _Atomic uint64_t page_count;     /* in pipes */
static struct spinlock pipes_lock;
static struct list pipes = LIST_INIT(pipes);

/* ---- Life ---- */

static bool may_grow(void)
{
	return atomic_load_explicit(&page_count, memory_order_relaxed) <
	       phys_total_bytes() / PAGE_SIZE / SHARE;
}

struct pipe *pipe_create(uint64_t inode, uint32_t uid, bool nonblock)
{
	struct pipe *p = may_grow() ? kmem_zalloc(sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	local_init(&p->local, &pipe_ops, 2);
	for (uint32_t i = 0; i < 2; i++) {
		p->end[i].object = &p->local;
		p->end[i].refs = 1;
		p->end[i].modes = i ? LOCAL_WRITES : LOCAL_READS;
		p->end[i].nonblock = nonblock;
	}
	p->uid = uid;
	p->inode = inode;
	p->reader = p->writer = true;
	list_init(&p->readers);
	list_init(&p->writers);
	spin_lock(&pipes_lock);
	list_push_back(&pipes, &p->link);
	spin_unlock(&pipes_lock);
	return p;
}

struct pipe *pipe_find(uint64_t inode, uint32_t uid)
{
	struct pipe *p, *found = NULL;

	spin_lock(&pipes_lock);
	list_for_each(p, &pipes, link)
		if (p->inode == inode && (p->uid == uid || !uid)) {
			found = p;
			local_get(&p->local);
			break;
		}
	spin_unlock(&pipes_lock);
	return found;
}

static void forget(struct local *o)
{
	struct pipe *p = to_pipe(o);

	spin_lock(&pipes_lock);
	list_remove(&p->link);
	spin_unlock(&pipes_lock);
}

static void free_page(struct page *page)
{
	page_put(page);
	atomic_fetch_sub_explicit(&page_count, 1, memory_order_relaxed);
}

static void drain(struct local *o)
{
	struct pipe *p = to_pipe(o);

	for (; p->tail != p->head; p->tail++)
		free_page(p->buffer[p->tail % PIPE_BUFFERS].page);
	for (uint32_t i = 0; i < PIPE_KEPT; i++)
		if (p->kept[i]) {
			free_page(p->kept[i]);
			p->kept[i] = NULL;
		}
}

static void close_end(struct local_end *e)
{
	struct pipe *p = to_pipe(e->object);

	spin_lock(&p->local.lock);
	if (local_writes(e))
		p->writer = false;
	else
		p->reader = false;
	local_wake_all(local_writes(e) ? &p->readers : &p->writers);
	local_tell(&p->local, local_writes(e) ? POLLHUP : POLLERR);
	spin_unlock(&p->local.lock);
	/* Nobody can find it without an end; who has found it keeps it. */
	if (!p->reader && !p->writer)
		forget(&p->local);
}

/* ---- Waiting ---- */

static bool empty(const struct pipe *p)
{
	return p->head == p->tail;
}

static bool full(const struct pipe *p)
{
	return p->head - p->tail == PIPE_BUFFERS;
}

static void stop(struct local *o)
{
	local_wake_all(&to_pipe(o)->readers);
	local_wake_all(&to_pipe(o)->writers);
}

/* pipe_poll() of Linux's fs/pipe.c. */
uint32_t pipe_poll(const struct local_end *e)
{
	const struct pipe *p = to_pipe(e->object);

	if (local_writes(e))
		return (full(p) ? 0 : POLLOUT | POLLWRNORM) | (p->reader ? 0 : POLLERR);
	return (empty(p) ? 0 : POLLIN | POLLRDNORM) | (p->writer ? 0 : POLLHUP);
}

/* What is left for others wakes the next: nobody sleeps while he could go on, even if
 * the one that was woken turned away. Those who poll are told what has happened only: who
 * asks for edges (EPOLLET) would see others. */
static void leave(struct pipe *p, uint32_t events)
{
	if (!empty(p) && !list_empty(&p->readers))
		local_wake_first(&p->readers);
	if (!full(p) && !list_empty(&p->writers))
		local_wake_first(&p->writers);
	local_tell(&p->local, events);
	spin_unlock(&p->local.lock);
}

/* ---- Reading ---- */

static void end_buffer(struct pipe *p)
{
	struct page *page = p->buffer[p->tail % PIPE_BUFFERS].page;

	p->tail++;
	for (uint32_t i = 0; i < PIPE_KEPT; i++)
		if (!p->kept[i]) {
			p->kept[i] = page;
			return;
		}
	free_page(page);
}

int64_t pipe_read(struct local_end *e, struct user_memory *to)
{
	struct pipe *p = to_pipe(e->object);
	bool was_full = false;
	int64_t ret = 0;

	if (!to->left)
		return 0;
	spin_lock(&p->local.lock);
	for (;;) {
		struct pipe_buffer *b = &p->buffer[p->tail % PIPE_BUFFERS];
		uint64_t n;

		if (unlikely(p->local.state != LOCAL_IS_HERE)) {
			if (!ret)
				ret = LOCAL_REMOTE;
			break;
		}
		if (!to->left)
			break;
		if (!empty(p)) {
			was_full |= full(p);
			n = MIN((uint64_t)b->bytes, to->left);
			if (unlikely(user_memory_copy(*to, (char *)page_to_virt(b->page) + b->offset, n, true))) {
				int err;

				spin_unlock(&p->local.lock);
				err = user_memory_bring_in(*to, n, true);
				spin_lock(&p->local.lock);
				if (!err)
					continue;
				if (!ret)
					ret = -EFAULT;
				break;
			}
			user_memory_advance(to, n);
			ret += (int64_t)n;
			b->offset += (uint32_t)n;
			b->bytes -= (uint32_t)n;
			if (!b->bytes)
				end_buffer(p);
			continue;
		}
		if (ret || !p->writer)
			break;
		ret = local_may_wait(e, true);
		if (ret)
			break;
		local_wait(&p->local, &p->readers);
	}
	leave(p, was_full && !full(p) ? POLLOUT | POLLWRNORM : 0);
	return ret;
}

/* ---- Writing ---- */

static struct page *new_page(struct pipe *p)
{
	struct page *page;

	for (uint32_t i = 0; i < PIPE_KEPT; i++)
		if (p->kept[i]) {
			page = p->kept[i];
			p->kept[i] = NULL;
			return page;
		}
	page = may_grow() ? page_alloc(0) : NULL;
	if (page)
		atomic_fetch_add_explicit(&page_count, 1, memory_order_relaxed);
	return page;
}

/* What of the next `n` bytes goes to the end of the last buffer: all or nothing. */
static bool fits_last(struct pipe *p, uint64_t n)
{
	struct pipe_buffer *b = &p->buffer[(p->head - 1) % PIPE_BUFFERS];

	return n && !empty(p) && b->offset + b->bytes + n <= PAGE_SIZE;
}

/* Adds the next `n` bytes, at most a page: 0, -EFAULT, -ENOMEM. */
static int add(struct pipe *p, struct user_memory *from, uint64_t n, bool last)
{
	struct pipe_buffer *b = &p->buffer[(p->head - last) % PIPE_BUFFERS];
	struct page *page = last ? b->page : new_page(p);
	int err;

	if (!page)
		return -ENOMEM;
	err = user_memory_copy(*from, (char *)page_to_virt(page) + (last ? b->offset + b->bytes : 0), n, false);
	if (last && !err) {
		b->bytes += (uint32_t)n;
	} else if (!last) {
		*b = (struct pipe_buffer){ .page = page, .bytes = (uint32_t)n };
		p->head++;
		if (err) {
			p->head--;
			free_page(page);
		}
	}
	if (!err)
		user_memory_advance(from, n);
	return err;
}

int64_t pipe_write(struct local_end *e, struct user_memory *from, bool *broken)
{
	struct pipe *p = to_pipe(e->object);
	int64_t ret = 0;
	/* As Linux: what does not fill a page may go to the last one's rest, first. */
	bool merge = from->left % PAGE_SIZE;

	*broken = false;
	if (!from->left)
		return 0;
	spin_lock(&p->local.lock);
	for (;;) {
		uint64_t n = merge ? from->left % PAGE_SIZE : MIN(from->left, (uint64_t)PAGE_SIZE);
		bool last = merge && fits_last(p, n);
		int err;

		if (unlikely(p->local.state != LOCAL_IS_HERE)) {
			ret = LOCAL_REMOTE;
			break;
		}
		if (!p->reader) {
			*broken = true;
			if (!ret)
				ret = -EPIPE;
			break;
		}
		if (!last)
			n = MIN(from->left, (uint64_t)PAGE_SIZE);
		if (last || !full(p)) {
			err = add(p, from, n, last);
			if (unlikely(err == -EFAULT)) {
				spin_unlock(&p->local.lock);
				err = user_memory_bring_in(*from, n, false);
				spin_lock(&p->local.lock);
				if (!err)
					continue;
			}
			if (unlikely(err)) {
				/* -ENOMEM: Linux has the room that we do not have. */
				ret = err == -ENOMEM ? LOCAL_CROWDED : ret ? ret : err;
				break;
			}
			merge = false;
			ret += (int64_t)n;
			if (!from->left)
				break;
			continue;
		}
		merge = false;
		err = local_may_wait(e, true);
		if (err) {
			ret = ret ? ret : err;
			break;
		}
		if (!list_empty(&p->readers))
			local_wake_first(&p->readers);
		local_tell(&p->local, POLLIN | POLLRDNORM);
		local_wait(&p->local, &p->writers);
	}
	/* As Linux for one that was ever polled: whatever came of this call. */
	leave(p, empty(p) ? 0 : POLLIN | POLLRDNORM);
	return ret;
}

/* ---- The rest ---- */

int64_t pipe_bytes(struct pipe *p)
{
	int64_t n = 0;

	spin_lock(&p->local.lock);
	for (uint32_t i = p->tail; i != p->head; i++)
		n += p->buffer[i % PIPE_BUFFERS].bytes;
	if (p->local.state != LOCAL_IS_HERE)
		n = LOCAL_REMOTE;
	spin_unlock(&p->local.lock);
	return n;
}

const struct local_ops pipe_ops = {
	.name = "a pipe", .read = pipe_read, .write = pipe_write, .vectors = true, .poll = pipe_poll, .stop = stop,
	.push = pipe_push, .drain = drain, .forget = forget, .close = close_end,
};
