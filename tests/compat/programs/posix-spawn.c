/* SPDX-License-Identifier: BSD-2-Clause */
/* Vfork and posix_spawn as C programs use them: shared memory, exec errors. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static volatile int shared;
int main(void)
{
	int st, i;
	pid_t p;
	char *sh[] = {"sh", "-c", "exit 5", NULL};
	setvbuf(stdout, NULL, _IONBF, 0);
	p = vfork();
	if (!p) {
		shared = 7;
		execv("/no/such", sh);
		shared = errno;
		_exit(3);
	}
	waitpid(p, &st, 0);
	printf("vfork %d %d\n", shared, WEXITSTATUS(st));
	p = vfork();
	if (!p) {
		usleep(200000);
		shared = 99;
		_exit(4);
	}
	printf("waited %d\n", shared);
	waitpid(p, &st, 0);
	printf("%d\n", WEXITSTATUS(st));
	p = vfork();
	if (!p)
		execv("/bin/sh", sh);
	waitpid(p, &st, 0);
	printf("%d\n", WEXITSTATUS(st));
	printf("spawn %d\n", posix_spawn(&p, "/no/such", NULL, NULL, sh, environ));
	printf("spawn %d\n", posix_spawn(&p, "/etc/passwd", NULL, NULL, sh, environ));
	printf("spawn %d\n", posix_spawnp(&p, "sh", NULL, NULL, sh, environ));
	waitpid(p, &st, 0);
	printf("%d\n", WEXITSTATUS(st));
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "out", O_WRONLY | O_CREAT, 0644);
	posix_spawnattr_t at;
	posix_spawnattr_init(&at);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
	char *echo[] = {"echo", "to file", NULL};
	printf("spawn %d\n", posix_spawnp(&p, "echo", &fa, &at, echo, environ));
	waitpid(p, &st, 0);
	fflush(stdout);
	system("cat out");
	printf("system %d %d\n", WEXITSTATUS(system("exit 6")), WIFSIGNALED(system("kill -9 $$")));
	FILE *f = popen("echo popen; exit 2", "r");
	char l[99];
	printf("%s", fgets(l, 99, f));
	printf("%d\n", WEXITSTATUS(pclose(f)));
	for (i = 0; i < 20; i++) {
		p = vfork();
		if (!p)
			_exit(i);
		waitpid(p, &st, 0);
		if (WEXITSTATUS(st) != i)
			printf("bad %d\n", i);
	}
	p = vfork();
	if (!p) {
		raise(SIGKILL);
		_exit(0);
	}
	waitpid(p, &st, 0);
	printf("sig %d\n", WTERMSIG(st));
	return 0;
}
