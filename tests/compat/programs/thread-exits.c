/* SPDX-License-Identifier: BSD-2-Clause */
/* Exit of the first thread, exit_group from another, status of each. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void *later(void *a)
{
	usleep(500000);
	puts("other goes on");
	fflush(stdout);
	if ((long)a == 1)
		exit(6);
	if ((long)a == 2)
		syscall(SYS_exit, 7);
	if ((long)a == 3)
		abort();
	if ((long)a == 4)
		*(volatile int *)8 = 1;
	return 0;
}
int main(int c, char **v)
{
	pthread_t t;
	for (long i = 0; i < 5; i++) {
		int st, p = fork();
		if (!p) {
			pthread_create(&t, 0, later, (void *)i);
			/* At once: pthread_exit() loads a library first. */
			if (i == 2)
				syscall(SYS_exit, 0);
			if (i < 3)
				pthread_exit(0);
			pause();
		}
		waitpid(p, &st, 0);
		printf("%ld: %d %d\n", i, WIFEXITED(st) ? WEXITSTATUS(st) : -1,
		       WIFSIGNALED(st) ? WTERMSIG(st) : 0);
		fflush(stdout);
	}
	return 0;
}
