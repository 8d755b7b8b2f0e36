/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readlink(2) of /proc/self/exe names the program, not the proxy. The program's
 * memory is touched through Linux, so that a bad pointer of its is EFAULT.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

static long copy_user(long nr, void *here, uint64_t there, size_t bytes)
{
	struct iovec local = { here, bytes }, remote = { (void *)there, bytes };

	return raw_syscall(nr, (uint64_t)getpid(), (uintptr_t)&local, 1, (uintptr_t)&remote, 1, 0);
}

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
