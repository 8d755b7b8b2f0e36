/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls on pairs of sockets that may be local; for others, and with what only
 * Linux has (names, ancillary data, options), they are Linux's. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/socket.h"
#include "libpoxis/process.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

enum { NR_SENDTO = 44, NR_RECVFROM = 45 };
/* linux/socket.h, linux/net.h, asm-generic/socket.h */
enum {
	AF_UNIX = 1, SOCK_STREAM = 1, SOCK_TYPE_MASK = 0xf, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000,
	SOL_SOCKET = 1, SO_TYPE = 3, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_PEERCRED = 17, SO_ACCEPTCONN = 30,
	SO_PROTOCOL = 38, SO_DOMAIN = 39,
};
/* Those that mean something here or nothing to a pair. */
#define SEND_FLAGS    (MSG_DONTWAIT | MSG_EOR | MSG_NOSIGNAL | MSG_MORE)
#define RECEIVE_FLAGS (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC)

static struct files *my_files(void)
{
	return &current_thread()->process->files;
}

/* The local pair that the call is about; false: it is Linux's. */
static bool find(const struct regs *r, struct files_use *use)
{
	if (likely(!files_any(my_files())) || !files_get(my_files(), r->rdi, use))
		return false;
	if (is_socket(use->end->object))
		return true;
	files_put(use);
	return false;
}

/* ---- Sending and receiving ---- */

struct transfer {
	bool send;
	uint32_t flags;             /* MSG_* */
	bool by_linux;              /* after it: Linux made the whole call */
};

/* What is left, after some was done here: the bytes, or an error. */
static int64_t rest_by_linux(const struct transfer *x, uint64_t fd, struct user_memory *m)
{
	int64_t done = 0, ret = 0;

	while (m->left) {
		uint64_t n = MIN(m->left, m->v->bytes - m->done);

		if (n) {
			ret = dispatch_linux(current_thread(), x->send ? NR_SENDTO : NR_RECVFROM,
					     (uint64_t[6]){ fd, m->v->base + m->done, n, x->flags });
			if (ret < 0)
				break;
			done += ret;
			if ((uint64_t)ret < n)
				break;
		}
		user_memory_advance(m, n);
	}
	return done ? done : ret;
}

static int64_t transfer(struct regs *r, struct local_end *e, struct user_memory *m, struct transfer *x)
{
	struct thread *t = current_thread();
	uint64_t all = m->left;
	bool broken = false;
	int64_t ret, err;

	do {
		ret = x->send ? socket_send(e, m, x->flags, &broken) : socket_receive(e, m, x->flags);
		if (unlikely(broken))
			signal_raise(t, SIGPIPE, OTR_RAISE_SELF);
		if (likely(ret != LOCAL_REMOTE && ret != LOCAL_CROWDED))
			return all > m->left ? (int64_t)(all - m->left) : ret;
		err = ret == LOCAL_CROWDED ? local_make_remote(t, e->object, -1) : local_settle(t, e->object);
	} while (!err && !local_is_remote(e->object));
	/* Another thread may have closed the number, which then may be anything. */
	if (!err && !files_is(my_files(), r->rdi, e))
		err = -EBADF;
	x->by_linux = m->left == all && !err;
	if (m->left == all)
		return err ? err : dispatch_delegate(r);
	all -= m->left;
	ret = err ? err : rest_by_linux(x, r->rdi, m);
	return (int64_t)all + MAX(ret, (int64_t)0);
}

/* A buffer: sendto and recvfrom without a name. */
static int64_t transfer_buffer(struct regs *r, struct local_end *e, struct transfer *x)
{
	struct iovec v = { r->rsi, MIN(r->rdx, LOCAL_BYTES_MOST) };
	struct user_memory m = { .v = &v, .count = 1, .left = v.bytes };

	return local_range_ok(r->rsi, r->rdx) ? transfer(r, e, &m, x) : -EFAULT;
}

int64_t sys_sendto(struct regs *r)
{
	struct transfer x = { .send = true, .flags = (uint32_t)r->r10 };
	struct files_use use;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	ret = r->r8 || x.flags & ~(uint32_t)SEND_FLAGS ? local_by_linux(r, use.end) : transfer_buffer(r, use.end, &x);
	files_put(&use);
	return ret;
}

/* The sender has no name, which would be bind()'s: the length of one. */
static int64_t tell_no_name(uaddr_t length_at)
{
	int32_t room, none = 0;

	if (user_read(&room, length_at, sizeof(room)))
		return -EFAULT;
	return room < 0 ? -EINVAL : user_write(length_at, &none, sizeof(none));
}

int64_t sys_recvfrom(struct regs *r)
{
	struct transfer x = { .flags = (uint32_t)r->r10 };
	struct files_use use;
	int64_t ret, err;

	if (!find(r, &use))
		return dispatch_delegate(r);
	x.by_linux = x.flags & ~(uint32_t)RECEIVE_FLAGS;
	ret = x.by_linux ? local_by_linux(r, use.end) : transfer_buffer(r, use.end, &x);
	if (ret >= 0 && r->r8 && !x.by_linux) {
		err = tell_no_name(r->r9);
		ret = err ? err : ret;
	}
	files_put(&use);
	return ret;
}

/* ---- With a header ---- */

/* struct msghdr */
struct header {
	uint64_t name;
	int32_t name_bytes;
	uint32_t pad;
	uint64_t vector, count, control, control_bytes;
	uint32_t flags, pad2;
};

