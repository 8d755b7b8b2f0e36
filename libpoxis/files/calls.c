/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls on descriptors that may be local. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/pipe.h"
#include "libpoxis/files/socket.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

enum { NR_WRITE = 1, NR_CLOSE = 3, NR_FCNTL = 72 };
/* asm-generic/fcntl.h, linux/fcntl.h, asm-generic/ioctls.h, linux/close_range.h */
enum {
	O_NONBLOCK = 04000, O_DIRECT = 040000, O_ASYNC = 020000, O_CLOEXEC = 02000000,
	F_DUPFD = 0, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_SETOWN_EX = 15, F_DUPFD_CLOEXEC = 1030, F_SETPIPE_SZ = 1031,
	FD_CLOEXEC = 1,
	TIOCOUTQ = 0x5411, FIONREAD = 0x541b, FIONBIO = 0x5421, FIONCLEX = 0x5450, FIOCLEX = 0x5451, FIOASYNC = 0x5452,
	TFD_IOC_SET_TICKS = 0x40085400,
	CLOSE_RANGE_UNSHARE = 2, CLOSE_RANGE_CLOEXEC = 4,
};

static struct files *my_files(void)
{
	return &current_thread()->process->files;
}

/* ---- Reading and writing ---- */

/* Linux writes the rest of what is more than one piece anyway. */
static int64_t write_rest(struct thread *t, uint64_t fd, struct user_memory *m)
{
	int64_t done = 0, ret = 0;

	while (m->left) {
		uint64_t n = MIN(m->left, m->v->bytes - m->done);

		if (n) {
			ret = dispatch_linux(t, NR_WRITE, (uint64_t[6]){ fd, m->v->base + m->done, n });
			if (ret < 0)
				break;
			done += ret;
			if ((uint64_t)ret < n)
				break;
		}
		m->left -= n;
		m->v++;
		m->count--;
		m->done = 0;
	}
	return done ? done : ret;
}

/* Pipes are spared the call by a pointer. */
static inline int64_t read_end(struct local_end *e, struct user_memory *to)
{
	return likely(is_pipe(e->object)) ? pipe_read(e, to) : e->object->ops->read(e, to);
}

static inline int64_t write_end(struct local_end *e, struct user_memory *from, bool *broken)
{
	return likely(is_pipe(e->object)) ? pipe_write(e, from, broken) : e->object->ops->write(e, from, broken);
}

static int64_t transfer(struct regs *r, struct local_end *e, struct user_memory *m, bool write)
{
	struct thread *t = current_thread();
	uint64_t all = m->left;
	bool broken = false;
	int64_t ret, err;

	do {
		ret = write ? write_end(e, m, &broken) : read_end(e, m);
		if (unlikely(broken))
			signal_raise(t, SIGPIPE, OTR_RAISE_SELF);
		if (likely(ret != LOCAL_REMOTE && ret != LOCAL_CROWDED))
			return all > m->left ? (int64_t)(all - m->left) : ret;
		err = ret == LOCAL_CROWDED ? local_make_remote(t, e->object, -1) : local_settle(t, e->object);
	} while (!err && !local_is_remote(e->object));
	/* Another thread may have closed the number, which then may be anything. */
	if (!err && !files_is(my_files(), r->rdi, e))
		err = -EBADF;
	if (m->left == all)
		return err ? err : dispatch_delegate(r);
	all -= m->left;
	ret = err ? err : write_rest(t, r->rdi, m);
	return (int64_t)all + MAX(ret, (int64_t)0);
}

static bool allowed(const struct local_end *e, bool write)
{
	return e->modes & (write ? LOCAL_WRITES : LOCAL_READS);
}

/* Not inlined, so that what is not local pays for one look only. */
static __attribute__((noinline)) int64_t read_write(struct regs *r, bool write)
{
	struct files_use use;
	int64_t ret;

	if (!files_get(my_files(), r->rdi, &use))
		return dispatch_delegate(r);
	if (!allowed(use.end, write)) {
		ret = -EBADF;
	} else if (!local_range_ok(r->rsi, r->rdx)) {
		ret = -EFAULT;
	} else {
		struct iovec v = { r->rsi, MIN(r->rdx, LOCAL_BYTES_MOST) };
		struct user_memory m = { .v = &v, .count = 1, .left = v.bytes };

		ret = transfer(r, use.end, &m, write);
	}
	files_put(&use);
	return ret;
}

int64_t sys_read(struct regs *r)
{
	return likely(!files_any(my_files())) ? dispatch_delegate(r) : read_write(r, false);
}

int64_t sys_write(struct regs *r)
{
	return likely(!files_any(my_files())) ? dispatch_delegate(r) : read_write(r, true);
}

