/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls of epoll: what is answered here, and what makes a set Linux's. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/epoll.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/wait.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/user.h"

enum { NR_EPOLL_CREATE1 = 291 };
#define LINUX_END 0x7ffffffff000ull

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
	int64_t ret = LOCAL_REMOTE;

	if (op != EPOLL_CTL_DEL && user_read(&event, r->r10, sizeof(event)))
		return -EFAULT;
	if (event.events & ~(EPOLL_EVENTS | EPOLLET | EPOLLONESHOT) || op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD ||
	    !files_get(f, fd, &use))
		return LOCAL_REMOTE;
	if (use.end->object->ops->poll)
		ret = epoll_ctl(ep, use.end, op, fd, &event);
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
	ret = is_epoll(use.end->object) ? ctl_here(r, to_epoll(use.end->object)) : LOCAL_REMOTE;
	if (ret == LOCAL_REMOTE) {
		ret = is_epoll(use.end->object) ? to_linux(r, use.end) : 0;
		if (!ret)
			ret = dispatch_delegate(r);
	}
	files_put(&use);
	return ret;
}

/* ---- Waiting ---- */

/* Linux makes the call, of the time that is left; epoll_pwait2's is in memory that is not
 * ours to change. */
static int64_t wait_in_linux(struct regs *r, const struct wait *w)
{
	enum { NR_EPOLL_PWAIT = 281, NR_EPOLL_PWAIT2 = 441 };
	uint64_t nr = r->error, time = r->r10;
	int64_t ret;

	if (w->deadline) {
		r->r10 = wait_left_ms(w);
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
	int64_t ret = LOCAL_REMOTE;

	if (is_epoll(e->object)) {
		if (!most || most > INT32_MAX / sizeof(struct epoll_event))
			return -EINVAL;
		if (r->rsi > LINUX_END - most * sizeof(struct epoll_event))
			return -EFAULT;
		if (w->mask_at && user_read(&w->mask, w->mask_at, sizeof(w->mask)))
			return -EFAULT;
		ret = epoll_wait_here(to_epoll(e->object), r->rsi, most, w);
		if (ret == LOCAL_REMOTE)
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

int64_t sys_epoll_wait(struct regs *r)
{
	struct wait w = { .timeout_ns = wait_from_ms((int32_t)r->r10) };

	return epoll_wait(r, &w);
}

int64_t sys_epoll_pwait(struct regs *r)
{
	struct wait w = { .timeout_ns = wait_from_ms((int32_t)r->r10), .mask_at = r->r8 };

	return r->r8 && r->r9 != sizeof(w.mask) ? -EINVAL : epoll_wait(r, &w);
}

int64_t sys_epoll_pwait2(struct regs *r)
{
	struct wait w = { .timeout_ns = WAIT_FOR_EVER, .mask_at = r->r8 };
	int64_t v[2];

	if (r->r10 && user_read(v, r->r10, sizeof(v)))
		return -EFAULT;
	if (r->r10 && !wait_take_time(&w, v[0], v[1]))
		return -EINVAL;
	return r->r8 && r->r9 != sizeof(w.mask) ? -EINVAL : epoll_wait(r, &w);
}
