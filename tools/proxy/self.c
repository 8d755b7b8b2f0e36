/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program reads about itself is about it, not about the proxy: the link
 * /proc/self/exe, files like /proc/self/maps and /proc/cpuinfo, the lists of its
 * descriptors and threads. What a path means is left to Linux: looked at is what
 * was opened, whatever links led there. Such a file is replaced by a copy whose
 * text facts.c makes, for which the co-kernel is asked first (OTR_CALL_FACTS). The
 * program's memory is touched through Linux, so that a bad pointer is EFAULT.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tools/proxy/facts.h"
#include "tools/proxy/proxy.h"

#define AREAS_MOST (1u << 20)   /* of a hostile co-kernel */

/* A file that waits for the co-kernel's facts. */
struct self_file {
	int fd;
	enum fact_file file;
	struct facts facts;
};

static long copy_user(long nr, void *here, uint64_t there, size_t bytes)
{
	struct iovec local = { here, bytes }, remote = { (void *)there, bytes };

	return raw_syscall(nr, (uint64_t)getpid(), (uintptr_t)&local, 1, (uintptr_t)&remote, 1, 0);
}

/* ---- exe ---- */

static bool names_exe(uint64_t path)
{
	char text[40] = "", pid[40];

	if (copy_user(SYS_process_vm_readv, text, path, sizeof(text) - 1) <= 0)
		return false;
	snprintf(pid, sizeof(pid), "/proc/%d/exe", (int)getpid());
	return !strcmp(text, "/proc/self/exe") || !strcmp(text, "/proc/thread-self/exe") ||
	       !strcmp(text, pid);
}

bool self_readlink(struct proxy *p, uint64_t path, uint64_t to, uint64_t bytes, long *result)
{
	size_t n = strlen(p->program.path);

	if ((int64_t)bytes <= 0 || !names_exe(path))
		return false;
	if (n > bytes)
		n = bytes;
	*result = copy_user(SYS_process_vm_writev, p->program.path, to, n);
	return true;
}

const char *self_exe(struct proxy *p, uint64_t path)
{
	return names_exe(path) ? p->program.path : NULL;
}

/* ---- Files ---- */

/* The name that Linux has for a descriptor on /proc or /sys; false: elsewhere. */
static bool name_of(int fd, char *name, size_t bytes)
{
	char link[40];
	struct statfs fs;
	ssize_t n;

	if (fstatfs(fd, &fs) || (fs.f_type != PROC_SUPER_MAGIC && fs.f_type != SYSFS_MAGIC))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, bytes - 1);
	if (n <= 0)
		return false;
	name[n] = 0;
	return true;
}

static void forget_facts(struct facts *f)
{
	while (f->mapped_count)
		free(f->mapped[--f->mapped_count].path);
	free(f->mapped);
	free(f->area);
}

long self_opened(struct twin *t, long fd, uint64_t flags)
{
	enum fact_file file;
	struct self_file *s;
	char name[128];

	if (fd < 0 || flags & (O_PATH | O_DIRECTORY) || (flags & O_ACCMODE) != O_RDONLY ||
	    !name_of((int)fd, name, sizeof(name)))
		return fd;
	file = fact_file_of(name, getpid());
	if (file == FACT_NONE)
		return fd;
	if (t->self)
		forget_facts(&t->self->facts);
	free(t->self);
	t->self = s = calloc(1, sizeof(*s));
	if (!s) {
		close((int)fd);
		return -ENOMEM;
	}
	s->fd = (int)fd;
	s->file = file;
	return -OTR_NEED_FACTS;
}

/* All of a small file; malloc()ed. */
static char *read_text(int fd)
{
	size_t used = 0, room = 16384;
	char *text = malloc(room), *bigger;
	ssize_t n;

	while (text && (n = pread(fd, text + used, room - 1 - used, (off_t)used)) > 0) {
		used += (size_t)n;
		if (room - used > 4096)
			continue;
		bigger = realloc(text, room *= 2);
		if (!bigger)
			free(text);
		text = bigger;
	}
	if (text)
		text[used] = 0;
	return text;
}

