/* SPDX-License-Identifier: BSD-2-Clause */
/* Fork with much memory, threads forking, many children, deep trees. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static char *big;
static size_t n = 48 << 20;
static void *forker(void *a)
{
	int st, s = 0;
	for (int i = 0; i < 5; i++) {
		pid_t p = fork();
		if (!p)
			_exit(i + 1);
		waitpid(p, &st, 0);
		s += WEXITSTATUS(st);
	}
	return (void *)(long)s;
}
static int tree(int d)
{
	int st;
	if (!d)
		return 1;
	pid_t p = fork();
	if (!p)
		_exit(tree(d - 1) + 1);
	waitpid(p, &st, 0);
	return WEXITSTATUS(st);
}
int main(void)
{
	int st, p[2];
	pthread_t t[4];
	void *r;
	long sum = 0;
	setvbuf(stdout, 0, _IONBF, 0);
	big = mmap(0, n, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < n; i += 4096)
		big[i] = i >> 12;
	pipe(p);
	if (!fork()) {
		int bad = 0;
		for (size_t i = 0; i < n; i += 4096)
			bad += big[i] != (char)(i >> 12);
		for (size_t i = 0; i < n; i += 40960)
			big[i] = 1;
		write(p[1], &bad, 4);
		_exit(bad);
	}
	for (size_t i = 0; i < n; i += 20480)
		big[i]++;
	wait(&st);
	int bad;
	read(p[0], &bad, 4);
	printf("child %d %d\n", bad, st);
	for (size_t i = 0; i < n; i += 4096)
		sum += big[i] != (char)((i >> 12) + (i % 20480 == 0));
	printf("parent %ld\n", sum);
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], 0, forker, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &r);
		printf("%ld ", (long)r);
	}
	puts("");
	printf("tree %d\n", tree(8));
	for (int i = 0; i < 30; i++)
		if (!fork()) {
			usleep(20000);
			_exit(i);
		}
	sum = 0;
	while (wait(&st) > 0)
		sum += WEXITSTATUS(st);
	printf("sum %ld\n", sum);
	return 0;
}
