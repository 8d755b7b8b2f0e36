/* SPDX-License-Identifier: BSD-2-Clause */
/* Robust mutexes of threads that die, priority inheritance, process-shared primitives; requeueing to PI futexes. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>
struct s {
	pthread_mutex_t m;
	pthread_cond_t c;
	pthread_barrier_t b;
	sem_t sem;
	int n;
} * s;
static pthread_mutex_t m;
static void *die(void *a)
{
	pthread_mutex_lock(a);
	return 0;
}
static void robust(pthread_mutex_t *m, const char *what)
{
	int r = pthread_mutex_lock(m);
	printf("%s %d\n", what, r == EOWNERDEAD);
	if (r == EOWNERDEAD)
		pthread_mutex_consistent(m);
	pthread_mutex_unlock(m);
	printf("%d\n", pthread_mutex_trylock(m));
	pthread_mutex_unlock(m);
}
/* Waiters that move from a word to a PI futex, which each then owns. */
enum { WAIT_REQUEUE_PI = 11, CMP_REQUEUE_PI = 12, UNLOCK_PI = 7, LOCK_PI = 6, WAKE = 1, REQUEUE = 3 };
static unsigned cond, lock, other;
static int waiting, order, got[3];
static int futex(unsigned *at, int op, unsigned value, const void *more, unsigned *at2, unsigned value3)
{
	return syscall(SYS_futex, at, op | 128, value, more, at2, value3) < 0 ? -errno : 0;
}
static int moved(unsigned *from, int wake, long most, unsigned *to, unsigned value)
{
	long r = syscall(SYS_futex, from, CMP_REQUEUE_PI | 128, wake, most, to, value);
	return r < 0 ? -errno : r;
}
static void *requeued(void *a)
{
	int r;
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	r = futex(&cond, WAIT_REQUEUE_PI, 0, NULL, &lock, 0);
	if ((lock & 0x3fffffff) == gettid())
		got[(long)a] = ++order;
	if (!r)
		r = futex(&lock, UNLOCK_PI, 0, NULL, NULL, 0);
	return (void *)(long)r;
}
static void *plain(void *a)
{
	return (void *)(long)futex(&other, 0, 0, a, NULL, 0);
}
static void requeue_pi(void)
{
	struct timespec past = { 1, 0 }, soon;
	pthread_t t[3];
	void *r[3];
	int i, n;
	printf("%d %d %d", futex(&cond, WAIT_REQUEUE_PI, 1, NULL, &lock, 0),
	       futex(&cond, WAIT_REQUEUE_PI, 0, NULL, &cond, 0), futex(&cond, WAIT_REQUEUE_PI, 0, &past, &lock, 0));
	printf(" %d %d %d %d %d\n", moved(&cond, 1, 1, &lock, 0), moved(&cond, 2, 1, &lock, 0), moved(&cond, 1, 1, &cond, 0),
	       moved(&cond, 1, 1, &lock, 7), moved(&cond, 1, 1, (unsigned *)8, 0));
	for (int locked = 0; locked < 2; locked++) {
		cond = lock = waiting = order = 0;
		if (locked)
			printf("lock %d\n", futex(&lock, LOCK_PI, 0, NULL, NULL, 0));
		for (i = 0; i < 3; i++) {
			got[i] = 0;
			pthread_create(&t[i], 0, requeued, (void *)(long)i);
			while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) <= i)
				usleep(1000);
			usleep(100000);
		}
		printf("wake %d requeue %d elsewhere %d\n", futex(&cond, WAKE, 1, NULL, NULL, 0),
		       futex(&cond, REQUEUE, 0, (void *)1, &other, 0), moved(&cond, 1, 3, &other, 0));
		n = moved(&cond, 1, 1, &lock, 0);
		printf("moved %d", n);
		usleep(100000);
		printf(", more %d", moved(&cond, 1, 9, &lock, 0));
		printf(", none %d\n", moved(&cond, 1, 9, &lock, 0));
		if (locked) {
			printf("word %x\n", lock >> 30);
			printf("unlock %d\n", futex(&lock, UNLOCK_PI, 0, NULL, NULL, 0));
		}
		for (i = 0; i < 3; i++)
			pthread_join(t[i], &r[i]);
		printf("%d %d %d: %ld %ld %ld, word %x\n", got[0], got[1], got[2], (long)r[0], (long)r[1], (long)r[2], lock & 0x3fffffff);
	}
	pthread_create(&t[0], 0, plain, &(struct timespec){ 1, 0 });
	usleep(200000);
	printf("a plain waiter %d\n", moved(&other, 1, 1, &lock, 0));
	pthread_join(t[0], &r[0]);
	printf("%ld\n", (long)r[0]);
	/* In time, before and after it was moved. */
	clock_gettime(CLOCK_MONOTONIC, &soon);
	soon.tv_sec++;
	printf("in time %d\n", futex(&cond, WAIT_REQUEUE_PI, 0, &soon, &lock, 0));
	lock = getpid();
	pthread_create(&t[0], 0, requeued, (void *)0);
	usleep(200000);
	printf("%d\n", moved(&cond, 1, 0, &lock, 0));
	printf("%d\n", futex(&lock, UNLOCK_PI, 0, NULL, NULL, 0));
	pthread_join(t[0], &r[0]);
	printf("%ld\n", (long)r[0]);
}
int main(void)
{
	pthread_mutexattr_t a;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;
	pthread_t t;
	int i, p;
	setvbuf(stdout, NULL, _IONBF, 0);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&m, &a);
	pthread_create(&t, 0, die, &m);
	pthread_join(t, 0);
	robust(&m, "thread");
	s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED) {
		puts("no shared memory");
		return 1;
	}
	pthread_mutexattr_setpshared(&a, 1);
	pthread_mutex_init(&s->m, &a);
	if (!fork()) {
		pthread_mutex_lock(&s->m);
		raise(SIGKILL);
	}
	wait(0);
	robust(&s->m, "process");
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, 1);
	pthread_cond_init(&s->c, &ca);
	pthread_barrierattr_init(&ba);
	pthread_barrierattr_setpshared(&ba, 1);
	pthread_barrier_init(&s->b, &ba, 3);
	sem_init(&s->sem, 1, 0);
	for (i = 0; i < 2; i++)
		if (!fork()) {
			pthread_barrier_wait(&s->b);
			for (int k = 0; k < 500; k++) {
				pthread_mutex_lock(&s->m);
				s->n++;
				pthread_mutex_unlock(&s->m);
			}
			pthread_mutex_lock(&s->m);
			pthread_cond_signal(&s->c);
			pthread_mutex_unlock(&s->m);
			sem_post(&s->sem);
			_exit(0);
		}
	pthread_barrier_wait(&s->b);
	pthread_mutex_lock(&s->m);
	while (s->n < 1000)
		pthread_cond_wait(&s->c, &s->m);
	pthread_mutex_unlock(&s->m);
	sem_wait(&s->sem);
	sem_wait(&s->sem);
	while (wait(0) > 0)
		;
	printf("shared %d\n", s->n);
	pthread_mutexattr_t pi;
	pthread_mutexattr_init(&pi);
	pthread_mutexattr_setprotocol(&pi, PTHREAD_PRIO_INHERIT);
	pthread_mutex_t pm;
	printf("pi %d\n", pthread_mutex_init(&pm, &pi));
	printf("%d %d\n", pthread_mutex_lock(&pm), pthread_mutex_unlock(&pm));
	requeue_pi();
	return 0;
}