/* Puts a read-only file with the text in the descriptor's place. */
static int replace(int fd, const char *text)
{
	int flags = fcntl(fd, F_GETFD), copy = memfd_create("self", MFD_CLOEXEC), ret = 0, read_only = -1;
	size_t bytes = strlen(text);
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", copy);
	if (copy >= 0 && write(copy, text, bytes) == (ssize_t)bytes)
		read_only = open(link, O_RDONLY | O_CLOEXEC);
	if (read_only < 0 || dup3(read_only, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		ret = -EMFILE;
	if (read_only >= 0)
		close(read_only);
	if (copy >= 0)
		close(copy);
	return ret;
}

static int take_facts(struct self_file *s, const struct otr_facts *f)
{
	uint32_t count = f->area_count > OTR_FACTS_AREAS ? OTR_FACTS_AREAS : f->area_count;
	struct otr_area *bigger;

	if (s->facts.area_count + count > AREAS_MOST)
		return -E2BIG;
	bigger = realloc(s->facts.area, (s->facts.area_count + count + 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	s->facts.area = bigger;
	memcpy(bigger + s->facts.area_count, f->area, count * sizeof(*bigger));
	s->facts.area_count += count;
	s->facts.f = *f;
	return 0;
}

static int learn_file(struct proxy *p, struct facts *f, uint32_t number)
{
	char text[PATH_MAX];
	struct otr_ioc_file_name n = {
		.req.size = sizeof(n), .number = number, .text = (uintptr_t)text, .text_bytes = sizeof(text),
	};
	struct fact_mapped *bigger;
	char *path;
	size_t i;

	for (i = 0; i < f->mapped_count; i++)
		if (f->mapped[i].number == number)
			return 0;
	/* It may have gone since it was told. */
	if (ioctl(p->o.fd, OTR_IOC_FILE_NAME, &n) < 0)
		return 0;
	path = strdup(text);
	bigger = path ? realloc(f->mapped, (f->mapped_count + 1) * sizeof(*bigger)) : NULL;
	if (!bigger) {
		free(path);
		return -ENOMEM;
	}
	f->mapped = bigger;
	bigger[f->mapped_count++] = (struct fact_mapped){ number, n.major, n.minor, n.inode, path };
	return 0;
}

static int learn_files(struct proxy *p, struct facts *f)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < f->area_count; i++)
		if (f->area[i].file)
			ret = learn_file(p, f, f->area[i].file);
	return ret;
}

long self_facts(struct twin *t)
{
	struct self_file *s = t->self;
	struct proxy *p = t->p;
	struct otr_facts f;
	char *was, *text = NULL;
	long ret;

	if (!s)
		return -EINVAL;
	memcpy(&f, &p->mailbox->facts, sizeof(f));
	ret = take_facts(s, &f);
	if (!ret && f.more)
		return -OTR_NEED_FACTS;
	if (!ret && s->file == FACT_MAPS)
		ret = learn_files(p, &s->facts);
	was = ret ? NULL : read_text(s->fd);
	if (was)
		text = fact_text(s->file, &s->facts, &p->program, p->mailbox->vdso, was);
	if (!ret)
		ret = text ? replace(s->fd, text) : -ENOMEM;
	if (ret)
		close(s->fd);
	else
		ret = s->fd;
	free(was);
	free(text);
	forget_facts(&s->facts);
	free(s);
	t->self = NULL;
	return ret;
}

/* ---- Directories ---- */

static bool is_ours(struct proxy *p, char directory, const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	if (*end || end == name)
		return false;
	return directory == 'f' ? hide_is_hidden(number) : !serve_is_thread(p, (int)number);
}

long self_list(struct twin *t, int fd, uint64_t at, long bytes)
{
	char name[128], directory, *entries;
	long from = 0, to = 0;

	if (bytes <= 0 || !name_of(fd, name, sizeof(name)))
		return bytes;
	directory = fact_directory_of(name, getpid());
	entries = directory ? malloc((size_t)bytes) : NULL;
	if (!entries)
		return bytes;
	if (copy_user(SYS_process_vm_readv, entries, at, (size_t)bytes) != bytes) {
		free(entries);
		return -EFAULT;
	}
	while (from < bytes) {
		struct dirent64 *e = (struct dirent64 *)(entries + from);
		unsigned short step = e->d_reclen;

		if (!step || from + step > bytes)
			break;
		if (!is_ours(t->p, directory, e->d_name)) {
			memmove(entries + to, e, step);
			to += step;
		}
		from += step;
	}
	if (to != bytes && copy_user(SYS_process_vm_writev, entries, at, (size_t)to) != to)
		to = -EFAULT;
	free(entries);
	return to;
}
