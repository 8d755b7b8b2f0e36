/* SPDX-License-Identifier: BSD-2-Clause */
/* Pairs of sockets: what single calls answer, how much goes in, who is woken. */
#include "apps/files/files.h"

#include <linux/sockios.h>

static void pair(int s[2], int flags)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | flags, 0, s)) {
		perror("socketpair");
		exit(1);
	}
}

static int bytes_in(int s, unsigned long request)
{
	int n = -1;

	ioctl(s, request, &n);
	return n;
}

static struct msghdr *message(struct iovec *v, size_t n)
{
	static struct msghdr m;

	m = (struct msghdr){ .msg_iov = v, .msg_iovlen = n };
	return &m;
}

/* ---- Answers ---- */

void socket_errors(void)
{
	struct iovec v[3] = { { big, 10 }, { NULL, 0 }, { big + 10, 5 } }, bad = { nowhere, 4 }, one = { seen, 1 };
	char control[64];
	struct msghdr m;
	int s[2], type = 0;
	socklen_t bytes = sizeof(type);

	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 7, s));
	SHOW(socketpair(AF_UNIX, 99, 0, s));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, s));
	SHOW(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 16));
	pair(s, SOCK_NONBLOCK | SOCK_CLOEXEC);
	SHOW(s[1] - s[0]);
	SHOW(fcntl(s[0], F_GETFL));
	SHOW(fcntl(s[1], F_GETFD));
	SHOW(read(s[0], seen, 10));
	SHOW(read(s[0], seen, 0));
	SHOW(recv(s[0], seen, 0, 0));
	SHOW(write(s[0], big, 0));
	SHOW(send(s[0], big, 0, 0));
	SHOW(send(s[0], nowhere, 10, 0));
	SHOW(write(s[0], worse, 10));
	SHOW(send(s[0], big, 10, 0));
	SHOW(recv(s[1], nowhere, 5, 0));
	SHOW(recv(s[1], seen, 4, MSG_PEEK));
	SHOW(recv(s[1], nowhere, 4, MSG_PEEK));
	SHOW(recv(s[1], seen, 0, 0));
	SHOW(recv(s[1], seen, 100, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
	SHOW(recv(s[1], seen, 4, MSG_WAITALL));
	SHOW(recv(s[1], seen, 100, MSG_WAITALL | MSG_DONTWAIT));
	SHOW(sendmsg(s[0], message(v, 3), MSG_NOSIGNAL));
	SHOW(sendmsg(s[0], message(v, 1025), 0));
	SHOW(sendmsg(s[0], message(&bad, 1), 0));
	SHOW(sendmsg(s[0], message(nowhere, 1), 0));
	SHOW(sendmsg(s[0], nowhere, 0));
	SHOW(recvmsg(s[1], nowhere, 0));
	m = *message(v, 3);
	m.msg_control = control;
	m.msg_controllen = sizeof(control);
	m.msg_flags = -1;
	SHOW(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
	printf("control %zu flags %#x\n", (size_t)m.msg_controllen, (unsigned)m.msg_flags);
	SHOW(send(s[0], big, 10, MSG_EOR));
	m.msg_name = control;
	m.msg_namelen = 20;
	m.msg_iov = &one;
	m.msg_iovlen = 1;
	SHOW(recvmsg(s[1], &m, 0));
	SHOW(m.msg_namelen);
	m.msg_namelen = (socklen_t)-1;
	SHOW(recvmsg(s[1], &m, 0));
	bytes = 20;
	SHOW(recvfrom(s[1], seen, 1, 0, (struct sockaddr *)control, &bytes));
	SHOW(bytes);
	bytes = (socklen_t)-1;
	SHOW(recvfrom(s[1], seen, 1, 0, (struct sockaddr *)control, &bytes));
	SHOW(recvfrom(s[1], seen, 1, 0, (struct sockaddr *)control, nowhere));
	SHOW(recv(s[1], seen, 10, 0));
	bytes = sizeof(type);
	SHOW(writev(s[0], v, 3));
	SHOW(writev(s[0], v + 1, 1));
	SHOW(readv(s[1], v, 1));
	SHOW(readv(s[1], v, 3));
	SHOW(lseek(s[0], 0, SEEK_CUR));
	SHOW(isatty(s[0]));
	SHOW(pread(s[0], seen, 1, 0));
	SHOW(shutdown(s[0], 3));
	SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &type, &bytes));
	SHOW(type);
	SHOW(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &type, &bytes));
	SHOW(type);
	bytes = sizeof(control);
	SHOW(getpeername(s[0], (struct sockaddr *)control, &bytes));
	SHOW(bytes);
	close(s[1]);
	SHOW(getpeername(s[0], (struct sockaddr *)control, &bytes));
	SHOW(getsockname(s[0], (struct sockaddr *)control, &bytes));
	both_closed(s);
	SHOW(send(s[0], big, 1, 0));
	make(s, 0);
	SHOW(send(s[1], big, 1, 0));
	SHOW(recv(s[0], seen, 1, 0));
	SHOW(shutdown(s[0], 0));
	both_closed(s);
}