static int64_t transfer_vector(struct regs *r, struct local_end *e, const struct header *h, struct transfer *x)
{
	struct iovec few[8], *v = few;
	struct user_memory m;
	int64_t ret;

	if (h->count > LOCAL_IOVECS_MOST)
		return -EMSGSIZE;
	if (h->count > ARRAY_SIZE(few)) {
		v = kmem_alloc(h->count * sizeof(*v));
		if (!v)
			return -ENOMEM;
	}
	ret = local_take_vector(v, h->vector, h->count, &m);
	if (!ret)
		ret = transfer(r, e, &m, x);
	if (v != few)
		kmem_free(v);
	return ret;
}

int64_t sys_sendmsg(struct regs *r)
{
	struct transfer x = { .send = true, .flags = (uint32_t)r->rdx };
	struct files_use use;
	struct header h;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	if (user_read(&h, r->rsi, sizeof(h)))
		ret = -EFAULT;
	else if (h.name || h.control_bytes || x.flags & ~(uint32_t)SEND_FLAGS)
		ret = local_by_linux(r, use.end);
	else
		ret = transfer_vector(r, use.end, &h, &x);
	files_put(&use);
	return ret;
}

/* Nothing but bytes has come: there is no ancillary data, however much room for it. */
static int64_t tell_header(uaddr_t at, const struct header *h, uint32_t flags)
{
	uint64_t none = 0;
	uint32_t told = flags & MSG_CMSG_CLOEXEC;
	int64_t err = h->name ? tell_no_name(at + offsetof(struct header, name_bytes)) : 0;

	if (err)
		return err;
	return user_write(at + offsetof(struct header, flags), &told, sizeof(told)) ||
	       user_write(at + offsetof(struct header, control_bytes), &none, sizeof(none)) ? -EFAULT : 0;
}

int64_t sys_recvmsg(struct regs *r)
{
	struct transfer x = { .flags = (uint32_t)r->rdx };
	struct files_use use;
	struct header h;
	int64_t ret, err;

	if (!find(r, &use))
		return dispatch_delegate(r);
	if (user_read(&h, r->rsi, sizeof(h))) {
		ret = -EFAULT;
	} else if (h.name && h.name_bytes < 0) {
		ret = -EINVAL;
	} else if (x.flags & ~(uint32_t)RECEIVE_FLAGS) {
		ret = local_by_linux(r, use.end);
	} else {
		ret = transfer_vector(r, use.end, &h, &x);
		err = ret < 0 || x.by_linux ? 0 : tell_header(r->rsi, &h, x.flags);
		ret = err ? err : ret;
	}
	files_put(&use);
	return ret;
}

/* ---- The rest ---- */

int64_t sys_shutdown(struct regs *r)
{
	struct files_use use;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	do {
		ret = socket_shutdown(use.end, (uint32_t)r->rsi);
		if (ret != LOCAL_REMOTE)
			break;
		ret = local_settle(current_thread(), use.end->object);
		if (!ret && local_is_remote(use.end->object)) {
			ret = files_is(my_files(), r->rdi, use.end) ? dispatch_delegate(r) : -EBADF;
			break;
		}
	} while (!ret);
	files_put(&use);
	return ret;
}

/* Linux's socket behind a local one says the same. */
static bool is_constant(const struct regs *r)
{
	switch ((uint32_t)r->rdx) {
	case SO_TYPE:
	case SO_SNDBUF:
	case SO_RCVBUF:
	case SO_PEERCRED:
	case SO_ACCEPTCONN:
	case SO_PROTOCOL:
	case SO_DOMAIN:
		return (uint32_t)r->rsi == SOL_SOCKET;
	default:
		return false;
	}
}

int64_t sys_getsockopt(struct regs *r)
{
	struct files_use use;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	ret = is_constant(r) ? dispatch_delegate(r) : local_by_linux(r, use.end);
	files_put(&use);
	return ret;
}

/* ---- Making ---- */

/* Puts both ends in; else they are Linux's alone. The mutex is held. */
static void localise(struct thread *t, const uint32_t fd[2], uint32_t flags, uint64_t sizes)
{
	struct files *f = &t->process->files;
	struct socket_pair *p = NULL;

	if (!sizes)
		return;
	if (!f->table.estranged && !files_room(f, fd[0]) && !files_room(f, fd[1]))
		p = socket_pair_create((uint32_t)sizes, (uint32_t)(sizes >> 32), flags & SOCK_NONBLOCK);
	if (!p)
		slot_call(t->slot, OTR_CALL_SOCKET_LET_GO, (uint64_t[6]){ fd[0] });
	else
		local_set_two(fd, &p->side[0].end, &p->side[1].end, flags & SOCK_CLOEXEC);
}

int64_t sys_socketpair(struct regs *r)
{
	uint32_t flags = (uint32_t)r->rsi & ~(uint32_t)SOCK_TYPE_MASK, fd[2];
	struct files *f = my_files();
	uint64_t sizes;
	int64_t ret;

	if ((uint32_t)r->rdi != AF_UNIX || ((uint32_t)r->rsi & SOCK_TYPE_MASK) != SOCK_STREAM ||
	    flags & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) || (uint32_t)r->rdx > AF_UNIX ||
	    load_relaxed(&f->table.estranged))
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	ret = local_make_two(OTR_CALL_SOCKETPAIR, flags, r->r10, fd, &sizes);
	if (!ret)
		localise(current_thread(), fd, flags, sizes);
	mutex_unlock(&f->mutex);
	return ret;
}
