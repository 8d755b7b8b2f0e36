/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define SCRIPT_LEVELS 5u
#define SCRIPT_LINE 256u    /* as Linux */

static char *own(struct program *p, char *s)
{
	if (s)
		p->owned[p->owned_count++] = s;
	return s;
}

/* ---- Finding it ---- */

static bool runnable(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) &&
	       !faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}

/* Looks for a name without a slash on PATH: its path, or NULL. */
static char *search(const char *name)
{
	const char *at = getenv("PATH"), *end;
	char *path, *blocked = NULL;

	if (!at)
		at = "/usr/local/bin:/usr/bin:/bin";
	for (;; at = end + 1) {
		end = strchrnul(at, ':');
		if (asprintf(&path, "%.*s%s%s", (int)(end - at), at, end > at ? "/" : "./", name) < 0)
			return blocked;
		if (runnable(path)) {
			free(blocked);
			return path;
		}
		if (!blocked && !access(path, F_OK))
			blocked = path;
		else
			free(path);
		if (!*end)
			return blocked;
	}
}

/* Opens a file that is about to be executed; refuses what Linux would refuse. */
static int open_executable(struct outrigger *o, const char *path)
{
	struct statvfs fs;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return outrigger_fail(o, -errno, "%s: %s%s", path,
				      errno == ENOENT ? "there is no such program" : strerror(errno),
				      errno == EACCES && !access(path, X_OK) ? "; to run in a partition a program must be readable" : "");
	if (fstat(fd, &st))
		err = outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		err = outrigger_fail(o, -EACCES, "%s is a directory", path);
	else if (!S_ISREG(st.st_mode))
		err = outrigger_fail(o, -EACCES, "%s is not a regular file", path);
	else if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		err = outrigger_fail(o, -EACCES, "%s may not be executed; see its permissions", path);
	else if (!fstatvfs(fd, &fs) && fs.f_flag & ST_NOEXEC)
		err = outrigger_fail(o, -EACCES, "%s lies on a file system mounted noexec", path);
	else
		return fd;
	close(fd);
	return err;
}

/* ---- Scripts ---- */

/* Splits "#! /bin/sh -x" in place: the interpreter, and one argument or NULL. */
static char *split_line(char *line, char **arg)
{
	char *name = line + 2 + strspn(line + 2, " \t"), *end;

	*arg = NULL;
	end = name + strcspn(name, " \t");
	if (*end) {
		*end = 0;
		*arg = end + 1 + strspn(end + 1, " \t");
		end = *arg + strlen(*arg);
		while (end > *arg && (end[-1] == ' ' || end[-1] == '\t'))
			*--end = 0;
		if (!**arg)
			*arg = NULL;
	}
	return name;
}

/* argv = interpreter, argument, path, what followed argv[0]. */
static int prepend(struct outrigger *o, struct program *p, char *name, char *arg, char *path)
{
	size_t n = 0;
	char **v;

	while (p->argv[n])
		n++;
	v = calloc(n + 4, sizeof(*v));
	if (!v)
		return outrigger_fail(o, -ENOMEM, "out of memory");
	v[0] = name;
	v[1] = arg ? arg : path;
	v[2] = arg ? path : NULL;
	if (n > 1)
		memcpy(v + (arg ? 3 : 2), p->argv + 1, (n - 1) * sizeof(*v));
	free(p->argv);
	p->argv = v;
	return 0;
}

