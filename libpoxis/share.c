/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/share.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/mapfile.h"
#include "libpoxis/slot.h"

/* uapi/asm/unistd_64.h, asm-generic/mman*.h, linux/shm.h */
enum {
	SYS_MPROTECT = 10,
	MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000,
	SHM_RDONLY = 010000, SHM_RND = 020000, SHM_REMAP = 040000, SHM_EXEC = 0100000,
};

/*
 * Linux's mapping can always be read: hmm, by which we are granted its pages, wants that. As x86 has
 * no way to let write or execute only, the program cannot tell.
 */
static uint64_t linux_prot(uint64_t prot)
{
	return prot & (MM_WRITE | MM_EXEC) ? prot | MM_READ : prot;
}

static _Atomic uint64_t next_share;

static int64_t call(uint32_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return slot_call_always(current_thread()->slot, nr, (uint64_t[6]){ a, b, c, d, e, f });
}

bool share_any(struct mm *mm, uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes;

	return mm->shares && end > start && mm_next_shared(mm, &start, &end);
}

void share_leave(struct mm *mm, uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes, at = start, to = end;

	/* A vfork child's proxy has a copy; its parent's must stay. */
	while (!mapfile_lent(mm) && at < end && mm_next_shared(mm, &at, &to)) {
		if (call(OTR_CALL_UNSHARE, at, to - at, 0, 0, 0, 0) < 0)
			mm_revoke(mm, at, to);
		at = to;
		to = end;
	}
}

int64_t share_call(struct mm *mm, uint32_t nr, uint64_t start, uint64_t bytes, uint64_t a, uint64_t b)
{
	uint64_t end = start + bytes, at = start, to = end;
	int64_t ret = 0;

	while (!ret && at < end && mm_next_shared(mm, &at, &to)) {
		ret = call(nr, at, to - at, a, b, 0, 0);
		at = to;
		to = end;
	}
	return ret;
}

int64_t share_ask(struct mm *mm, uint32_t nr, uint64_t start, uint64_t bytes, uint64_t a)
{
	int64_t ret;

	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	if (likely(!share_any(mm, start, bytes)) || start & (PAGE_SIZE - 1))
		return 0;
	mutex_lock(&mm->linux_lock);
	ret = share_call(mm, nr, start, bytes, a, 0);
	mutex_unlock(&mm->linux_lock);
	return ret;
}

int64_t share_protect(struct mm *mm, uint64_t start, uint64_t bytes, uint64_t prot)
{
	return share_ask(mm, SYS_MPROTECT, start, bytes, linux_prot(prot));
}

int share_grant(struct mm *mm, uint64_t va, uint32_t pages, bool write)
{
	int64_t ret;

	/* A grant to the child would not be its parent's. */
	if (mapfile_lent(mm))
		return -ENXIO;
	ret = call(OTR_CALL_GRANT, va, pages, write, 0, 0, 0);
	if (thread_killed(current_thread()))
		return -EINTR;
	/* Linux says EFAULT for what would be its SIGBUS. */
	return !ret || ret == -EINTR || ret == -EAGAIN ? 0 : ret == -ENOMEM ? -ENOMEM : -ENXIO;
}

/* The area first, so that nobody else is given the place; then Linux's mapping. */
static int64_t make(struct mm *mm, uint64_t addr, uint64_t bytes, struct area *a, uint32_t how)
{
	bool replace = how & MM_FIXED && !(how & MM_NOREPLACE);

	if (mapfile_lent(mm))
		return -ENOMEM;
	a->share = atomic_fetch_add(&next_share, 1) + 1;
	a->flags |= MM_NOHUGE;
	mm->shares = true;
	if (replace && share_any(mm, addr, ALIGN_UP(bytes, PAGE_SIZE)))
		share_leave(mm, addr, ALIGN_UP(bytes, PAGE_SIZE));
	return mm_map_area(mm, addr, bytes, a, how & ~MM_POPULATE);
}

int64_t share_map(struct regs *r, uint32_t prot, uint32_t how)
{
	struct mm *mm = current_thread()->mm;
	bool unnamed = r->r10 & MAP_ANONYMOUS;
	struct area a = { .prot = prot, .offset = unnamed ? 0 : r->r9, .flags = unnamed ? MM_UNNAMED : 0 };
	uint64_t bytes = ALIGN_UP(r->rsi, PAGE_SIZE);
	int64_t at, ret;

	if (!unnamed && r->r9 + r->rsi < r->r9)
		return -EOVERFLOW;
	mutex_lock(&mm->linux_lock);
	at = make(mm, r->rdi, bytes, &a, how);
	if (at > 0) {
		ret = call(OTR_CALL_SHARE, (uint64_t)at, bytes, linux_prot(prot),
			   r->r10 & ~(uint64_t)(MAP_FIXED | MAP_FIXED_NOREPLACE),
			   unnamed ? UINT64_MAX : (uint32_t)r->r8, a.offset);
		if (ret < 0) {
			mm_unmap(mm, (uint64_t)at, bytes);
			at = ret;
		}
	}
	mapfile_settle(mm);
	mutex_unlock(&mm->linux_lock);
	if (at > 0 && how & MM_POPULATE && prot)
		mm_populate(mm, (uint64_t)at, bytes, prot & MM_WRITE ? MM_WRITE : MM_READ);
	return at;
}

