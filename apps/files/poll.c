/* SPDX-License-Identifier: BSD-2-Clause */
/* poll and select: what they answer at once, and how long they take. */
#include "apps/files/files.h"

/* The compiler need not know. */
static volatile unsigned too_many = 0xfffffff;

void ask(const char *when, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDHUP, -1 };
	struct timeval zero = { 0, 0 };
	struct timespec none = { 0, 0 };
	fd_set in, out, ex;
	int n;

	n = poll(&p, 1, 0);
	printf("%s: poll %d %#x", when, n, (unsigned short)p.revents);
	p.events = 0;
	n = ppoll(&p, 1, &none, NULL);
	printf(", of nothing %d %#x", n, (unsigned short)p.revents);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	n = select(fd + 1, &in, &out, &ex, &zero);
	printf(", select %d %d%d%d", n, !!FD_ISSET(fd, &in), !!FD_ISSET(fd, &out), !!FD_ISSET(fd, &ex));
	FD_ZERO(&out);
	FD_SET(fd, &out);
	n = pselect(fd + 1, NULL, &out, NULL, &none, NULL);
	printf(", pselect %d %d\n", n, !!FD_ISSET(fd, &out));
}

/* ---- What is ready ---- */

void poll_states(void)
{
	int p[2], e;

	make(p, O_NONBLOCK);
	ask("empty, reader", p[0]);
	ask("empty, writer", p[1]);
	SHOW(write(p[1], big, 1));
	ask("a byte, reader", p[0]);
	ask("a byte, writer", p[1]);
	SHOW(write(p[1], big, 15 * 4096));
	ask("16 buffers, reader", p[0]);
	ask("16 buffers, writer", p[1]);
	SHOW(read(p[0], seen, 1));
	ask("15 buffers, writer", p[1]);
	close(p[1]);
	ask("no writer, bytes", p[0]);
	SHOW(read(p[0], seen, sizeof(seen)));
	ask("no writer", p[0]);
	close(p[0]);
	make(p, O_NONBLOCK);
	close(p[0]);
	ask("no reader", p[1]);
	close(p[1]);
	make(p, O_NONBLOCK);
	while (write(p[1], big, 4096) > 0)
		;
	close(p[0]);
	ask("no reader, full", p[1]);
	close(p[1]);
	e = event_make(0, 0);
	ask("0", e);
	event_add(e, 1);
	ask("1", e);
	event_add(e, UINT64_MAX - 2);
	ask("the most", e);
	event_take(e);
	ask("0 again", e);
	close(e);
}

void poll_errors(void)
{
	struct pollfd p[2] = { { -1, POLLIN, 7 }, { -5, POLLOUT, 7 } };
	struct timeval bad = { 0, -1 }, negative = { -1, 0 }, carry = { 0, 1999999 };
	struct timespec bad2 = { 0, 1000000000 };
	sigset_t none;
	fd_set set;
	int q[2];

	sigemptyset(&none);
	SHOW(poll(p, 2, 0));
	printf("%d %d\n", p[0].revents, p[1].revents);
	SHOW(poll(NULL, 0, 10));
	SHOW(poll(nowhere, 1, 0));
	SHOW(select(0, NULL, NULL, NULL, &bad));
	SHOW(select(0, NULL, NULL, NULL, &negative));
	SHOW(select(-1, NULL, NULL, NULL, &negative));
	make(q, 0);
	p[0] = (struct pollfd){ q[1], POLLOUT, 0 };
	p[1] = (struct pollfd){ q[1], POLLOUT, 0 };
	SHOW(poll(p, 2, -1));
	FD_ZERO(&set);
	FD_SET(q[1], &set);
	SHOW(select(q[1] + 1, NULL, &set, NULL, &carry));
	printf("left %d\n", carry.tv_sec == 1 && carry.tv_usec > 0);
	/* Above the count nothing is looked at. */
	FD_SET(500, &set);
	SHOW(select(q[1] + 1, NULL, &set, NULL, NULL));
	SHOW(ppoll(p, 2, &bad2, NULL));
	SHOW(syscall(SYS_ppoll, p, 2, NULL, &none, 4));
	SHOW(syscall(SYS_ppoll, p, 2, NULL, nowhere, 8));
	SHOW(syscall(SYS_ppoll, p, 2, nowhere, NULL, 0));
	SHOW(poll(p, too_many, 0));
	SHOW(select(q[1] + 1, nowhere, NULL, NULL, &carry));
	both_closed(q);
	p[0].fd = q[0];
	SHOW(poll(p, 1, 0));
	printf("%#x\n", (unsigned)p[0].revents);
}

/* ---- Time ---- */

void poll_times(void)
{
	struct timespec ts = { 0, 30000000 };
	struct timeval tv = { 0, 30000 };
	struct pollfd p = { -1, POLLIN, 7 };
	long from = now_ms();
	fd_set set;
	int q[2];

	make(q, 0);
	p.fd = q[0];
	SHOW(poll(&p, 1, 30));
	printf("%d %d\n", p.revents, now_ms() - from >= 30);
	from = now_ms();
	SHOW(ppoll(&p, 1, &ts, NULL));
	printf("%d\n", now_ms() - from >= 30);
	/* The call itself writes what is left. */
	ts = (struct timespec){ 0, 30000000 };
	SHOW(syscall(SYS_ppoll, &p, 1, &ts, NULL, 0));
	printf("left %ld.%ld\n", (long)ts.tv_sec, ts.tv_nsec);
	FD_ZERO(&set);
	FD_SET(q[0], &set);
	SHOW(select(q[0] + 1, &set, NULL, NULL, &tv));
	printf("left %ld.%ld, %d\n", (long)tv.tv_sec, (long)tv.tv_usec, !!FD_ISSET(q[0], &set));
	SHOW(write(q[1], "x", 1));
	tv.tv_sec = 100;
	FD_SET(q[0], &set);
	SHOW(select(q[0] + 1, &set, NULL, NULL, &tv));
	printf("left %d, %d\n", tv.tv_sec >= 90, !!FD_ISSET(q[0], &set));
	both_closed(q);
}
