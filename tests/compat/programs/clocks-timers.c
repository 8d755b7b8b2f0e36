/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks, sleeps, interval timers, timerfd, CPU time. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double now(int c)
{
	struct timespec t;
	clock_gettime(c, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
static volatile int hits;
static void h(int s)
{
	hits++;
}
static void burn(double s)
{
	double e = now(CLOCK_THREAD_CPUTIME_ID) + s;
	while (now(CLOCK_THREAD_CPUTIME_ID) < e)
		;
}
static void *thr(void *a)
{
	burn(0.2);
	return 0;
}
int main(void)
{
	struct timespec t = {0, 100000000}, r;
	struct rusage u;
	struct tms tm;
	pthread_t th;
	int i, st;
	clockid_t id;
	for (i = 0; i < 12; i++)
		printf("%d:%d ", i, clock_getres(i, &r));
	puts("");
	double a = now(CLOCK_MONOTONIC);
	nanosleep(&t, 0);
	double d = now(CLOCK_MONOTONIC) - a;
	printf("slept %d\n", d >= 0.1 && d < 3);
	t.tv_nsec = 2000000000;
	printf("%d %d\n", nanosleep(&t, 0), errno);
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec++;
	printf("abs %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0));
	a = now(CLOCK_PROCESS_CPUTIME_ID);
	usleep(300000);
	d = now(CLOCK_PROCESS_CPUTIME_ID) - a;
	printf("idle cpu %d\n", d < 0.2);
	a = now(CLOCK_PROCESS_CPUTIME_ID);
	burn(0.3);
	d = now(CLOCK_PROCESS_CPUTIME_ID) - a;
	printf("busy cpu %d\n", d >= 0.29 && d < 2);
	pthread_create(&th, 0, thr, 0);
	pthread_getcpuclockid(th, &id);
	pthread_join(th, 0);
	printf("process %d\n", now(CLOCK_PROCESS_CPUTIME_ID) >= 0.45);
	getrusage(RUSAGE_SELF, &u);
	printf("rusage %d\n",
	       u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6 >
		   0.4);
	times(&tm);
	printf("times %d\n", tm.tms_utime + tm.tms_stime > 30);
	printf("clock %d\n", clock() > 400000);
	if (!fork()) {
		burn(0.3);
		_exit(0);
	}
	wait4(-1, &st, 0, &u);
	printf("child %d\n", u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_usec / 1e6 > 0.2);
	getrusage(RUSAGE_CHILDREN, &u);
	printf("children %d\n",
	       u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_usec / 1e6 > 0.2);
	signal(SIGALRM, h);
	struct itimerval it = {{0, 20000}, {0, 20000}};
	setitimer(ITIMER_REAL, &it, 0);
	while (hits < 3)
		pause();
	it = (struct itimerval){0};
	setitimer(ITIMER_REAL, &it, 0);
	printf("alarms %d\n", hits >= 3);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec ts = {{0, 10000000}, {0, 10000000}};
	timerfd_settime(fd, 0, &ts, 0);
	uint64_t n;
	usleep(100000);
	printf("%d %d\n", (int)read(fd, &n, 8), n >= 5);
	struct pollfd p = {fd, POLLIN};
	printf("poll %d\n", poll(&p, 1, 1000));
	alarm(100);
	printf("alarm %d\n", alarm(0) > 98);
	time_t x = time(0);
	struct timeval tv;
	gettimeofday(&tv, 0);
	printf("%d\n", tv.tv_sec - x <= 1);
	return 0;
}
