/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads, and blocking calls in all of them at once.
 *   threads sum N        N threads add up numbers under a mutex and a barrier
 *   threads block N      N threads block in read(2) on a pipe each; then each is
 *                        fed and must answer, last one first
 *   threads spin SECONDS computes on as many threads as there are CPUs and
 *                        checks the result again and again
 *   threads share        on one CPU, a thread that computes and two that hand each
 *                        other a token all get on
 *   threads pin SECONDS  twice as many threads as CPUs compute while they are moved
 *                        about; each gets where it is sent and goes on, also when
 *                        the CPU leaves that it was sent to
 *   threads tids N       N threads, one after the other, for which nobody waits, have
 *                        as many thread identifiers
 */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static unsigned long total;
static int (*pipes)[2], (*answers)[2];
static double until;

static void die(const char *what)
{
	fprintf(stderr, "threads: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *adder(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		total += (unsigned long)arg;
		pthread_mutex_unlock(&lock);
		if (i % 100 == 0)
			pthread_barrier_wait(&barrier);
	}
	return arg;
}

static sem_t turn[2];
static atomic_bool over;
static long handovers;

static void *partner(void *arg)
{
	long i = (long)arg;

	while (!over) {
		sem_wait(&turn[i]);
		handovers++;
		sem_post(&turn[!i]);
	}
	sem_post(&turn[!i]);
	return arg;
}

/* Rounds of computing in so many seconds. */
static long compute(double seconds)
{
	double end = now() + seconds;
	long rounds = 0;

	for (; now() < end; rounds++)
		for (volatile int i = 0; i < 1000; i++)
			;
	return rounds;
}

/* Wide bounds: a thread that starves gets hundreds of times less. */
static int share(void)
{
	long alone, beside;
	pthread_t pair[2];
	cpu_set_t set, one;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
	sem_init(&turn[0], 0, 1);
	sem_init(&turn[1], 0, 0);
	alone = compute(0.5);
	for (long i = 0; i < 2; i++)
		if (pthread_create(&pair[i], NULL, partner, (void *)i))
			die("pthread_create");
	beside = compute(1.5) / 3;
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(pair[i], NULL);
	printf("computing %s, handing over %s\n", beside > alone / 20 ? "gets on" : "starves",
	       handovers > 2000 ? "gets on" : "starves");
	return 0;
}

static void *blocker(void *arg)
{
	long i = (long)arg;
	char c;

	if (read(pipes[i][0], &c, 1) != 1 || write(answers[i][1], &c, 1) != 1)
		die("blocked call");
	return arg;
}

static void *spinner(void *arg)
{
	unsigned long rounds = 0;
	volatile double sum;

	while (now() < until) {
		sum = 0;
		for (int i = 1; i <= 100000; i++)
			sum = sum + 1.0 / i;
		if (sum < 12.0901461298633 || sum > 12.0901461298635) {
			fprintf(stderr, "threads: wrong sum %.13f\n", sum);
			exit(1);
		}
		rounds++;
		/* What is counted, so that others see it run. */
		syscall(SYS_gettid);
	}
	return (void *)rounds;
}

#define PATIENCE 10.0   /* seconds; an emulator may be slow */

struct pinned {
	pthread_t thread;
	atomic_int cpu;
	atomic_ulong rounds;
};

static void *pinned(void *arg)
{
	struct pinned *p = arg;

	while (!over) {
		for (volatile int i = 0; i < 20000; i++)
			;
		p->cpu = sched_getcpu();
		p->rounds++;
	}
	return NULL;
}

/* Refused with this error, and the CPU is no longer the program's. */
static bool left(int err, int cpu)
{
	cpu_set_t all;

	return err == EINVAL && !sched_getaffinity(0, sizeof(all), &all) && !CPU_ISSET(cpu, &all);
}

/* The thread runs on, and there unless the CPU left. */
static bool arrives(struct pinned *p, int cpu, unsigned long *there)
{
	double end = now() + PATIENCE;
	unsigned long from = p->rounds;
	cpu_set_t to;
	int err;

	CPU_ZERO(&to);
	CPU_SET(cpu, &to);
	err = pthread_setaffinity_np(p->thread, sizeof(to), &to);
	while (now() < end) {
		if (p->rounds > from + 1) {
			if (!err && p->cpu == cpu) {
				++*there;
				return true;
			}
			err = pthread_setaffinity_np(p->thread, sizeof(to), &to);
			if (left(err, cpu))
				return true;
		}
		sched_yield();
	}
	fprintf(stderr, "threads: sent to CPU %d (%s), is on %d after %lu rounds\n", cpu,
		err ? strerror(err) : "allowed", p->cpu, p->rounds - from);
	return false;
}

