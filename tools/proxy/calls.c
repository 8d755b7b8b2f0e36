/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executes one delegated call. Nearly all go to Linux as they are; `special`
 * marks those that could hurt the proxy itself, or would tell of it, so that the
 * others pay for one load.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

typedef long (*special_call)(struct twin *t, long nr, const uint64_t a[6], uint32_t done);

/* The first argument is a descriptor that must be the program's. */
static long with_fd(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	return hide_is_hidden(a[0]) ? -EBADF : call_linux(a, nr, &t->forwarded, done);
}

static long with_two_fds(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	return hide_is_hidden(a[0]) || hide_is_hidden(a[1]) ? -EBADF : call_linux(a, nr, &t->forwarded, done);
}

/* In pieces, around what is hidden. */
static long close_range_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	uint32_t from = (uint32_t)a[0], last = (uint32_t)a[1], gap;
	long ret;

	if (from > last || hide_next(from) > last)
		return call_linux(a, nr, &t->forwarded, done);
	do {
		gap = hide_next(from);
		ret = 0;
		if (gap > from)
			ret = raw_syscall(nr, from, gap > last ? last : gap - 1, a[2], 0, 0, 0);
		from = gap + 1;
	} while (!ret && gap < last);
	return ret;
}

static long readlink_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long ret;

	return self_readlink(t->p, a[0], a[1], a[2], &ret) ? ret : call_linux(a, nr, &t->forwarded, done);
}

static long readlinkat_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long ret;

	return self_readlink(t->p, a[1], a[2], a[3], &ret) ? ret : call_linux(a, nr, &t->forwarded, done);
}

/* Opens the program's file where the proxy's would be; else as it is. */
static long open_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	const char *exe = self_exe(t->p, a[0]);
	long fd = call_linux(exe ? (uint64_t[6]){ (uintptr_t)exe, a[1], a[2] } : a, nr, &t->forwarded, done);

	pipe_opened(t, fd);
	return exe ? fd : self_opened(t, fd, a[1]);
}

static long openat_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	const char *exe = self_exe(t->p, a[1]);
	long fd = call_linux(exe ? (uint64_t[6]){ a[0], (uintptr_t)exe, a[2], a[3] } : a, nr, &t->forwarded, done);

	pipe_opened(t, fd);
	return exe ? fd : self_opened(t, fd, a[2]);
}

/* Whose result is a descriptor of what may be a pipe of the program's. */
static long opened_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long fd = call_linux(a, nr, &t->forwarded, done);

	pipe_opened(t, fd);
	return fd;
}

/* Until something is left, or there is nothing more. */
static long getdents_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long bytes, left;

	if (hide_is_hidden(a[0]))
		return -EBADF;
	do {
		bytes = call_linux(a, nr, &t->forwarded, done);
		left = self_list(t, (int)a[0], a[1], bytes);
	} while (bytes > 0 && !left);
	return left;
}

static long getrlimit_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long ret;

	return limits_call(0, a[0], 0, a[1], &ret) ? ret : call_linux(a, nr, &t->forwarded, done);
}

static long setrlimit_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long ret;

	return limits_call(0, a[0], a[1], 0, &ret) ? ret : call_linux(a, nr, &t->forwarded, done);
}

static long prlimit_(struct twin *t, long nr, const uint64_t a[6], uint32_t done)
{
	long ret;

	return limits_call(a[0], a[1], a[2], a[3], &ret) ? ret : call_linux(a, nr, &t->forwarded, done);
}

static const special_call special[512] = {
	[SYS_open] = open_,
	[SYS_openat] = openat_,
	[SYS_openat2] = opened_,
	[SYS_creat] = opened_,
	[SYS_pidfd_getfd] = opened_,
	[SYS_getdents64] = getdents_,
	[SYS_close] = with_fd,
	[SYS_dup] = with_fd,
	[SYS_dup2] = with_two_fds,
	[SYS_dup3] = with_two_fds,
	[SYS_fcntl] = with_fd,
	[SYS_ioctl] = with_fd,
	[SYS_close_range] = close_range_,
	[SYS_readlink] = readlink_,
	[SYS_readlinkat] = readlinkat_,
	[SYS_getrlimit] = getrlimit_,
	[SYS_setrlimit] = setrlimit_,
	[SYS_prlimit64] = prlimit_,
};