int64_t local_take_vector(struct iovec *v, uaddr_t at, uint64_t count, struct user_memory *m)
{
	uint64_t left = 0;

	if (user_read(v, at, count * sizeof(*v)))
		return -EFAULT;
	for (uint64_t i = 0; i < count; i++)
		if ((int64_t)v[i].bytes < 0)
			return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		if (!local_range_ok(v[i].base, v[i].bytes))
			return -EFAULT;
		v[i].bytes = MIN(v[i].bytes, LOCAL_BYTES_MOST - left);
		left += v[i].bytes;
	}
	*m = (struct user_memory){ .v = v, .count = (uint32_t)count, .left = left };
	return 0;
}

int64_t local_by_linux(struct regs *r, struct local_end *e)
{
	int64_t err = local_make_remote(current_thread(), e->object, -1);

	if (!err && !files_is(my_files(), r->rdi, e))
		err = -EBADF;       /* another thread closed the number */
	return err ? err : dispatch_delegate(r);
}

static int64_t read_write_vector(struct regs *r, bool write)
{
	struct iovec few[8], *v = few;
	struct files_use use;
	struct user_memory m;
	int64_t ret = 0;

	if (!files_any(my_files()) || !files_get(my_files(), r->rdi, &use))
		return dispatch_delegate(r);
	if (!allowed(use.end, write))
		ret = -EBADF;
	else if (!use.end->object->ops->vectors)
		ret = local_by_linux(r, use.end);
	else if (r->rdx > LOCAL_IOVECS_MOST)
		ret = -EINVAL;
	else if (r->rdx > ARRAY_SIZE(few)) {
		v = kmem_alloc(r->rdx * sizeof(*v));
		if (!v)
			ret = -ENOMEM;
	}
	if (!ret && use.end->object->ops->vectors) {
		ret = local_take_vector(v, r->rsi, r->rdx, &m);
		if (!ret && m.left)
			ret = transfer(r, use.end, &m, write);
	}
	if (v != few)
		kmem_free(v);
	files_put(&use);
	return ret;
}

int64_t sys_readv(struct regs *r)
{
	return read_write_vector(r, false);
}

int64_t sys_writev(struct regs *r)
{
	return read_write_vector(r, true);
}

/* ---- Making ---- */

int64_t local_make_two(uint32_t call, uint64_t flags, uaddr_t tell, uint32_t fd[2], uint64_t *said)
{
	struct slot *s = current_thread()->slot;
	int64_t ret;

	s->calls++;                 /* it was delegated, for who counts */
	ret = slot_call(s, call, (uint64_t[6]){ flags });
	if (ret < 0)
		return ret;
	*said = load_relaxed(&s->shared->arg[1]);
	fd[0] = (uint32_t)ret & INT32_MAX;
	fd[1] = (uint32_t)(ret >> 32) & INT32_MAX;
	if (!user_write(tell, fd, 2 * sizeof(*fd)))
		return 0;
	for (uint32_t i = 0; i < 2; i++)
		slot_call_always(s, NR_CLOSE, (uint64_t[6]){ fd[i] });
	return -EFAULT;
}

void local_set_two(const uint32_t fd[2], struct local_end *first, struct local_end *second, bool cloexec)
{
	struct local_end *end[2] = { first, second };

	for (uint32_t i = 0; i < 2; i++) {
		struct local_end *old = files_set(my_files(), fd[i], end[i], cloexec);

		/* Its close was lost: execve has closed it, and its table is about to be told. */
		if (old)
			local_end_put(old);
	}
}

/* Puts both ends in, unless they stay Linux's alone. */
static void localise(struct files *f, const uint32_t fd[2], uint64_t flags, uint64_t inode)
{
	struct pipe *p;

	if (!inode || f->table.estranged || files_room(f, fd[0]) || files_room(f, fd[1]))
		return;
	p = pipe_create(inode, current_thread()->process->uid, flags & O_NONBLOCK);
	if (p)
		local_set_two(fd, &p->end[0], &p->end[1], flags & O_CLOEXEC);
}

static int64_t make_pipe(struct regs *r, uint64_t flags)
{
	struct files *f = my_files();
	uint64_t inode;
	uint32_t fd[2];
	int64_t ret;

	/* Packets, notifications, and what is no flag. */
	if (flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK))
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	ret = local_make_two(OTR_CALL_PIPE, flags, r->rdi, fd, &inode);
	if (!ret)
		localise(f, fd, flags, inode);
	mutex_unlock(&f->mutex);
	return ret;
}

int64_t sys_pipe(struct regs *r)
{
	return make_pipe(r, 0);
}

int64_t sys_pipe2(struct regs *r)
{
	return make_pipe(r, (uint32_t)r->rsi);
}

/* ---- Numbers ---- */

