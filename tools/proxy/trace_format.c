/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/trace_format.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STRING_SHOWN 32u        /* as strace -s */

struct row {
	const char *name;
	const char *args;           /* of delegated calls, see libpoxis/syscalls.def */
};

static const struct row rows[TRACE_CALLS] = {
#define PORTED(nr, n, f) [nr] = { #n, NULL },
#define LOCAL(nr, n, f, a) [nr] = { #n, a },
#define DELEGATED(nr, n, a) [nr] = { #n, a },
#define REFUSED(nr, n, e, why) [nr] = { #n, NULL },
#include "libpoxis/syscalls.def"
#undef PORTED
#undef LOCAL
#undef DELEGATED
#undef REFUSED
};

/*
 * A letter an argument: d number, u size, x bits, p address, s string, f descriptor,
 * m mode, O open flags, P protection, M mapping flags, A signal, b and B a buffer
 * given and filled, whose length is the next argument (B: the result), a a list of
 * strings, e the environment.
 * A call that is not here is written by its row in the table.
 */
static const struct { uint16_t nr; char args[7]; } signatures[] = {
	{ SYS_read, "fBu" }, { SYS_write, "fbu" }, { SYS_open, "sOm" }, { SYS_close, "f" },
	{ SYS_stat, "sp" }, { SYS_fstat, "fp" }, { SYS_lstat, "sp" }, { SYS_poll, "pud" },
	{ SYS_lseek, "fdd" }, { SYS_mmap, "puPMfx" }, { SYS_mprotect, "puP" }, { SYS_munmap, "pu" },
	{ SYS_brk, "p" }, { SYS_rt_sigaction, "Appu" }, { SYS_rt_sigprocmask, "dppu" },
	{ SYS_rt_sigreturn, "" }, { SYS_ioctl, "fxp" }, { SYS_pread64, "fBud" },
	{ SYS_pwrite64, "fbud" }, { SYS_readv, "fpd" }, { SYS_writev, "fpd" }, { SYS_access, "sx" },
	{ SYS_pipe, "p" }, { SYS_select, "dpppp" }, { SYS_sched_yield, "" }, { SYS_mremap, "puuxp" },
	{ SYS_msync, "pux" }, { SYS_madvise, "pud" }, { SYS_dup, "f" }, { SYS_dup2, "ff" },
	{ SYS_pause, "" }, { SYS_nanosleep, "pp" }, { SYS_getpid, "" }, { SYS_sendfile, "ffpu" },
	{ SYS_socket, "ddd" }, { SYS_connect, "fpu" }, { SYS_accept, "fpp" }, { SYS_sendto, "fbuxpu" },
	{ SYS_recvfrom, "fBuxpp" }, { SYS_sendmsg, "fpx" }, { SYS_recvmsg, "fpx" },
	{ SYS_bind, "fpu" }, { SYS_listen, "fd" }, { SYS_clone, "xpppp" }, { SYS_fork, "" },
	{ SYS_vfork, "" }, { SYS_execve, "sae" }, { SYS_exit, "d" }, { SYS_wait4, "dpxp" },
	{ SYS_kill, "dA" }, { SYS_uname, "p" }, { SYS_fcntl, "fdx" }, { SYS_fsync, "f" },
	{ SYS_ftruncate, "fd" }, { SYS_getdents64, "fpu" }, { SYS_getcwd, "pu" }, { SYS_chdir, "s" },
	{ SYS_rename, "ss" }, { SYS_mkdir, "sm" }, { SYS_rmdir, "s" }, { SYS_unlink, "s" },
	{ SYS_symlink, "ss" }, { SYS_readlink, "sBu" }, { SYS_chmod, "sm" }, { SYS_umask, "m" },
	{ SYS_gettimeofday, "pp" }, { SYS_getuid, "" }, { SYS_getgid, "" }, { SYS_geteuid, "" },
	{ SYS_getegid, "" }, { SYS_getppid, "" }, { SYS_sigaltstack, "pp" }, { SYS_arch_prctl, "xp" },
	{ SYS_gettid, "" }, { SYS_futex, "pxdppd" }, { SYS_sched_setaffinity, "dup" },
	{ SYS_sched_getaffinity, "dup" }, { SYS_set_tid_address, "p" }, { SYS_clock_gettime, "dp" },
	{ SYS_clock_nanosleep, "dxpp" }, { SYS_exit_group, "d" }, { SYS_epoll_wait, "fpdd" },
	{ SYS_epoll_ctl, "fdfp" }, { SYS_tgkill, "ddA" }, { SYS_openat, "fsOm" }, { SYS_mkdirat, "fsm" },
	{ SYS_newfstatat, "fspx" }, { SYS_unlinkat, "fsx" }, { SYS_renameat, "fsfs" },
	{ SYS_readlinkat, "fsBu" }, { SYS_faccessat, "fsx" }, { SYS_pselect6, "dppppp" },
	{ SYS_ppoll, "puppu" }, { SYS_set_robust_list, "pu" }, { SYS_epoll_pwait, "fpddpu" },
	{ SYS_eventfd2, "dx" }, { SYS_epoll_create1, "x" }, { SYS_dup3, "ffO" }, { SYS_pipe2, "pO" },
	{ SYS_prlimit64, "ddpp" }, { SYS_getrandom, "pux" }, { SYS_memfd_create, "sx" },
	{ SYS_statx, "fsxxp" }, { SYS_rseq, "puxx" }, { SYS_clone3, "pu" }, { SYS_close_range, "ddx" },
	{ SYS_faccessat2, "fsxx" }, { SYS_execveat, "fsaex" }, { SYS_membarrier, "dxd" },
};