/* 1: it was a script, p->path and p->argv are now its interpreter's. */
static int follow_script(struct outrigger *o, struct program *p, int fd)
{
	char *line = calloc(1, SCRIPT_LINE + 1), *name, *arg, *path, *end;
	ssize_t n;
	int ret;

	if (!own(p, line))
		return outrigger_fail(o, -ENOMEM, "out of memory");
	n = pread(fd, line, SCRIPT_LINE, 0);
	if (n < 2 || memcmp(line, "#!", 2))
		return 0;
	end = strchr(line, '\n');
	if (!end && n == (ssize_t)SCRIPT_LINE)
		return outrigger_fail(o, -ENOEXEC, "%s: its #! line is longer than %u bytes", p->path, SCRIPT_LINE);
	if (end)
		*end = 0;
	name = split_line(line, &arg);
	if (!*name)
		return outrigger_fail(o, -ENOEXEC, "%s: its #! line names no interpreter", p->path);
	path = own(p, strdup(p->path));
	ret = path ? prepend(o, p, name, arg, path) : outrigger_fail(o, -ENOMEM, "out of memory");
	if (ret)
		return ret;
	snprintf(p->path, sizeof(p->path), "%s", name);
	return 1;
}

static int open_exe(struct outrigger *o, struct program *p)
{
	unsigned int level;
	char script[64];
	int fd, ret;

	for (level = 0; level <= SCRIPT_LEVELS; level++) {
		fd = open_executable(o, p->path);
		if (fd < 0 && level) {
			snprintf(script, sizeof(script), "%.60s", p->path);
			return outrigger_fail(o, fd, "%s: its #! line names %s, which cannot be run: %s",
					      p->execfn, script, strerror(-fd));
		}
		if (fd < 0)
			return fd;
		ret = follow_script(o, p, fd);
		if (!ret) {
			p->exe.fd = fd;
			return 0;
		}
		close(fd);
		if (ret < 0)
			return ret;
	}
	return outrigger_fail(o, -ELOOP, "%s: more than %u interpreters, one the script of the next",
			      p->execfn, SCRIPT_LEVELS);
}

/* ---- Opening ---- */

static int copy_argv(struct outrigger *o, struct program *p, char **argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	p->argv = calloc(n + 1, sizeof(*p->argv));
	if (!p->argv)
		return outrigger_fail(o, -ENOMEM, "out of memory");
	memcpy(p->argv, argv, n * sizeof(*argv));
	return 0;
}

static int find(struct outrigger *o, struct program *p, char *name)
{
	if (!*name)
		return outrigger_fail(o, -ENOENT, "the program's name is empty");
	p->execfn = strchr(name, '/') ? name : own(p, search(name));
	if (!p->execfn)
		return outrigger_fail(o, -ENOENT, "%s: there is no such program on PATH", name);
	if (strlen(p->execfn) >= sizeof(p->path))
		return outrigger_fail(o, -ENAMETOOLONG, "the program's path is too long");
	memcpy(p->path, p->execfn, strlen(p->execfn) + 1);
	return 0;
}

static int open_interpreter(struct outrigger *o, struct program *p)
{
	const char *path = p->exe.elf.interpreter;
	int fd;

	if (!*path)
		return 0;
	fd = open_executable(o, path);
	if (fd < 0)
		return outrigger_fail(o, fd, "%s needs the dynamic loader %.200s: %s", p->path, path,
				      strerror(-fd));
	p->interpreter.fd = fd;
	return elf_read(o, fd, path, &p->interpreter.elf);
}

/* What Linux gave this process; getauxval() answers with a number of libc's. */
static uint64_t hwcap(void)
{
	static uint64_t value;
	Elf64_auxv_t a[64];
	int fd = value ? -1 : open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, a, sizeof(a));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(a[0]); i++)
		if (a[i].a_type == AT_HWCAP)
			value = a[i].a_un.a_val;
	if (fd >= 0)
		close(fd);
	return value;
}

static void stack_input(const struct program *p, uint64_t vdso, struct stack_input *in)
{
	const struct elf_file *e = &p->exe.elf;

	*in = (struct stack_input){
		.argv = p->argv, .envp = p->envp, .execfn = p->execfn, .vdso = vdso, .hwcap = hwcap(),
		.header_addr = e->header_addr ? e->header_addr + p->exe.base : 0,
		.header_count = e->header_count, .entry = e->entry + p->exe.base,
		.base = p->interpreter.fd >= 0 ? p->interpreter.base : 0,
	};
	memcpy(in->random, p->random, sizeof(in->random));
}

