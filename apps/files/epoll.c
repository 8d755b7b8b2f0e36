/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of descriptors: what is told of them, when, and how often. */
#include "apps/files/files.h"

#define MANY 16
/* The compiler need not know. */
static volatile int minus_one = -1;

static int set_make(int flags)
{
	int e = epoll_create1(flags);

	if (e < 0) {
		perror("epoll_create1");
		exit(1);
	}
	return e;
}

static int ctl(int e, int op, int fd, unsigned events, unsigned long data)
{
	struct epoll_event v = { .events = events, .data.u64 = data };

	return epoll_ctl(e, op, fd, &v);
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

/* Prints what there is, in the order of the numbers that were given. */
static void told(const char *when, int e, int ms)
{
	struct epoll_event v[MANY];
	int n = epoll_wait(e, v, MANY, ms);

	printf("%s: %d", when, n);
	if (n < 0)
		printf(" %s", strerror(errno));
	if (n > 0)
		qsort(v, (size_t)n, sizeof(v[0]), by_data);
	for (int i = 0; i < n; i++)
		printf(" %llu:%#x", (unsigned long long)v[i].data.u64, v[i].events);
	printf("\n");
}

/* ---- What is told ---- */

void epoll_states(void)
{
	static const unsigned kinds[] = { 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		int e = set_make(0), p[2], n = event_make(0, EFD_NONBLOCK);

		printf("kind %zu\n", k);
		make(p, O_NONBLOCK);
		told("nothing", e, 0);
		SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN | kinds[k], 1));
		SHOW(ctl(e, EPOLL_CTL_ADD, p[1], EPOLLOUT | kinds[k], 2));
		SHOW(ctl(e, EPOLL_CTL_ADD, n, EPOLLIN | EPOLLOUT | kinds[k], 3));
		told("empty", e, 0);
		told("again", e, 0);
		SHOW(write(p[1], "ab", 2));
		event_add(n, 5);
		told("written", e, 0);
		told("again", e, 0);
		SHOW(write(p[1], "cd", 2));
		told("written more", e, 0);
		SHOW(read(p[0], seen, 1));
		told("read a part", e, 0);
		SHOW(read(p[0], seen, 10));
		event_take(n);
		told("read all", e, 0);
		SHOW(ctl(e, EPOLL_CTL_MOD, p[1], EPOLLOUT | kinds[k], 22));
		SHOW(ctl(e, EPOLL_CTL_MOD, n, EPOLLIN | kinds[k], 33));
		told("changed", e, 0);
		while (write(p[1], big, 4096) > 0)
			;
		told("full", e, 0);
		SHOW(read(p[0], seen, 100));
		told("a part of a page read", e, 0);
		SHOW(read(p[0], seen, 5000));
		told("a page read", e, 0);
		SHOW(ctl(e, EPOLL_CTL_MOD, p[0], EPOLLIN | kinds[k], 11));
		SHOW(ctl(e, EPOLL_CTL_MOD, p[1], 0, 222));
		told("nothing of the writer", e, 0);
		event_add(n, UINT64_MAX - 1);
		told("the most", e, 0);
		SHOW(epoll_ctl(e, EPOLL_CTL_DEL, n, NULL));
		told("without it", e, 0);
		close(p[1]);
		told("no writer", e, 0);
		told("again", e, 0);
		SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
		told("nothing left", e, 0);
		close(p[0]);
		close(n);
		make(p, O_NONBLOCK);
		SHOW(ctl(e, EPOLL_CTL_ADD, p[1], kinds[k], 4));
		told("nothing asked", e, 0);
		close(p[0]);
		told("no reader", e, 0);
		told("again", e, 0);
		close(p[1]);
		told("closed", e, 0);
		close(e);
	}
}

