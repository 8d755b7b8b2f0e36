/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll, select and eventfds from all sides: prints what happened, the same on Linux and
 * on a co-kernel. Usage: polls [TEST...]; all without arguments.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char big[1 << 17];
/* The compiler need not know. */
static void *volatile nowhere = (void *)16;
static volatile unsigned too_many = 0xfffffff;

/* Result and error of a call. */
#define SHOW(call) do { \
	errno = 0; \
	long r_ = (long)(call); \
	printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerror(errno) : ""); \
} while (0)

static void nap(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void make(int p[2], int flags)
{
	if (pipe2(p, flags)) {
		perror("pipe2");
		exit(1);
	}
}

static int event(unsigned initial, int flags)
{
	int e = eventfd(initial, flags);

	if (e < 0) {
		perror("eventfd");
		exit(1);
	}
	return e;
}

static void both_closed(int p[2])
{
	close(p[0]);
	close(p[1]);
}

static void add(int e, uint64_t n)
{
	errno = 0;
	ssize_t ret = write(e, &n, sizeof(n));

	printf("add %llu: %zd %s\n", (unsigned long long)n, ret, ret < 0 ? strerror(errno) : "");
}

static void take(int e)
{
	uint64_t n = 12345;

	errno = 0;
	ssize_t ret = read(e, &n, sizeof(n));

	printf("take %llu: %zd %s\n", (unsigned long long)n, ret, ret < 0 ? strerror(errno) : "");
}

/* Something that another thread does in a while. */
struct later {
	enum { WRITE, CLOSE, READ, ADD, TAKE, REMOTE, KILL } what;
	int fd, wait_ms;            /* 0: 60 */
	pthread_t whom, thread;
};

static void *do_later(void *arg)
{
	struct later *l = arg;
	struct epoll_event nothing = { 0 };
	uint64_t one = 1;
	ssize_t ret = 0;
	int e;

	nap(l->wait_ms > 0 ? l->wait_ms : 60);
	switch (l->what) {
	case WRITE: ret = write(l->fd, "x", 1); break;
	case CLOSE: ret = close(l->fd); break;
	case READ: ret = read(l->fd, big, sizeof(big)); break;
	case ADD: ret = write(l->fd, &one, sizeof(one)); break;
	case TAKE: ret = read(l->fd, &one, sizeof(one)); break;
	case KILL: ret = pthread_kill(l->whom, SIGUSR1); break;
	case REMOTE:
		e = epoll_create1(0);
		ret = epoll_ctl(e, EPOLL_CTL_ADD, l->fd, &nothing);
		close(e);
		break;
	}
	if (ret < 0)
		printf("later: %s\n", strerror(errno));
	return NULL;
}

static void later(struct later *l)
{
	l->whom = pthread_self();
	if (pthread_create(&l->thread, NULL, do_later, l))
		exit(1);
}

static void done(struct later *l)
{
	pthread_join(l->thread, NULL);
}

/* What all ways of asking say, at once. */
static void ask(const char *when, int fd)
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

static void states(void)
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
	SHOW(read(p[0], big, 1));
	ask("15 buffers, writer", p[1]);
	close(p[1]);
	ask("no writer, bytes", p[0]);
	SHOW(read(p[0], big, sizeof(big)));
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
	e = event(0, 0);
	ask("0", e);
	add(e, 1);
	ask("1", e);
	add(e, UINT64_MAX - 2);
	ask("the most", e);
	take(e);
	ask("0 again", e);
	close(e);
}