/* The kinds of the arguments of a call, at most 6. */
static void kinds_of(uint32_t nr, char kind[7])
{
	const char *a;
	size_t i;

	for (i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
		if (signatures[i].nr == nr) {
			memcpy(kind, signatures[i].args, 7);
			return;
		}
	a = nr < TRACE_CALLS ? rows[nr].args : NULL;
	if (!a || !*a) {
		strcpy(kind, a || nr >= TRACE_CALLS || !rows[nr].name ? "xxxxxx" : "xxxx");
		return;
	}
	for (i = 0; i < 6 && *a && !strchr("EAD", *a); i++) {
		kind[i] = *a == 's' ? 's' : *a == 'f' || *a == 'F' ? 'f' : *a == 'v' ? 'd' : 'p';
		a += strcspn(a, " ");
		a += strspn(a, " ");
	}
	kind[i] = 0;
	if (!i)
		strcpy(kind, "xxxxxx");
}

const char *trace_call_name(uint32_t nr)
{
	return nr < TRACE_CALLS ? rows[nr].name : NULL;
}

/* ---- Kinds ---- */

struct bit_name {
	uint64_t bit;
	const char *name;
};

/* Names of bits joined by |, the rest in hexadecimal; zero is `none`. */
static void bits(char *to, size_t room, uint64_t v, const struct bit_name *names, const char *none)
{
	size_t used = 0;

	to[0] = 0;
	for (; names->name; names++)
		if ((v & names->bit) == names->bit) {
			used += (size_t)snprintf(to + used, room - used, "%s%s", used ? "|" : "", names->name);
			v &= ~names->bit;
		}
	if (v)
		snprintf(to + used, room - used, "%s%#lx", used ? "|" : "", (unsigned long)v);
	else if (!used)
		snprintf(to, room, "%s", none);
}

static void open_flags(char *to, size_t room, uint64_t v)
{
	static const struct bit_name names[] = {
		{ O_CREAT, "O_CREAT" }, { O_EXCL, "O_EXCL" }, { O_NOCTTY, "O_NOCTTY" }, { O_TRUNC, "O_TRUNC" },
		{ O_APPEND, "O_APPEND" }, { O_NONBLOCK, "O_NONBLOCK" }, { O_SYNC, "O_SYNC" },
		{ O_DSYNC, "O_DSYNC" }, { O_DIRECT, "O_DIRECT" }, { O_TMPFILE, "O_TMPFILE" },
		{ O_DIRECTORY, "O_DIRECTORY" }, { O_NOFOLLOW, "O_NOFOLLOW" }, { O_CLOEXEC, "O_CLOEXEC" },
		{ O_PATH, "O_PATH" }, { 0, NULL },
	};
	static const char *const modes[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };
	char rest[TRACE_ARG_BYTES - 12];

	bits(rest, sizeof(rest), v & ~(uint64_t)O_ACCMODE, names, "");
	snprintf(to, room, "%s%s%s", modes[v & O_ACCMODE], *rest ? "|" : "", rest);
}

static void protection(char *to, size_t room, uint64_t v)
{
	static const struct bit_name names[] = {
		{ PROT_READ, "PROT_READ" }, { PROT_WRITE, "PROT_WRITE" }, { PROT_EXEC, "PROT_EXEC" }, { 0, NULL },
	};

	bits(to, room, v, names, "PROT_NONE");
}

static void map_flags(char *to, size_t room, uint64_t v)
{
	static const struct bit_name names[] = {
		{ MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE" }, { MAP_SHARED, "MAP_SHARED" },
		{ MAP_PRIVATE, "MAP_PRIVATE" }, { MAP_FIXED, "MAP_FIXED" },
		{ MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE" }, { MAP_ANONYMOUS, "MAP_ANONYMOUS" },
		{ MAP_GROWSDOWN, "MAP_GROWSDOWN" }, { MAP_DENYWRITE, "MAP_DENYWRITE" },
		{ MAP_LOCKED, "MAP_LOCKED" }, { MAP_NORESERVE, "MAP_NORESERVE" },
		{ MAP_POPULATE, "MAP_POPULATE" }, { MAP_STACK, "MAP_STACK" }, { MAP_HUGETLB, "MAP_HUGETLB" },
		{ 0, NULL },
	};

	bits(to, room, v, names, "0");
}

static size_t put_escaped(char *to, unsigned char c)
{
	static const char plain[] = "\n\t\r\"\\", letter[] = "ntr\"\\";
	const char *at = c ? strchr(plain, c) : NULL;

	if (at)
		return (size_t)sprintf(to, "\\%c", letter[at - plain]);
	if (c >= 32 && c < 127)
		return (size_t)sprintf(to, "%c", c);
	return (size_t)sprintf(to, "\\%03o", c);
}

/* Bytes of the program, quoted, the first ones of many; a string ends at its 0. */
static void quoted(char *to, size_t room, uint64_t at, uint64_t bytes, bool string, trace_read_fn *read)
{
	unsigned char data[STRING_SHOWN + 1];
	size_t want = bytes < sizeof(data) ? (size_t)bytes : sizeof(data), got, i;
	bool more;

	got = at ? read(at, data, want) : 0;
	if (!at || (!got && want)) {
		snprintf(to, room, at ? "%#lx" : "NULL", (unsigned long)at);
		return;
	}
	if (string && memchr(data, 0, got))
		got = (size_t)((unsigned char *)memchr(data, 0, got) - data);
	more = got > STRING_SHOWN;
	*to++ = '"';
	for (i = 0; i < got && i < STRING_SHOWN; i++)
		to += put_escaped(to, data[i]);
	strcpy(to, more ? "\"..." : "\"");
}

/* ["/bin/echo", "hi"], as much of it as there is room for. */
static void string_list(char *to, size_t room, uint64_t at, trace_read_fn *read)
{
	char one[4 * STRING_SHOWN + 8];
	size_t used = 1;
	uint64_t each;

	for (*to = '['; read(at, &each, sizeof(each)) == sizeof(each) && each; at += sizeof(each)) {
		quoted(one, sizeof(one), each, UINT64_MAX, true, read);
		if (used + strlen(one) + sizeof(", , ...]") > room) {
			used += (size_t)sprintf(to + used, "%s...", used > 1 ? ", " : "");
			break;
		}
		used += (size_t)sprintf(to + used, "%s%s", used > 1 ? ", " : "", one);
	}
	strcpy(to + used, "]");
}

static void environment(char *to, size_t room, uint64_t at, trace_read_fn *read)
{
	uint64_t each, i = 0;

	while (at && i < 100000 && read(at + i * sizeof(each), &each, sizeof(each)) == sizeof(each) && each)
		i++;
	snprintf(to, room, at ? "%#lx /* %lu vars */" : "NULL", (unsigned long)at, (unsigned long)i);
}

static void plain(char *to, size_t room, char kind, uint64_t v, trace_read_fn *read)
{
	static const char *const signals[] = {
		"0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE",
		"SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT",
		"SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU",
		"SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
	};

	switch (kind) {
	case 'f':
		if ((int)v == AT_FDCWD)
			snprintf(to, room, "AT_FDCWD");
		else
			snprintf(to, room, "%d", (int)v);
		break;
	case 'd':
		snprintf(to, room, "%ld", v >> 32 && v >> 32 != 0xffffffff ? (long)v : (long)(int)v);
		break;
	case 'u':
		snprintf(to, room, "%lu", (unsigned long)v);
		break;
	case 'm':
		snprintf(to, room, "0%lo", (unsigned long)v);
		break;
	case 's':
		quoted(to, room, v, UINT64_MAX, true, read);
		break;
	case 'a':
		if (v)
			string_list(to, room, v, read);
		else
			snprintf(to, room, "NULL");
		break;
	case 'e':
		environment(to, room, v, read);
		break;
	case 'O':
		open_flags(to, room, v);
		break;
	case 'P':
		protection(to, room, v);
		break;
	case 'M':
		map_flags(to, room, v);
		break;
	case 'A':
		if (v < sizeof(signals) / sizeof(signals[0]))
			snprintf(to, room, "%s", signals[v]);
		else
			snprintf(to, room, "SIGRT_%lu", (unsigned long)v - 32);
		break;
	default:
		if (kind == 'p' && !v)
			snprintf(to, room, "NULL");
		else
			snprintf(to, room, v ? "%#lx" : "0", (unsigned long)v);
	}
}

/* ---- Calls ---- */

/* A mode is an argument only where a file is made. */
static uint32_t shown(uint32_t nr, const uint64_t arg[6], uint32_t count)
{
	if ((nr == SYS_open && !(arg[1] & (O_CREAT | O_TMPFILE))) ||
	    (nr == SYS_openat && !(arg[2] & (O_CREAT | O_TMPFILE))))
		return count - 1;
	return count;
}

void trace_format_enter(struct trace_args *to, uint32_t nr, const uint64_t arg[6], trace_read_fn *read)
{
	char kind[7];
	uint32_t i;

	kinds_of(nr, kind);
	to->count = shown(nr, arg, (uint32_t)strlen(kind));
	to->filled = 0;
	for (i = 0; i < to->count; i++) {
		if (kind[i] == 'B')
			to->filled |= 1u << i;
		else if (kind[i] == 'b')
			quoted(to->text[i], TRACE_ARG_BYTES, arg[i], arg[i + 1], false, read);
		else
			plain(to->text[i], TRACE_ARG_BYTES, kind[i], arg[i], read);
	}
}

void trace_format_leave(struct trace_args *to, uint32_t nr, const uint64_t arg[6], int64_t result,
			trace_read_fn *read)
{
	uint32_t i;

	(void)nr;
	for (i = 0; i < to->count; i++) {
		if (!(to->filled & 1u << i))
			continue;
		if (result < 0)
			plain(to->text[i], TRACE_ARG_BYTES, 'p', arg[i], read);
		else
			quoted(to->text[i], TRACE_ARG_BYTES, arg[i], (uint64_t)result, false, read);
	}
	to->filled = 0;
}

const char *trace_error_name(int64_t result)
{
	return result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;
}

void trace_format_result(char *to, size_t room, uint32_t nr, int64_t result)
{
	const char *name = trace_error_name(result);

	/* What Linux uses inside to say that a signal came first (linux/errno.h). */
	if (result >= -516 && result <= -512)
		snprintf(to, room, "? (interrupted by a signal, to be restarted)");
	else if (name)
		snprintf(to, room, "-1 %s (%s)", name, strerror((int)-result));
	else if (nr == SYS_mmap || nr == SYS_brk || nr == SYS_mremap)
		snprintf(to, room, "%#lx", (unsigned long)result);
	else
		snprintf(to, room, "%ld", (long)result);
}
