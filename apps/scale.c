/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Much of one thing, checked; prints a line and ends with status 0 if all was right.
 *
 *   scale threads N    N threads alive at once, each waited for by the next
 *   scale spawn N      fork, exec and wait, N times
 *   scale fork MIB     a process of MIB MiB forks; the child and then it write a tenth of it
 *   scale signals N    N signals, back and forth between the threads of two pairs
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* ---- threads ---- */

static pthread_barrier_t all_there;

static void *member(void *before)
{
	void *sum = 0;

	pthread_barrier_wait(&all_there);
	if (before)
		pthread_join(*(pthread_t *)before, &sum);
	return (void *)((uintptr_t)sum + 1);
}

static int threads(unsigned long count)
{
	pthread_t *t = calloc(count, sizeof(*t));
	pthread_attr_t attr;
	void *sum = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_barrier_init(&all_there, 0, (unsigned)count);
	for (unsigned long i = 0; i < count; i++)
		if ((errno = pthread_create(&t[i], &attr, member, i ? &t[i - 1] : 0)))
			return fail("pthread_create");
	pthread_join(t[count - 1], &sum);
	printf("%lu threads\n", (unsigned long)(uintptr_t)sum);
	free(t);
	return (uintptr_t)sum != count;
}

/* ---- fork, exec, wait ---- */

static int spawn(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		int status = 0, code = (int)(i % 100);
		char text[12];
		pid_t child = fork();

		if (child < 0)
			return fail("fork");
		if (!child) {
			snprintf(text, sizeof(text), "%d", code);
			execl("/proc/self/exe", "scale", "exit", text, (char *)0);
			_exit(255);
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != code) {
			fprintf(stderr, "child %lu: status %x\n", i, status);
			return 1;
		}
		if (i % 1000 == 999) {
			printf("%lu children\n", i + 1);
			fflush(stdout);
		}
	}
	return 0;
}

/* ---- fork of much memory ---- */

#define PAGE 4096ul

/* Writes every tenth page; then each page must hold its number, plus `mine` where written. */
static bool write_tenth(uint64_t *m, unsigned long pages, uint64_t mine)
{
	for (unsigned long i = 0; i < pages; i += 10)
		m[i * PAGE / 8] = i + mine;
	for (unsigned long i = 0; i < pages; i++)
		if (m[i * PAGE / 8] != i + (i % 10 ? 0 : mine))
			return false;
	return true;
}

static int fork_much(unsigned long mib)
{
	unsigned long bytes = mib << 20, pages = bytes / PAGE;
	uint64_t *m = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t child;

	if (m == MAP_FAILED)
		return fail("mmap");
	for (unsigned long i = 0; i < pages; i++)
		m[i * PAGE / 8] = i;
	child = fork();
	if (child < 0)
		return fail("fork");
	if (!child)
		_exit(write_tenth(m, pages, 1ul << 40) ? 0 : 1);
	if (waitpid(child, &status, 0) != child || status) {
		fprintf(stderr, "the child ended with %x\n", status);
		return 1;
	}
	if (!write_tenth(m, pages, 1ul << 41)) {
		fprintf(stderr, "the parent's memory changed\n");
		return 1;
	}
	printf("a fork of %lu MiB\n", mib);
	return 0;
}

/* ---- signals ---- */

static struct side {
	_Atomic int tid;
	_Atomic unsigned long got;
} sides[4];
static unsigned long signals_each;
static __thread struct side *me;

static void pong(int sig)
{
	struct side *other = &sides[(me - sides) ^ 1];

	if (atomic_fetch_add(&me->got, 1) + 1 <= signals_each && atomic_load(&other->got) < signals_each)
		syscall(SYS_tgkill, getpid(), atomic_load(&other->tid), SIGUSR1);
}

static void *player(void *arg)
{
	sigset_t usr1, none;

	me = arg;
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, 0);
	atomic_store(&me->tid, (int)syscall(SYS_gettid));
	while (!atomic_load(&sides[(me - sides) ^ 1].tid))
		sched_yield();
	/* The first of each pair serves. */
	if ((me - sides) % 2 == 0)
		syscall(SYS_tgkill, getpid(), atomic_load(&(me + 1)->tid), SIGUSR1);
	while (atomic_load(&me->got) < signals_each)
		sigsuspend(&none);
	return 0;
}

/* Says how far they are, each million. False if none was delivered for a minute. */
static bool watch(unsigned long count)
{
	unsigned long said = 0, before = 0, quiet = 0;

	for (;;) {
		unsigned long sum = 0;

		sleep(1);
		for (int i = 0; i < 4; i++)
			sum += atomic_load(&sides[i].got);
		if (sum >= count)
			return true;
		quiet = sum == before ? quiet + 1 : 0;
		before = sum;
		if (quiet == 60) {
			fprintf(stderr, "no signal in a minute: %lu, %lu, %lu, %lu delivered\n", sides[0].got, sides[1].got,
				sides[2].got, sides[3].got);
			return false;
		}
		if (sum / 1000000 > said) {
			said = sum / 1000000;
			printf("%lu signals\n", sum);
			fflush(stdout);
		}
	}
}

static int signals(unsigned long count)
{
	struct sigaction sa = { .sa_handler = pong };
	unsigned long sum = 0;
	pthread_t t[4];

	signals_each = count / 4;
	sigaction(SIGUSR1, &sa, 0);
	for (int i = 0; i < 4; i++)
		if ((errno = pthread_create(&t[i], 0, player, &sides[i])))
			return fail("pthread_create");
	if (!watch(signals_each * 4))
		return 1;
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], 0);
		sum += sides[i].got;
	}
	printf("%lu signals\n", sum);
	return sum != signals_each * 4;
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 3 ? strtoul(argv[2], 0, 0) : 0;

	if (argc == 3 && !strcmp(argv[1], "exit"))
		return (int)n;
	if (n && !strcmp(argv[1], "threads"))
		return threads(n);
	if (n && !strcmp(argv[1], "spawn"))
		return spawn(n);
	if (n && !strcmp(argv[1], "fork"))
		return fork_much(n);
	if (n >= 4 && !strcmp(argv[1], "signals"))
		return signals(n);
	fprintf(stderr, "usage: scale threads|spawn|fork|signals N\n");
	return 2;
}
