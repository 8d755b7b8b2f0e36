/* SPDX-License-Identifier: BSD-2-Clause */
/* Exec from a thread that is not the first; execveat; exec with a blocked sibling. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void *block(void *a)
{
	char c;
	int p[2];
	pipe(p);
	read(p[0], &c, 1);
	return 0;
}
static void *go(void *a)
{
	char *v[] = {"/proc/self/exe", "second", NULL};
	execv(v[0], v);
	printf("failed %d\n", errno);
	return 0;
}
int main(int argc, char **argv)
{
	pthread_t t, u;
	char *v[] = {"echo", "by descriptor", NULL};
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1) {
		printf("%s leader %d\n", argv[1], getpid() == (int)syscall(SYS_gettid));
		int st, p = fork();
		if (!p) {
			int fd = open("/bin/echo", O_PATH | O_CLOEXEC);
			syscall(SYS_execveat, fd, "", v, environ, AT_EMPTY_PATH);
			printf("execveat %d\n", errno);
			_exit(1);
		}
		waitpid(p, &st, 0);
		printf("%d\n", st);
		p = fork();
		if (!p) {
			int fd = open("/bin", O_PATH | O_DIRECTORY);
			syscall(SYS_execveat, fd, "echo", v, environ, 0);
			_exit(1);
		}
		waitpid(p, &st, 0);
		printf("%d\n", st);
		p = fork();
		if (!p) {
			int fd = open("/bin/echo", O_RDONLY);
			fexecve(fd, v, environ);
			_exit(1);
		}
		waitpid(p, &st, 0);
		printf("%d\n", st);
		printf("%ld %d\n", syscall(SYS_execveat, 99, "", v, environ, AT_EMPTY_PATH), errno);
		printf("%ld %d\n", syscall(SYS_execveat, AT_FDCWD, "nope", v, environ, 0), errno);
		return 3;
	}
	pthread_create(&u, 0, block, 0);
	usleep(100000);
	pthread_create(&t, 0, go, 0);
	pthread_join(t, 0);
	pthread_join(u, 0);
	return 9;
}