void epoll_errors(void)
{
	struct epoll_event v[4] = { { .events = EPOLLIN } };
	int e = set_make(EPOLL_CLOEXEC), p[2], d;

	make(p, 0);
	SHOW(epoll_create(0));
	SHOW(epoll_create1(5));
	SHOW(fcntl(e, F_GETFD));
	SHOW(read(e, seen, 8));
	SHOW(write(e, seen, 8));
	SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SHOW(ctl(e, EPOLL_CTL_MOD, p[1], EPOLLIN, 1));
	SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[1], NULL));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[1], NULL));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[1], nowhere));
	SHOW(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], v));
	SHOW(epoll_wait(p[0], v, 4, 0));
	SHOW(epoll_wait(e, v, 0, 0));
	SHOW(epoll_wait(e, v, minus_one, 0));
	SHOW(epoll_wait(e, worse, 1, 0));
	SHOW(write(p[1], "x", 1));
	SHOW(epoll_wait(e, nowhere, 1, 0));
	told("once more", e, 0);
	SHOW(syscall(SYS_epoll_pwait, e, v, 1, 0, &v, 3));
	SHOW(syscall(SYS_epoll_pwait, e, v, 1, 0, nowhere, 8));
	SHOW(syscall(SYS_epoll_pwait2, e, v, 1, nowhere, NULL, 8));
	SHOW(syscall(SYS_epoll_pwait2, e, v, 1, &(struct timespec){ 0, 1000000000 }, NULL, 8));
	/* Another number of the same is another item; it stays when the first is closed. */
	d = dup(p[0]);
	SHOW(ctl(e, EPOLL_CTL_ADD, d, EPOLLIN, 2));
	told("both", e, 0);
	close(p[0]);
	told("one is closed", e, 0);
	SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
	SHOW(epoll_ctl(e, EPOLL_CTL_DEL, d, NULL));
	told("the other is out", e, 0);
	close(d);
	told("and closed", e, 0);
	/* The same set by another number. */
	make(p, 0);
	d = dup(e);
	SHOW(ctl(d, EPOLL_CTL_ADD, p[1], EPOLLOUT, 7));
	told("by the first", e, 0);
	close(e);
	told("by the second", d, 0);
	SHOW(ctl(d, EPOLL_CTL_ADD, d, EPOLLIN, 1));
	SHOW(ctl(d, 9, p[0], EPOLLIN, 1));
	SHOW(ctl(d, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
	told("at last", d, 0);
	close(d);
	both_closed(p);
}

/* ---- Waiting ---- */

static void waits_for(const char *what, struct later l, int e)
{
	long from = now_ms();

	later(&l);
	told(what, e, 20000);
	printf("%s\n", now_ms() - from >= 40 && now_ms() - from < 15000 ? "in time" : "at another time");
	done(&l);
}

void epoll_waiting(void)
{
	int e = set_make(0), n = event_make(0, EFD_NONBLOCK), p[2], q[2];
	struct epoll_event v;
	struct later l = { .what = KILL };
	sigset_t none, usr1;
	long from;

	make(p, O_NONBLOCK);
	make(q, O_NONBLOCK);
	SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 1));
	SHOW(ctl(e, EPOLL_CTL_ADD, n, EPOLLIN, 2));
	waits_for("a byte", (struct later){ .what = WRITE, .fd = p[1] }, e);
	waits_for("another", (struct later){ .what = WRITE, .fd = p[1] }, e);
	waits_for("a number", (struct later){ .what = ADD, .fd = n }, e);
	event_take(n);
	waits_for("the writer goes", (struct later){ .what = CLOSE, .fd = p[1] }, e);
	while (write(q[1], big, 4096) > 0)
		;
	SHOW(ctl(e, EPOLL_CTL_ADD, q[1], EPOLLOUT, 3));
	waits_for("room", (struct later){ .what = READ, .fd = q[0] }, e);
	close(q[1]);
	from = now_ms();
	told("nothing", e, 30);
	SHOW(syscall(SYS_epoll_pwait2, e, &v, 1, &(struct timespec){ 0, 30000000 }, NULL, 8));
	printf("%d\n", now_ms() - from >= 60);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	handled = 0;
	handle(SIGUSR1, SA_RESTART);
	later(&l);
	told("a signal", e, -1);
	done(&l);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	later(&l);
	SHOW(epoll_pwait(e, &v, 1, -1, &none));
	done(&l);
	printf("handled %d\n", handled);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	later(&l);
	SHOW(epoll_pwait(e, &v, 1, 200, &usr1));
	done(&l);
	printf("handled %d\n", handled);
	close(e);
	close(n);
	close(p[0]);
	close(q[0]);
}

