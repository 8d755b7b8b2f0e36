/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/files/eventfd.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

enum { NR_CLOSE = 3, NR_EVENTFD2 = 290 };
/* linux/eventfd.h */
enum { EFD_SEMAPHORE = 1, EFD_NONBLOCK = 04000, EFD_CLOEXEC = 02000000 };

static struct eventfd *to_eventfd(const struct local *o)
{
	return container_of(o, struct eventfd, local);
}

/* ---- The lock is held ---- */

static bool readable(const struct eventfd *e)
{
	return e->count;
}

/* eventfd_poll() of Linux's fs/eventfd.c; only its kernel can bring it to UINT64_MAX. */
static uint32_t poll(const struct local_end *end)
{
	const struct eventfd *e = to_eventfd(end->object);

	return (readable(e) ? POLLIN : 0) | (e->count < UINT64_MAX - 1 ? POLLOUT : 0);
}

static void stop(struct local *o)
{
	local_wake_all(&to_eventfd(o)->readers);
	local_wake_all(&to_eventfd(o)->writers);
}

static void drain(struct local *o)
{
	(void)o;
}

/* Who leaves wakes the next reader, even if he turned away himself; the writers, of whom
 * one may fit where another does not, are woken by what makes room. */
static void leave(struct eventfd *e, uint32_t events)
{
	if (readable(e) && !list_empty(&e->readers))
		local_wake_first(&e->readers);
	local_tell(&e->local, events);
	spin_unlock(&e->local.lock);
}

/* ---- Reading and writing ---- */

static int64_t eventfd_read(struct local_end *end, struct user_memory *to)
{
	struct eventfd *e = to_eventfd(end->object);
	uint64_t n = 0;
	int64_t ret = 0;

	if (to->left < sizeof(n))
		return -EINVAL;
	spin_lock(&e->local.lock);
	for (;;) {
		if (unlikely(e->local.state != LOCAL_IS_HERE)) {
			ret = LOCAL_REMOTE;
			break;
		}
		if (readable(e)) {
			n = e->semaphore ? 1 : e->count;
			e->count -= n;
			local_wake_all(&e->writers);
			break;
		}
		ret = local_may_wait(end, true);
		if (ret)
			break;
		local_wait(&e->local, &e->readers);
	}
	leave(e, ret ? 0 : POLLOUT);
	return ret ? ret : user_memory_tell(to, n);
}

static int64_t eventfd_write(struct local_end *end, struct user_memory *from, bool *broken)
{
	struct eventfd *e = to_eventfd(end->object);
	uint64_t n;
	int64_t ret;

	*broken = false;
	if (from->left < sizeof(n))
		return -EINVAL;
	/* Linux 6.1 takes the first of more bytes, later ones refuse them. */
	if (from->left > sizeof(n))
		return LOCAL_CROWDED;
	if (user_read(&n, from->v->base, sizeof(n)))
		return -EFAULT;
	if (n == UINT64_MAX)
		return -EINVAL;
	spin_lock(&e->local.lock);
	for (;;) {
		if (unlikely(e->local.state != LOCAL_IS_HERE)) {
			ret = LOCAL_REMOTE;
			break;
		}
		if (UINT64_MAX - e->count > n) {
			e->count += n;
			from->left = 0;
			ret = sizeof(n);
			break;
		}
		ret = local_may_wait(end, true);
		if (ret)
			break;
		local_wait(&e->local, &e->writers);
	}
	leave(e, ret > 0 ? POLLIN : 0);
	return ret;
}

/* ---- The move to Linux ---- */

static int64_t push(struct thread *t, struct local *o, int fd, bool writes)
{
	struct eventfd *e = to_eventfd(o);
	bool begun = o->begun;
	int64_t ret;

	(void)writes;
	if (!e->count)
		return 0;
	o->begun = true;
	ret = slot_call(t->slot, OTR_CALL_EVENTFD_FILL, (uint64_t[6]){ (uint64_t)fd, e->count });
	local_last_call(t);
	/* A killed thread may have got no answer. */
	if (ret && !thread_killed(t))
		o->begun = begun;
	return ret > 0 ? -EIO : ret;
}

static void forget(struct local *o)
{
	(void)o;                    /* nothing in /proc opens it again */
}

static void close_end(struct local_end *end)
{
	(void)end;                  /* who waits in it has a reference */
}

static const struct local_ops eventfd_ops = {
	.name = "an eventfd", .read = eventfd_read, .write = eventfd_write, .poll = poll, .stop = stop,
	.push = push, .drain = drain, .forget = forget, .close = close_end,
};

/* ---- Making ---- */

struct eventfd *eventfd_create(uint64_t count, bool semaphore, bool nonblock)
{
	struct eventfd *e = kmem_zalloc(sizeof(*e));

	if (!e)
		return NULL;
	local_init(&e->local, &eventfd_ops, 1);
	e->end = (struct local_end){ .object = &e->local, .refs = 1, .modes = LOCAL_READS | LOCAL_WRITES,
				     .nonblock = nonblock };
	e->semaphore = semaphore;
	e->count = count;
	list_init(&e->readers);
	list_init(&e->writers);
	return e;
}

/* Linux has made `fd`, at 0; the mutex is held. The end's reference goes to the table. */
static int64_t install(struct thread *t, struct eventfd *e, uint32_t fd, bool cloexec)
{
	struct files *f = &t->process->files;
	struct local_end *old = &e->end;
	int64_t err = 0;

	if (!files_room(f, fd))
		/* An old one's close was lost: execve has closed it, and its table is about to be told. */
		old = files_set(f, fd, &e->end, cloexec);
	else if (e->count)
		err = slot_call(t->slot, OTR_CALL_EVENTFD_FILL, (uint64_t[6]){ fd, e->count });
	if (old)
		local_end_put(old);
	if (!err)
		return fd;
	slot_call_always(t->slot, NR_CLOSE, (uint64_t[6]){ fd });
	return -ENOMEM;
}

static int64_t make(struct regs *r, uint32_t flags)
{
	struct thread *t = current_thread();
	struct files *f = &t->process->files;
	struct eventfd *e = NULL;
	int64_t ret;

	mutex_lock(&f->mutex);
	/* Else: what is no flag, and is Linux's to refuse. */
	if (!(flags & ~(uint32_t)(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)) && !f->table.estranged)
		e = eventfd_create((uint32_t)r->rdi, flags & EFD_SEMAPHORE, flags & EFD_NONBLOCK);
	if (!e) {
		mutex_unlock(&f->mutex);
		return dispatch_delegate(r);
	}
	ret = dispatch_linux(t, NR_EVENTFD2, (uint64_t[6]){ 0, flags });
	if (ret >= 0)
		ret = install(t, e, (uint32_t)ret & INT32_MAX, flags & EFD_CLOEXEC);
	else
		local_end_put(&e->end);
	mutex_unlock(&f->mutex);
	return ret;
}

int64_t sys_eventfd(struct regs *r)
{
	return make(r, 0);
}

int64_t sys_eventfd2(struct regs *r)
{
	return make(r, (uint32_t)r->rsi);
}
