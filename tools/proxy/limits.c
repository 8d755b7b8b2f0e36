/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RLIMIT_AS and RLIMIT_DATA are the program's, enforced by the co-kernel. In Linux
 * they would bind the proxy, whose mapping of the program's addresses is larger
 * than any limit: it runs without them, remembers what they were, and answers
 * the calls that read and set them.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

static struct rlimit as = { RLIM_INFINITY, RLIM_INFINITY }, data = { RLIM_INFINITY, RLIM_INFINITY };

static struct rlimit *kept(uint64_t resource)
{
	return resource == RLIMIT_AS ? &as : resource == RLIMIT_DATA ? &data : NULL;
}

/* As far up as we may; attaching says what is missing. */
static void lift(int resource, struct rlimit *keep)
{
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(resource, keep) || (keep->rlim_cur == RLIM_INFINITY && keep->rlim_max == RLIM_INFINITY))
		return;
	if (setrlimit(resource, &r)) {
		r = (struct rlimit){ keep->rlim_max, keep->rlim_max };
		setrlimit(resource, &r);
	}
}

void limits_init(void)
{
	lift(RLIMIT_AS, &as);
	lift(RLIMIT_DATA, &data);
}

static bool capable(unsigned int cap)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	return !raw_syscall(SYS_capget, (uintptr_t)&h, (uintptr_t)d, 0, 0, 0, 0) &&
	       d[cap / 32].effective >> (cap % 32) & 1;
}

uint64_t limits_program(int resource)
{
	const struct rlimit *r = kept((uint64_t)resource);

	return !r || r->rlim_cur == RLIM_INFINITY ? UINT64_MAX : r->rlim_cur;
}

/* OTR_CALL_LIMIT */
long limits_get(uint64_t resource, bool hard)
{
	struct rlimit *r = kept(resource), other;
	rlim_t limit;

	if (!r) {
		if (resource == RLIMIT_MEMLOCK && capable(CAP_IPC_LOCK))
			return INT64_MAX;
		if (getrlimit((int)resource, &other))
			return -errno;
		r = &other;
	}
	limit = hard ? r->rlim_max : r->rlim_cur;
	return limit > INT64_MAX ? INT64_MAX : (long)limit;
}

/* The program's memory is touched through Linux: a bad pointer of its is EFAULT. */
static long copy(long nr, void *here, uint64_t there, size_t bytes)
{
	struct iovec local = { here, bytes }, remote = { (void *)there, bytes };
	long n = raw_syscall(nr, (uint64_t)getpid(), (uintptr_t)&local, 1, (uintptr_t)&remote, 1, 0);

	return n == (long)bytes ? 0 : -EFAULT;
}

static long change(struct rlimit *r, uint64_t from)
{
	struct rlimit new = { 0 };
	long ret = copy(SYS_process_vm_readv, &new, from, sizeof(new));

	if (ret)
		return ret;
	if (new.rlim_cur > new.rlim_max)
		return -EINVAL;
	if (new.rlim_max > r->rlim_max && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	*r = new;
	return 0;
}

bool limits_call(uint64_t pid, uint64_t resource, uint64_t new, uint64_t old, long *result)
{
	struct rlimit *r = kept((uint32_t)resource), was;

	if (!r || ((uint32_t)pid && (uint32_t)pid != (uint32_t)getpid()))
		return false;
	was = *r;
	*result = new ? change(r, new) : 0;
	if (!*result && old)
		*result = copy(SYS_process_vm_writev, &was, old, sizeof(was));
	return true;
}