/* ---- How much goes in, and what that counts ---- */

static void fill_with(size_t each)
{
	int s[2];
	long n = 0, calls = 0, r;

	pair(s, SOCK_NONBLOCK);
	while ((r = send(s[0], big, each, MSG_NOSIGNAL)) > 0) {
		n += r;
		calls++;
	}
	printf("%zu at once: %ld bytes in %ld calls, %s; counted %d, there %d\n", each, n, calls, strerror(errno),
	       bytes_in(s[0], SIOCOUTQ), bytes_in(s[1], SIOCINQ));
	ask("full", s[0]);
	/* Until there is room, and until that is told. */
	for (long got = 0, again = 0; got < n; got += r) {
		r = read(s[1], seen, each < 1000 ? 1000 : each);
		if (r <= 0)
			break;
		struct pollfd p = { s[0], POLLOUT, 0 };

		if (!again && send(s[0], "x", 1, 0) == 1) {
			printf("room after %ld, counted %d\n", got + r, bytes_in(s[0], SIOCOUTQ));
			again = 1;
			n++;
		}
		if (poll(&p, 1, 0) > 0) {
			printf("told after %ld, counted %d\n", got + r, bytes_in(s[0], SIOCOUTQ));
			break;
		}
	}
	while (read(s[1], seen, sizeof(seen)) > 0)
		;
	printf("counted %d\n", bytes_in(s[0], SIOCOUTQ));
	both_closed(s);
}