static void errors(void)
{
	struct pollfd p[2] = { { -1, POLLIN, 7 }, { -5, POLLOUT, 7 } };
	struct timeval bad = { 0, -1 }, worse = { -1, 0 }, carry = { 0, 1999999 };
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
	SHOW(select(0, NULL, NULL, NULL, &worse));
	SHOW(select(-1, NULL, NULL, NULL, &worse));
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

/* ---- Waiting ---- */

static void waits_for(const char *what, struct later l, int fd, int events)
{
	struct pollfd p = { fd, (short)events, 0 };
	long from = now_ms();
	fd_set set;
	int n;

	later(&l);
	if (events == POLLIN && l.what == WRITE) {
		FD_ZERO(&set);
		FD_SET(fd, &set);
		n = select(fd + 1, &set, NULL, NULL, NULL);
		p.revents = FD_ISSET(fd, &set) ? POLLIN : 0;
	} else {
		n = poll(&p, 1, 20000);
	}
	printf("%s: %d %#x, %s\n", what, n, (unsigned)p.revents,
	       now_ms() - from >= 40 && now_ms() - from < 15000 ? "in time" : "at another time");
	done(&l);
}

static void waiting(void)
{
	int p[2], e;

	make(p, O_NONBLOCK);
	waits_for("a byte", (struct later){ .what = WRITE, .fd = p[1] }, p[0], POLLIN);
	SHOW(read(p[0], big, 10));
	waits_for("the writer goes", (struct later){ .what = CLOSE, .fd = p[1] }, p[0], POLLIN);
	close(p[0]);
	make(p, O_NONBLOCK);
	while (write(p[1], big, 4096) > 0)
		;
	waits_for("room", (struct later){ .what = READ, .fd = p[0] }, p[1], POLLOUT);
	waits_for("the reader goes", (struct later){ .what = CLOSE, .fd = p[0] }, p[1], 0);
	close(p[1]);
	e = event(0, 0);
	waits_for("a number", (struct later){ .what = ADD, .fd = e }, e, POLLIN);
	take(e);
	add(e, UINT64_MAX - 1);
	waits_for("room in it", (struct later){ .what = TAKE, .fd = e }, e, POLLOUT);
	close(e);
}

static void times(void)
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

/* ---- Signals ---- */

static atomic_int handled;

static void on_signal(int n)
{
	atomic_fetch_add(&handled, 1);
}

static void interrupted(int flags)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = flags };
	struct pollfd p = { -1, POLLIN, 7 };
	struct later l = { .what = KILL };
	sigset_t none, usr1, old;
	struct timespec zero = { 0, 0 };
	fd_set set;
	int q[2];

	make(q, 0);
	p.fd = q[0];
	FD_ZERO(&set);
	FD_SET(q[0], &set);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigaction(SIGUSR1, &a, NULL);
	later(&l);
	SHOW(poll(&p, 1, -1));
	done(&l);
	printf("handled %d, %d\n", atomic_load(&handled), p.revents);
	later(&l);
	SHOW(select(q[0] + 1, &set, NULL, NULL, NULL));
	done(&l);
	printf("handled %d\n", atomic_load(&handled));
	/* Blocked but for the call. */
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	later(&l);
	SHOW(ppoll(&p, 1, NULL, &none));
	done(&l);
	printf("handled %d\n", atomic_load(&handled));
	pthread_kill(pthread_self(), SIGUSR1);
	SHOW(poll(&p, 1, 10));
	printf("handled %d\n", atomic_load(&handled));
	SHOW(ppoll(&p, 1, &zero, &none));
	printf("handled %d\n", atomic_load(&handled));
	later(&l);
	SHOW(pselect(q[0] + 1, &set, NULL, NULL, NULL, &none));
	done(&l);
	sigprocmask(SIG_BLOCK, NULL, &old);
	printf("handled %d, blocked still %d\n", atomic_load(&handled), sigismember(&old, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	/* And the other way round. */
	later(&l);
	SHOW(ppoll(&p, 1, &(struct timespec){ 0, 200000000 }, &usr1));
	done(&l);
	printf("handled %d\n", atomic_load(&handled));
	both_closed(q);
}

/* 1500 ms, and not that time again from late in it. */
static bool in_time(long from)
{
	return now_ms() - from >= 1500 && now_ms() - from < 2700;
}

/* No handler runs, so the call goes on, for the time that is left. */
static void stopped(void)
{
	struct pollfd p = { -1, POLLIN, 7 };
	pid_t me = getpid(), pid;
	struct timeval tv = { 1, 500000 };
	fd_set set;
	int q[2];

	make(q, 0);
	p.fd = q[0];
	for (int i = 0; i < 2; i++) {
		long from;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			nap(1350);
			kill(me, SIGSTOP);
			nap(50);
			kill(me, SIGCONT);
			_exit(0);
		}
		FD_ZERO(&set);
		FD_SET(q[0], &set);
		from = now_ms();
		if (i)
			SHOW(select(q[0] + 1, &set, NULL, NULL, &tv));
		else
			SHOW(poll(&p, 1, 1500));
		printf("%s\n", in_time(from) ? "in time" : "at another time");
		waitpid(pid, NULL, 0);
	}
	both_closed(q);
}

