/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OTR_CALL_CORE: the co-kernel tells of a dying program, thread by thread and area by
 * area; this process, which has its memory, directory and rights, writes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tools/proxy/core_file.h"
#include "tools/proxy/core_name.h"
#include "tools/proxy/proxy.h"

#define LEAST 4096u                 /* below this limit Linux does not begin */
#define FILTER_DEFAULT (CORE_ANON_PRIVATE | CORE_ANON_SHARED | CORE_ELF_HEADERS)
#define STACK_WORDS (1ul << 20)     /* of arguments and environment */
#define AUXV_WORDS 128u

/* One program dies in one process. */
static struct core_image image;
static struct otr_thread_state *threads;
static struct otr_area *areas;
static struct core_file_name *files;
static uint64_t auxv[AUXV_WORDS];

static uint64_t limit(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_CORE, &r) ? 0 : r.rlim_cur;
}

/* The first line of a small file; empty without it. */
static void read_line(const char *path, char *to, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, to, bytes - 1);

	to[n > 0 ? n : 0] = 0;
	to[strcspn(to, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

/* ---- Gathering ---- */

static long add(void **list, size_t *count, const void *from, size_t more, size_t bytes)
{
	void *bigger = realloc(*list, (*count + more) * bytes);

	if (!bigger)
		return -ENOMEM;
	*list = bigger;
	memcpy((char *)bigger + *count * bytes, from, more * bytes);
	*count += more;
	return 0;
}

static long add_areas(const struct otr_core_areas *page)
{
	uint32_t count = page->count;

	if (count > OTR_CORE_AREAS)
		return -EINVAL;
	return count ? add((void **)&areas, &image.area_count, page->area, count, sizeof(*areas)) : 0;
}

static void name_files(struct proxy *p)
{
	char text[PATH_MAX];
	size_t i, j;

	for (i = 0; i < image.area_count; i++) {
		struct otr_ioc_file_name n = {
			.req.size = sizeof(n), .number = areas[i].file, .text = (uintptr_t)text,
			.text_bytes = sizeof(text),
		};
		struct core_file_name f = { .number = areas[i].file };

		for (j = 0; j < image.file_count && files[j].number != f.number; j++)
			;
		if (!f.number || j < image.file_count || ioctl(p->o.fd, OTR_IOC_FILE_NAME, &n) < 0)
			continue;
		f.path = strdup(text);
		if (f.path && add((void **)&files, &image.file_count, &f, 1, sizeof(f)))
			free(f.path);
	}
}

static bool peek(uint64_t from, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)from, bytes };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/* Behind arguments and environment, where the program's stack began. */
static void find_auxv(uint64_t sp)
{
	uint64_t word = 0, i, at = sp + 8;
	int ends;

	for (ends = 0, i = 0; ends < 2 && i < STACK_WORDS; i++, at += 8) {
		if (!peek(at, &word, sizeof(word)))
			return;
		ends += !word;
	}
	for (i = 0; i + 2 <= AUXV_WORDS; i += 2, at += 16) {
		if (!peek(at, auxv + i, 16))
			return;
		image.auxv_words = i + 2;
		if (!auxv[i])
			return;
	}
}

/* ---- The file ---- */

static int make_file(const struct proxy *p, int signal)
{
	char pattern[256], host[256] = "", comm[32], uses_pid[8], name[PATH_MAX];
	struct core_facts f = {
		.comm = comm, .exe = p->program.path, .host = host, .pid = getpid(), .tid = (int)threads->tid,
		.signal = signal, .uid = getuid(), .gid = getgid(), .cpu = (unsigned int)sched_getcpu(),
		.time = time(NULL), .limit = image.limit,
	};
	int fd, ret;

	read_line("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern));
	read_line("/proc/sys/kernel/core_uses_pid", uses_pid, sizeof(uses_pid));
	read_line("/proc/self/comm", comm, sizeof(comm));
	gethostname(host, sizeof(host) - 1);
	f.uses_pid = uses_pid[0] == '1';
	ret = core_name(pattern, &f, name, sizeof(name));
	if (ret || !*name)
		return ret ? ret : -ENOENT;
	/* As Linux: never into a file that is there, never through a link. */
	unlink(name);
	fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static long write_core(struct proxy *p, int signal)
{
	char filter[32], comm[32], args[81];
	int fd, n, cmdline;

	if (!image.thread_count)
		return -EINVAL;
	image.thread = threads;
	image.area = areas;
	image.limit = limit();
	image.pid = getpid();
	image.ppid = getppid();
	image.pgrp = getpgrp();
	image.sid = getsid(0);
	image.uid = getuid();
	image.gid = getgid();
	read_line("/proc/self/coredump_filter", filter, sizeof(filter));
	image.filter = *filter ? (unsigned int)strtoul(filter, NULL, 16) : FILTER_DEFAULT;
	read_line("/proc/self/comm", comm, sizeof(comm));
	image.comm = comm;
	cmdline = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	n = cmdline < 0 ? 0 : (int)read(cmdline, args, sizeof(args) - 1);
	args[n > 0 ? n : 0] = 0;
	for (int i = 0; i + 1 < n; i++)
		if (!args[i])
			args[i] = ' ';
	image.args = args;
	name_files(p);
	image.file = files;
	find_auxv(threads->sp_start);
	image.auxv = auxv;
	fd = make_file(p, signal);
	if (fd < 0)
		return fd;
	/* What of it was written is worth having. */
	core_file_write(&image, fd);
	close(fd);
	return 1;
}

long core_call(struct proxy *p, uint64_t what, uint64_t signal)
{
	const void *page = p->mailbox;
	uint64_t mask;
	long ret;

	switch (what) {
	case OTR_CORE_BEGIN:
		return limit() >= LEAST && prctl(PR_GET_DUMPABLE) == 1;
	case OTR_CORE_THREAD:
		return add((void **)&threads, &image.thread_count, page, 1, sizeof(*threads));
	case OTR_CORE_AREA:
		return add_areas(page);
	case OTR_CORE_END:
		/* SIGXFSZ would begin another. SIGKILL ends it. */
		mask = signal_block_all();
		ret = write_core(p, (int)signal);
		signal_restore(mask);
		return ret;
	default:
		return -EINVAL;
	}
}
