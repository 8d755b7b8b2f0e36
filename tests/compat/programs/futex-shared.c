/* SPDX-License-Identifier: BSD-2-Clause */
/* Futexes in memory that processes share, seen at different addresses: wake, requeue,
 * bitsets, priority inheritance, errors. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Atomic unsigned *s;     /* two pages; word 1024 is the second one's first */
static int fd;

static long futex(_Atomic unsigned *at, int op, unsigned value, long four, _Atomic unsigned *at2, unsigned v3)
{
	long r = syscall(SYS_futex, at, op, value, four, at2, v3);

	return r < 0 ? -errno : r;
}

/* A child that waits for word w of a mapping of its own, and ends with 1 if woken. */
static pid_t waiter(int w, int op, unsigned bits)
{
	struct timespec t = { .tv_sec = 60 };
	pid_t p = fork();

	if (p)
		return p;
	_Atomic unsigned *mine = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (op == FUTEX_WAIT_BITSET) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += 60;
	}
	_exit(futex(mine + w, op, 0, (long)&t, 0, bits) == 0);
}

static int status(pid_t p)
{
	int st;

	waitpid(p, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

/* Calls until n have been woken or moved in all: they need time to fall asleep. */
static long gather(int n, _Atomic unsigned *at, int op, unsigned value, long four, _Atomic unsigned *at2, unsigned v3)
{
	long sum = 0, r;

	for (int k = 0; k < 30000 && sum < n; k++) {
		r = futex(at, op, value, four, at2, v3);
		if (r < 0)
			return r;
		sum += r;
		usleep(1000);
	}
	return sum;
}

static void *take_pi(void *w)
{
	return (void *)futex(w, FUTEX_LOCK_PI, 0, 0, 0, 0);
}

int main(void)
{
	pid_t p[4];
	int i, sum;

	setvbuf(stdout, NULL, _IONBF, 0);
	fd = memfd_create("shared", 0);
	ftruncate(fd, 8192);
	s = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	/* Nobody has touched the second page yet. */
	for (i = 0; i < 3; i++)
		p[i] = waiter(1024, FUTEX_WAIT, 0);
	printf("wake %ld\n", gather(3, s + 1024, FUTEX_WAKE, 9, 0, 0, 0));
	for (i = sum = 0; i < 3; i++)
		sum += status(p[i]);
	printf("woken %d\n", sum);

	for (i = 0; i < 3; i++)
		p[i] = waiter(1, FUTEX_WAIT, 0);
	printf("requeue %ld\n", gather(3, s + 1, FUTEX_REQUEUE, 0, 9, s + 1030, 0));
	printf("none left %ld\n", futex(s + 1, FUTEX_WAKE, 9, 0, 0, 0));
	printf("there %ld\n", futex(s + 1030, FUTEX_WAKE, 9, 0, 0, 0));
	for (i = sum = 0; i < 3; i++)
		sum += status(p[i]);
	printf("woken %d\n", sum);
	printf("compare %ld\n", futex(s + 1, FUTEX_CMP_REQUEUE, 0, 9, s + 2, 5));

	p[0] = waiter(3, FUTEX_WAIT_BITSET, 1);
	p[1] = waiter(3, FUTEX_WAIT_BITSET, 2);
	printf("bit 2 %ld\n", gather(1, s + 3, FUTEX_WAKE_BITSET, 9, 0, 0, 2));
	printf("woken %d\n", status(p[1]));
	printf("bit 1 %ld\n", gather(1, s + 3, FUTEX_WAKE_BITSET, 9, 0, 0, 1));
	printf("woken %d\n", status(p[0]));

	/* Onto itself: ends, and leaves them waiting. */
	p[0] = waiter(4, FUTEX_WAIT, 0);
	p[1] = waiter(4, FUTEX_WAIT, 0);
	while (futex(s + 4, FUTEX_REQUEUE, 0, 9, s + 4, 0) != 2)
		usleep(1000);
	printf("to itself %ld\n", futex(s + 4, FUTEX_WAKE, 9, 0, 0, 0));
	printf("woken %d\n", status(p[0]) + status(p[1]));

	/* WAKE_OP across the two pages. */
	p[0] = waiter(5, FUTEX_WAIT, 0);
	p[1] = waiter(1040, FUTEX_WAIT, 0);
	usleep(300000);
	s[1040] = 0;
	printf("wake_op %ld", gather(1, s + 5, FUTEX_WAKE_OP, 1, 1, s + 1040, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 7)));
	printf(" %ld\n", gather(1, s + 1040, FUTEX_WAKE, 1, 0, 0, 0));
	printf("woken %d\n", status(p[0]) + status(p[1]));

	/* A lock that knows its owner, handed to another process. */
	printf("lock %ld\n", futex(s + 6, FUTEX_LOCK_PI, 0, 0, 0, 0));
	if (!(p[0] = fork())) {
		_Atomic unsigned *mine = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		long r = futex(mine + 6, FUTEX_LOCK_PI, 0, 0, 0, 0);

		r = r ? r : (mine[6] & FUTEX_TID_MASK) != (unsigned)getpid();
		_exit(r ? 1 : futex(mine + 6, FUTEX_UNLOCK_PI, 0, 0, 0, 0) ? 2 : 3);
	}
	while (!(s[6] & FUTEX_WAITERS))
		usleep(1000);
	usleep(100000);
	printf("requeue of a lock %ld\n", futex(s + 6, FUTEX_REQUEUE, 0, 9, s + 7, 0));
	printf("wake of a lock %ld\n", futex(s + 6, FUTEX_WAKE, 1, 0, 0, 0));
	printf("unlock %ld\n", futex(s + 6, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
	i = status(p[0]);
	printf("handed over %d free %d\n", i, s[6] == 0);

	/* A private waiter in private memory, and what is nowhere. */
	static _Atomic unsigned own;
	pthread_t t;
	void *r;

	own = gettid();
	pthread_create(&t, NULL, take_pi, &own);
	while (!(own & FUTEX_WAITERS))
		usleep(1000);
	printf("own %ld", futex(&own, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
	pthread_join(t, &r);
	printf(" %ld\n", (long)r);
	printf("errors %ld %ld %ld %ld\n", futex((void *)4096, FUTEX_WAKE, 1, 0, 0, 0), futex((void *)1, FUTEX_WAKE, 1, 0, 0, 0),
	       futex(s, FUTEX_REQUEUE, -1, 1, s + 1, 0), futex(s, FUTEX_WAKE_BITSET, 1, 0, 0, 0));
	printf("nobody %ld\n", futex(s, FUTEX_WAKE, 9, 0, 0, 0));
	return 0;
}
