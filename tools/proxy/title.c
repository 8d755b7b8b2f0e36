/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Linux tells about the proxy should be about the program: its name, its
 * arguments and environment in /proc/PID/. They are copied into the proxy's own
 * memory, because Linux reads them whenever somebody looks.
 */
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

static size_t size_of(char *const *v)
{
	size_t n = 0;

	for (; *v; v++)
		n += strlen(*v) + 1;
	return n;
}

static char *copy(char *to, char *const *v)
{
	for (; *v; v++)
		to = stpcpy(to, *v) + 1;
	return to;
}

/* The words of /proc/self/stat from the third on. */
static bool read_stat(unsigned long long *word, int count)
{
	char text[2048], *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), i;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	at = strrchr(text, ')');
	if (!at || strlen(at) < 4)
		return false;
	at += 4;                    /* ") S " */
	for (i = 0; i < count; i++)
		word[i] = strtoull(at, &at, 10);
	return *at == ' ' || *at == '\n';
}

/* The process is called what its first thread is called; that may be another. */
static void name_leader(const char *name)
{
	int fd;

	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (gettid() == getpid())
		return;
	fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, name, strlen(name)) < 0)
		fprintf(stderr, "outrigger: the process could not be called %s\n", name);
	close(fd);
}

/* Failure leaves the command's own arguments visible, nothing worse. */
void title_set(const struct program *p)
{
	/* proc_pid_stat(5) counts from 1; word 0 here is field 4 */
	enum { START_CODE = 22, END_CODE, START_STACK, START_DATA = 41, END_DATA, START_BRK, WORDS };
	/* The proxy's own addresses: the same after execve and in a forked child. */
	static unsigned long long w[WORDS];
	static bool known;
	size_t argv_bytes = size_of(p->argv), envp_bytes = size_of(p->envp);
	char *text = malloc(argv_bytes + envp_bytes + 1), *end;
	struct prctl_mm_map map;

	name_leader(p->exec.comm);
	known = known || read_stat(w, WORDS);
	if (!text || !known) {
		free(text);
		return;
	}
	end = copy(text, p->argv);
	map = (struct prctl_mm_map){
		.start_code = w[START_CODE], .end_code = w[END_CODE],
		.start_data = w[START_DATA], .end_data = w[END_DATA],
		.start_brk = w[START_BRK], .brk = (uintptr_t)sbrk(0),
		.start_stack = w[START_STACK], .exe_fd = UINT32_MAX,
		.arg_start = (uintptr_t)text, .arg_end = (uintptr_t)end,
		.env_start = (uintptr_t)end, .env_end = (uintptr_t)copy(end, p->envp),
	};
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		free(text);
}