static int pin(double seconds)
{
	cpu_set_t set;
	int cpus[CPU_SETSIZE], count = 0, n;
	struct pinned *p;
	unsigned long there = 0;
	unsigned next = 1;
	bool right = true;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpus[count++] = i;
	n = 2 * count;
	p = calloc((size_t)n, sizeof(*p));
	if (!p)
		die("calloc");
	for (int i = 0; i < n; i++)
		if (pthread_create(&p[i].thread, NULL, pinned, p + i))
			die("pthread_create");
	for (until = now() + seconds; right && now() < until; next = next * 1103515245 + 12345)
		right = arrives(p + next / 65536 % (unsigned)n, cpus[next / 8388608 % (unsigned)count], &there);
	over = true;
	for (int i = 0; i < n; i++)
		pthread_join(p[i].thread, NULL);
	right = right && there;
	printf("%s\n", right ? "right" : "wrong");
	return !right;
}

static sem_t told;

static void *tell_tid(void *at)
{
	*(long *)at = syscall(SYS_gettid);
	sem_post(&told);
	return NULL;
}

static int tids(int n)
{
	const struct timespec until_it_ended = { .tv_nsec = 2000000 };
	long *tid = calloc((size_t)n, sizeof(*tid));
	int different = 0;
	pthread_t t;

	sem_init(&told, 0, 0);
	for (int i = 0; tid && i < n; i++) {
		bool seen = false;

		if ((errno = pthread_create(&t, NULL, tell_tid, &tid[i])))
			die("pthread_create");
		pthread_detach(t);
		sem_wait(&told);
		nanosleep(&until_it_ended, NULL);
		for (int j = 0; j < i; j++)
			seen |= tid[j] == tid[i];
		different += !seen;
	}
	free(tid);
	printf("%d\n", different);
	return different != n;
}

static unsigned long run(int n, void *(*fn)(void *))
{
	pthread_t *t = calloc((size_t)n, sizeof(*t));
	unsigned long sum = 0;
	void *ret;

	for (long i = 0; i < n; i++)
		if ((errno = pthread_create(&t[i], NULL, fn, (void *)i)))
			die("pthread_create");
	if (fn == blocker) {
		sleep(1);
		for (int i = n - 1; i >= 0; i--) {
			char c = (char)i, got = 0;

			if (write(pipes[i][1], &c, 1) != 1 || read(answers[i][0], &got, 1) != 1 || got != c)
				die("answer");
		}
	}
	for (int i = 0; i < n; i++) {
		pthread_join(t[i], &ret);
		sum += (unsigned long)ret;
	}
	free(t);
	return sum;
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[2]) : 0;
	cpu_set_t set;

	if (argc == 2 && !strcmp(argv[1], "share"))
		return share();
	if (n < 1) {
		fprintf(stderr, "usage: threads sum|block|spin|pin|tids N, or share\n");
		return 2;
	}
	if (!strcmp(argv[1], "sum")) {
		pthread_barrier_init(&barrier, NULL, (unsigned)n);
		run(n, adder);
		printf("%lu\n", total);
		return total != 1000ul * (unsigned long)n * (unsigned long)(n - 1) / 2;
	}
	if (!strcmp(argv[1], "block")) {
		pipes = calloc((size_t)n, sizeof(*pipes));
		answers = calloc((size_t)n, sizeof(*answers));
		for (int i = 0; i < n; i++)
			if (pipe(pipes[i]) || pipe(answers[i]))
				die("pipe");
		printf("%lu\n", run(n, blocker));
		return 0;
	}
	if (!strcmp(argv[1], "pin"))
		return pin(n);
	if (!strcmp(argv[1], "tids"))
		return tids(n);
	sched_getaffinity(0, sizeof(set), &set);
	until = now() + n;
	printf("%s\n", run(CPU_COUNT(&set), spinner) ? "right" : "nothing done");
	return 0;
}
