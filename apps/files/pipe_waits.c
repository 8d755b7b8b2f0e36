/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to those who wait in a pipe. */
#include "apps/files/files.h"

/* ---- Signals and deaths ---- */

static void *kick(void *arg)
{
	for (int i = 0; i < 3; i++) {
		nap(100);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	nap(100);
	return NULL;
}

void pipe_signals(void)
{
	pthread_t me = pthread_self(), t;
	int p[2];
	pid_t pid;

	make(p, 0);
	handled = 0;
	handle(SIGUSR1, 0);
	pthread_create(&t, NULL, kick, &me);
	SHOW(read(p[0], seen, 1));
	SHOW(write(p[1], big, 100000));
	pthread_join(t, NULL);
	printf("signals %d\n", handled);
	SHOW(take(p[0], 65536));
	handle(SIGUSR1, SA_RESTART);
	handled = 0;
	pthread_create(&t, NULL, kick, &me);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		nap(800);
		write(p[1], "late", 4);
		_exit(0);
	}
	SHOW(read(p[0], seen, 10));
	printf("signals %d\n", handled);
	pthread_join(t, NULL);
	wait_for(pid);
	both_closed(p);
}

void pipe_deaths(void)
{
	int p[2], ready[2];
	pid_t pid;
	char c;

	/* The writer dies in a full pipe. */
	make(p, 0);
	make(ready, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		write(ready[1], "r", 1);
		write(p[1], big, sizeof(big));
		_exit(0);
	}
	close(p[1]);
	read(ready[0], &c, 1);
	nap(200);
	kill(pid, SIGKILL);
	printf("status %d\n", wait_for(pid));
	SHOW(take(p[0], 65536));
	SHOW(read(p[0], seen, 1));
	close(p[0]);
	/* The reader dies in an empty one, another takes over. */
	make(p, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		write(ready[1], "r", 1);
		read(p[0], seen, 1);
		_exit(0);
	}
	read(ready[0], &c, 1);
	nap(200);
	kill(pid, SIGKILL);
	printf("status %d\n", wait_for(pid));
	SHOW(write(p[1], "abc", 3));
	SHOW(read(p[0], seen, 10));
	/* The last reader dies: whoever waits to write learns it. */
	pid = fork();
	if (!pid) {
		close(p[1]);
		write(ready[1], "r", 1);
		nap(60000);
	}
	close(p[0]);
	read(ready[0], &c, 1);
	signal(SIGPIPE, SIG_IGN);
	if (!fork()) {
		nap(300);
		kill(pid, SIGKILL);
		_exit(0);
	}
	SHOW(write(p[1], big, sizeof(big)));
	SHOW(write(p[1], big, 10));
	signal(SIGPIPE, SIG_DFL);
	wait_for(pid);
	wait_for(-1);
	close(p[1]);
	both_closed(ready);
}

/* Whoever has waited for a killed program finds that it writes no more. */
void pipe_kills(void)
{
	int late = 0, p[2];

	for (int i = 0; i < 40; i++) {
		ssize_t n;
		pid_t pid;

		make(p, 0);
		pid = fork();
		if (!pid) {
			close(p[0]);
			while (write(p[1], big, 5000) > 0)
				;
			_exit(1);
		}
		close(p[1]);
		fcntl(p[0], F_SETFL, O_NONBLOCK);
		while (read(p[0], seen, 1) != 1)
			nap(1);
		kill(pid, SIGKILL);
		wait_for(pid);
		while ((n = read(p[0], seen, sizeof(seen))) > 0)
			;
		late += n != 0;
		close(p[0]);
	}
	printf("%d killed writers were still there\n", late);
}

/* ---- Close while another thread waits ---- */

static int shared[2];

static void *reader(void *arg)
{
	char c;
	ssize_t n = read(shared[0], &c, 1);

	return (void *)(n == 1 ? (intptr_t)c : -1);
}

void pipe_closing(void)
{
	pthread_t t;
	void *c;

	make(shared, 0);
	pthread_create(&t, NULL, reader, NULL);
	nap(200);
	close(shared[0]);
	SHOW(write(shared[1], "k", 1));
	pthread_join(t, &c);
	printf("read %d\n", (int)(intptr_t)c);
	close(shared[1]);
	make(shared, 0);
	pthread_create(&t, NULL, reader, NULL);
	nap(200);
	close(shared[1]);
	pthread_join(t, &c);
	printf("read %d\n", (int)(intptr_t)c);
	close(shared[0]);
}
