/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that pidfd_getfd() takes, of the process itself and of another. */
#include "apps/files/files.h"

#include <sys/timerfd.h>

static int take_from(pid_t pid, int fd)
{
	int p = (int)syscall(SYS_pidfd_open, pid, 0);
	int got = (int)syscall(SYS_pidfd_getfd, p, fd, 0);

	if (got < 0)
		printf("pidfd %d, got %d: %s\n", p >= 0, got, strerror(errno));
	close(p);
	return got;
}

struct things {
	int event, timer, epoll, sock[2], pipe[2];
};

static void make_things(struct things *t)
{
	struct itimerspec in = { .it_value.tv_nsec = 40000000 };
	struct epoll_event v = { .events = EPOLLIN, .data.u32 = 11 };

	t->event = eventfd(7, EFD_NONBLOCK);
	t->timer = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(t->timer, 0, &in, NULL);
	t->epoll = epoll_create1(0);
	epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->event, &v);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t->sock);
	write(t->sock[0], "socket", 6);
	pipe2(t->pipe, O_NONBLOCK);
	write(t->pipe[1], "pipe", 4);
}

static void use(const char *what, int fd)
{
	uint64_t n = 0;
	ssize_t r = read(fd, seen, 100);

	if (r == 8)
		memcpy(&n, seen, 8);
	printf("%s: %zd, %llu %.*s %s\n", what, r, (unsigned long long)n, r > 0 && r < 8 ? (int)r : 0, seen,
	       r < 0 ? strerror(errno) : "");
}

/* An epoll only with what it watches. */
static void look_at(pid_t pid, const struct things *t)
{
	struct epoll_event v;
	int fd;

	fd = take_from(pid, t->sock[1]);
	use("socket", fd);
	use("socket again", fd);
	SHOW(write(fd, "back", 4));
	close(fd);
	fd = take_from(pid, t->pipe[0]);
	use("pipe", fd);
	close(fd);
	if (pid == getpid()) {
		fd = take_from(pid, t->epoll);
		SHOW(epoll_wait(fd, &v, 1, 0));
		printf("%u\n", v.data.u32);
		close(fd);
	}
	fd = take_from(pid, t->event);
	use("event", fd);
	SHOW(write(fd, &(uint64_t){ 9 }, 8));
	close(fd);
	fd = take_from(pid, t->timer);
	use("timer", fd);
	close(fd);
	SHOW(take_from(pid, 999));
}

static void used(const struct things *t)
{
	use("its event", t->event);
	use("its socket", t->sock[0]);
	use("its pipe", t->pipe[0]);
	both_closed((int *)t->sock);
	both_closed((int *)t->pipe);
	close(t->event);
	close(t->epoll);
	close(t->timer);
}

void fds_taken(void)
{
	int there[2], back[2];
	struct things t;
	pid_t pid;
	char c;

	make_things(&t);
	look_at(getpid(), &t);
	used(&t);
	make(there, 0);
	make(back, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		make_things(&t);
		write(there[1], &t, sizeof(t));
		read(back[0], &c, 1);
		used(&t);
		fflush(stdout);
		_exit(0);
	}
	read(there[0], &t, sizeof(t));
	look_at(pid, &t);
	fflush(stdout);
	write(back[1], "x", 1);
	printf("status %d\n", wait_for(pid));
	both_closed(there);
	both_closed(back);
}
