/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execve and execveat: reads path, arguments and environment from the program's memory, opens
 * and lays out the new program as at the start, and describes it in the mailbox.
 * Nothing is lost when that fails; when it answers 0, the co-kernel empties the
 * old program.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

/* Linux's limits (fs/exec.c): of one string, and of all with their pointers a quarter
 * of the stack's, between these two. */
#define STRING_MOST (128ul << 10)
#define ALL_LEAST   (128ul << 10)
#define ALL_MOST    (6ul << 20)
#define POINTERS_MOST (ALL_MOST / 8)

/* What belongs to the program now running; freed by the next execve. */
static char **current_argv, **current_envp;

/* The page of the program's that was read last: strings lie close together. */
struct window {
	uint64_t page;              /* 0: none */
	char data[OTR_PAGE_SIZE];
};

/* The program's pointers may be anything: read them as a debugger would. A page is
 * there as a whole or not at all. */
static const char *look(struct window *w, uint64_t at)
{
	uint64_t page = at & ~(uint64_t)(OTR_PAGE_SIZE - 1);
	struct iovec local = { w->data, sizeof(w->data) }, remote = { (void *)page, sizeof(w->data) };

	if (w->page != page || !page) {
		w->page = 0;
		if (raw_syscall(SYS_process_vm_readv, (uint64_t)getpid(), (uintptr_t)&local, 1,
				(uintptr_t)&remote, 1, 0) != (long)sizeof(w->data))
			return NULL;
		w->page = page;
	}
	return w->data + at % OTR_PAGE_SIZE;
}

static int peek_pointer(struct window *w, uint64_t from, uint64_t *to)
{
	size_t i;

	for (i = 0; i < sizeof(*to); i++) {     /* it may lie across two pages */
		const char *byte = look(w, from + i);

		if (!byte)
			return -EFAULT;
		((char *)to)[i] = *byte;
		if (!i && from % OTR_PAGE_SIZE <= OTR_PAGE_SIZE - sizeof(*to)) {
			memcpy(to, byte, sizeof(*to));
			break;
		}
	}
	return 0;
}

/* A copy of a string of at most `most` bytes: *left shrinks by it. */
static int copy_string(struct window *w, uint64_t from, size_t *left, char **to)
{
	size_t used = 0, step, n;
	char *s = NULL, *bigger;
	const char *at;

	do {
		step = OTR_PAGE_SIZE - (from + used) % OTR_PAGE_SIZE;
		at = look(w, from + used);
		if (!at) {
			free(s);
			return -EFAULT;
		}
		n = strnlen(at, step);
		bigger = realloc(s, used + n + 1);
		if (!bigger) {
			free(s);
			return -ENOMEM;
		}
		s = bigger;
		memcpy(s + used, at, n);
		used += n;
		s[used] = 0;
		if (used >= *left || used >= STRING_MOST) {
			free(s);
			return -E2BIG;
		}
	} while (n == step);
	*left -= used + 1;
	*to = s;
	return 0;
}

static void free_vector(char **v)
{
	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
}

/* A NULL vector is an empty one, as in Linux. */
static int copy_vector(struct window pointers[2], uint64_t from, size_t *left, char ***to)
{
	size_t n = 0, room = 16;
	char **v = calloc(room + 1, sizeof(*v)), **bigger;
	uint64_t at;
	int ret = v ? 0 : -ENOMEM;

	while (!ret && from) {
		ret = peek_pointer(&pointers[0], from + n * 8, &at);
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
		ret = copy_string(&pointers[1], at, left, &v[n]);
		if (!ret)
			n++;
		if (!ret && *left <= sizeof(at))
			ret = -E2BIG;
		*left -= ret ? 0 : sizeof(at);
	}
	if (ret)
		free_vector(v);
	else
		*to = v;
	return ret;
}

/* Descriptors that do not survive; the proxy's own are hidden and stay, and so do
 * the new program's files until its memory is filled. */
static int close_on_exec(const struct proxy *p, const struct program *q)
{
	struct otr_ioc_cloexec c = { .req.size = sizeof(c) };

	for (; c.from <= INT_MAX; c.from = (uint32_t)c.fd + 1) {
		if (ioctl(p->o.fd, OTR_IOC_CLOEXEC, &c))
			return -EIO;
		if (c.fd < 0)
			break;
		if (!hide_is_hidden((uint64_t)c.fd) && c.fd != q->exe.fd && c.fd != q->interpreter.fd)
			close(c.fd);
	}
	return 0;
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

static size_t all_most(void)
{
	struct rlimit r;
	size_t most;

	if (getrlimit(RLIMIT_STACK, &r) || r.rlim_cur / 4 > ALL_MOST)
		return ALL_MOST;
	most = (size_t)r.rlim_cur / 4;
	return most < ALL_LEAST ? ALL_LEAST : most;
}

/* Nobody is started without a name: as Linux, an empty one. */
static int need_name(char **argv)
{
	if (argv[0])
		return 0;
	argv[0] = strdup("");
	return argv[0] ? 0 : -ENOMEM;
}

long exec_call(struct proxy *p, const uint64_t a[6])
{
	struct program *q = malloc(sizeof(*q));
	struct window *w = calloc(2, sizeof(*w));   /* of pointers, of strings */
	size_t left = PATH_MAX;
	char *path = NULL, **argv = NULL, **envp = NULL;
	struct outrigger o = { .fd = -1 };
	int ret = q && w ? copy_string(&w[1], a[0], &left, &path) : -ENOMEM;

	if (ret == -E2BIG)
		ret = -ENAMETOOLONG;
	if (!ret)
		ret = relative_to((int)a[3], a[4], &path);
	if (!ret)
		ret = own_file(p, &path);
	left = all_most();
	if (!ret)
		ret = copy_vector(w, a[1], &left, &argv);
	if (!ret)
		ret = need_name(argv);
	if (!ret)
		ret = copy_vector(w, a[2], &left, &envp);
	if (!ret)
		ret = program_open_file(&o, q, path, argv, envp);
	free(w);
	if (!ret) {
		ret = close_on_exec(p, q);
		if (ret)
			program_close(q);
	}
	if (ret) {
		free(path);
		free_vector(argv);
		free_vector(envp);
		free(q);
		return ret;
	}
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
