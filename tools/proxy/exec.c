/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execve and execveat: reads path, arguments and environment from the program's memory, opens
 * and lays out the new program as at the start, and describes it in the mailbox.
 * Nothing is lost when that fails; when it answers 0, the co-kernel empties the
 * old program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define STRINGS_MOST (2ul << 20)    /* as Linux with the default stack limit */
#define POINTERS_MOST (STRINGS_MOST / 8)

/* What belongs to the program now running; freed by the next execve. */
static char **current_argv, **current_envp;

/* The program's pointers may be anything: read them as a debugger would. */
static int peek(void *to, uint64_t from, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)from, bytes };
	long n = raw_syscall(SYS_process_vm_readv, (uint64_t)getpid(), (uintptr_t)&local, 1,
			     (uintptr_t)&remote, 1, 0);

	return n == (long)bytes ? 0 : -EFAULT;
}

/* A copy of a string of at most `most` bytes: *left shrinks by it. */
static int copy_string(uint64_t from, size_t *left, char **to)
{
	size_t used = 0, room = 0;
	char *s = NULL, *bigger;

	for (;;) {
		size_t step = 4096 - (from + used) % 4096;
		char *end;

		if (used + step > room) {
			room = room ? 2 * room : 4096;
			room = room < used + step ? used + step : room;
			bigger = realloc(s, room);
			if (!bigger) {
				free(s);
				return -ENOMEM;
			}
			s = bigger;
		}
		if (peek(s + used, from + used, step)) {
			free(s);
			return -EFAULT;
		}
		end = memchr(s + used, 0, step);
		used += step;
		if (end) {
			*left -= (size_t)(end - s) + 1 < *left ? (size_t)(end - s) + 1 : *left;
			*to = s;
			return *left ? 0 : -E2BIG;
		}
		if (used > *left) {
			free(s);
			return -E2BIG;
		}
	}
}

static void free_vector(char **v)
{
	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
}

/* A NULL vector is an empty one, as in Linux. */
static int copy_vector(uint64_t from, size_t *left, char ***to)
{
	size_t n = 0, room = 16;
	char **v = calloc(room + 1, sizeof(*v)), **bigger;
	uint64_t at;
	int ret = v ? 0 : -ENOMEM;

	while (!ret && from) {
		ret = peek(&at, from + n * 8, 8);
		if (ret || !at)
			break;
		if (n == room) {
			room *= 2;
			bigger = room > POINTERS_MOST ? NULL : realloc(v, (room + 1) * sizeof(*v));
			if (!bigger) {
				ret = -E2BIG;
				break;
			}
			v = bigger;
			memset(v + n, 0, (room + 1 - n) * sizeof(*v));
		}
		ret = copy_string(at, left, &v[n]);
		if (!ret)
			n++;
		else if (ret == -E2BIG)
			n += v[n] != NULL;
	}
	if (ret)
		free_vector(v);
	else
		*to = v;
	return ret;
}

/* Descriptors that do not survive; the proxy's own are hidden and stay, and so do
 * the new program's files until its memory is filled. */
static void close_on_exec(const struct program *q)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name), flags;

		if (e->d_name[0] == '.' || fd == dirfd(d) || hide_is_hidden((uint64_t)fd) ||
		    fd == q->exe.fd || fd == q->interpreter.fd)
			continue;
		flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && flags & FD_CLOEXEC)
			close(fd);
	}
	closedir(d);
}

/* /proc/self/exe is the program's file, not the proxy's. */
static int own_file(const struct proxy *p, char **path)
{
	char own[32], *copy;

	snprintf(own, sizeof(own), "/proc/%d/exe", (int)getpid());
	if (strcmp(*path, "/proc/self/exe") && strcmp(*path, own))
		return 0;
	copy = strdup(p->program.path);
	if (!copy)
		return -ENOMEM;
	free(*path);
	*path = copy;
	return 0;
}

/* The path as Linux names it when it is relative to a descriptor. */
static int relative_to(int dir, uint64_t flags, char **path)
{
	bool empty = !**path;
	struct stat st;
	char *full;

	if (flags & ~(uint64_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (!**path && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	if (**path != '/' && dir != AT_FDCWD) {
		if (hide_is_hidden((uint64_t)dir) || fstat(dir, &st))
			return -EBADF;
		if (**path && !S_ISDIR(st.st_mode))
			return -ENOTDIR;
		if (asprintf(&full, "/dev/fd/%d%s%s", dir, **path ? "/" : "", *path) < 0)
			return -ENOMEM;
		free(*path);
		*path = full;
	} else if (!**path) {
		return -EACCES;         /* the working directory */
	}
	return flags & AT_SYMLINK_NOFOLLOW && !empty && !lstat(*path, &st) && S_ISLNK(st.st_mode) ? -ELOOP : 0;
}

long exec_call(struct proxy *p, const uint64_t a[6])
{
	struct program *q = malloc(sizeof(*q));
	size_t left = STRINGS_MOST;
	char *path = NULL, **argv = NULL, **envp = NULL;
	struct outrigger o = { .fd = -1 };
	int ret = q ? copy_string(a[0], &left, &path) : -ENOMEM;

	if (!ret && strlen(path) >= PATH_MAX)
		ret = -ENAMETOOLONG;
	if (!ret)
		ret = relative_to((int)a[3], a[4], &path);
	if (!ret)
		ret = own_file(p, &path);
	left = STRINGS_MOST;
	if (!ret)
		ret = copy_vector(a[1], &left, &argv);
	if (!ret)
		ret = copy_vector(a[2], &left, &envp);
	if (!ret)
		ret = program_open_file(&o, q, path, argv, envp);
	if (ret) {
		free(path);
		free_vector(argv);
		free_vector(envp);
		free(q);
		return ret;
	}
	close_on_exec(q);
	signal_default_handlers();
	signal_describe(&q->exec);
	program_close(&p->program);
	p->program = *q;
	p->program.owned[p->program.owned_count++] = path;
	free(q);
	free_vector(current_argv);
	free_vector(current_envp);
	current_argv = argv;
	current_envp = envp;
	memcpy(&p->mailbox->exec, &p->program.exec, sizeof(p->mailbox->exec));
	atomic_store(&p->filled, false);
	title_set(&p->program);
	return 0;
}