/* ---- Several processes ---- */

void epoll_fork(void)
{
	int e = set_make(0), p[2], q[2], status;
	pid_t pid;

	make(p, 0);
	make(q, 0);
	SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* For the parent, too: it has the pipe under that number. */
		_exit(ctl(e, EPOLL_CTL_ADD, q[0], EPOLLIN, 2) || write(q[1], "x", 1) != 1);
	}
	told("what the child put in", e, 20000);
	status = wait_for(pid);
	printf("status %d\n", status);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		told("in a child", e, 20000);
		SHOW(read(q[0], seen, 1));
		close(q[0]);
		nap(50);
		SHOW(write(p[1], "y", 1));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	told("after it", e, 20000);
	/* Given to Linux by the child, which has all of it. */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		SHOW(poll(&(struct pollfd){ e, POLLIN, 0 }, 1, 0));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	told("in Linux", e, 0);
	SHOW(read(p[0], seen, 1));
	told("read", e, 0);
	SHOW(write(q[1], "z", 1));
	told("written", e, 0);
	both_closed(p);
	both_closed(q);
	told("closed", e, 0);
	close(e);
	/* Closed here, open in a child: another thing makes the set Linux's all the same. */
	e = set_make(0);
	make(p, 0);
	make(q, 0);
	SHOW(ctl(e, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SHOW(ctl(e, EPOLL_CTL_ADD, q[0], EPOLLIN, 2));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	both_closed(p);
	SHOW(fcntl(q[0], F_SETPIPE_SZ, 1 << 17));
	SHOW(write(q[1], "x", 1));
	told("what is left", e, 20000);
	kill(pid, SIGKILL);
	wait_for(pid);
	both_closed(q);
	close(e);
}

/* ---- What Linux has to watch ---- */

/* A set with something of each kind: 1 ready, 2 not, 3 an edge that was told, 4 one shot
 * that was told. */
static int loaded(int p[4][2])
{
	int e = set_make(0);

	for (int i = 0; i < 4; i++)
		make(p[i], O_NONBLOCK);
	ctl(e, EPOLL_CTL_ADD, p[0][0], EPOLLIN, 1);
	ctl(e, EPOLL_CTL_ADD, p[1][0], EPOLLIN, 2);
	ctl(e, EPOLL_CTL_ADD, p[2][0], EPOLLIN | EPOLLET, 3);
	ctl(e, EPOLL_CTL_ADD, p[3][0], EPOLLIN | EPOLLONESHOT, 4);
	for (int i = 0; i < 4; i++)
		if (i != 1 && write(p[i][1], "abc", 3) != 3)
			printf("could not load\n");
	told("loaded", e, 0);
	return e;
}

static void unload(int e, int p[4][2])
{
	char c[3];

	/* Whether Linux tells once more of an edge when it gets the set is its own business. */
	SHOW(read(p[2][0], seen, 3));
	told("Linux's", e, 0);
	SHOW(write(p[1][1], "late", 4));
	SHOW(write(p[2][1], "late", 4));
	SHOW(write(p[3][1], "late", 4));
	told("written", e, 0);
	told("again", e, 0);
	SHOW(ctl(e, EPOLL_CTL_MOD, p[3][0], EPOLLIN | EPOLLONESHOT, 44));
	told("armed", e, 0);
	SHOW(read(p[0][0], c, 3));
	SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[1][0], NULL));
	told("the end", e, 0);
	for (int i = 0; i < 4; i++)
		both_closed(p[i]);
	close(e);
}

