/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that the program shares with Linux: the real mapping lies at the program's
 * addresses in this process, in place of the device's, and the co-kernel mirrors
 * it (OTR_IOC_GRANT). So delegated calls, fork, msync and the rest mean what they
 * mean in Linux. The ranges are remembered for the child of a fork, which has them
 * but not the device's mapping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tools/proxy/proxy.h"

struct range {
	uint64_t start, end;
};

static struct range *ranges;    /* ascending, apart; proxy.lock */
static size_t range_count, range_room;

/* ---- The list; lock held ---- */

/* Room for two more than there are: neither add nor remove needs more. */
static int make_room(void)
{
	size_t room = 2 * range_room + 16;
	struct range *bigger;

	if (range_count + 2 <= range_room)
		return 0;
	bigger = realloc(ranges, room * sizeof(*ranges));
	if (!bigger)
		return -ENOMEM;
	ranges = bigger;
	range_room = room;
	return 0;
}

static void drop(size_t i)
{
	memmove(ranges + i, ranges + i + 1, (--range_count - i) * sizeof(*ranges));
}

static void insert(size_t i, uint64_t start, uint64_t end)
{
	memmove(ranges + i + 1, ranges + i, (range_count++ - i) * sizeof(*ranges));
	ranges[i] = (struct range){ start, end };
}

static void forget(uint64_t start, uint64_t end)
{
	size_t i = 0;

	while (i < range_count && ranges[i].start < end) {
		struct range r = ranges[i];

		if (r.end <= start) {
			i++;
			continue;
		}
		drop(i);
		if (r.start < start)
			insert(i++, r.start, start);
		if (r.end > end)
			insert(i++, end, r.end);
	}
}

static void remember(uint64_t start, uint64_t end)
{
	size_t i = 0;

	forget(start, end);
	while (i < range_count && ranges[i].start < start)
		i++;
	insert(i, start, end);
	if (i + 1 < range_count && ranges[i + 1].start == end) {
		ranges[i].end = ranges[i + 1].end;
		drop(i + 1);
	}
	if (i && ranges[i - 1].end == start) {
		ranges[i - 1].end = ranges[i].end;
		drop(i);
	}
}

static bool in_range(uint64_t start, uint64_t bytes)
{
	return bytes && start >= OTR_USER_START && bytes <= OTR_USER_END && start <= OTR_USER_END - bytes &&
	       !((start | bytes) & (OTR_PAGE_SIZE - 1));
}

/* ---- Mapping ---- */

static long raw_mmap(uint64_t at, uint64_t bytes, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t offset)
{
	return raw_syscall(SYS_mmap, at, bytes, prot, flags | MAP_FIXED, fd, offset);
}

/* The program's own memory again; lock held. */
static long restore(struct proxy *p, uint64_t start, uint64_t bytes)
{
	long ret = raw_mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    (uint64_t)p->o.fd, start);

	if (ret < 0 && ret > -4096)
		return ret;
	forget(start, start + bytes);
	return 0;
}

/* Devices other than /dev/zero have memory of their own, which cannot be mirrored. */
static int check_fd(uint64_t flags, uint64_t fd)
{
	struct stat st;

	if (flags & MAP_ANONYMOUS)
		return 0;
	if (hide_is_hidden(fd) || fstat((int)fd, &st))
		return -EBADF;
	return S_ISCHR(st.st_mode) && st.st_rdev != makedev(1, 5) ? -ENODEV : 0;
}

/* What a new mapping's call answered: the range is remembered, or ours again. */
static long mapped(struct proxy *p, uint64_t start, uint64_t bytes, long ret)
{
	if (ret < 0 && ret > -4096) {
		restore(p, start, bytes);
		return ret;
	}
	remember(start, start + bytes);
	return 0;
}

long share_map(struct proxy *p, const uint64_t a[6])
{
	long ret = in_range(a[0], a[1]) ? check_fd(a[3], a[4]) : -EINVAL;

	if (ret)
		return ret;
	pthread_mutex_lock(&p->lock);
	ret = make_room();
	if (!ret)
		ret = mapped(p, a[0], a[1], raw_mmap(a[0], a[1], a[2], a[3], a[4], a[5]));
	pthread_mutex_unlock(&p->lock);
	return ret;
}

long share_unmap(struct proxy *p, const uint64_t a[6])
{
	long ret;

	if (!in_range(a[0], a[1]))
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	ret = make_room();
	if (!ret)
		ret = restore(p, a[0], a[1]);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

long share_shmat(struct proxy *p, const uint64_t a[6])
{
	struct shmid_ds ds;
	uint64_t bytes;
	long ret;

	if (shmctl((int)a[0], IPC_STAT, &ds))
		return -errno;
	bytes = (ds.shm_segsz + OTR_PAGE_SIZE - 1) & ~(uint64_t)(OTR_PAGE_SIZE - 1);
	if (!a[1])
		return (long)bytes;
	if (!in_range(a[1], bytes))
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	ret = make_room();
	if (!ret)
		ret = mapped(p, a[1], bytes, raw_syscall(SYS_shmat, a[0], a[1], a[2] | SHM_REMAP, 0, 0, 0));
	pthread_mutex_unlock(&p->lock);
	return ret;
}

long share_remap(struct proxy *p, const uint64_t a[6])
{
	uint64_t old = a[0], old_bytes = a[1], bytes = a[2], to = a[3];
	long ret;

	if (!in_range(old, old_bytes) || !in_range(to, bytes))
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	ret = make_room();
	if (ret)
		goto unlock;
	if (to != old) {
		ret = raw_syscall(SYS_mremap, old, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to, 0);
		if (ret > 0 || ret < -4095)
			restore(p, old, old_bytes);
		ret = mapped(p, to, bytes, ret);
	} else if (bytes < old_bytes) {
		ret = restore(p, old + bytes, old_bytes - bytes);
	} else if (bytes > old_bytes) {
		raw_syscall(SYS_munmap, old + old_bytes, bytes - old_bytes, 0, 0, 0, 0);
		ret = raw_syscall(SYS_mremap, old, old_bytes, bytes, 0, 0, 0);
		ret = mapped(p, old + old_bytes, bytes - old_bytes, ret);
	}
unlock:
	pthread_mutex_unlock(&p->lock);
	return ret;
}

int share_attach(struct proxy *p)
{
	uint64_t at = OTR_USER_START;
	size_t i;

	for (i = 0; i <= range_count; i++) {
		uint64_t end = i < range_count ? ranges[i].start : OTR_USER_END;

		if (end > at && mmap((void *)at, end - at, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, p->o.fd,
				     (off_t)at) == MAP_FAILED)
			return -errno;
		at = i < range_count ? ranges[i].end : end;
	}
	return 0;
}

long share_grant(struct proxy *p, const uint64_t a[6])
{
	struct otr_ioc_grant g = {
		.req.size = sizeof(g), .addr = a[0], .must = (uint32_t)a[1], .write = (uint32_t)a[2],
	};

	return raw_syscall(SYS_ioctl, (uint64_t)p->o.fd, OTR_IOC_GRANT, (uintptr_t)&g, 0, 0, 0);
}