void socket_capacity(void)
{
	static const size_t sizes[] = { 1, 64, 192, 193, 320, 384, 400, 704, 705, 1000, 3000, 3776, 3777, 4096, 5000,
					10000, 36544, 36545, 40000, 65536, 300000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fill_with(sizes[i]);
}

/* ---- Ends ---- */

void socket_ends(void)
{
	static const char *const names[] = { "SHUT_RD", "SHUT_WR", "SHUT_RDWR" };
	int s[2], d, status;

	handle(SIGPIPE, 0);
	for (int how = 0; how < 3; how++) {
		printf("%s\n", names[how]);
		pair(s, SOCK_NONBLOCK);
		write(s[0], "abc", 3);
		write(s[1], "defg", 4);
		SHOW(shutdown(s[0], how));
		ask("that one", s[0]);
		ask("its peer", s[1]);
		handled = 0;
		SHOW(write(s[0], "x", 1));
		SHOW(write(s[1], "x", 1));
		SHOW(write(s[1], "x", 0));
		SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
		printf("signals %d\n", handled);
		for (int i = 0; i < 2; i++) {
			SHOW(read(s[i], seen, 10));
			SHOW(read(s[i], seen, 10));
		}
		SHOW(shutdown(s[1], 1));
		ask("that one", s[0]);
		ask("its peer", s[1]);
		both_closed(s);
	}
	/* The last number of an end. */
	pair(s, SOCK_NONBLOCK);
	d = dup(s[0]);
	write(s[0], "abc", 3);
	close(s[0]);
	SHOW(write(s[1], "x", 1));
	SHOW(read(s[1], seen, 10));
	handled = 0;
	close(d);
	ask("unread at close", s[1]);
	SHOW(write(s[1], "x", 1));
	SHOW(read(s[1], seen, 10));
	SHOW(read(s[1], seen, 10));
	printf("signals %d, code %d, from me %d\n", handled, last.si_code, last.si_pid == getpid());
	close(s[1]);
	signal(SIGPIPE, SIG_DFL);
	/* Both ends of which one goes on in a child. */
	for (int i = 0; i < 2; i++) {
		pair(s, 0);
		write(s[0], big, 5000);
		fflush(stdout);
		d = fork();
		if (!d) {
			close(s[0]);
			if (take(s[1], 5000) < 5000)
				_exit(1);
			_exit(write(s[1], big, 70000) != 70000);
		}
		if (i)
			close(s[1]);
		printf("sum %lu\n", take(s[0], 70000));
		status = wait_for(d);
		if (i)
			SHOW(read(s[0], seen, 1));
		printf("status %d\n", status);
		both_closed(s);
	}
	/* What an exec leaves of it. */
	pair(s, 0);
	fcntl(s[0], F_SETFD, FD_CLOEXEC);
	write(s[0], "echo it works\n", 14);
	fflush(stdout);
	d = fork();
	if (!d) {
		dup2(s[1], 0);
		close(s[1]);
		execl("/bin/sh", "sh", "-c", "read line; eval \"$line\"", (char *)NULL);
		_exit(127);
	}
	printf("status %d\n", wait_for(d));
	both_closed(s);
	/* One in the place of the other. */
	pair(s, SOCK_NONBLOCK);
	write(s[0], "abc", 3);
	SHOW(dup2(s[1], s[0]) - s[0]);
	SHOW(read(s[0], seen, 10));
	SHOW(read(s[1], seen, 10));
	both_closed(s);
	pair(s, SOCK_NONBLOCK);
	write(s[0], "abc", 3);
	SHOW(close_range((unsigned)s[0], (unsigned)s[0], 0));
	SHOW(read(s[1], seen, 10));
	SHOW(read(s[1], seen, 10));
	close(s[1]);
	for (int i = 0; i < 2000; i++) {
		pair(s, 0);
		if (s[0] > 50 || write(s[i & 1], &i, 4) != 4 || read(s[!(i & 1)], &d, 4) != 4 || d != i)
			printf("wrong at %d\n", i);
		both_closed(s);
	}
}

/* ---- What is ready ---- */

static void told(const char *when, int e)
{
	struct epoll_event v[4];
	int n = epoll_wait(e, v, 4, 0);
	unsigned by[2] = { 0, 0 };

	for (int i = 0; i < n; i++)
		by[v[i].data.u64] = v[i].events;
	printf("%s: %d %#x %#x\n", when, n, by[0], by[1]);
}

void socket_polls(void)
{
	static const unsigned kinds[] = { 0, EPOLLET, EPOLLET | EPOLLOUT, EPOLLET | EPOLLRDHUP };
	int s[2];

	pair(s, SOCK_NONBLOCK);
	ask("empty", s[0]);
	write(s[1], big, 10);
	ask("bytes", s[0]);
	ask("sent", s[1]);
	both_closed(s);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct epoll_event v = { .events = EPOLLIN | kinds[k] };
		int e = epoll_create1(0);

		printf("kind %zu\n", k);
		pair(s, SOCK_NONBLOCK);
		for (int i = 0; i < 2; i++) {
			v.data.u64 = (unsigned)i;
			SHOW(epoll_ctl(e, EPOLL_CTL_ADD, s[i], &v));
		}
		told("empty", e);
		told("again", e);
		write(s[0], big, 10);
		told("written", e);
		told("again", e);
		SHOW(read(s[1], seen, 5));
		told("read a part", e);
		SHOW(read(s[1], seen, 50));
		told("read all", e);
		SHOW(read(s[1], seen, 50));
		told("read nothing", e);
		while (write(s[0], big, 4096) > 0)
			;
		told("full", e);
		SHOW(read(s[1], seen, 4096));
		told("one read", e);
		while (read(s[1], seen, 4096) > 0)
			;
		told("all read", e);
		SHOW(shutdown(s[0], SHUT_WR));
		told("shut", e);
		SHOW(shutdown(s[1], SHUT_WR));
		told("the other", e);
		told("again", e);
		both_closed(s);
		close(e);
	}
}

/* ---- Waiting ---- */

