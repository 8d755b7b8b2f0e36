/* SPDX-License-Identifier: BSD-2-Clause */
/* Pairs of sockets that become Linux's, because of what is done with them, or by a process
 * that has one end only. */
#include "apps/files/files.h"

#include <linux/sockios.h>

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
