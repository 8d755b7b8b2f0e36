/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork: the proxy forks itself. The child is a copy of the calling twin alone; it
 * lets go of the parent's context, attaches as one of its own, and starts it with
 * the token that the co-kernel gave with the call. The parent answers with the
 * child's pid when that has worked.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define LOOK_NS 100000000l      /* how often a child that died is looked for */
#define STARTED 1

/* Shared with the child until it has started: 0, STARTED or -errno. */
struct result {
	_Atomic int value;
};

static void tell(struct result *r, int value)
{
	atomic_store(&r->value, value);
	raw_syscall(SYS_futex, (uintptr_t)&r->value, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

static _Noreturn void child(struct proxy *p, uint64_t token, struct result *r)
{
	struct twin *t;
	int ret = proxy_reattach(p, token, &t);

	tell(r, ret ? ret : STARTED);
	if (ret)
		_exit(127);
	munmap(r, sizeof(*r));
	serve(t);
}

static bool is_dead(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return raw_syscall(SYS_waitid, P_PID, (uint64_t)pid, (uintptr_t)&info, WEXITED | WNOHANG | WNOWAIT, 0, 0) ||
	       info.si_pid;
}

static int wait_for(struct result *r, pid_t pid)
{
	struct timespec look = { .tv_nsec = LOOK_NS };
	int value;

	while (!(value = atomic_load(&r->value))) {
		raw_syscall(SYS_futex, (uintptr_t)&r->value, FUTEX_WAIT, 0, (uintptr_t)&look, 0, 0);
		if (!atomic_load(&r->value) && is_dead(pid))
			return -EAGAIN;
	}
	return value;
}

long fork_call(struct proxy *p, uint64_t token)
{
	struct result *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t mask;
	pid_t pid;
	int value;

	if (r == MAP_FAILED)
		return -ENOMEM;
	mask = signal_block_all();
	pthread_mutex_lock(&p->lock);   /* nobody is in the middle of anything */
	pid = fork();
	if (!pid) {
		pthread_mutex_init(&p->lock, NULL);
		pthread_cond_init(&p->changed, NULL);
		child(p, token, r);
	}
	value = pid < 0 ? -errno : 0;
	pthread_mutex_unlock(&p->lock);
	if (pid > 0)
		value = wait_for(r, pid);
	if (pid > 0 && value < 0)
		raw_syscall(SYS_wait4, (uint64_t)pid, 0, 0, 0, 0, 0);
	munmap(r, sizeof(*r));
	signal_restore(mask);
	return value < 0 ? value : pid;
}
