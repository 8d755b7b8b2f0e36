/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random system calls and instructions, to see what survives them. Runs the same
 * on Linux and on a co-kernel.
 *
 *   fuzz [-s FIRST-SEED] [-n SEEDS | -t SECONDS] [-p PROCESSES] [-j THREADS]
 *        [-c CALLS] [-l LIMIT-MS] [-o CALL,...] FOLDER
 *
 * Each seed is a child with THREADS threads of CALLS calls each, in a folder, session
 * and uid of its own (60000 and up) under limits; PROCESSES of them run at once, a
 * dead one is followed by the next, what it left behind is killed. The sequence of a
 * thread depends on its seed and number alone, results that the kernel gives and
 * addresses it chooses aside, so `-s SEED -n 1` does the same again as far as threads
 * allow. Needs root, to give uids away; calls that a machine does not survive (reboot
 * and the like) are left out anyway. -o plays some calls only, fork, clone, rt_sigreturn and
 * `instructions` among them, to find out which it was. Status 0 unless the fuzzer itself could not go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define FIRST_UID   60000u
#define GID         65534u	/* nogroup, whose the partition is */
#define MAX_SLOTS   16u
#define MAX_THREADS 32u

/* What the calls play in, at an address that is the same each time. */
#define ARENA         0x200000000ul
#define ARENA_BYTES   (16ul << 20)
#define READ_ONLY     (ARENA + (8ul << 20))   /* a page, and one of no access behind it */
#define SHARED        (ARENA + (9ul << 20))   /* 64 KiB, shared */
#define FILE_MAP      (ARENA + (10ul << 20))  /* 4 pages of a file of 1.5 pages */
#define SCRATCH(n)    (ARENA + (n) * 0x10000ul) /* of a thread; the page behind is unmapped by some */
#define SCRATCH_BYTES 0x8000ul

/* ---- the calls ---- */

struct row {
	const char *name, *args;
	uint32_t weight;
};

/*
 * What each argument is, better than the table of the co-kernel tells it: f descriptor,
 * d folder's descriptor, s path, p pointer, a page address, l length, o offset, v value,
 * b bits, P protection, M mapping flags, A advice, g signal, i pid, t time, z size of a
 * signal set, u futex, O its operation, c clock, n small number, y address family.
 */
static const struct { uint16_t nr; const char *args; } shapes[] = {
	{ SYS_mmap, "alPMfo" }, { SYS_mprotect, "alP" }, { SYS_munmap, "al" }, { SYS_brk, "a" },
	{ SYS_mremap, "allba" }, { SYS_msync, "aln" }, { SYS_mincore, "alp" }, { SYS_madvise, "alA" },
	{ SYS_mlock, "al" }, { SYS_munlock, "al" }, { SYS_mlock2, "aln" }, { SYS_pkey_mprotect, "alPn" },
	{ SYS_shmat, "nab" }, { SYS_shmdt, "a" }, { SYS_shmget, "nlb" }, { SYS_shmctl, "nnp" },
	{ SYS_mbind, "alnpnn" }, { SYS_set_mempolicy, "npn" }, { SYS_get_mempolicy, "ppnan" },
	{ SYS_rt_sigaction, "gppz" }, { SYS_rt_sigprocmask, "nppz" }, { SYS_rt_sigsuspend, "pz" },
	{ SYS_rt_sigpending, "pz" }, { SYS_rt_sigtimedwait, "pptz" }, { SYS_rt_sigqueueinfo, "igp" },
	{ SYS_rt_tgsigqueueinfo, "iigp" }, { SYS_sigaltstack, "pp" }, { SYS_kill, "ig" }, { SYS_tkill, "ig" },
	{ SYS_tgkill, "iig" }, { SYS_nanosleep, "tp" }, { SYS_clock_nanosleep, "cntp" },
	{ SYS_clock_gettime, "cp" }, { SYS_clock_getres, "cp" }, { SYS_gettimeofday, "pp" },
	{ SYS_timer_create, "cpp" }, { SYS_timer_settime, "nnpp" }, { SYS_setitimer, "npp" }, { SYS_alarm, "n" },
	{ SYS_futex, "uOntun" }, { SYS_set_robust_list, "pl" }, { SYS_get_robust_list, "ipp" },
	{ SYS_rseq, "plbn" }, { SYS_membarrier, "bnn" }, { SYS_set_tid_address, "p" }, { SYS_arch_prctl, "vp" },
	{ SYS_wait4, "ipbp" }, { SYS_waitid, "nipbp" }, { SYS_getrusage, "np" }, { SYS_prlimit64, "inpp" },
	{ SYS_setrlimit, "np" }, { SYS_sched_setaffinity, "ilp" }, { SYS_sched_getaffinity, "ilp" },
	{ SYS_getcpu, "ppp" }, { SYS_times, "p" }, { SYS_sysinfo, "p" },
	{ SYS_pselect6, "nppptp" }, { SYS_ppoll, "pntpz" }, { SYS_poll, "pnn" }, { SYS_select, "npppt" },
	{ SYS_epoll_pwait, "fpnnpz" }, { SYS_epoll_pwait2, "fpntpz" }, { SYS_epoll_wait, "fpnn" },
	{ SYS_epoll_ctl, "fnfp" }, { SYS_execve, "spp" }, { SYS_execveat, "dsppb" },
	{ SYS_open, "sbm" }, { SYS_openat, "dsbm" }, { SYS_ioctl, "fvp" }, { SYS_fcntl, "fnv" },
	{ SYS_sendfile, "ffpl" }, { SYS_splice, "fpfplb" }, { SYS_tee, "fflb" }, { SYS_vmsplice, "fpnb" },
	{ SYS_socket, "ynn" }, { SYS_socketpair, "ynnp" }, { SYS_connect, "fpn" }, { SYS_bind, "fpn" },
	{ SYS_accept, "fpp" }, { SYS_sendto, "fplbpn" }, { SYS_recvfrom, "fplbpp" }, { SYS_sendmsg, "fpb" },
	{ SYS_recvmsg, "fpb" }, { SYS_setsockopt, "fnnpn" }, { SYS_getsockopt, "fnnpp" }, { SYS_listen, "fn" },
	{ SYS_sendmmsg, "fpnb" }, { SYS_recvmmsg, "fpnbt" },
	{ SYS_prctl, "npvvv" }, { SYS_close_range, "ffb" }, { SYS_process_vm_readv, "ipnpnn" },
	{ SYS_process_vm_writev, "ipnpnn" }, { SYS_kcmp, "iinvv" }, { SYS_pidfd_open, "in" },
	{ SYS_pidfd_send_signal, "fgpn" }, { SYS_fallocate, "fnol" }, { SYS_ftruncate, "fo" },
	{ SYS_truncate, "so" }, { SYS_getrandom, "pln" }, { SYS_memfd_create, "sb" }, { SYS_mkdir, "sm" },
	{ SYS_unlink, "s" }, { SYS_rename, "ss" }, { SYS_link, "ss" }, { SYS_symlink, "ss" },
	{ SYS_chdir, "s" }, { SYS_getcwd, "pl" }, { SYS_inotify_add_watch, "fsb" }, { SYS_signalfd4, "fpzb" },
	{ SYS_timerfd_settime, "fnpp" }, { SYS_eventfd2, "nb" }, { SYS_personality, "b" }, { SYS_unshare, "b" },
	{ SYS_semop, "npn" }, { SYS_semget, "nnb" }, { SYS_msgsnd, "nplb" }, { SYS_msgrcv, "nplnb" },
	{ SYS_msgget, "nb" }, { SYS_setpgid, "ii" }, { SYS_sched_setscheduler, "inp" },
};

