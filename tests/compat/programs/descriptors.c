/* SPDX-License-Identifier: BSD-2-Clause */
/* Lowest number first, dup, close_range, CLOEXEC over exec, limits, many open files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int c, char **v)
{
	struct rlimit l;
	struct stat st;
	int i, n = 0, p[2];
	setvbuf(stdout, 0, _IONBF, 0);
	if (c > 1) {
		for (i = 3; i < 100; i++)
			if (fcntl(i, F_GETFD) >= 0)
				printf("inherited %d\n", i);
		return 4;
	}
	printf("%d %d\n", open("/dev/null", O_RDONLY), open("/etc/passwd", O_RDONLY));
	close(3);
	printf("%d\n", dup(0));
	printf("%d %d\n", dup2(4, 20), dup3(4, 20, O_CLOEXEC));
	printf("%d %d\n", fcntl(4, F_DUPFD, 10), fcntl(4, F_DUPFD_CLOEXEC, 15));
	printf("same %d %d\n", dup3(4, 4, 0), errno);
	printf("bad %d %d\n", dup2(99, 5), errno);
	printf("cloexec %d %d\n", fcntl(15, F_GETFD), fcntl(10, F_GETFD));
	pipe2(p, O_CLOEXEC | O_NONBLOCK);
	printf("pipe %d %d %d\n", p[0], p[1], fcntl(p[0], F_GETFL));
	printf("ev %d\n", eventfd(3, 0));
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	printf("sp %d %d\n", p[0], p[1]);
	printf("cr %d\n", close_range(8, 9, 0));
	printf("%d\n", open("/dev/zero", O_RDWR));
	printf("closing %d %d\n", close(8), close(8));
	if (!fork()) {
		execl("/proc/self/exe", "p", "child", NULL);
		_exit(1);
	}
	int s;
	wait(&s);
	printf("%d\n", WEXITSTATUS(s));
	if (!fork()) {
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		execl("/proc/self/exe", "p", "child", NULL);
		_exit(1);
	}
	wait(&s);
	printf("%d\n", WEXITSTATUS(s));
	l.rlim_cur = 64;
	l.rlim_max = 4096;
	printf("limit %d\n", setrlimit(RLIMIT_NOFILE, &l));
	while ((i = open("/dev/null", O_RDONLY)) >= 0)
		n = i;
	printf("last %d %d\n", n, errno);
	for (i = 3; i < 64; i++)
		close(i);
	l.rlim_cur = 4096;
	setrlimit(RLIMIT_NOFILE, &l);
	for (i = 0; i < 3000; i++)
		n = dup(0);
	printf("many %d\n", n > 2999);
	closefrom(3);
	printf("after %d\n", dup(0));
	close(0);
	printf("zero %d\n", open("/dev/null", O_RDONLY));
	fstat(0, &st);
	printf("%d\n", S_ISCHR(st.st_mode));
	return 0;
}
