/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that say or ask something about memory that is mapped already. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/limits.h"
#include "libpoxis/share.h"
#include "libpoxis/user.h"

/* uapi/asm-generic/mman-common.h */
enum {
	MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3, MADV_DONTNEED = 4,
	MADV_FREE = 8, MADV_REMOVE = 9, MADV_DONTFORK = 10, MADV_DOFORK = 11, MADV_MERGEABLE = 12,
	MADV_UNMERGEABLE = 13, MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE = 15, MADV_DONTDUMP = 16,
	MADV_DODUMP = 17, MADV_WIPEONFORK = 18, MADV_KEEPONFORK = 19, MADV_COLD = 20,
	MADV_PAGEOUT = 21, MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23,
	MADV_DONTNEED_LOCKED = 24, MADV_COLLAPSE = 25,
	MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4, MLOCK_ONFAULT = 1,
	SYS_MSYNC = 26, SYS_MINCORE = 27, SYS_MADVISE = 28, SYS_MLOCK = 149, SYS_MUNLOCK = 150,
};

static struct mm *mm(void)
{
	return current_thread()->mm;
}

/* ---- madvise ---- */

static bool is_known(uint32_t advice)
{
	return advice <= MADV_DONTNEED || (advice >= MADV_FREE && advice <= MADV_COLLAPSE);
}

static int64_t populate(uint64_t at, uint64_t bytes, uint32_t access)
{
	int err = mm_covered(mm(), at, bytes);

	if (!err)
		err = mm_populate(mm(), at, bytes, access);
	/* As Linux has it: rights that are missing, a page behind a file's end. */
	return err == -EACCES ? -EINVAL : err == -ENXIO ? -EFAULT : err;
}

static int64_t drop(uint64_t at, uint64_t bytes, uint32_t advice)
{
	bool any_file = advice == MADV_FREE;

	if (advice != MADV_DONTNEED_LOCKED && mm_any(mm(), at, bytes, MM_LOCKED, any_file))
		return -EINVAL;
	return mm_discard(mm(), at, bytes);
}

static int64_t advise(uint64_t at, uint64_t bytes, uint32_t advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:             /* may be freed at once */
		return drop(at, bytes, advice);
	case MADV_REMOVE:           /* of shared memory only, where Linux has done it */
		return mm_covered(mm(), at, bytes) ? -ENOMEM : -EINVAL;
	case MADV_POPULATE_READ:
		return populate(at, bytes, MM_READ);
	case MADV_POPULATE_WRITE:
		return populate(at, bytes, MM_WRITE);
	case MADV_DONTFORK:
		return mm_change_flags(mm(), at, bytes, 0, MM_DONTFORK);
	case MADV_DOFORK:
		return mm_change_flags(mm(), at, bytes, MM_DONTFORK, 0);
	case MADV_WIPEONFORK:
		if (mm_any(mm(), at, bytes, 0, true))
			return -EINVAL;
		return mm_change_flags(mm(), at, bytes, 0, MM_WIPEONFORK);
	case MADV_KEEPONFORK:
		return mm_change_flags(mm(), at, bytes, MM_WIPEONFORK, 0);
	case MADV_DONTDUMP:
		return mm_change_flags(mm(), at, bytes, 0, MM_DONTDUMP);
	case MADV_DODUMP:
		return mm_change_flags(mm(), at, bytes, MM_DONTDUMP, 0);
	case MADV_HUGEPAGE:
		return mm_change_flags(mm(), at, bytes, MM_NOHUGE, 0);
	case MADV_NOHUGEPAGE:
		return mm_change_flags(mm(), at, bytes, 0, MM_NOHUGE);
	case MADV_COLD:
	case MADV_PAGEOUT:
		if (mm_any(mm(), at, bytes, MM_LOCKED, false))
			return -EINVAL;
		return mm_covered(mm(), at, bytes);
	default:                    /* hints */
		return mm_covered(mm(), at, bytes);
	}
}

int64_t sys_madvise(struct regs *r)
{
	uint32_t advice = (uint32_t)r->rdx;
	uint64_t at = r->rdi, bytes = ALIGN_UP(r->rsi, PAGE_SIZE);
	int64_t ret;

	if (!is_known(advice) || at & (PAGE_SIZE - 1) || (r->rsi && !bytes) || at + bytes < at)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (unlikely(share_any(mm(), at, bytes)) && advice != MADV_POPULATE_READ &&
	    advice != MADV_POPULATE_WRITE) {
		uint64_t start = at, end = at + bytes;

		/* Linux's, for that part. What is all shared is done with it. */
		ret = share_ask(mm(), SYS_MADVISE, at, bytes, advice);
		if (ret)
			return ret;
		if (advice == MADV_DONTFORK || advice == MADV_DOFORK || advice == MADV_DONTDUMP ||
		    advice == MADV_DODUMP)
			return advise(at, bytes, advice);
		if (mm_next_shared(mm(), &start, &end) && start == at && end == at + bytes)
			return 0;
	}
	return advise(at, bytes, advice);
}

/* ---- mincore, msync ---- */