/* A machine does not survive these, or nobody hears of it afterwards. */
static const uint16_t never[] = {
	SYS_reboot, SYS_kexec_load, 320 /* kexec_file_load */, SYS_init_module, SYS_finit_module, SYS_delete_module,
	SYS_swapon, SYS_swapoff, SYS_vhangup, SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
	SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname,
	/* With their own ways of being called, below, or too dear to be called often. */
	SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_sync, SYS_syncfs,
};

#define ROWS 512
static struct row rows[ROWS] = {
#define PORTED(nr, n, f) [nr] = { #n, 0, 12 },
#define DELEGATED(nr, n, a) [nr] = { #n, a, 2 },
#define REFUSED(nr, n, e, why) [nr] = { #n, 0, 1 },
#include "libpoxis/syscalls.def"
#undef PORTED
#undef DELEGATED
#undef REFUSED
};
static uint16_t wheel[8192];
static uint32_t wheel_count;

/* The table's words, a letter each. */
static const char *letters(const char *args)
{
	char out[8] = "", *o = out;

	for (const char *a = args; a && *a && o < out + 6; a++)
		if (*a == 'f' || *a == 's' || *a == 'v' || *a == 'p')
			*o++ = *a;
		else if (strchr("ioIOVW", *a))
			*o++ = 'p';
	return *out ? strdup(out) : 0;
}

static bool named(const char *list, const char *name)
{
	size_t bytes = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += bytes)
		if ((at == list || at[-1] == ',') && (at[bytes] == ',' || !at[bytes]))
			return true;
	return false;
}

/* What is not a call like any other: how often in 400. */
static struct { const char *name; uint32_t often; } special[] = {
	{ "rt_sigreturn", 4 }, { "instructions", 6 }, { "clone", 4 }, { "fork", 2 }, { "unknown", 1 },
};