static long fill(struct proxy *p)
{
	int ret;

	if (atomic_load(&p->filled))
		return -EINVAL;
	ret = program_fill(&p->o, &p->program, p->mailbox->vdso);
	if (ret)
		proxy_fail(p, 126);
	atomic_store(&p->filled, true);
	return 0;
}

/* OTR_CALL_FILE: the module takes a reference to the file, under a number. */
static long map_file(struct proxy *p, const uint64_t a[6])
{
	struct otr_ioc_file f = {
		.req.size = sizeof(f), .fd = (int32_t)a[0], .prot = (uint32_t)a[1],
		.close = { (uint32_t)a[2], (uint32_t)a[3], (uint32_t)a[4], (uint32_t)a[5] },
	};
	long ret;

	if (a[0] == OTR_FILE_EXE)
		f.fd = p->program.exe.fd;
	else if (a[0] == OTR_FILE_INTERPRETER)
		f.fd = p->program.interpreter.fd;
	else if (a[0] == OTR_FILE_NONE)
		f.fd = -1;
	else if (f.fd < 0 || hide_is_hidden(a[0]))
		return -EBADF;
	ret = raw_syscall(SYS_ioctl, (uint64_t)p->o.fd, OTR_IOC_FILE, (uintptr_t)&f, 0, 0, 0);
	return ret ? ret : (long)f.number;
}

static long request(struct twin *t, uint32_t nr, const uint64_t a[6])
{
	switch (nr) {
	case OTR_CALL_FILL:
		return fill(t->p);
	case OTR_CALL_FILE:
		return map_file(t->p, a);
	case OTR_CALL_FETCH:
		return serve_fetch(t, (uint32_t)a[0]);
	case OTR_CALL_GRANT:
		return share_grant(t->p, a);
	case OTR_CALL_LIMIT:
		return limits_get(a[0], a[1]);
	case OTR_CALL_SHARE:
		return share_map(t->p, a);
	case OTR_CALL_UNSHARE:
		return share_unmap(t->p, a);
	case OTR_CALL_SHMAT:
		return share_shmat(t->p, a);
	case OTR_CALL_REMAP:
		return share_remap(t->p, a);
	case OTR_CALL_TWINS:
		return serve_add_twins(t->p, a[0]);
	case OTR_CALL_FORK:
		return fork_call(t->p, a[0]);
	case OTR_CALL_EXEC:
		return exec_call(t->p, a);
	case OTR_CALL_SIGACTION:
		return signal_action(a[0], a[1], a[2]);
	case OTR_CALL_SIGMASK:
		return signal_mask(t, a[0]);
	case OTR_CALL_RAISE:
		return signal_raise(a);
	case OTR_CALL_FACTS:
		return self_facts(t);
	case OTR_CALL_CORE:
		return core_call(t->p, a[0], a[1]);
	case OTR_CALL_PIPE:
		return pipe_make(t, a[0]);
	case OTR_CALL_PIPE_FILL:
		return pipe_fill(t->p, a);
	case OTR_CALL_EVENTFD_FILL:
		return eventfd_fill(a);
	case OTR_CALL_EPOLL_ADD:
		return epoll_add(a);
	case OTR_CALL_SOCKETPAIR:
		return socket_make(t, a[0]);
	case OTR_CALL_SOCKET_PIECE:
		return socket_piece(t->p, a);
	case OTR_CALL_SOCKET_FILL:
		return socket_fill(t->p, a);
	case OTR_CALL_SOCKET_LET_GO:
		return socket_let_go(t->p, a);
	case OTR_CALL_PIDFD:
		return pidfd_context(t->p, a[0]);
	case OTR_CALL_TIMERFD_SET:
		return timerfd_set(a);
	case OTR_CALL_EXIT:
		return 0;
	case OTR_CALL_TRACED:
		trace_leave(a);
		return 0;
	default:
		if (nr < OTR_CALL_TRACE)
			return -ENOSYS;
		trace_enter(nr - OTR_CALL_TRACE, a);
		return 0;
	}
}

long call_execute(struct twin *t, uint32_t nr, const uint64_t a[6], uint32_t done)
{
	if (nr >= OTR_CALL_BASE)
		return request(t, nr, a);
	if (nr < sizeof(special) / sizeof(special[0]) && special[nr])
		return special[nr](t, nr, a, done);
	return call_linux(a, nr, &t->forwarded, done);
}
