/* SPDX-License-Identifier: BSD-2-Clause */
/* What only Linux can do with a pipe: with bytes inside, and while others use it. */
#include "apps/files/files.h"

static void send_fd(int s, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'd';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	*h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	SHOW(sendmsg(s, &m, 0));
}

static int receive_fd(int s)
{
	char space[CMSG_SPACE(sizeof(int))], c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	int fd = -1;

	SHOW(recvmsg(s, &m, 0));
	if (CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A pipe with n bytes, of which the first 10 have been read. */
static void loaded(int p[2], size_t n)
{
	make(p, 0);
	if (write(p[1], big, n) != (ssize_t)n || read(p[0], seen, 10) != 10)
		printf("could not load\n");
}

/* They are all there, and it goes on. */
static void unload(int p[2], size_t n)
{
	unsigned long sum = 0;

	for (size_t i = 10; i < n; i++)
		sum = sum * 31 + (unsigned char)big[i];
	printf("%s\n", take(p[0], n - 10) == sum ? "right" : "wrong");
	SHOW(write(p[1], "more", 4));
	SHOW(read(p[0], seen, 10));
	close(p[1]);
	SHOW(read(p[0], seen, 10));
	close(p[0]);
}

void pipe_remote(void)
{
	static const size_t sizes[] = { 11, 1000, 5000, 65536 };
	struct epoll_event event = { .events = EPOLLIN };
	int p[2], s[2], e, fd, n;
	fd_set set, other;
	char link[40];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		printf("with %zu bytes\n", sizes[i]);
		loaded(p, sizes[i]);
		/* Beside something that is Linux's in any case. */
		SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 }, { 0, 0, 0 } }, 3, 0));
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		FD_ZERO(&set);
		FD_SET(p[0], &set);
		FD_ZERO(&other);
		FD_SET(0, &other);
		SHOW(select(p[0] + 1, &set, NULL, &other, NULL));
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		e = epoll_create1(0);
		SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
		SHOW(epoll_wait(e, &event, 1, 0));
		unload(p, sizes[i]);
		close(e);
		loaded(p, sizes[i]);
		socketpair(AF_UNIX, SOCK_STREAM, 0, s);
		send_fd(s[0], p[0]);
		fd = receive_fd(s[1]);
		close(p[0]);
		p[0] = fd;
		unload(p, sizes[i]);
		both_closed(s);
		/* By its name in /proc: only the end that reads, too. */
		loaded(p, sizes[i]);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", p[0]);
		fd = open(link, O_RDONLY);
		close(p[0]);
		p[0] = fd;
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		fd = open("/dev/null", O_WRONLY);
		n = fcntl(p[0], F_SETFL, O_NONBLOCK);
		SHOW(splice(p[0], NULL, fd, NULL, 1, 0));
		n = fcntl(p[0], F_SETFL, 0);
		close(fd);
		printf("%d, ", n);
		printf("%s\n", take(p[0], sizes[i] - 11) != sizes[i] - 11 || sizes[i] == 11 ? "read" : "short");
		both_closed(p);
		loaded(p, sizes[i]);
		SHOW(fcntl(p[1], F_SETPIPE_SZ, 1 << 17));
		unload(p, sizes[i]);
	}
}

/* A child that gives up its user still has what its parent's pipe holds; and so has one
 * that opens it by its parent's number. */
void pipe_rights(void)
{
	int p[2], q[2];
	char link[60];
	pid_t pid, me = getpid();

	loaded(p, 5000);
	make(q, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		SHOW(setresuid(65534, 65534, 65534));
		close(p[1]);
		SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0));
		SHOW(read(p[0], seen, 4000));
		printf("%s\n", memcmp(seen, big + 10, 4000) ? "wrong" : "right");
		make(q, 0);
		SHOW(write(q[1], big, 100));
		SHOW(poll((struct pollfd[]){ { q[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0));
		SHOW(read(q[0], seen, 4000));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	SHOW(read(p[0], seen, 4000));
	both_closed(p);
	both_closed(q);

	loaded(p, 5000);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int fd;

		both_closed(p);
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)me, p[0]);
		fd = open(link, O_RDONLY);
		SHOW(read(fd, seen, 4000));
		printf("%s\n", memcmp(seen, big + 10, 4000) ? "wrong" : "right");
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	SHOW(read(p[0], seen, 4000));
	both_closed(p);
}

static int shared[2];

/* The move while others read and write. */
static void *writer_thread(void *arg)
{
	for (size_t at = 0; at < sizeof(big); ) {
		size_t n = 1 + at * 7 % 9000, left = sizeof(big) - at;
		ssize_t r = write(shared[1], big + at, n < left ? n : left);

		if (r < 0)
			return arg;
		at += (size_t)r;
	}
	close(shared[1]);
	return NULL;
}

void pipe_moving(void)
{
	for (int round = 0; round < 5; round++) {
		pthread_t t;
		pid_t pid;
		size_t at = 0;
		int status;

		make(shared, 0);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(shared[1]);
			nap(20 * round);
			poll((struct pollfd[]){ { shared[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0);
			_exit(0);
		}
		pthread_create(&t, NULL, writer_thread, NULL);
		for (;;) {
			ssize_t n = read(shared[0], seen + at, 1 + at % 5000 < sizeof(seen) - at ? 1 + at % 5000 : sizeof(seen) - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		pthread_join(t, NULL);
		status = wait_for(pid);
		printf("%zu bytes, %s, %d\n", at, memcmp(big, seen, sizeof(big)) ? "wrong" : "right", status);
		close(shared[0]);
	}
}
