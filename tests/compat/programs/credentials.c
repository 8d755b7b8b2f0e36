/* SPDX-License-Identifier: BSD-2-Clause */
/* Set*id from several threads, groups, capabilities, dumpable, no_new_privs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_barrier_t b;
static int seen[4];
static void *w(void *a)
{
	pthread_barrier_wait(&b);
	pthread_barrier_wait(&b);
	seen[(long)a] = syscall(SYS_geteuid);
	return 0;
}
int main(void)
{
	pthread_t t[4];
	long i;
	uid_t r, e, s;
	gid_t g[4];
	char name[16];
	setvbuf(stdout, 0, _IONBF, 0);
	prctl(PR_SET_NAME, "renamed");
	prctl(PR_GET_NAME, name);
	puts(name);
	printf("%d %d %d\n", prctl(PR_GET_DUMPABLE), prctl(PR_SET_PDEATHSIG, 0), prctl(PR_GET_NO_NEW_PRIVS));
	int st, p = fork();
	if (!p) {
		pthread_barrier_init(&b, 0, 5);
		for (i = 0; i < 4; i++)
			pthread_create(&t[i], 0, w, (void *)i);
		pthread_barrier_wait(&b);
		g[0] = 5;
		printf("groups %d\n", setgroups(1, g));
		printf("gid %d uid %d\n", setresgid(100, 101, 102), setresuid(1000, 1001, 1002));
		pthread_barrier_wait(&b);
		for (i = 0; i < 4; i++) {
			pthread_join(t[i], 0);
			printf("%d ", seen[i]);
		}
		getresuid(&r, &e, &s);
		printf("| %d %d %d %d\n", r, e, s, getgroups(4, g));
		printf("open %d %d\n", open("/etc/shadow", O_RDONLY), errno);
		printf("back %d %d\n", setuid(0), errno);
		_exit(3);
	}
	waitpid(p, &st, 0);
	printf("%d %d\n", WEXITSTATUS(st), geteuid());
	printf("%d %d\n", setfsuid(1000), setfsuid(-1));
	printf("fs %d\n", open("/etc/shadow", O_RDONLY) >= 0 ? 1 : -errno);
	setfsuid(0);
	printf("nnp %d %d\n", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("sub %d\n", prctl(PR_SET_CHILD_SUBREAPER, 1));
	printf("bad %d %d\n", prctl(99999, 0), errno);
	printf("%d\n", prctl(PR_SET_TIMERSLACK, 1000));
	printf("%d\n", prctl(PR_GET_TIMERSLACK));
	return 0;
}
