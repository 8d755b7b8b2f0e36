// SPDX-License-Identifier: BSD-2-Clause
/*
 * outcome SECONDS DIR NAME COMMAND [ARG...]: runs COMMAND in a session of its own
 * in DIR, with the files NAME.in (if there is one), NAME.out and NAME.err as its
 * standard streams, and prints how it ended:
 * `exit N`, `signal N`, or `timeout` when it had to be killed. What it leaves behind
 * is killed too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "outcome: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void redirect(const char *name, const char *suffix, int flags, int to)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s%s", name, suffix);
	fd = open(path, flags, 0644);
	if (fd < 0 && to == 0)
		fd = open("/dev/null", O_RDONLY);
	if (fd < 0 || dup2(fd, to) < 0)
		die(path);
	close(fd);
}

static void start(const char *dir, const char *name, char **command)
{
	setsid();
	redirect(name, ".in", O_RDONLY, 0);
	redirect(name, ".out", O_WRONLY | O_CREAT | O_TRUNC, 1);
	redirect(name, ".err", O_WRONLY | O_CREAT | O_TRUNC, 2);
	if (chdir(dir))
		die(dir);
	execvp(command[0], command);
	die(command[0]);
}

/* Orphans come to us: we are their reaper. */
static void end_rest(pid_t group)
{
	char path[64], text[4096], *at, *next;
	int rounds;

	kill(-group, SIGKILL);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	for (rounds = 0; rounds < 100; rounds++) {
		FILE *f = fopen(path, "r");
		size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

		if (f)
			fclose(f);
		text[n] = 0;
		for (at = text; strtol(at, &next, 10) > 0; at = next)
			kill((pid_t)strtol(at, NULL, 10), SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return;
		usleep(20000);
	}
}

int main(int argc, char **argv)
{
	struct timespec limit = { 0 };
	struct timespec left;
	sigset_t child;
	siginfo_t info = { 0 };
	pid_t pid;
	int status = 0;

	if (argc < 5 || (limit.tv_sec = atoi(argv[1])) <= 0) {
		fprintf(stderr, "usage: outcome SECONDS DIR NAME COMMAND [ARG...]\n");
		return 125;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		start(argv[2], argv[3], argv + 4);
	}
	clock_gettime(CLOCK_MONOTONIC, &left);
	limit.tv_sec += left.tv_sec;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &left);
		left = (struct timespec){ .tv_sec = limit.tv_sec - left.tv_sec };
		if (left.tv_sec <= 0) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			puts("timeout");
			break;
		}
		sigtimedwait(&child, &info, &left);
		if (waitpid(pid, &status, WNOHANG) == pid) {
			printf(WIFSIGNALED(status) ? "signal %d\n" : "exit %d\n",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			break;
		}
	}
	fflush(stdout);
	end_rest(pid);
	return 0;
}
