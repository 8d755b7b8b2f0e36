/* SPDX-License-Identifier: BSD-2-Clause */
/* 200 threads at once, thread-local storage, cancellation, cleanup. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static __thread int mine;
static pthread_key_t key;
static int destroyed;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int at;
static sem_t sem;
static void gone(void *v)
{
	__atomic_fetch_add(&destroyed, 1, 5);
}
static void *w(void *a)
{
	mine = (long)a;
	pthread_setspecific(key, &mine);
	pthread_mutex_lock(&m);
	at++;
	pthread_cond_broadcast(&c);
	while (at < 200)
		pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	return (void *)(long)(mine == (long)a);
}
static void cleanup(void *a)
{
	puts("cleanup");
}
static void *cancelme(void *a)
{
	pthread_cleanup_push(cleanup, 0);
	sem_post(&sem);
	if (a)
		pause();
	else
		for (;;)
			pthread_testcancel();
	pthread_cleanup_pop(0);
	return 0;
}
static void *quick(void *a)
{
	return a;
}
int main(void)
{
	pthread_t t[200];
	void *r;
	long ok = 0;
	setvbuf(stdout, 0, _IONBF, 0);
	sem_init(&sem, 0, 0);
	pthread_key_create(&key, gone);
	pthread_attr_t at1;
	pthread_attr_init(&at1);
	pthread_attr_setstacksize(&at1, 65536);
	for (long i = 0; i < 200; i++)
		if (pthread_create(&t[i], &at1, w, (void *)i)) {
			printf("create %ld\n", i);
			return 1;
		}
	for (int i = 0; i < 200; i++) {
		pthread_join(t[i], &r);
		ok += (long)r;
	}
	printf("%ld %d\n", ok, destroyed);
	for (long k = 0; k < 2; k++) {
		pthread_create(&t[0], 0, cancelme, (void *)k);
		sem_wait(&sem);
		usleep(50000);
		pthread_cancel(t[0]);
		pthread_join(t[0], &r);
		printf("cancelled %d\n", r == PTHREAD_CANCELED);
	}
	for (int i = 0; i < 500; i++) {
		pthread_create(&t[0], 0, quick, (void *)(long)i);
		pthread_join(t[0], &r);
		if ((long)r != i)
			puts("bad");
	}
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 100000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	pthread_mutex_lock(&m);
	printf("timed %d\n", pthread_cond_timedwait(&c, &m, &ts) == ETIMEDOUT);
	pthread_mutex_unlock(&m);
	printf("%d\n", pthread_kill(pthread_self(), 0));
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	printf("%d %d %d\n", pthread_rwlock_rdlock(&rw), pthread_rwlock_tryrdlock(&rw),
	       pthread_rwlock_trywrlock(&rw) == EBUSY);
	pthread_detach(pthread_self());
	return 0;
}
