/* SPDX-License-Identifier: BSD-2-Clause */
/* Pairs of sockets: what single calls answer, how much goes in, who is woken. */
#include "apps/files/files.h"

#include <linux/sockios.h>

void pair(int s[2], int flags)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | flags, 0, s)) {
		perror("socketpair");
		exit(1);
	}
}

int bytes_in(int s, unsigned long request)
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
