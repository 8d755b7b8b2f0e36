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
#include "libpoxis/user.h"

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
	for (uint32_t i = 0; i < 2; i++) {
		p->end[i].pipe = p;
		p->end[i].refs = 1;
		p->end[i].writes = i == 1;
		p->end[i].nonblock = nonblock;
	}
	p->refs = 2;
	p->uid = uid;
	p->inode = inode;
	p->reader = p->writer = true;
	list_init(&p->readers);
	list_init(&p->writers);
	list_init(&p->movers);
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
			atomic_fetch_add(&p->refs, 1);
			break;
		}
	spin_unlock(&pipes_lock);
	return found;
}

void pipe_forget(struct pipe *p)
{
	spin_lock(&pipes_lock);
	list_remove(&p->link);
	spin_unlock(&pipes_lock);
}

static void free_page(struct page *page)
{
	page_put(page);
	atomic_fetch_sub_explicit(&page_count, 1, memory_order_relaxed);
}

void pipe_drain(struct pipe *p)
{
	for (; p->tail != p->head; p->tail++)
		free_page(p->buffer[p->tail % PIPE_BUFFERS].page);
	for (uint32_t i = 0; i < PIPE_KEPT; i++)
		if (p->kept[i]) {
			free_page(p->kept[i]);
			p->kept[i] = NULL;
		}
}

