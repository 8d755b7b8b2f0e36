/* SPDX-License-Identifier: BSD-2-Clause */
/* Which calls are played how often, and what their arguments are. */
#include "apps/fuzz/fuzz.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

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
	{ SYS_shutdown, "fn" }, { SYS_pidfd_getfd, "ffv" }, { SYS_timerfd_create, "cb" }, { SYS_timerfd_gettime, "fp" },
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

struct row rows[ROWS] = {
#define PORTED(nr, n, f) [nr] = { #n, 0, 12 },
#define LOCAL(nr, n, f, a) [nr] = { #n, a, 12 },
#define DELEGATED(nr, n, a) [nr] = { #n, a, 2 },
#define REFUSED(nr, n, e, why) [nr] = { #n, 0, 1 },
#include "libpoxis/syscalls.def"
#undef PORTED
#undef LOCAL
#undef DELEGATED
#undef REFUSED
};
uint16_t wheel[8192];
uint32_t wheel_count;

/* The table's words, a letter each. */
static const char *letters(const char *args)
{
	char out[8] = "", *o = out;

	for (const char *a = args; a && *a && o < out + 6; a++)
		if (*a == 'F')
			*o++ = 'f';
		else if (*a == 'f' || *a == 's' || *a == 'v' || *a == 'p')
			*o++ = *a;
		else if (strchr("ioIOVWPBM", *a))
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
struct special special[SPECIALS] = {
	{ "rt_sigreturn", 4 }, { "instructions", 6 }, { "clone", 4 }, { "fork", 2 }, { "unknown", 1 },
};

void prepare_calls(const char *only)
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

bool is_never(uint64_t nr)
{
	for (uint32_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (nr == never[i])
			return true;
	return false;
}