static void signals(void)
{
	interrupted(0);
	interrupted(SA_RESTART);
	stopped();
}

/* ---- Many ---- */

static void many(void)
{
	enum { MANY = 40 };
	struct pollfd p[2 * MANY];
	fd_set in, out;
	int q[MANY][2], top = 0;
	pid_t pid;

	for (int i = 0; i < MANY; i++) {
		make(q[i], 0);
		p[2 * i] = (struct pollfd){ q[i][0], POLLIN, 7 };
		p[2 * i + 1] = (struct pollfd){ i % 3 ? -1 : q[i][1], POLLOUT, 7 };
		top = q[i][1] > top ? q[i][1] : top;
	}
	SHOW(poll(p, 2 * MANY, 0));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		nap(50);
		for (int i = 0; i < MANY; i += 7)
			if (write(q[i][1], "abc", 3) != 3)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < MANY; i++)
		p[2 * i + 1].fd = -1;
	SHOW(poll(p, 2 * MANY, -1) > 0);
	waitpid(pid, NULL, 0);
	SHOW(poll(p, 2 * MANY, -1));
	for (int i = 0; i < 2 * MANY; i++)
		if (p[i].revents)
			printf("%d:%#x ", i, (unsigned)p[i].revents);
	FD_ZERO(&in);
	FD_ZERO(&out);
	for (int i = 0; i < MANY; i++) {
		FD_SET(q[i][0], &in);
		FD_SET(q[i][1], i % 2 ? &in : &out);
	}
	SHOW(select(top + 1, &in, &out, NULL, NULL));
	for (int i = 0; i < MANY; i++)
		printf("%d%d%d ", !!FD_ISSET(q[i][0], &in), !!FD_ISSET(q[i][1], &in), !!FD_ISSET(q[i][1], &out));
	printf("\n");
	for (int i = 0; i < MANY; i++)
		both_closed(q[i]);
}

/* Threads hand numbers round by pipes and eventfds that they poll. */
enum { RING = 4, ROUNDS = 500 };
static int ring[RING][2], ring_event[RING];

static void *ring_thread(void *arg)
{
	size_t me = (size_t)arg, next = (me + 1) % RING;
	uint64_t sum = 0, n;
	char c;

	for (int got = 0; got < 2 * ROUNDS;) {
		struct pollfd p[2] = { { ring[me][0], POLLIN, 0 }, { ring_event[me], POLLIN, 0 } };

		if (poll(p, 2, 30000) <= 0) {
			printf("%zu: nothing came\n", me);
			break;
		}
		if (p[0].revents && read(ring[me][0], &c, 1) == 1) {
			sum += (unsigned char)c;
			got++;
			if (write(ring[next][1], &c, 1) != 1)
				break;
		}
		if (got < 2 * ROUNDS && p[1].revents && read(ring_event[me], &n, sizeof(n)) == sizeof(n)) {
			sum += n;
			got++;
			if (write(ring_event[next], &n, sizeof(n)) != sizeof(n))
				break;
		}
	}
	return (void *)(uintptr_t)sum;
}

static void torture(void)
{
	pthread_t t[RING];
	uint64_t n = 1;
	void *sum;

	for (size_t i = 0; i < RING; i++) {
		make(ring[i], O_NONBLOCK);
		ring_event[i] = event(0, EFD_NONBLOCK | EFD_SEMAPHORE);
	}
	for (size_t i = 0; i < RING; i++)
		pthread_create(&t[i], NULL, ring_thread, (void *)i);
	if (write(ring[0][1], "\1", 1) != 1 || write(ring_event[0], &n, sizeof(n)) != sizeof(n))
		printf("not begun\n");
	for (size_t i = 0; i < RING; i++) {
		pthread_join(t[i], &sum);
		printf("%zu: %lu\n", i, (unsigned long)(uintptr_t)sum);
	}
	for (size_t i = 0; i < RING; i++) {
		both_closed(ring[i]);
		close(ring_event[i]);
	}
}

/* ---- eventfd ---- */