/* Where a shared area lies that is to move or grow: -EFAULT if it is not one area. */
static int check_remap(struct mm *mm, const struct regs *r)
{
	uint64_t start = r->rdi, end = r->rdi + ALIGN_UP(r->rsi, PAGE_SIZE), at = start, to = end;

	return !mm_next_shared(mm, &at, &to) || at != start || to != end ? -EFAULT : 0;
}

int64_t share_remap(struct regs *r)
{
	struct mm *mm = current_thread()->mm;
	uint64_t old_bytes = ALIGN_UP(r->rsi, PAGE_SIZE), bytes = ALIGN_UP(r->rdx, PAGE_SIZE);
	int64_t at, ret;

	mutex_lock(&mm->linux_lock);
	at = check_remap(mm, r);
	if (!at) {
		if (r->r10 & 2)
			share_leave(mm, r->r8, bytes);
		at = mm_remap(mm, r->rdi, r->rsi, r->rdx, (uint32_t)r->r10, r->r8);
	}
	if (at > 0) {
		ret = call(OTR_CALL_REMAP, r->rdi, old_bytes, bytes, (uint64_t)at, 0, 0);
		if (ret < 0) {
			share_leave(mm, (uint64_t)at, bytes);
			mm_unmap(mm, (uint64_t)at, bytes);
			at = ret;
		}
	}
	mutex_unlock(&mm->linux_lock);
	return at;
}

void share_clear(struct mm *mm)
{
	mutex_lock(&mm->linux_lock);
	/* All of it: after vfork the proxy has the parent's, of which nothing is known here. */
	if (mm->shares)
		call(OTR_CALL_UNSHARE, OTR_USER_START, OTR_USER_END - OTR_USER_START, 0, 0, 0, 0);
	mm->shares = false;
	mm_clear(mm);
	mutex_unlock(&mm->linux_lock);
}

/* ---- SysV ---- */

int64_t sys_shmat(struct regs *r)
{
	struct mm *mm = current_thread()->mm;
	uint64_t addr = r->rsi, flags = (uint32_t)r->rdx;
	uint32_t how = addr ? MM_FIXED | (flags & SHM_REMAP ? 0 : MM_NOREPLACE) : 0;
	struct area a = { .flags = MM_SYSV | MM_UNNAMED };
	int64_t bytes, at, ret;

	if (addr & (PAGE_SIZE - 1)) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr = ALIGN_DOWN(addr, PAGE_SIZE);
	}
	if (!addr && flags & SHM_REMAP)
		return -EINVAL;
	a.prot = MM_READ | (flags & SHM_RDONLY ? 0 : MM_WRITE) | (flags & SHM_EXEC ? MM_EXEC : 0);
	mutex_lock(&mm->linux_lock);
	bytes = at = call(OTR_CALL_SHMAT, r->rdi, 0, flags, 0, 0, 0);
	if (bytes > 0) {
		at = make(mm, addr, (uint64_t)bytes, &a, how);
		if (at == -EEXIST)
			at = -EINVAL;
	}
	if (at > 0) {
		ret = call(OTR_CALL_SHMAT, r->rdi, (uint64_t)at, flags, 0, 0, 0);
		if (ret < 0) {
			mm_unmap(mm, (uint64_t)at, (uint64_t)bytes);
			at = ret;
		}
	}
	mapfile_settle(mm);
	mutex_unlock(&mm->linux_lock);
	return at;
}

int64_t sys_shmdt(struct regs *r)
{
	struct mm *mm = current_thread()->mm;
	int64_t ret = -EINVAL;
	uint64_t end;

	if (r->rdi & (PAGE_SIZE - 1))
		return -EINVAL;
	mutex_lock(&mm->linux_lock);
	if (mm_shared_extent(mm, r->rdi, &end)) {
		share_leave(mm, r->rdi, end - r->rdi);
		ret = mm_unmap(mm, r->rdi, end - r->rdi);
	}
	mutex_unlock(&mm->linux_lock);
	return ret;
}