/* Linux did not do it. */
static bool not_done(int64_t ret)
{
	return ret == -EBADF || signal_restarts(ret);
}

int64_t sys_close(struct regs *r)
{
	struct files *f = my_files();
	struct local_end *end;
	int64_t ret;

	if (!files_any(f))
		return dispatch_delegate(r);
	/* Only what is local: the close of another thing may take its time. */
	spin_lock(&f->lock);
	end = files_peek(f, r->rdi);
	spin_unlock(&f->lock);
	if (!end)
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	files_changing(f, (uint32_t)r->rdi, (uint32_t)r->rdi, true);
	ret = dispatch_delegate(r);
	end = NULL;
	if (not_done(ret))
		files_changing(f, (uint32_t)r->rdi, (uint32_t)r->rdi, false);
	else
		end = files_clear(f, (uint32_t)r->rdi);
	/* Under the mutex, for who gives an epoll to Linux that watches it. */
	if (end)
		local_end_put(end);
	mutex_unlock(&f->mutex);
	return ret;
}

int64_t sys_close_range(struct regs *r)
{
	struct files *f = my_files();
	uint32_t first = (uint32_t)r->rdi, last = (uint32_t)r->rsi, flags = (uint32_t)r->rdx;
	int64_t ret;

	/* A thread with descriptors of its own has none that are local. */
	if (flags & CLOSE_RANGE_UNSHARE) {
		ret = files_estrange(current_thread());
		if (ret)
			return ret;
	}
	if (!files_any(f))
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	files_changing(f, first, last, true);
	ret = dispatch_delegate(r);
	files_changing(f, first, last, false);
	if (!ret && flags & CLOSE_RANGE_CLOEXEC)
		files_cloexec(f, first, last, true);
	else if (!ret)
		files_clear_range(f, first, last);
	mutex_unlock(&f->mutex);
	return ret;
}

/* Linux has made `new` of `old`. The mutex is held. */
static void duplicated(struct files *f, uint64_t old, uint32_t new, bool cloexec)
{
	struct local_end *end = files_peek(f, old), *was;

	was = end ? files_set(f, new, local_end_get(end), cloexec) : files_clear(f, new);
	if (was)
		local_end_put(was);
}

/* The table has no room for another number of this end: the pipe goes to Linux. */
static int64_t give_up(struct local_end *end)
{
	int64_t err = local_make_remote(current_thread(), end->object, -1);

	local_end_put(end);
	return err;
}

/* To the lowest free number. */
static int64_t duplicate(struct regs *r, bool cloexec)
{
	struct files *f = my_files();
	struct local_end *homeless = NULL;
	int64_t ret, err;

	if (!files_any(f))
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	ret = dispatch_delegate(r);
	if (ret >= 0 && files_peek(f, r->rdi) && files_room(f, (uint32_t)ret))
		homeless = local_end_get(files_peek(f, r->rdi));
	else if (ret >= 0)
		duplicated(f, r->rdi, (uint32_t)ret, cloexec);
	mutex_unlock(&f->mutex);
	if (!homeless)
		return ret;
	err = give_up(homeless);
	if (!err)
		return ret;
	slot_call_always(current_thread()->slot, NR_CLOSE, (uint64_t[6]){ (uint64_t)ret });
	return err;
}

int64_t sys_dup(struct regs *r)
{
	return duplicate(r, false);
}

static int64_t replace(struct regs *r, bool cloexec)
{
	struct files *f = my_files();
	uint32_t new = (uint32_t)r->rsi;
	int64_t ret;

	if (!files_any(f) || (uint32_t)r->rdi == new)
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	if (files_peek(f, r->rdi) && files_room(f, new)) {
		struct local_end *homeless = local_end_get(files_peek(f, r->rdi));

		mutex_unlock(&f->mutex);
		ret = give_up(homeless);
		if (ret)
			return ret;
		mutex_lock(&f->mutex);
	}
	files_changing(f, new, new, true);
	ret = dispatch_delegate(r);
	files_changing(f, new, new, false);
	if (ret >= 0 && new < f->table.size)
		duplicated(f, r->rdi, new, cloexec);
	mutex_unlock(&f->mutex);
	return ret;
}

int64_t sys_dup2(struct regs *r)
{
	return replace(r, false);
}

int64_t sys_dup3(struct regs *r)
{
	return replace(r, r->rdx & O_CLOEXEC);
}

/* ---- fcntl and ioctl ---- */

/* Linux's flag is asked for after its change: whoever changes it last, in whatever
 * process, asks last, so what stands here in the end is what Linux has. */