static void events(void)
{
	int e = event(5, EFD_NONBLOCK), s = event(3, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC), d;
	struct later l;
	uint64_t v[2] = { 7, 9 };
	struct iovec vec[2] = { { &v[0], 4 }, { (char *)&v[0] + 4, 4 } };
	int bytes = -1;
	pid_t pid;

	take(e);
	take(e);
	for (int i = 0; i < 4; i++)
		take(s);
	add(e, 0);
	add(e, UINT64_MAX);
	add(e, UINT64_MAX - 1);
	add(e, 1);
	add(e, 0);
	take(e);
	SHOW(read(e, v, 4));
	SHOW(write(e, v, 4));
	SHOW(write(e, nowhere, 8));
	SHOW(read(e, v, 0));
	add(e, 6);
	SHOW(read(e, nowhere, 8));
	take(e);
	add(e, 6);
	SHOW(read(e, v, 16));
	printf("%llu\n", (unsigned long long)v[0]);
	SHOW(ioctl(e, FIONREAD, &bytes));
	SHOW(fcntl(s, F_GETFD));
	SHOW(fcntl(e, F_GETFL) & O_NONBLOCK);
	SHOW(pread(e, v, 8, 0));
	SHOW(eventfd(0, 2));
	d = dup(e);
	add(d, 11);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		add(d, 31);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	take(e);
	fcntl(e, F_SETFL, 0);
	l = (struct later){ .what = ADD, .fd = d };
	later(&l);
	take(e);
	done(&l);
	add(e, UINT64_MAX - 1);
	l = (struct later){ .what = TAKE, .fd = d };
	later(&l);
	add(e, 3);
	done(&l);
	take(e);
	/* A vector, which is Linux's, and so is it from now on. */
	add(e, 77);
	SHOW(readv(e, vec, 2));
	printf("%llu\n", (unsigned long long)v[0]);
	add(d, 78);
	take(e);
	close(d);
	close(e);
	close(s);
}

/* ---- Sets of which not all are local ---- */

static void mixed(void)
{
	int p[2], e, s, null = open("/dev/null", O_RDWR);
	struct later l, k;
	long from;
	char seen[8] = "";

	make(p, O_NONBLOCK);
	e = event(40, 0);
	s = event(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	SHOW(write(p[1], "kept", 4));
	SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { e, POLLIN, 0 }, { s, POLLIN, 0 }, { null, POLLIN, 0 } },
		  4, -1));
	SHOW(read(p[0], seen, 8));
	printf("%s\n", seen);
	take(e);
	take(s);
	take(s);
	take(s);
	ask("Linux's now", p[1]);
	both_closed(p);
	close(e);
	/* It is given away while a thread waits for it. */
	make(p, O_NONBLOCK);
	l = (struct later){ .what = REMOTE, .fd = p[0], .wait_ms = 1400 };
	later(&l);
	from = now_ms();
	SHOW(poll(&(struct pollfd){ p[0], POLLIN, 0 }, 1, 1500));
	done(&l);
	/* The time goes on from where it was. */
	printf("%s\n", in_time(from) ? "in time" : "at another time");
	both_closed(p);
	/* So does the call: a handler that runs then ends it. */
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal, .sa_flags = SA_RESTART }, NULL);
	make(p, O_NONBLOCK);
	l = (struct later){ .what = REMOTE, .fd = p[0] };
	k = (struct later){ .what = KILL, .wait_ms = 300 };
	later(&l);
	later(&k);
	SHOW(poll(&(struct pollfd){ p[0], POLLIN, 0 }, 1, 5000));
	done(&l);
	done(&k);
	both_closed(p);
	e = event(0, 0);
	l = (struct later){ .what = REMOTE, .fd = e };
	later(&l);
	SHOW(ppoll(&(struct pollfd){ e, POLLIN, 0 }, 1, &(struct timespec){ 0, 200000000 }, NULL));
	done(&l);
	add(e, 4);
	take(e);
	/* And while one reads. */
	close(e);
	e = event(0, 0);
	l = (struct later){ .what = REMOTE, .fd = e };
	later(&l);
	fflush(stdout);
	if (!fork()) {
		uint64_t n = 21;

		nap(200);
		_exit(write(e, &n, sizeof(n)) != sizeof(n));
	}
	take(e);
	done(&l);
	wait(NULL);
	close(e);
	close(s);
	close(null);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*test)(void); } tests[] = {
		{ "states", states }, { "errors", errors }, { "waiting", waiting }, { "times", times },
		{ "signals", signals }, { "many", many }, { "torture", torture }, { "events", events },
		{ "mixed", mixed },
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], tests[i].name);
		if (!wanted)
			continue;
		printf("-- %s\n", tests[i].name);
		tests[i].test();
		fflush(stdout);
	}
	return 0;
}