int64_t sys_mincore(struct regs *r)
{
	uint64_t at = r->rdi, bytes = ALIGN_UP(r->rsi, PAGE_SIZE), done = 0, start = at, end = at + bytes;
	uint8_t present[256];
	int64_t ret;

	if (at & (PAGE_SIZE - 1))
		return -EINVAL;
	if (at + bytes < at || (r->rsi && !bytes) || mm_covered(mm(), at, bytes))
		return -ENOMEM;
	while (done < bytes >> PAGE_SHIFT) {
		uint32_t n = (uint32_t)MIN((bytes >> PAGE_SHIFT) - done, (uint64_t)sizeof(present));

		mm_present(mm(), at + done * PAGE_SIZE, n, present);
		if (user_write(r->rdx + done, present, n))
			return -EFAULT;
		done += n;
	}
	while (share_any(mm(), start, end - start) && mm_next_shared(mm(), &start, &end)) {
		mm_populate(mm(), r->rdx + ((start - at) >> PAGE_SHIFT), (end - start) >> PAGE_SHIFT, MM_WRITE);
		ret = share_ask(mm(), SYS_MINCORE, start, end - start,
				r->rdx + ((start - at) >> PAGE_SHIFT));
		if (ret)
			return ret;
		start = end;
		end = at + bytes;
	}
	return 0;
}

/* Only what Linux shares has anything to write back. */
int64_t sys_msync(struct regs *r)
{
	enum { MS_ASYNC = 1, MS_SYNC = 4 };
	uint64_t bytes = ALIGN_UP(r->rsi, PAGE_SIZE);
	int64_t ret;

	if (r->rdi & (PAGE_SIZE - 1) || r->rdx & ~7ul || (r->rdx & MS_ASYNC && r->rdx & MS_SYNC))
		return -EINVAL;
	if (r->rdi + bytes < r->rdi)
		return -ENOMEM;
	ret = share_ask(mm(), SYS_MSYNC, r->rdi, bytes, r->rdx);
	return ret ? ret : mm_covered(mm(), r->rdi, bytes);
}

/* ---- Locking. Memory is never taken away from a program: to lock it is to make
 * it present, and to count it. ---- */

static int64_t lock(uint64_t start, uint64_t bytes, bool on_fault)
{
	uint64_t at = ALIGN_DOWN(start, PAGE_SIZE), locked, mapped;
	int64_t ret;
	int err;

	bytes = ALIGN_UP(bytes + (start - at), PAGE_SIZE);
	if (at + bytes < at)
		return -EINVAL;
	mm_measure(mm(), at, bytes, &locked, &mapped);
	err = lock_may_add(bytes - locked);
	if (err)
		return err;
	if (!bytes)
		return 0;
	ret = share_ask(mm(), SYS_MLOCK, at, bytes, 0);
	if (!ret)
		ret = mm_change_flags(mm(), at, bytes, 0, MM_LOCKED);
	if (ret || on_fault)
		return ret;
	err = mm_populate(mm(), at, bytes, MM_READ);
	return err == -EFAULT || err == -EACCES || err == -ENXIO ? -ENOMEM : err;
}

int64_t sys_mlock(struct regs *r)
{
	return lock(r->rdi, r->rsi, false);
}

int64_t sys_mlock2(struct regs *r)
{
	return r->rdx & ~(uint64_t)MLOCK_ONFAULT ? -EINVAL : lock(r->rdi, r->rsi, r->rdx & MLOCK_ONFAULT);
}

int64_t sys_munlock(struct regs *r)
{
	uint64_t at = ALIGN_DOWN(r->rdi, PAGE_SIZE), bytes = ALIGN_UP(r->rsi + (r->rdi - at), PAGE_SIZE);
	int64_t ret;

	if (at + bytes < at)
		return -EINVAL;
	if (!bytes)
		return 0;
	ret = share_ask(mm(), SYS_MUNLOCK, at, bytes, 0);
	return ret ? ret : mm_change_flags(mm(), at, bytes, MM_LOCKED, 0);
}

int64_t sys_mlockall(struct regs *r)
{
	struct mm *m = mm();
	uint64_t flags = r->rdi;
	int err;

	if (!flags || flags & ~7ul || flags == MCL_ONFAULT)
		return -EINVAL;
	err = lock_may_add(flags & MCL_CURRENT && m->mapped_bytes > m->locked_bytes ?
			   m->mapped_bytes - m->locked_bytes : 0);
	if (err)
		return err;
	m->lock_future = flags & MCL_FUTURE;
	if (flags & MCL_CURRENT)
		mm_change_flags(m, OTR_USER_START, OTR_USER_END - OTR_USER_START, 0, MM_LOCKED);
	if (flags & MCL_CURRENT && !(flags & MCL_ONFAULT))
		mm_populate_all(m);
	return 0;
}

int64_t sys_munlockall(struct regs *r)
{
	mm()->lock_future = false;
	mm_change_flags(mm(), OTR_USER_START, OTR_USER_END - OTR_USER_START, MM_LOCKED, 0);
	return 0;
}
