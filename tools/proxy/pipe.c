/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes that the co-kernel serves itself have a pipe of Linux behind their
 * descriptors, which stays empty until the co-kernel hands over what is in its
 * own (libpoxis/files/remote.c). So it is with eventfds, which stay at 0, timers and epolls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define CAPACITY 65536          /* what the co-kernel's hold */

static int open_for_writing(int fd)
{
	char link[40];
	int to;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	to = open(link, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return to < 0 ? -errno : to;
}

/* The inode, if what the co-kernel may have to do later works here and now. */
static uint64_t usable(const int fd[2])
{
	/* For this process and the children it forks: changes of rights end it there. */
	static _Atomic int works = -1;
	struct stat st;

	if (fcntl(fd[0], F_GETPIPE_SZ) < CAPACITY || fstat(fd[0], &st))
		return 0;
	if (works < 0) {
		int again = open_for_writing(fd[0]);

		works = again >= 0;
		if (works)
			close(again);
	}
	return works ? st.st_ino : 0;
}

long pipe_make(struct twin *t, uint64_t flags)
{
	int fd[2];

	if (pipe2(fd, (int)flags))
		return -errno;
	t->shared->arg[1] = usable(fd);
	return (long)((uint64_t)(uint32_t)fd[0] | (uint64_t)(uint32_t)fd[1] << 32);
}

/* Without a signal to the program, if nobody reads any more. */
static long write_quietly(int fd, const void *from, size_t bytes)
{
	static const struct timespec now = { 0 };
	uint64_t mask = signal_block_all(), pending = 0, pipe = 1ull << (SIGPIPE - 1);
	long ret;

	raw_syscall(SYS_rt_sigpending, (uintptr_t)&pending, sizeof(pending), 0, 0, 0, 0);
	ret = raw_syscall(SYS_write, (uint64_t)fd, (uintptr_t)from, bytes, 0, 0, 0);
	if (ret == -EPIPE && !(pending & pipe))
		raw_syscall(SYS_rt_sigtimedwait, (uintptr_t)&pipe, 0, (uintptr_t)&now, sizeof(pipe), 0, 0);
	signal_restore(mask);
	return ret;
}

long pipe_fill(struct proxy *p, const uint64_t a[6])
{
	int fd = (int)a[0], to, there = 0;
	uint64_t bytes = a[3];
	long ret;

	if (hide_is_hidden(a[0]) || bytes > OTR_PIPE_PIECE)
		return -EINVAL;
	if (ioctl(fd, FIONREAD, &there))
		return -errno;
	if ((uint64_t)there == a[2] + bytes)
		return (long)bytes;
	if ((uint64_t)there != a[2])
		return -EIO;
	to = a[1] ? fd : open_for_writing(fd);
	if (to == -ENXIO)
		return (long)bytes;     /* nobody reads any more */
	if (to < 0)
		return to;
	ret = write_quietly(to, p->mailbox->facts.area, bytes);
	if (to != fd)
		close(to);
	return ret == -EPIPE ? (long)bytes : ret;
}

long eventfd_fill(const uint64_t a[6])
{
	struct pollfd p = { .fd = (int)a[0], .events = POLLIN };
	uint64_t count = a[1];
	long ret;

	if (hide_is_hidden(a[0]))
		return -EINVAL;
	/* What comes meanwhile is for the program, and nothing here waits. */
	do {
		ret = raw_syscall(SYS_poll, (uintptr_t)&p, 1, 0, 0, 0, 0);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	if (p.revents & POLLIN)
		return 0;
	ret = raw_syscall(SYS_write, (uint64_t)p.fd, (uintptr_t)&count, sizeof(count), 0, 0, 0);
	return ret == sizeof(count) ? 0 : ret < 0 ? ret : -EIO;
}

long epoll_add(const uint64_t a[6])
{
	struct epoll_event event = { .events = (uint32_t)a[2], .data.u64 = a[3] };
	long ret;

	if (hide_is_hidden(a[0]) || hide_is_hidden(a[1]))
		return -EINVAL;
	ret = raw_syscall(SYS_epoll_ctl, a[0], EPOLL_CTL_ADD, a[1], (uintptr_t)&event, 0, 0);
	return ret == -EEXIST ? 0 : ret;
}

long timerfd_set(const uint64_t a[6])
{
	const uint64_t second = 1000000000;
	struct itimerspec to = { .it_interval = { (time_t)(a[2] / second), (long)(a[2] % second) } };
	struct timespec real, mono;
	uint64_t at = a[1];

	if (hide_is_hidden(a[0]))
		return -EINVAL;
	if (a[3]) {
		clock_gettime(CLOCK_MONOTONIC, &mono);
		clock_gettime(CLOCK_REALTIME, &real);
		at += (uint64_t)((real.tv_sec - mono.tv_sec) * (int64_t)second + real.tv_nsec - mono.tv_nsec);
	}
	to.it_value = (struct timespec){ (time_t)(at / second), (long)(at % second) };
	return raw_syscall(SYS_timerfd_settime, a[0], TFD_TIMER_ABSTIME, (uintptr_t)&to, 0, 0, 0);
}

/* What Linux tells of a descriptor of a process; 0: it is none, or of one that is gone. */
static int pid_of(int fd)
{
	static const char name[] = "\nPid:";
	char path[40], text[1024], *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, name);
	n = at ? strtol(at + sizeof(name) - 1, NULL, 10) : 0;
	return n > 0 && n <= INT32_MAX ? (int)n : 0;
}

long pidfd_context(struct proxy *p, uint64_t fd)
{
	struct otr_ioc_of of = { .req.size = sizeof(of), .pid = pid_of((int)fd) };

	if (!of.pid || hide_is_hidden(fd) || ioctl(p->o.fd, OTR_IOC_OF, &of))
		return 0;
	return of.context;
}

void pipe_opened(struct twin *t, long fd)
{
	struct statfs fs;
	struct stat st;

	t->shared->arg[1] = 0;
	if (fd < 0 || fcntl((int)fd, F_GETPIPE_SZ) < 0)
		return;
	/* Named ones are Linux's alone. */
	if (!fstatfs((int)fd, &fs) && fs.f_type == PIPEFS_MAGIC && !fstat((int)fd, &st))
		t->shared->arg[1] = st.st_ino;
}
