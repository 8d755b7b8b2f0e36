/* SPDX-License-Identifier: BSD-2-Clause */
/* Much through pipes, from many. */
#include "apps/files/files.h"

/* ---- Many writers: what is at most PIPE_BUF stays together ---- */

struct record { uint32_t writer, number, bytes, check; };

static void write_records(int fd, uint32_t me, uint32_t count)
{
	char buffer[4096];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t bytes = 16 + (me * 977 + i * 131) % 4081;
		struct record r = { me, i, bytes, me ^ i ^ bytes };

		memset(buffer, (int)(me + i), bytes);
		memcpy(buffer, &r, sizeof(r));
		if (write(fd, buffer, bytes) != (ssize_t)bytes)
			_exit(9);
	}
}

static bool all_of(int fd, char *to, size_t n)
{
	while (n) {
		ssize_t got = read(fd, to, n);

		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

static void *record_thread(void *arg)
{
	int *a = arg;

	write_records(a[0], (uint32_t)a[1], 300);
	return NULL;
}

void pipe_atomicity(void)
{
	enum { CHILDREN = 4, THREADS = 3, COUNT = 300 };
	uint32_t next[CHILDREN + THREADS] = { 0 }, got = 0, bad = 0;
	pthread_t t[THREADS];
	int p[2], args[THREADS][2];
	struct record r;

	make(p, 0);
	for (uint32_t i = 0; i < CHILDREN; i++)
		if (!fork()) {
			write_records(p[1], i, COUNT);
			_exit(0);
		}
	for (int i = 0; i < THREADS; i++) {
		args[i][0] = p[1];
		args[i][1] = CHILDREN + i;
		pthread_create(&t[i], NULL, record_thread, args[i]);
	}
	while (got < (CHILDREN + THREADS) * COUNT && all_of(p[0], (char *)&r, sizeof(r))) {
		if (r.check != (r.writer ^ r.number ^ r.bytes) || r.writer >= CHILDREN + THREADS ||
		    r.bytes > 4096 || !all_of(p[0], seen, r.bytes - sizeof(r))) {
			bad++;
			break;
		}
		bad += r.number != next[r.writer]++;
		for (uint32_t i = 0; i < r.bytes - sizeof(r); i++)
			bad += (unsigned char)seen[i] != (unsigned char)(r.writer + r.number);
		got++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < CHILDREN; i++)
		wait_for(-1);
	printf("%u records, %u bad\n", got, bad);
	both_closed(p);
}

/* ---- Much through a little ---- */

void pipe_flow(void)
{
	static const size_t sizes[][2] = { { 1, 7 }, { 4096, 4096 }, { 70000, 3000 }, { 100000, 1 << 20 }, { 1 << 20, 65536 } };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t all = sizes[i][0] < 10 ? 20000 : sizeof(big), sent = 0, at = 0;
		int p[2];
		pid_t pid;

		make(p, 0);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(p[0]);
			while (sent < all) {
				size_t n = all - sent < sizes[i][0] ? all - sent : sizes[i][0];

				if (write(p[1], big + sent, n) != (ssize_t)n)
					_exit(1);
				sent += n;
			}
			_exit(0);
		}
		close(p[1]);
		for (;;) {
			ssize_t n = read(p[0], seen + at, sizes[i][1] < sizeof(seen) - at ? sizes[i][1] : sizeof(seen) - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		printf("%zu by %zu: %zu bytes, %s, status %d\n", sizes[i][0], sizes[i][1], at,
		       memcmp(big, seen, at) ? "wrong" : "right", wait_for(pid));
		close(p[0]);
	}
}

/* A tree of processes, each of which writes when its children have. */
static void tree_of(int fd, int depth, int name)
{
	int p[2];
	char c;

	make(p, 0);
	for (int i = 0; i < 2 && depth; i++)
		if (!fork()) {
			close(p[0]);
			tree_of(p[1], depth - 1, name * 2 + i);
			_exit(0);
		}
	close(p[1]);
	name = 0;
	while (read(p[0], &c, 1) == 1)
		name++;
	close(p[0]);
	while (depth && wait(NULL) > 0)
		;
	for (int i = 0; i <= name; i++)
		write(fd, "n", 1);
}

void pipe_tree(void)
{
	int p[2], n = 0;
	char c;

	make(p, 0);
	fflush(stdout);
	if (!fork()) {
		close(p[0]);
		tree_of(p[1], 4, 1);
		_exit(0);
	}
	close(p[1]);
	while (read(p[0], &c, 1) == 1)
		n++;
	printf("%d processes\n", n);
	close(p[0]);
	wait_for(-1);
}
