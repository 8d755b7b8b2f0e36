/* SPDX-License-Identifier: BSD-2-Clause */
/* poll and select, waiting. */
#include "apps/files/files.h"

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

void poll_waiting(void)
{
	int p[2], e;

	make(p, O_NONBLOCK);
	waits_for("a byte", (struct later){ .what = WRITE, .fd = p[1] }, p[0], POLLIN);
	SHOW(read(p[0], seen, 10));
	waits_for("the writer goes", (struct later){ .what = CLOSE, .fd = p[1] }, p[0], POLLIN);
	close(p[0]);
	make(p, O_NONBLOCK);
	while (write(p[1], big, 4096) > 0)
		;
	waits_for("room", (struct later){ .what = READ, .fd = p[0] }, p[1], POLLOUT);
	waits_for("the reader goes", (struct later){ .what = CLOSE, .fd = p[0] }, p[1], 0);
	close(p[1]);
	e = event_make(0, 0);
	waits_for("a number", (struct later){ .what = ADD, .fd = e }, e, POLLIN);
	event_take(e);
	event_add(e, UINT64_MAX - 1);
	waits_for("room in it", (struct later){ .what = TAKE, .fd = e }, e, POLLOUT);
	close(e);
}

/* ---- Signals ---- */

static void interrupted(int flags)
{
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
	handled = 0;
	handle(SIGUSR1, flags);
	later(&l);
	SHOW(poll(&p, 1, -1));
	done(&l);
	printf("handled %d, %d\n", handled, p.revents);
	later(&l);
	SHOW(select(q[0] + 1, &set, NULL, NULL, NULL));
	done(&l);
	printf("handled %d\n", handled);
	/* Blocked but for the call. */
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	later(&l);
	SHOW(ppoll(&p, 1, NULL, &none));
	done(&l);
	printf("handled %d\n", handled);
	pthread_kill(pthread_self(), SIGUSR1);
	SHOW(poll(&p, 1, 10));
	printf("handled %d\n", handled);
	SHOW(ppoll(&p, 1, &zero, &none));
	printf("handled %d\n", handled);
	later(&l);
	SHOW(pselect(q[0] + 1, &set, NULL, NULL, NULL, &none));
	done(&l);
	sigprocmask(SIG_BLOCK, NULL, &old);
	printf("handled %d, blocked still %d\n", handled, sigismember(&old, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	/* And the other way round. */
	later(&l);
	SHOW(ppoll(&p, 1, &(struct timespec){ 0, 200000000 }, &usr1));
	done(&l);
	printf("handled %d\n", handled);
	both_closed(q);
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

void poll_signals(void)
{
	interrupted(0);
	interrupted(SA_RESTART);
	stopped();
}

/* ---- Many ---- */

void poll_many(void)
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

void poll_torture(void)
{
	pthread_t t[RING];
	uint64_t n = 1;
	void *sum;

	for (size_t i = 0; i < RING; i++) {
		make(ring[i], O_NONBLOCK);
		ring_event[i] = event_make(0, EFD_NONBLOCK | EFD_SEMAPHORE);
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