static int64_t set_flags(struct regs *r, struct local_end *end)
{
	struct thread *t = current_thread();
	int64_t ret = dispatch_delegate(r), flags = 0;
	uint32_t change;

	if (ret)
		return ret;
	change = local_flags_changed(end->object);
	do {
		flags = slot_call_always(t->slot, NR_FCNTL, (uint64_t[6]){ r->rdi, F_GETFL });
	} while (flags >= 0 && !local_set_nonblock(end, flags & O_NONBLOCK, &change));
	return ret;
}

static int64_t set_cloexec(struct regs *r, bool cloexec)
{
	struct files *f = my_files();
	int64_t ret;

	mutex_lock(&f->mutex);
	ret = dispatch_delegate(r);
	if (!ret)
		files_cloexec(f, (uint32_t)r->rdi, (uint32_t)r->rdi, cloexec);
	mutex_unlock(&f->mutex);
	return ret;
}

int64_t sys_fcntl(struct regs *r)
{
	struct files_use use;
	int64_t ret;

	/* It may name a thread, for signals. */
	if (unlikely((uint32_t)r->rsi == F_SETOWN_EX))
		signal_be_prompt(current_thread());
	if (!files_any(my_files()) || !files_get(my_files(), r->rdi, &use))
		return dispatch_delegate(r);
	switch ((uint32_t)r->rsi) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		ret = duplicate(r, (uint32_t)r->rsi == F_DUPFD_CLOEXEC);
		break;
	case F_SETFD:
		ret = set_cloexec(r, r->rdx & FD_CLOEXEC);
		break;
	case F_SETFL:
		/* Packets, signals when something comes. */
		ret = r->rdx & (O_DIRECT | O_ASYNC) ? local_make_remote(current_thread(), use.end->object, -1) : 0;
		if (!ret)
			ret = set_flags(r, use.end);
		break;
	case F_SETPIPE_SZ:
		ret = local_make_remote(current_thread(), use.end->object, -1);
		if (!ret)
			ret = dispatch_delegate(r);
		break;
	default:
		ret = dispatch_delegate(r);
	}
	files_put(&use);
	return ret;
}

static int64_t bytes_of(struct local_end *e, bool sent)
{
	return is_pipe(e->object) ? pipe_bytes(to_pipe(e->object)) : socket_bytes(e, sent);
}

static int64_t tell_bytes(struct regs *r, struct local_end *e, bool sent)
{
	int64_t n = bytes_of(e, sent), err;
	int32_t bytes = (int32_t)n;

	while (n == LOCAL_REMOTE) {
		err = local_settle(current_thread(), e->object);
		if (err)
			return err;
		if (local_is_remote(e->object))
			return dispatch_delegate(r);
		n = bytes_of(e, sent);
		bytes = (int32_t)n;
	}
	return user_write(r->rdx, &bytes, sizeof(bytes)) ? -EFAULT : 0;
}

/* Its argument carries no descriptor of a pipe or an eventfd: terminals, sockets, files,
 * disks. Others do: KVM, VFIO, vhost, autofs. */
static bool carries_none(uint32_t request)
{
	switch (request >> 8 & 0xff) {
	case 'T':
	case 0x89:
	case 'f':
	case 'X':
	case 0x94:
	case 0x12:
		return true;
	default:
		return false;
	}
}

static bool has_own(const struct local *o, uint32_t request)
{
	return is_socket(o) ? (request >> 8 & 0xff) != 'T' : request == TFD_IOC_SET_TICKS;
}

int64_t sys_ioctl(struct regs *r)
{
	struct files_use use;
	int64_t ret;

	if (!files_any(my_files()))
		return dispatch_delegate(r);
	if (!files_get(my_files(), r->rdi, &use)) {
		ret = carries_none((uint32_t)r->rsi) ? 0 : files_all_remote(current_thread());
		return ret ? ret : dispatch_delegate(r);
	}
	switch ((uint32_t)r->rsi) {
	case FIOCLEX:
	case FIONCLEX:
		ret = set_cloexec(r, (uint32_t)r->rsi == FIOCLEX);
		break;
	case FIONBIO:
		ret = set_flags(r, use.end);
		break;
	case FIONREAD:
		ret = is_pipe(use.end->object) || is_socket(use.end->object) ? tell_bytes(r, use.end, false) :
		      dispatch_delegate(r);
		break;
	case TIOCOUTQ:
		ret = is_socket(use.end->object) ? tell_bytes(r, use.end, true) : dispatch_delegate(r);
		break;
	case FIOASYNC:
		ret = local_make_remote(current_thread(), use.end->object, -1);
		if (!ret)
			ret = dispatch_delegate(r);
		break;
	default:
		/* Terminals' above all: Linux says that it is none. Sockets and timers have some of their own. */
		ret = has_own(use.end->object, (uint32_t)r->rsi) ? local_by_linux(r, use.end) : dispatch_delegate(r);
	}
	files_put(&use);
	return ret;
}
