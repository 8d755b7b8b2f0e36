/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program numbers its descriptors itself, lowest first, and the proxy's
 * have the same numbers. What the proxy needs for itself lies just above the
 * soft limit, where no open() of the program's arrives; a program that raises
 * its limit, or names one of them, is answered EBADF (calls.c).
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define HIDDEN_MAX 8u
/* Linux sizes a process's table by its highest descriptor. */
#define HIGH 32768u

static uint32_t hidden[HIDDEN_MAX];
static uint32_t hidden_count;

/* At `at` or, where that is in use, above it. */
static int move(int fd, rlim_t at)
{
	int to = fcntl(fd, F_DUPFD_CLOEXEC, (int)at);

	if (to >= 0)
		close(fd);
	return to;
}

static int move_above(int fd, struct rlimit r)
{
	struct rlimit raised = { .rlim_cur = r.rlim_max, .rlim_max = r.rlim_max };
	int to;

	if (r.rlim_cur > HIGH)
		return move(fd, HIGH);
	if (r.rlim_cur == r.rlim_max || setrlimit(RLIMIT_NOFILE, &raised))
		return -1;
	to = move(fd, r.rlim_cur);
	setrlimit(RLIMIT_NOFILE, &r);
	return to;
}

int hide_fd(int fd)
{
	struct rlimit r;
	rlim_t at;
	int to;

	if (getrlimit(RLIMIT_NOFILE, &r) || hidden_count == HIDDEN_MAX)
		return fd;
	to = move_above(fd, r);
	/* No room above the limit: the highest free one below it. */
	for (at = r.rlim_cur; to < 0 && at > (rlim_t)fd + 1; at--)
		to = move(fd, at - 1);
	if (to < 0)
		to = fd;
	hidden[hidden_count++] = (uint32_t)to;
	return to;
}

void hide_close_all(void)
{
	while (hidden_count)
		close((int)hidden[--hidden_count]);
}

int hide_release(int fd)
{
	uint32_t i;

	for (i = 0; i < hidden_count; i++)
		if (hidden[i] == (uint32_t)fd)
			hidden[i] = hidden[--hidden_count];
	return fd;
}

bool hide_is_hidden(uint64_t fd)
{
	uint32_t i;

	for (i = 0; i < hidden_count; i++)
		if (hidden[i] == (uint32_t)fd)
			return true;
	return false;
}

uint32_t hide_next(uint32_t from)
{
	uint32_t i, least = UINT32_MAX;

	for (i = 0; i < hidden_count; i++)
		if (hidden[i] >= from && hidden[i] < least)
			least = hidden[i];
	return least;
}