void pipe_put(struct pipe *p)
{
	if (atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	pipe_drain(p);
	kmem_free(p);
}

void pipe_end_put(struct pipe_end *e)
{
	struct pipe *p = e->pipe;

	if (atomic_fetch_sub(&e->refs, 1) > 1)
		return;
	spin_lock(&p->lock);
	if (e->writes)
		p->writer = false;
	else
		p->reader = false;
	pipe_wake_all(e->writes ? &p->readers : &p->writers);
	spin_unlock(&p->lock);
	/* Nobody can find it without an end; who has found it keeps it. */
	if (!p->reader && !p->writer)
		pipe_forget(p);
	pipe_put(p);
}

/* ---- Waiting ---- */

void pipe_wait(struct pipe *p, struct list *in_line)
{
	struct pipe_waiter me = { .thread = current_thread() };

	list_push_back(in_line, &me.link);
	spin_unlock(&p->lock);
	thread_park();
	spin_lock(&p->lock);
	list_remove(&me.link);
}

static void wake_first(struct list *waiters)
{
	struct list *l = list_pop_front(waiters);

	if (l)
		thread_unpark(list_entry(l, struct pipe_waiter, link)->thread);
}

void pipe_wake_all(struct list *waiters)
{
	while (!list_empty(waiters))
		wake_first(waiters);
}

static bool empty(const struct pipe *p)
{
	return p->head == p->tail;
}

static bool full(const struct pipe *p)
{
	return p->head - p->tail == PIPE_BUFFERS;
}

/* What is left for others wakes the next: nobody sleeps while he could go on, even if
 * the one that was woken turned away. */
static void leave(struct pipe *p)
{
	if (!empty(p) && !list_empty(&p->readers))
		wake_first(&p->readers);
	if (!full(p) && !list_empty(&p->writers))
		wake_first(&p->writers);
	spin_unlock(&p->lock);
}

/* ---- The program's memory ---- */

static void advance(struct pipe_memory *m, uint64_t bytes)
{
	m->left -= bytes;
	m->done += bytes;
	while (m->count && m->done >= m->v->bytes) {
		m->done -= m->v->bytes;
		m->v++;
		m->count--;
	}
}

/* The first `bytes` of it, all or nothing counts; under the lock. */
static int copy(struct pipe_memory m, char *at, uint64_t bytes, bool to_program)
{
	while (bytes) {
		uint64_t n = MIN(bytes, m.v->bytes - m.done);
		uaddr_t user = m.v->base + m.done;

		if (n && (to_program ? user_write_locked(user, at, n) : user_read_locked(at, user, n)))
			return -EFAULT;
		at += n;
		bytes -= n;
		advance(&m, n);
		if (!n && !m.count)
			return -EFAULT;
	}
	return 0;
}

/* Makes a page writable without changing it. */
static int touch(uaddr_t at, bool write)
{
	uint32_t word, seen;

	at &= ~3ull;
	if (user_read(&word, at, sizeof(word)))
		return -EFAULT;
	if (!write)
		return 0;
	seen = word;
	return user_cas32((uint32_t *)at, &seen, word) ? -EFAULT : 0;
}

/* Brings in what copy() could not reach; without the lock. */
static int bring_in(struct pipe_memory m, uint64_t bytes, bool write)
{
	while (bytes) {
		uint64_t n = MIN(bytes, m.v->bytes - m.done);
		uaddr_t user = m.v->base + m.done;

		if (thread_killed(current_thread()) || (n && !user_range_ok(user, n)))
			return -EFAULT;
		for (uint64_t page = ALIGN_DOWN(user, PAGE_SIZE); n && page < user + n; page += PAGE_SIZE)
			if (touch(MAX(page, user), write))
				return -EFAULT;
		bytes -= n;
		advance(&m, n);
		if (!n && !m.count)
			return -EFAULT;
	}
	return 0;
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

int64_t pipe_read(struct pipe_end *e, struct pipe_memory *to)
{
	struct pipe *p = e->pipe;
	int64_t ret = 0;

	if (!to->left)
		return 0;
	spin_lock(&p->lock);
	for (;;) {
		struct pipe_buffer *b = &p->buffer[p->tail % PIPE_BUFFERS];
		uint64_t n;

		if (unlikely(p->state != PIPE_IS_LOCAL)) {
			if (!ret)
				ret = PIPE_REMOTE;
			break;
		}
		if (!to->left)
			break;
		if (!empty(p)) {
			n = MIN((uint64_t)b->bytes, to->left);
			if (unlikely(copy(*to, (char *)page_to_virt(b->page) + b->offset, n, true))) {
				int err;

				spin_unlock(&p->lock);
				err = bring_in(*to, n, true);
				spin_lock(&p->lock);
				if (!err)
					continue;
				if (!ret)
					ret = -EFAULT;
				break;
			}
			advance(to, n);
			ret += (int64_t)n;
			b->offset += (uint32_t)n;
			b->bytes -= (uint32_t)n;
			if (!b->bytes)
				end_buffer(p);
			continue;
		}
		if (ret || !p->writer)
			break;
		if (atomic_load_explicit(&e->nonblock, memory_order_relaxed)) {
			ret = -EAGAIN;
			break;
		}
		if (thread_interrupted(current_thread())) {
			ret = -ERESTART;
			break;
		}
		pipe_wait(p, &p->readers);
	}
	leave(p);
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
static int add(struct pipe *p, struct pipe_memory *from, uint64_t n, bool last)
{
	struct pipe_buffer *b = &p->buffer[(p->head - last) % PIPE_BUFFERS];
	struct page *page = last ? b->page : new_page(p);
	int err;

	if (!page)
		return -ENOMEM;
	err = copy(*from, (char *)page_to_virt(page) + (last ? b->offset + b->bytes : 0), n, false);
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
		advance(from, n);
	return err;
}

int64_t pipe_write(struct pipe_end *e, struct pipe_memory *from, bool *broken)
{
	struct pipe *p = e->pipe;
	int64_t ret = 0;
	/* As Linux: what does not fill a page may go to the last one's rest, first. */
	bool merge = from->left % PAGE_SIZE;

	*broken = false;
	if (!from->left)
		return 0;
	spin_lock(&p->lock);
	for (;;) {
		uint64_t n = merge ? from->left % PAGE_SIZE : MIN(from->left, (uint64_t)PAGE_SIZE);
		bool last = merge && fits_last(p, n);
		int err;

		if (unlikely(p->state != PIPE_IS_LOCAL)) {
			ret = PIPE_REMOTE;
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
				spin_unlock(&p->lock);
				err = bring_in(*from, n, false);
				spin_lock(&p->lock);
				if (!err)
					continue;
			}
			if (unlikely(err)) {
				/* -ENOMEM: Linux has the room that we do not have. */
				ret = err == -ENOMEM ? PIPE_CROWDED : ret ? ret : err;
				break;
			}
			merge = false;
			ret += (int64_t)n;
			if (!from->left)
				break;
			continue;
		}
		merge = false;
		if (atomic_load_explicit(&e->nonblock, memory_order_relaxed)) {
			if (!ret)
				ret = -EAGAIN;
			break;
		}
		if (thread_interrupted(current_thread())) {
			if (!ret)
				ret = -ERESTART;
			break;
		}
		if (!list_empty(&p->readers))
			wake_first(&p->readers);
		pipe_wait(p, &p->writers);
	}
	leave(p);
	return ret;
}

/* ---- The rest ---- */

uint32_t pipe_flags_changed(struct pipe *p)
{
	uint32_t change;

	spin_lock(&p->lock);
	change = ++p->flag_changes;
	spin_unlock(&p->lock);
	return change;
}

bool pipe_set_nonblock(struct pipe_end *e, bool nonblock, uint32_t *change)
{
	struct pipe *p = e->pipe;
	bool latest;

	spin_lock(&p->lock);
	latest = p->flag_changes == *change;
	if (latest)
		atomic_store(&e->nonblock, nonblock);
	*change = p->flag_changes;
	spin_unlock(&p->lock);
	return latest;
}

int64_t pipe_bytes(struct pipe *p)
{
	int64_t n = 0;

	spin_lock(&p->lock);
	for (uint32_t i = p->tail; i != p->head; i++)
		n += p->buffer[i % PIPE_BUFFERS].bytes;
	if (p->state != PIPE_IS_LOCAL)
		n = PIPE_REMOTE;
	spin_unlock(&p->lock);
	return n;
}