static void *send_much(void *arg)
{
	int s = *(int *)arg;

	return (void *)(intptr_t)send(s, big, sizeof(big), 0);
}

void socket_waits(void)
{
	struct pollfd p;
	struct later l;
	pthread_t t;
	void *sent;
	int s[2];

	pair(s, 0);
	l = (struct later){ .what = WRITE, .fd = s[1] };
	later(&l);
	SHOW(recv(s[0], seen, 10, 0));
	done(&l);
	/* All, or what there is when the peer goes. */
	pthread_create(&t, NULL, send_much, &s[1]);
	SHOW(recv(s[0], seen, sizeof(seen), MSG_WAITALL));
	pthread_join(t, &sent);
	printf("sent %ld, %s\n", (long)(intptr_t)sent, memcmp(big, seen, sizeof(big)) ? "wrong" : "right");
	write(s[1], "abc", 3);
	l = (struct later){ .what = CLOSE, .fd = s[1] };
	later(&l);
	SHOW(recv(s[0], seen, 10, MSG_WAITALL));
	done(&l);
	close(s[0]);
	/* A sender that waits, and the peer shuts down, or goes with all that unread. */
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		pair(s, 0);
		pthread_create(&t, NULL, send_much, &s[0]);
		nap(100);
		if (i)
			SHOW(shutdown(s[1], SHUT_RD));
		else
			close(s[1]);
		pthread_join(t, &sent);
		printf("sent %ld\n", (long)(intptr_t)sent);
		both_closed(s);
	}
	pair(s, 0);
	while (send(s[0], big, 10000, MSG_DONTWAIT) > 0)
		;
	l = (struct later){ .what = CLOSE, .fd = s[1] };
	later(&l);
	SHOW(send(s[0], big, 10, 0));
	done(&l);
	SHOW(send(s[0], big, 10, 0));
	close(s[0]);
	signal(SIGPIPE, SIG_DFL);
	/* Signals. */
	handle(SIGUSR1, 0);
	handled = 0;
	pair(s, 0);
	l = (struct later){ .what = KILL };
	later(&l);
	SHOW(recv(s[0], seen, 10, 0));
	done(&l);
	write(s[1], "abc", 3);
	later(&l);
	SHOW(recv(s[0], seen, 10, MSG_WAITALL));
	done(&l);
	later(&l);
	SHOW(send(s[0], big, sizeof(big), 0) > 0);
	done(&l);
	printf("handled %d\n", handled);
	p = (struct pollfd){ s[0], POLLOUT, 0 };
	pthread_create(&t, NULL, send_much, &s[1]);
	SHOW(recv(s[0], seen, 100000, MSG_WAITALL));
	SHOW(poll(&p, 1, 0));
	for (size_t left = sizeof(big) - 100000; left;) {
		ssize_t n = read(s[0], seen, left);

		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	pthread_join(t, &sent);
	printf("sent %ld\n", (long)(intptr_t)sent);
	both_closed(s);
}

/* ---- What only Linux can do ---- */

static void loaded(int s[2], size_t n)
{
	pair(s, 0);
	if (send(s[0], big, n / 2, 0) < 0 || send(s[0], big + n / 2, n - n / 2, 0) < 0 || read(s[1], seen, 10) != 10 ||
	    send(s[1], big, 77, 0) != 77)
		printf("could not load\n");
}

static void unload(int s[2], size_t n)
{
	unsigned long sum = 0;

	for (size_t i = 10; i < n; i++)
		sum = sum * 31 + (unsigned char)big[i];
	printf("%s, counted %d\n", take(s[1], n - 10) == sum ? "right" : "wrong", bytes_in(s[0], SIOCOUTQ));
	SHOW(recv(s[0], seen, 100, 0));
	SHOW(write(s[0], "more", 4));
	SHOW(read(s[1], seen, 10));
	close(s[0]);
	SHOW(read(s[1], seen, 10));
	close(s[1]);
}

static void pass_on(int s[2], int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'd';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	*h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	SHOW(sendmsg(s[0], &m, 0));
	m.msg_controllen = sizeof(space);
	SHOW(recvmsg(s[1], &m, 0));
	h = CMSG_FIRSTHDR(&m);
	if (h) {
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
		SHOW(write(fd, "passed", 6));
		close(fd);
	} else {
		printf("nothing came\n");
	}
}