void epoll_remote(void)
{
	struct epoll_event v;
	int e, p[4][2], s[2];
	struct later l;

	/* By something in it that is Linux's. */
	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	e = loaded(p);
	SHOW(ctl(e, EPOLL_CTL_ADD, s[0], EPOLLIN, 5));
	unload(e, p);
	/* By one of its descriptors. */
	e = loaded(p);
	SHOW(fcntl(p[1][0], F_SETPIPE_SZ, 1 << 17));
	unload(e, p);
	/* By being asked itself, by another set, by being passed on. */
	e = loaded(p);
	SHOW(poll(&(struct pollfd){ e, POLLIN, 0 }, 1, 0));
	unload(e, p);
	e = loaded(p);
	s[1] = dup(s[1]);
	SHOW(ctl(e, EPOLL_CTL_ADD, s[1], EPOLLIN | EPOLLEXCLUSIVE, 6));
	unload(e, p);
	/* While somebody waits. */
	e = set_make(0);
	make(p[0], O_NONBLOCK);
	ctl(e, EPOLL_CTL_ADD, p[0][0], EPOLLIN, 1);
	l = (struct later){ .what = REMOTE, .fd = p[0][0] };
	later(&l);
	told("nothing", e, 300);
	done(&l);
	both_closed(p[0]);
	close(e);
	e = set_make(0);
	make(p[0], O_NONBLOCK);
	ctl(e, EPOLL_CTL_ADD, p[0][0], EPOLLIN, 1);
	fflush(stdout);
	if (!fork()) {
		nap(100);
		ctl(e, EPOLL_CTL_ADD, s[0], EPOLLIN, 2);
		nap(100);
		_exit(write(p[0][1], "x", 1) != 1);
	}
	told("given away by another", e, 20000);
	wait(NULL);
	SHOW(syscall(SYS_epoll_pwait2, e, &v, 1, &(struct timespec){ 0, 30000000 }, NULL, 8));
	both_closed(p[0]);
	close(e);
	both_closed(s);
}

/* ---- Many ---- */

enum { THREADS = 4, PIPES = 8, EACH = 300 };
static int all, flow[PIPES][2];
static atomic_int arrived;

/* Takes one byte of whatever is ready, and says that it may be told of again. */
static void *server(void *arg)
{
	struct epoll_event v;
	char c;

	while (epoll_wait(all, &v, 1, 20000) == 1) {
		int i = (int)v.data.u64;

		if (i == PIPES)
			break;
		if (read(flow[i][0], &c, 1) == 1)
			atomic_fetch_add(&arrived, 1);
		ctl(all, EPOLL_CTL_MOD, flow[i][0], EPOLLIN | EPOLLONESHOT, (unsigned long)i);
	}
	return arg;
}

static void *client(void *arg)
{
	int i = (int)(intptr_t)arg;

	for (int k = 0; k < EACH; k++)
		if (write(flow[i][1], "x", 1) != 1)
			break;
	return NULL;
}

void epoll_torture(void)
{
	int stop = event_make(0, 0), p[2];
	pthread_t s[THREADS], c[PIPES];
	long from = now_ms();

	all = set_make(0);
	arrived = 0;
	ctl(all, EPOLL_CTL_ADD, stop, EPOLLIN, PIPES);
	for (int i = 0; i < PIPES; i++) {
		make(flow[i], 0);
		ctl(all, EPOLL_CTL_ADD, flow[i][0], EPOLLIN | EPOLLONESHOT, (unsigned long)i);
	}
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&s[i], NULL, server, (void *)i);
	for (intptr_t i = 0; i < PIPES; i++)
		pthread_create(&c[i], NULL, client, (void *)i);
	/* Others come and go meanwhile, some without a word. */
	for (int i = 0; i < 300; i++) {
		make(p, O_NONBLOCK);
		ctl(all, EPOLL_CTL_ADD, p[0], EPOLLIN, 1000);
		if (i % 2)
			epoll_ctl(all, EPOLL_CTL_DEL, p[0], NULL);
		both_closed(p);
	}
	for (int i = 0; i < PIPES; i++)
		pthread_join(c[i], NULL);
	while (arrived < PIPES * EACH && now_ms() - from < 60000)
		nap(5);
	event_add(stop, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(s[i], NULL);
	printf("%d arrived\n", arrived);
	for (int i = 0; i < PIPES; i++)
		both_closed(flow[i]);
	close(stop);
	close(all);
}