static void prepare_calls(const char *only)
{
	for (uint32_t i = 0; i < ROWS; i++)
		rows[i].args = letters(rows[i].args);
	for (uint32_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		rows[shapes[i].nr].args = shapes[i].args;
	for (uint32_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		rows[never[i]].weight = 0;
	for (uint32_t i = 0; i < ROWS && only; i++)
		if (rows[i].name && !named(only, rows[i].name))
			rows[i].weight = 0;
	for (uint32_t i = 0; i < sizeof(special) / sizeof(special[0]) && only; i++)
		special[i].often = named(only, special[i].name) ? 100 : 0;
	for (uint32_t i = 0; i < ROWS; i++)
		for (uint32_t n = 0; n < rows[i].weight; n++)
			wheel[wheel_count++] = (uint16_t)i;
}

/* ---- a thread ---- */

#define MAGIC      0x6675747475627a7aul
#define HOME_BYTES 0x10000ul	/* of a worker and its signal stack, aligned to as much */

struct worker {
	uint64_t magic, random;
	uint32_t number, depth;
	void *back[5];			/* where a fault goes on */
	_Atomic uint32_t calls;
	_Atomic int32_t tid;
	bool have_frame;
	uint8_t frame[304 + 4096] __attribute__((aligned(64)));	/* a signal frame, to be mutilated */
};

struct stats {
	_Atomic uint64_t calls, good, bad, faults;
};

static struct stats *stats;		/* shared with all children */
static struct worker *workers[MAX_THREADS];
static uint32_t thread_count = 4, call_count = 400, limit_ms = 3000;

static uint64_t mix(uint64_t x)		/* splitmix64 */
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
	return x ^ (x >> 31);
}

static uint64_t rnd64(struct worker *w)
{
	return mix(w->random += 0x9e3779b97f4a7c15ul);
}

static uint64_t rnd(struct worker *w, uint64_t below)
{
	return rnd64(w) % below;
}

/* No libc from here on: its errno lies in thread-local storage, and the base of that
 * is a thing that calls change. */
static long call6(long nr, const uint64_t a[6])
{
	register uint64_t r10 asm("r10") = a[3], r8 asm("r8") = a[4], r9 asm("r9") = a[5];
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

#define CALL(nr, ...) call6(nr, (const uint64_t[6]){ __VA_ARGS__ })

static uint64_t pointer(struct worker *w)
{
	uint64_t scratch = SCRATCH(w->number);

	switch (rnd(w, 40)) {
	case 0: return 0;
	case 1: return rnd(w, 0x10000);
	case 2: return scratch + SCRATCH_BYTES - rnd(w, 64);		/* runs off its end */
	case 3: return READ_ONLY + rnd(w, 4096);
	case 4: return READ_ONLY + 4096 - rnd(w, 32);
	case 5: return SHARED + rnd(w, 0x10000);
	case 6: return FILE_MAP + rnd(w, 4 * 4096);
	case 7: return 0x8000000000000000ul | rnd64(w);
	case 8: return 0xffff800000000000ul + (rnd(w, 1u << 20) << 21);
	case 9: return 0xffffffff80000000ul + rnd(w, 1u << 24);
	case 10: return (1ul << (rnd(w, 32) + 16)) - rnd(w, 32);	/* 32 TiB and 128 TiB among them */
	case 11: return rnd64(w);
	case 12: return (uintptr_t)&pointer + rnd(w, 65536);
	case 13: return ARENA + rnd(w, ARENA_BYTES);
	case 14: return -(uint64_t)rnd(w, 4096);
	case 15: return 0x800000000000ul - rnd(w, 3) * 4096 - rnd(w, 16);
	default: return scratch + (rnd(w, SCRATCH_BYTES - 1024) & (rnd(w, 8) ? ~7ul : ~0ul));
	}
}

static uint64_t number(struct worker *w)
{
	switch (rnd(w, 12)) {
	case 0: return rnd64(w);
	case 1: return -(uint64_t)rnd(w, 8);
	case 2: return 1ul << rnd(w, 64);
	case 3: return (1ul << rnd(w, 64)) - 1;
	case 4: return rnd(w, 1u << 16);
	case 5: return rnd(w, 65) * 4096;
	default: return rnd(w, 40);
	}
}

static const char *const paths[] = {
	"a", "b", "c", "dir", "dir/a", ".", "..", "/", "", "/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/maps",
	"/proc/self/fd", "/proc/self/mem", "/proc/self/exe", "/proc/self/status", "/proc/self/task", "/tmp",
	"/dev/shm/fuzz", "/etc/passwd", "/proc/meminfo", "/sys/devices/system/cpu/online", "/dev/outrigger-run",
	"a/b", "/proc/thread-self/stat", "/dev/tty", "/dev/full",
};

static uint64_t path(struct worker *w)
{
	if (!rnd(w, 8))
		return pointer(w);
	return (uintptr_t)paths[rnd(w, sizeof(paths) / sizeof(paths[0]))];
}

/* A time that is over soon, mostly. */
static uint64_t time_ptr(struct worker *w)
{
	uint64_t *t = (uint64_t *)(SCRATCH(w->number) + 0x100);

	if (!rnd(w, 6))
		return pointer(w);
	t[0] = rnd(w, 16) ? 0 : number(w);
	t[1] = rnd(w, 16) ? rnd(w, 3000000) : number(w);
	return (uintptr_t)t;
}

static uint64_t pid(struct worker *w)
{
	switch (rnd(w, 8)) {
	case 0: return 0;
	case 1: return (uint64_t)-1;
	case 2: return number(w);
	case 3: return (uint64_t)workers[rnd(w, thread_count)]->tid;
	default: return (uint64_t)CALL(rnd(w, 2) ? SYS_getpid : SYS_gettid);
	}
}

static uint64_t argument(struct worker *w, char kind)
{
	if (!rnd(w, 24))
		kind = "vp"[rnd(w, 2)];
	switch (kind) {
	case 'f': return rnd(w, 10) ? rnd(w, 28) : number(w);
	case 'd': return rnd(w, 2) ? (uint64_t)AT_FDCWD : rnd(w, 28);
	case 's': return path(w);
	case 'p': return pointer(w);
	case 'a':
		if (!rnd(w, 12))
			return pointer(w) & (rnd(w, 2) ? ~4095ul : ~0ul);
		return ARENA + 0x100000ul + rnd(w, (ARENA_BYTES - 0x100000ul) >> 12) * 4096;
	case 'l': return rnd(w, 10) ? rnd(w, 600) * (rnd(w, 3) ? 4096 : 1) : number(w);
	case 'o': return rnd(w, 3) ? rnd(w, 64) * 4096 : number(w);
	case 'n': return rnd(w, 8) ? rnd(w, 20) : number(w);
	case 'b':
		switch (rnd(w, 4)) {
		case 0: return 0;
		case 1: return 1ul << rnd(w, 32);
		case 2: return 1ul << rnd(w, 24) | 1ul << rnd(w, 16);
		default: return rnd(w, 16);
		}
	case 'P': return rnd(w, 8) ? rnd(w, 8) : number(w);
	case 'M':
		return (rnd(w, 3) ? MAP_PRIVATE : MAP_SHARED) | (rnd(w, 2) ? MAP_ANONYMOUS : 0) |
		       (rnd(w, 2) ? MAP_FIXED : 0) | (rnd(w, 4) ? 0 : MAP_NORESERVE) | (rnd(w, 4) ? 0 : MAP_POPULATE) |
		       (rnd(w, 8) ? 0 : 1ul << rnd(w, 32));
	case 'A': return rnd(w, 2) ? rnd(w, 26) : (const uint8_t[]){ 4, 8, 9, 14, 22, 23 }[rnd(w, 6)];
	case 'g': return rnd(w, 6) ? (const uint8_t[]){ 0, SIGUSR1, SIGUSR2, SIGCHLD, SIGURG, 40, 64 }[rnd(w, 7)] : rnd(w, 66);
	case 'i': return pid(w);
	case 't': return time_ptr(w);
	case 'z': return rnd(w, 8) ? 8 : number(w);
	case 'm': return rnd(w, 4) ? 0700 : number(w);
	case 'u': return rnd(w, 4) ? (rnd(w, 2) ? SHARED : ARENA) + rnd(w, 4) * 4 : pointer(w);
	case 'O': return rnd(w, 8) ? rnd(w, 14) | (rnd(w, 2) ? FUTEX_PRIVATE_FLAG : 0) : number(w);
	case 'c': return rnd(w, 8) ? rnd(w, 12) : number(w);
	case 'y': return (const uint8_t[]){ AF_UNIX, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK }[rnd(w, 5)];
	default: return rnd(w, 4) ? number(w) : pointer(w);
	}
}

/* Words that look like something: pointers, lengths, small numbers. */
static void fill_scratch(struct worker *w)
{
	uint64_t *s = (uint64_t *)SCRATCH(w->number) + rnd(w, 16) * 32;

	for (uint32_t i = 0; i < 32; i++)
		s[i] = i % 2 ? (rnd(w, 4) ? rnd(w, 4096) : number(w)) : (rnd(w, 2) ? pointer(w) : number(w));
}

static void play(struct worker *w, uint32_t count);

__attribute__((noreturn)) static void leave(int status)
{
	for (;;)
		CALL(SYS_exit_group, (uint64_t)status);
}

/* ---- calls with their own ways ---- */

/* The child does nothing but end: it may have no stack, or ours. */
static long clone_and_exit(long nr, const uint64_t a[5])
{
	register uint64_t r10 asm("r10") = a[3], r8 asm("r8") = a[4];
	long ret;

	asm volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%edi, %%edi\n\tmov $60, %%eax\n\tsyscall\n\tud2\n1:"
		     : "=a"(ret) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return ret;
}

static long play_clone(struct worker *w)
{
	static const uint64_t flags[] = {
		CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_VFORK, CLONE_PARENT, CLONE_THREAD, CLONE_SYSVSEM,
		CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_PIDFD, CLONE_IO,
	};
	uint64_t f = rnd(w, 3) ? CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM : SIGCHLD;
	uint64_t top = SCRATCH(w->number) + SCRATCH_BYTES;

	for (uint64_t n = rnd(w, 4); n; n--)
		f ^= flags[rnd(w, sizeof(flags) / sizeof(flags[0]))];
	if (!rnd(w, 8))
		f ^= 1ul << rnd(w, 40);
	/* Without a stack of its own a child that shares memory would step on ours. */
	if (rnd(w, 2)) {
		uint64_t *c = (uint64_t *)SCRATCH(w->number);

		memcpy(c, (uint64_t[11]){ f & ~0xfful, pointer(w), pointer(w), pointer(w), rnd(w, 2) ? SIGCHLD : number(w), ARENA,
					  top - ARENA, pointer(w), 0, 0, rnd(w, 16) ? 0 : number(w) }, 88);
		if (f & CLONE_THREAD && rnd(w, 4))
			c[4] = 0;
		return clone_and_exit(SYS_clone3, (uint64_t[5]){ rnd(w, 8) ? (uintptr_t)c : pointer(w),
								 rnd(w, 4) ? 88 : number(w) });
	}
	return clone_and_exit(SYS_clone, (uint64_t[5]){ f, rnd(w, 6) ? top : 0, pointer(w), pointer(w), pointer(w) });
}

static long play_fork(struct worker *w)
{
	static const char nop[] = "--nop";
	const char *argv[] = { "fuzz", nop, 0 };
	long ret;

	if (w->depth > 1 || rnd(w, 3) == 0)
		return clone_and_exit(SYS_vfork, (uint64_t[5]){ 0 });
	ret = CALL(SYS_fork);
	if (ret)
		return ret;
	w->depth++;
	w->random = mix(w->random + 1);
	switch (rnd(w, 4)) {
	case 0:
		CALL(SYS_execve, (uintptr_t)"/proc/self/exe", (uintptr_t)argv, 0);
		break;
	case 1:
		break;
	default:
		play(w, 12);
	}
	leave(0);
}

/* What a handler returns to, instead of to where it was: found by the signal stack. */
__attribute__((noreturn, noinline)) static void go_back(void)
{
	struct worker *w = (struct worker *)((uintptr_t)__builtin_frame_address(0) & ~(HOME_BYTES - 1));

	if (w->magic != MAGIC)
		leave(3);
	__builtin_longjmp(w->back, 1);
}

static void plain_flags(void)
{
	/* Not trap, direction, nested task or alignment check; clear of the red zone. */
	asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x44500, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

static void fault(int sig, siginfo_t *info, void *context)
{
	plain_flags();
	atomic_fetch_add(&stats->faults, 1);
	go_back();
}

/* Gets a thread out of a call; the first one leaves its frame. */
static void poke(int sig, siginfo_t *info, void *context)
{
	struct worker *w = (struct worker *)((uintptr_t)__builtin_frame_address(0) & ~(HOME_BYTES - 1));
	ucontext_t *uc = context;

	plain_flags();
	if (w->magic == MAGIC && !w->have_frame) {
		memcpy(w->frame, uc, 304);
		if (uc->uc_mcontext.fpregs)
			memcpy(w->frame + 304 + 16, uc->uc_mcontext.fpregs, 832);
		w->have_frame = true;
	}
}

__attribute__((noreturn, noinline)) static void sigreturn_from(uint64_t frame)
{
	asm volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" :: "r"(frame) : "memory");
	__builtin_unreachable();
}

static void play_sigreturn(struct worker *w)
{
	uint8_t *at = (uint8_t *)SCRATCH(w->number) + 0x1000;
	ucontext_t *uc = (ucontext_t *)at;
	greg_t *r = uc->uc_mcontext.gregs;

	fill_scratch(w);
	if (!w->have_frame || !rnd(w, 8))
		sigreturn_from(rnd(w, 2) ? (uintptr_t)at : pointer(w));
	memcpy(at, w->frame, sizeof(w->frame));
	/* To a place that is right, unless this goes wrong, too. */
	r[REG_RIP] = (greg_t)(uintptr_t)go_back;
	r[REG_RSP] = (greg_t)((uintptr_t)w + HOME_BYTES - 264);
	uc->uc_mcontext.fpregs = (void *)(at + 320);
	for (uint64_t n = rnd(w, 4) + 1; n; n--) {
		switch (rnd(w, 8)) {
		case 0: r[REG_RIP] = (greg_t)pointer(w); break;
		case 1: r[REG_RSP] = (greg_t)pointer(w); break;
		case 2: r[REG_CSGSFS] = (greg_t)rnd64(w); break;
		case 3: r[REG_EFL] = (greg_t)rnd64(w); break;
		case 4: uc->uc_mcontext.fpregs = (void *)pointer(w); break;
		case 5: at[320 + rnd(w, 832)] = (uint8_t)rnd64(w); break;
		case 6: ((uint64_t *)(at + 320 + 512))[rnd(w, 8)] = number(w); break;	/* the XSAVE header */
		default: ((uint64_t *)at)[rnd(w, 38)] = number(w);
		}
	}
	uc->uc_sigmask = (sigset_t){ 0 };
	sigreturn_from((uintptr_t)at);
}

/* An instruction that faults, or must not matter. */
static void play_instruction(struct worker *w)
{
	uint64_t p = pointer(w), n = number(w);

	switch (rnd(w, 22)) {
	case 0: asm volatile("ud2"); break;
	case 1: asm volatile("int3"); break;
	case 2: asm volatile("hlt"); break;
	case 3: asm volatile("cli"); break;
	case 4: asm volatile("int $0x80" :: "a"(20) : "memory"); break;
	case 5: asm volatile("int $0x2" ::: "memory"); break;
	case 6: asm volatile("int $0xfb" ::: "memory"); break;
	case 7: asm volatile("mov %0, %%rsp\n\tpush %%rax\n\tud2" :: "r"(p) : "memory"); break;
	case 8: asm volatile("jmp *%0" :: "r"(p)); break;
	case 9: asm volatile("xor %%edx, %%edx\n\tdivl %%edx" ::: "rax", "rdx"); break;
	case 10: asm volatile("lea -128(%%rsp), %%rsp\n\tpush %0\n\tpopfq\n\tlea 128(%%rsp), %%rsp" :: "r"(n) : "memory", "cc"); break;
	case 11: asm volatile("mov %0, %%ds" :: "r"((uint32_t)n)); break;
	case 12: asm volatile("mov %0, %%fs" :: "r"((uint32_t)n)); break;
	case 13: asm volatile("mov %0, %%ss" :: "r"((uint32_t)n)); break;
	case 14: asm volatile("out %%al, $0x80" ::: "memory"); break;
	case 15: asm volatile("rdmsr" :: "c"((uint32_t)n) : "rax", "rdx"); break;
	case 16: asm volatile("xrstor (%0)" :: "r"(p), "a"(-1), "d"(-1) : "memory"); break;
	case 17: asm volatile("fxrstor (%0)" :: "r"(p & ~15ul) : "memory"); break;
	case 18: asm volatile("wrgsbase %0" :: "r"(p)); break;
	case 19: asm volatile("sysenter" ::: "memory"); break;
	case 20: asm volatile("iretq" ::: "memory"); break;
	default: asm volatile("movq %0, (%1)" :: "r"(n), "r"(p) : "memory");
	}
	plain_flags();
}

static void one_call(struct worker *w)
{
	uint64_t a[6];
	uint32_t nr = wheel_count ? wheel[rnd(w, wheel_count)] : SYS_getpid, which = 0;
	uint64_t turn = rnd(w, 400);
	const char *args = rows[nr].args;
	long ret;

	for (; which < sizeof(special) / sizeof(special[0]) && turn >= special[which].often; which++)
		turn -= special[which].often;
	switch (which) {
	case 0: play_sigreturn(w); break;
	case 1: play_instruction(w); return;
	case 2: (void)play_clone(w); return;
	case 3: (void)play_fork(w); return;
	case 4: nr = (uint32_t)number(w); args = 0; break;
	default:
		if (!rnd(w, 16000))
			CALL(SYS_exit);
		if (!rnd(w, 16000))
			leave(0);
	}
	for (uint32_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (nr == never[i])
			return;
	if (!rnd(w, 3))
		fill_scratch(w);
	for (uint32_t i = 0; i < 6; i++) {
		a[i] = argument(w, args && *args ? *args : 'v');
		if (args && *args)
			args++;
	}
	/* One's own code, stack and signal handlers, mostly, must live on. */
	if ((nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_mmap || nr == SYS_mremap || nr == SYS_pkey_mprotect ||
	     nr == SYS_madvise) && rnd(w, 32)) {
		if (a[0] - ARENA >= ARENA_BYTES)
			a[0] = ARENA + 0x100000;
		if (a[1] > ARENA + ARENA_BYTES - a[0])
			a[1] = ARENA + ARENA_BYTES - a[0];
		if (nr == SYS_mremap && a[4] - ARENA >= ARENA_BYTES)
			a[3] &= ~2ul;
	}
	if (nr == SYS_rt_sigaction && rnd(w, 32))
		a[0] = SIGUSR2 + rnd(w, 2) * 30;
	if (nr == SYS_arch_prctl)
		a[0] = rnd(w, 3) ? 0x1001 + rnd(w, 16) : number(w);
	ret = call6((long)nr, a);
	atomic_fetch_add_explicit(ret < 0 && ret >= -4095 ? &stats->bad : &stats->good, 1, memory_order_relaxed);
}

/* The way back from a fault, which calls bend. */
static void mend(struct worker *w)
{
	stack_t stack = { .ss_sp = w + 1, .ss_size = HOME_BYTES - sizeof(*w) };
	uint64_t none = 0;

	CALL(SYS_sigaltstack, (uintptr_t)&stack, 0);
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&none, 0, 8);
}

static void play(struct worker *w, uint32_t count)
{
	volatile uint32_t i;

	for (i = 0; i < count; i++) {
		atomic_fetch_add(&w->calls, 1);
		if (__builtin_setjmp(w->back)) {
			mend(w);
			continue;
		}
		if (i % 4 == 3)
			mend(w);
		one_call(w);
	}
	atomic_fetch_add(&stats->calls, count);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	w->tid = (int32_t)syscall(SYS_gettid);
	mend(w);
	play(w, call_count);
	atomic_store(&w->tid, 0);
	return 0;
}

/* ---- a process ---- */

void restore(void);
asm("restore: mov $15, %eax\n\tsyscall");

static void handle(int sig, void (*handler)(int, siginfo_t *, void *))
{
	struct { void (*handler)(int, siginfo_t *, void *); uint64_t flags; void *restorer; uint64_t mask; } sa = {
		handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */, restore, 0 };

	/* Also those that glibc keeps for itself. */
	CALL(SYS_rt_sigaction, (uint64_t)sig, (uintptr_t)&sa, 0, 8);
}

static void prepare_process(uint64_t seed)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	int fd, pair[2];

	if (mmap((void *)ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		_exit(4);
	mprotect((void *)READ_ONLY, 4096, PROT_READ);
	mprotect((void *)(READ_ONLY + 4096), 4096, PROT_NONE);
	mmap((void *)SHARED, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	fd = open("a", O_RDWR | O_CREAT, 0600);
	if (ftruncate(fd, 6000) == 0)
		mmap((void *)FILE_MAP, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	for (uint32_t i = 0; i < thread_count; i += 2)
		munmap((void *)(SCRATCH(i) + SCRATCH_BYTES), 4096);
	mkdir("dir", 0700);
	open(".", O_RDONLY | O_DIRECTORY);
	if (pipe2(pair, O_NONBLOCK) || pipe(pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		_exit(4);
	eventfd(1, 0);
	epoll_create1(0);
	timerfd_create(CLOCK_MONOTONIC, 0);
	memfd_create("fuzz", 0);
	open("/dev/zero", O_RDWR);
	/* All others but SIGTERM and SIGCHLD, or nothing would live for long. */
	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGTERM && sig != SIGCHLD && sig != SIGCONT)
			handle(sig, poke);
	for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		handle(faults[i], fault);
	for (uint32_t i = 0; i < thread_count; i++) {
		uint8_t *home = mmap(0, 2 * HOME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (home == MAP_FAILED)
			_exit(4);
		workers[i] = (struct worker *)(((uintptr_t)home + HOME_BYTES - 1) & ~(HOME_BYTES - 1));
		*workers[i] = (struct worker){ .magic = MAGIC, .number = i, .random = mix(seed * MAX_THREADS + i), .tid = -1 };
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One seed: starts the threads, gets those out that hang in a call, ends. */
static void run_seed(uint64_t seed)
{
	uint32_t seen[MAX_THREADS] = { 0 }, ended;
	uint64_t end = now_ms() + limit_ms;
	int pid_ = getpid();

	prepare_process(seed);
	for (uint32_t i = 0; i < thread_count; i++) {
		pthread_t t;
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 128 << 10);
		if (pthread_create(&t, &attr, thread_main, workers[i]))
			_exit(4);
	}
	do {
		usleep(10000);
		ended = 0;
		for (uint32_t i = 0; i < thread_count; i++) {
			uint32_t calls = atomic_load(&workers[i]->calls);
			int32_t tid = atomic_load(&workers[i]->tid);

			ended += tid == 0;
			if (tid > 0 && calls == seen[i])
				CALL(SYS_tgkill, (uint64_t)pid_, (uint64_t)tid, rnd(workers[i], 4) ? SIGUSR1 : 40);
			seen[i] = calls;
		}
	} while (ended < thread_count && now_ms() < end);
	_exit(0);
}

static void become(uint32_t slot)
{
	if (setresgid(GID, GID, GID) || setgroups(0, 0) ||
	    setresuid(FIRST_UID + slot, FIRST_UID + slot, FIRST_UID + slot)) {
		perror("fuzz: cannot take another uid");
		_exit(4);
	}
}

static void limit(int what, uint64_t value)
{
	setrlimit(what, &(struct rlimit){ value, value });
}

static pid_t start(uint32_t slot, uint64_t seed, const char *folder)
{
	char here[64];
	pid_t child = fork();
	int null;

	if (child)
		return child;
	setsid();
	snprintf(here, sizeof(here), "%u", slot);
	if (chdir(folder) || (mkdir(here, 0700) && errno != EEXIST) || chown(here, FIRST_UID + slot, GID) || chdir(here)) {
		perror("fuzz: its folder");
		_exit(4);
	}
	/* What the caller left open is no place for rubbish. */
	close_range(3, ~0u, 0);
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 64);
	limit(RLIMIT_NPROC, 600);
	limit(RLIMIT_AS, 512 << 20);
	limit(RLIMIT_MEMLOCK, 4 << 20);
	limit(RLIMIT_MSGQUEUE, 65536);
	become(slot);
	run_seed(seed);
	_exit(0);
}

/* System V objects outlive who made them. */
static void remove_ipc(uint32_t uid)
{
	struct shmid_ds shm;
	struct semid_ds sem;
	struct msqid_ds msg;
	int last, id;

	last = shmctl(0, SHM_INFO, (struct shmid_ds *)&(struct shm_info){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = shmctl(i, SHM_STAT, &shm)) >= 0 && shm.shm_perm.uid == uid)
			shmctl(id, IPC_RMID, 0);
	last = semctl(0, 0, SEM_INFO, &(struct seminfo){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = semctl(i, 0, SEM_STAT, &sem)) >= 0 && sem.sem_perm.uid == uid)
			semctl(id, 0, IPC_RMID);
	last = msgctl(0, MSG_INFO, (struct msqid_ds *)&(struct msginfo){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = msgctl(i, MSG_STAT, &msg)) >= 0 && msg.msg_perm.uid == uid)
			msgctl(id, IPC_RMID, 0);
}

/* What a seed left behind: processes that went their own ways, shared memory. */
static pid_t sweep(uint32_t slot)
{
	pid_t child = fork();

	if (child)
		return child;
	become(slot);
	remove_ipc(FIRST_UID + slot);
	kill(-1, SIGKILL);
	_exit(0);
}

struct slot {
	pid_t pid;
	bool sweeping;
	uint64_t seed, end;
};

static int usage(void)
{
	fprintf(stderr, "usage: fuzz [-s FIRST-SEED] [-n SEEDS | -t SECONDS] [-p PROCESSES] [-j THREADS] [-c CALLS] [-l LIMIT-MS] [-o CALL,...] FOLDER\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, left = UINT64_MAX, end = UINT64_MAX, seeds = 0, killed = 0, died[65] = { 0 };
	uint64_t told = now_ms();
	struct slot slots[MAX_SLOTS] = { 0 };
	uint32_t processes = 2, busy = 0;
	const char *only = 0;
	int opt;

	if (argc > 1 && !strcmp(argv[1], "--nop"))
		return 0;
	while ((opt = getopt(argc, argv, "s:n:t:p:j:c:l:o:")) != -1) {
		uint64_t n = optarg ? strtoull(optarg, 0, 0) : 0;

		switch (opt) {
		case 's': seed = n; break;
		case 'n': left = n; break;
		case 't': end = now_ms() + n * 1000; break;
		case 'p': processes = (uint32_t)n; break;
		case 'j': thread_count = (uint32_t)n; break;
		case 'c': call_count = (uint32_t)n; break;
		case 'l': limit_ms = (uint32_t)n; break;
		case 'o': only = optarg; break;
		default: return usage();
		}
	}
	if (optind + 1 != argc || !processes || processes > MAX_SLOTS || !thread_count || thread_count > MAX_THREADS ||
	    (left == UINT64_MAX && end == UINT64_MAX))
		return usage();
	if (geteuid()) {
		fprintf(stderr, "fuzz: only root can give the fuzzed programs uids of their own\n");
		return 2;
	}
	prepare_calls(only);
	stats = mmap(0, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		perror("fuzz");
		return 2;
	}
	for (;;) {
		int status;
		pid_t pid_;

		for (uint32_t i = 0; i < processes; i++) {
			struct slot *s = &slots[i];

			if (!s->pid && left && now_ms() < end) {
				*s = (struct slot){ .pid = start(i, seed, argv[optind]), .seed = seed, .end = now_ms() + 2 * limit_ms };
				if (s->pid < 0) {
					perror("fuzz: fork");
					return 2;
				}
				seed++, seeds++, left--, busy++;
			} else if (s->pid && !s->sweeping && now_ms() > s->end) {
				kill(s->pid, SIGKILL);
				s->end = UINT64_MAX;
				killed++;
			}
		}
		if (!busy)
			break;
		/* For who wants to know which seed it was that hurt. */
		if (now_ms() > told + 20000) {
			printf("seeds before %lu\n", seed);
			fflush(stdout);
			told = now_ms();
		}
		pid_ = waitpid(-1, &status, WNOHANG);
		if (pid_ <= 0) {
			usleep(5000);
			continue;
		}
		for (uint32_t i = 0; i < processes; i++) {
			struct slot *s = &slots[i];

			if (s->pid != pid_)
				continue;	/* an orphan */
			if (s->sweeping) {
				*s = (struct slot){ 0 };
				busy--;
				continue;
			}
			if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
				fprintf(stderr, "fuzz: seed %lu could not begin\n", s->seed);
				return 2;
			}
			died[WIFSIGNALED(status) ? WTERMSIG(status) % 65 : 0]++;
			s->pid = sweep(i);
			s->sweeping = true;
			if (s->pid < 0) {
				perror("fuzz: fork");
				return 2;
			}
		}
	}
	printf("%lu seeds, %lu calls that ended well, %lu with an error, %lu faults; %lu out of time; ends:", seeds,
	       stats->good, stats->bad, stats->faults, killed);
	for (int i = 0; i < 65; i++)
		if (died[i])
			printf(" %s %lu", i ? sigabbrev_np(i) ? sigabbrev_np(i) : "realtime" : "exit", died[i]);
	printf("\n");
	return 0;
}