void socket_remote(void)
{
	static const size_t sizes[] = { 11, 1000, 9000, 80000, 150000 };
	struct timeval tv = { 5, 0 };
	socklen_t bytes;
	int s[2], q[2], error;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];

		printf("with %zu bytes\n", n);
		loaded(s, n);
		SHOW(poll((struct pollfd[]){ { s[1], POLLIN, 0 }, { s[0], POLLOUT, 0 }, { 0, 0, 0 } }, 3, 0));
		unload(s, n);
		loaded(s, n);
		SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
		unload(s, n);
		loaded(s, n);
		bytes = sizeof(error);
		SHOW(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &error, &bytes));
		unload(s, n);
		loaded(s, n);
		pair(q, 0);
		pass_on(q, s[0]);
		SHOW(recv(s[0], seen, 5, MSG_PEEK));
		/* What was passed on wrote behind the rest. */
		printf("%d\n", take(s[1], n - 10 + 6) != n - 10 + 6);
		both_closed(q);
		both_closed(s);
		loaded(s, n);
		SHOW(shutdown(s[0], SHUT_WR));
		SHOW(send(s[1], big, 100, MSG_OOB) < 0 ? -1 : 0);
		ask("shut", s[1]);
		printf("%d\n", take(s[1], n - 10) != n - 10);
		SHOW(read(s[1], seen, 10));
		both_closed(s);
	}
	/* As much as goes in goes to Linux. */
	for (size_t each = 1; each < 100000; each = each * 7 + 5) {
		unsigned long left = 0;
		ssize_t n;

		pair(s, SOCK_NONBLOCK);
		while ((n = write(s[0], big, each)) > 0)
			left += (unsigned long)n;
		while ((n = write(s[1], big, each)) > 0)
			;
		SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
		printf("%zu at once: %lu, counted %d %d\n", each, left, bytes_in(s[0], SIOCOUTQ), bytes_in(s[1], SIOCOUTQ));
		take(s[1], left);
		SHOW(read(s[1], seen, 1));
		both_closed(s);
	}
}

/* ---- One end only ---- */

enum { STAYS, ENDS, DIES, UNREAD, SHUT, FATES };

/* A child has the other end alone, of which n / 2 bytes were sent by then, and sends as
 * many; what becomes of it. */
static pid_t other_end(int s[2], int go[2], size_t n, int fate)
{
	pid_t pid;

	pair(s, 0);
	make(go, 0);
	send(s[0], big, n / 2, 0);
	fflush(stdout);
	pid = fork();
	if (pid) {
		close(s[1]);
		return pid;
	}
	close(s[0]);
	if (fate != UNREAD && fate != DIES)
		take(s[1], n / 2);
	send(s[1], big, n - n / 2, 0);
	if (fate == DIES)
		kill(getpid(), SIGKILL);
	if (fate == SHUT)
		shutdown(s[1], SHUT_WR);
	if (fate != STAYS && fate != SHUT)
		_exit(3);
	/* The parent has given the pair to Linux, and sent something. */
	read(go[0], seen, 1);
	_exit(take(s[1], 5) == 0 || (fate == STAYS && write(s[1], "back", 4) != 4));
}

/* The pair is Linux's then; by an option, by passing it on. */
static void give(int s, bool passed)
{
	struct timeval tv = { 50, 0 };
	int q[2];

	if (!passed) {
		SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
		return;
	}
	pair(q, 0);
	pass_on(q, s);
	both_closed(q);
}

