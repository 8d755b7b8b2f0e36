/* SPDX-License-Identifier: BSD-2-Clause */
/* Robust mutexes of threads that die, priority inheritance, process-shared primitives. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
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
	return 0;
}