static int build(struct outrigger *o, const struct program *p, uint64_t vdso, struct stack *s)
{
	struct stack_input in;

	stack_input(p, vdso, &in);
	return stack_build(o, &in, p->stack_top, (p->stack_top - p->exec.stack_start) / 2, s);
}

/* The file's full name, as /proc/PID/exe would give it. */
static void resolve(struct program *p)
{
	char link[40], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", p->exe.fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/')
		return;
	path[n] = 0;
	memcpy(p->path, path, (size_t)n + 1);
}

static int describe(struct outrigger *o, struct program *p)
{
	const char *slash = strrchr(p->execfn, '/');
	struct stack s;
	int ret;

	if (getrandom(p->random, sizeof(p->random), 0) != sizeof(p->random))
		return outrigger_fail(o, -EIO, "no random bytes from Linux");
	ret = program_layout(o, p);
	if (!ret)
		ret = build(o, p, 0, &s);
	if (ret)
		return ret;
	p->exec.sp = s.sp;
	free(s.data);
	snprintf(p->exec.comm, sizeof(p->exec.comm), "%.15s", slash ? slash + 1 : p->execfn);
	return 0;
}

static int start_with(struct outrigger *o, struct program *p, char **argv, char **envp)
{
	memset(p, 0, sizeof(*p));
	p->exe.fd = p->interpreter.fd = -1;
	p->envp = envp;
	return copy_argv(o, p, argv);
}

static int go_on(struct outrigger *o, struct program *p, int ret)
{
	if (!ret)
		ret = open_exe(o, p);
	if (!ret)
		ret = elf_read(o, p->exe.fd, p->path, &p->exe.elf);
	if (!ret)
		ret = open_interpreter(o, p);
	if (!ret) {
		resolve(p);
		ret = describe(o, p);
	}
	if (ret)
		program_close(p);
	return ret;
}

int program_open(struct outrigger *o, struct program *p, char **argv, char **envp)
{
	int ret = start_with(o, p, argv, envp), found;

	found = ret ? ret : find(o, p, argv[0]);
	ret = go_on(o, p, found);
	/* The program is there, what it needs is not. */
	return ret == -ENOENT && !found && !access(p->execfn, F_OK) ? -ENOEXEC : ret;
}

int program_open_file(struct outrigger *o, struct program *p, char *path, char **argv, char **envp)
{
	int ret = start_with(o, p, argv, envp);

	if (!ret && (!*path || strlen(path) >= sizeof(p->path)))
		ret = *path ? -ENAMETOOLONG : -ENOENT;
	if (!ret) {
		p->execfn = path;
		strcpy(p->path, path);
	}
	return go_on(o, p, ret);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void program_close(struct program *p)
{
	close_fd(&p->exe.fd);
	close_fd(&p->interpreter.fd);
	free(p->argv);
	p->argv = NULL;
	while (p->owned_count)
		free(p->owned[--p->owned_count]);
}

/* ---- Filling ---- */

/* Through Linux and not by memcpy(), so that memory that cannot be had is an error
 * and not a SIGBUS. */
static int fill_stack(struct outrigger *o, const struct stack *s)
{
	struct iovec from = { s->data, s->bytes }, to = { (void *)s->sp, s->bytes };

	if (process_vm_writev(getpid(), &from, 1, &to, 1, 0) != (ssize_t)s->bytes)
		return outrigger_fail(o, -ENOMEM, "out of memory for the stack");
	return 0;
}

int program_fill(struct outrigger *o, struct program *p, uint64_t vdso)
{
	struct stack s = { 0 };
	int ret = build(o, p, vdso, &s);

	if (!ret)
		ret = fill_stack(o, &s);
	free(s.data);
	close_fd(&p->exe.fd);
	close_fd(&p->interpreter.fd);
	return ret;
}