static void one_end(size_t n, int fate, bool passed)
{
	bool over = fate == ENDS || fate == DIES || fate == UNREAD;
	size_t rest = n - n / 2;
	int s[2], go[2], status;
	pid_t pid = other_end(s, go, n, fate);

	printf("%zu bytes, fate %d, %s\n", n, fate, passed ? "passed on" : "given");
	/* All has been sent; and of who ends, the end. */
	while (bytes_in(s[0], SIOCINQ) < (int)rest)
		nap(2);
	if (over)
		printf("status %d\n", status = wait_for(pid));
	else
		nap(100);
	if (passed && over) {
		ask("before", s[0]);
	} else {
		give(s[0], passed);
		ask("after", s[0]);
	}
	printf("sum %lu\n", take(s[0], rest));
	handled = 0;
	SHOW(recv(s[0], seen, 1, over || fate == SHUT ? 0 : MSG_DONTWAIT));
	SHOW(recv(s[0], seen, 1, over || fate == SHUT ? 0 : MSG_DONTWAIT));
	/* Without what pass_on() wrote. */
	if (!passed || over)
		SHOW(write(s[0], "more!", 5));
	if (!over) {
		write(go[1], "x", 1);
		status = wait_for(pid);
		printf("status %d\n", status);
		if (fate == STAYS)
			SHOW(read(s[0], seen, 10));
	}
	SHOW(read(s[0], seen, 1));
	SHOW(write(s[0], "none", 4));
	printf("signals %d\n", handled);
	close(s[0]);
	both_closed(go);
}

/* What goes on while a child that has one end only gives the pair to Linux. */
static void given_by_child(int round)
{
	struct timeval tv = { 50, 0 };
	int s[2], status;
	size_t at = 0;
	pid_t pid;

	pair(s, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(s[0]);
		for (size_t k = 0; at < sizeof(big); k++) {
			size_t n = 1 + k * 997 % 50000;
			ssize_t r = write(s[1], big + at, n < sizeof(big) - at ? n : sizeof(big) - at);

			if (r <= 0)
				_exit(1);
			at += (size_t)r;
			if (k == (size_t)round * 3)
				setsockopt(s[1], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		}
		_exit(0);
	}
	close(s[1]);
	for (ssize_t r; (r = read(s[0], seen + at, sizeof(seen) - at)) > 0;)
		at += (size_t)r;
	status = wait_for(pid);
	printf("round %d: %s, status %d\n", round, at == sizeof(big) && !memcmp(big, seen, at) ? "right" : "wrong", status);
	close(s[0]);
}

void socket_parted(void)
{
	static const size_t sizes[] = { 2, 1000, 9000, 100000 };

	handle(SIGPIPE, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int fate = 0; fate < FATES; fate++)
			for (int passed = 0; passed < 2; passed++)
				one_end(sizes[i], fate, passed);
	for (int round = 0; round < 6; round++)
		given_by_child(round);
	signal(SIGPIPE, SIG_DFL);
}

/* ---- Much ---- */

static int flow[2];

static void *writer(void *arg)
{
	for (size_t at = 0, k = 0; at < sizeof(big); k++) {
		size_t n = 1 + k * 997 % 50000, left = sizeof(big) - at;
		ssize_t r = send(flow[1], big + at, n < left ? n : left, k % 3 ? 0 : MSG_DONTWAIT);

		if (r < 0 && errno != EAGAIN)
			return NULL;
		at += r > 0 ? (size_t)r : 0;
	}
	shutdown(flow[1], SHUT_WR);
	return arg;
}

static bool flows(void)
{
	size_t at = 0;

	for (size_t k = 0; at < sizeof(seen); k++) {
		size_t n = 1 + k * 1301 % 40000;
		ssize_t r = recv(flow[0], seen + at, n < sizeof(seen) - at ? n : sizeof(seen) - at, k % 5 ? 0 : MSG_WAITALL);

		if (r <= 0)
			break;
		at += (size_t)r;
	}
	return at == sizeof(big) && !memcmp(big, seen, sizeof(big)) && recv(flow[0], seen, 1, 0) == 0;
}

void socket_flow(void)
{
	struct timeval tv = { 60, 0 };

	for (int round = 0; round < 8; round++) {
		pthread_t t;
		pid_t pid = 0;
		bool right;

		pair(flow, 0);
		fflush(stdout);
		/* It becomes Linux's meanwhile in the later rounds, by a child. */
		if (round >= 3 && !(pid = fork())) {
			nap(5 * round);
			_exit(setsockopt(flow[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0);
		}
		pthread_create(&t, NULL, writer, NULL);
		right = flows();
		pthread_join(t, NULL);
		printf("round %d: %s, status %d\n", round, right ? "right" : "wrong", pid ? wait_for(pid) : 0);
		both_closed(flow);
	}
}
