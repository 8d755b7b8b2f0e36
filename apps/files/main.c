/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that a co-kernel serves itself, from all sides: prints what happened, the same
 * on Linux and on a co-kernel. Usage: files [TEST...]; all without arguments.
 */
#include "apps/files/files.h"

char big[BIG], seen[BIG];
void *volatile nowhere = (void *)16, *volatile worse = (void *)-1;
atomic_int handled;
siginfo_t last;

static void fill(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(big); i++) {
		x = x * 1664525 + 1013904223;
		big[i] = (char)(x >> 24);
	}
}

void nap(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool in_time(long from)
{
	return now_ms() - from >= 1500 && now_ms() - from < 2700;
}

void make(int p[2], int flags)
{
	if (pipe2(p, flags)) {
		perror("pipe2");
		exit(1);
	}
}

void both_closed(int p[2])
{
	close(p[0]);
	close(p[1]);
}

int wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

unsigned long take(int fd, size_t n)
{
	unsigned long sum = 0;

	while (n) {
		ssize_t got = read(fd, seen, n < sizeof(seen) ? n : sizeof(seen));

		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			sum = sum * 31 + (unsigned char)seen[i];
		n -= (size_t)got;
	}
	return n ? n : sum;
}

static void on_signal(int n, siginfo_t *info, void *context)
{
	handled++;
	last = *info;
}

void handle(int n, int flags)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	sigaction(n, &a, NULL);
}

/* ---- Events ---- */

int event_make(unsigned initial, int flags)
{
	int e = eventfd(initial, flags);

	if (e < 0) {
		perror("eventfd");
		exit(1);
	}
	return e;
}

void event_add(int e, uint64_t n)
{
	errno = 0;
	ssize_t ret = write(e, &n, sizeof(n));

	printf("add %llu: %zd %s\n", (unsigned long long)n, ret, ret < 0 ? strerror(errno) : "");
}

void event_take(int e)
{
	uint64_t n = 12345;

	errno = 0;
	ssize_t ret = read(e, &n, sizeof(n));

	printf("take %llu: %zd %s\n", (unsigned long long)n, ret, ret < 0 ? strerror(errno) : "");
}

/* ---- Later ---- */

static void *do_later(void *arg)
{
	struct later *l = arg;
	struct pollfd p[2] = { { l->fd, 0, 0 }, { 0, 0, 0 } };
	uint64_t one = 1;
	ssize_t ret = 0;

	nap(l->wait_ms > 0 ? l->wait_ms : 60);
	switch (l->what) {
	case WRITE: ret = write(l->fd, "x", 1); break;
	case CLOSE: ret = close(l->fd); break;
	case READ: ret = read(l->fd, seen, sizeof(seen)); break;
	case ADD: ret = write(l->fd, &one, sizeof(one)); break;
	case TAKE: ret = read(l->fd, &one, sizeof(one)); break;
	case KILL: ret = pthread_kill(l->whom, SIGUSR1); break;
	case REMOTE:
		/* Beside something that is Linux's in any case. */
		ret = poll(p, 2, 0);
		break;
	}
	if (ret < 0)
		printf("later: %s\n", strerror(errno));
	return NULL;
}

void later(struct later *l)
{
	l->whom = pthread_self();
	if (pthread_create(&l->thread, NULL, do_later, l))
		exit(1);
}

void done(struct later *l)
{
	pthread_join(l->thread, NULL);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*test)(void); } tests[] = {
		{ "pipe-errors", pipe_errors }, { "pipe-capacity", pipe_capacity }, { "pipe-ends", pipe_ends },
		{ "pipe-numbers", pipe_numbers }, { "pipe-flags", pipe_flags },
		{ "pipe-atomicity", pipe_atomicity }, { "pipe-flow", pipe_flow }, { "pipe-tree", pipe_tree },
		{ "pipe-signals", pipe_signals }, { "pipe-deaths", pipe_deaths },
		{ "pipe-kills", pipe_kills }, { "pipe-closing", pipe_closing }, { "pipe-exec", pipe_exec }, { "pipe-memory", pipe_memory },
		{ "pipe-remote", pipe_remote }, { "pipe-rights", pipe_rights }, { "pipe-moving", pipe_moving },
		{ "poll-states", poll_states }, { "poll-errors", poll_errors }, { "poll-times", poll_times },
		{ "poll-waiting", poll_waiting }, { "poll-signals", poll_signals }, { "poll-many", poll_many },
		{ "poll-torture", poll_torture }, { "events", events }, { "poll-mixed", poll_mixed },
		{ "epoll-states", epoll_states }, { "epoll-errors", epoll_errors }, { "epoll-waiting", epoll_waiting },
		{ "epoll-fork", epoll_fork }, { "epoll-remote", epoll_remote }, { "epoll-torture", epoll_torture },
		{ "socket-errors", socket_errors }, { "socket-capacity", socket_capacity }, { "socket-ends", socket_ends },
		{ "socket-polls", socket_polls }, { "socket-waits", socket_waits }, { "socket-remote", socket_remote },
		{ "socket-flow", socket_flow }, { "socket-parted", socket_parted }, { "fds-taken", fds_taken },
		{ "timer-states", timer_states }, { "timer-waits", timer_waits }, { "timer-remote", timer_remote },
		{ "timer-clock", timer_clock },
	};

	fill();
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		/* Unless it is asked for, this machine keeps its clock. */
		bool wanted = argc < 2 && tests[i].test != timer_clock;

		for (int a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], tests[i].name);
		if (!wanted)
			continue;
		printf("-- %s\n", tests[i].name);
		tests[i].test();
		fflush(stdout);
	}
	return 0;
}
