/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory calls. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/limits.h"
#include "libpoxis/mapfile.h"
#include "libpoxis/share.h"

/* uapi/asm-generic/mman*.h */
enum {
	MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_SHARED_VALIDATE = 3, MAP_TYPE = 15,
	MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_32BIT = 0x40, MAP_GROWSDOWN = 0x100,
	MAP_LOCKED = 0x2000, MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000,
	MAP_STACK = 0x20000, MAP_HUGETLB = 0x40000, MAP_FIXED_NOREPLACE = 0x100000,
};

static struct mm *mm(void)
{
	return current_thread()->mm;
}

/* After a change that may have removed areas of files. */
static int64_t settled(int64_t ret)
{
	struct mm *m = mm();

	if (unlikely(!list_empty(&m->idle_files))) {
		mutex_lock(&m->linux_lock);
		mapfile_settle(m);
		mutex_unlock(&m->linux_lock);
	}
	return ret;
}

static void leave_shared(uint64_t at, uint64_t bytes)
{
	mutex_lock(&mm()->linux_lock);
	share_leave(mm(), at, bytes);
	mutex_unlock(&mm()->linux_lock);
}

static int64_t map_file(struct regs *r, uint32_t prot, uint32_t how)
{
	struct area a = { .prot = prot, .offset = r->r9, .data_end = UINT64_MAX };
	struct mm *m = mm();
	int64_t at, number;

	if (r->r9 + r->rsi < r->r9)
		return -EOVERFLOW;
	mutex_lock(&m->linux_lock);
	if (how & MM_FIXED && !(how & MM_NOREPLACE) && share_any(m, r->rdi, ALIGN_UP(r->rsi, PAGE_SIZE)))
		share_leave(m, r->rdi, ALIGN_UP(r->rsi, PAGE_SIZE));
	number = mapfile_open(m, (uint32_t)r->r8, prot);
	if (number < 0) {
		at = number;
	} else if (!number) {
		at = mm_map(m, r->rdi, r->rsi, prot, how);
	} else {
		a.file = mm_file_get(m, (uint32_t)number);
		at = a.file ? mm_map_area(m, r->rdi, r->rsi, &a, how & ~MM_POPULATE) : -ENOMEM;
		if (a.file)
			mm_file_put(m, a.file);
	}
	mapfile_settle(m);
	mutex_unlock(&m->linux_lock);
	/* What lies behind the file's end is not there; that is no error here. */
	if (at > 0 && how & MM_POPULATE && prot)
		mm_populate(m, (uint64_t)at, r->rsi, prot & MM_WRITE ? MM_WRITE : MM_READ);
	return at;
}

/* A mapping that was made, with MAP_LOCKED: it is present already. */
static int64_t locked(int64_t at, const struct regs *r)
{
	if (at > 0 && r->r10 & MAP_LOCKED)
		mm_change_flags(mm(), (uint64_t)at, r->rsi, 0, MM_LOCKED);
	return at;
}

int64_t sys_mmap(struct regs *r)
{
	uint64_t flags = r->r10, bytes = r->rsi;
	uint32_t prot = (uint32_t)r->rdx & 7, how = 0;
	bool file = !(flags & MAP_ANONYMOUS), private = (flags & MAP_TYPE) == MAP_PRIVATE;

	if (!private && (flags & MAP_TYPE) != MAP_SHARED && (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (r->r9 & (PAGE_SIZE - 1) || !bytes)
		return -EINVAL;
	if (flags & MAP_HUGETLB)
		return dispatch_refuse(r, -ENOMEM, "there is no hugetlbfs pool; memory is backed by 2 MiB pages anyway");
	if (flags & MAP_32BIT)
		how |= MM_LOW;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		how |= MM_FIXED | (flags & MAP_FIXED_NOREPLACE ? MM_NOREPLACE : 0);
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		how |= MM_POPULATE;
	if (flags & MAP_LOCKED || mm()->lock_future) {
		int err = lock_may_add(ALIGN_UP(bytes, PAGE_SIZE));

		if (err)
			return err == -ENOMEM ? -EAGAIN : err;
	}
	if (!private)
		return locked(share_map(r, prot, how), r);
	if (file)
		return locked(map_file(r, prot, how), r);
	if (how & MM_FIXED && !(how & MM_NOREPLACE) && share_any(mm(), r->rdi, ALIGN_UP(bytes, PAGE_SIZE)))
		leave_shared(r->rdi, ALIGN_UP(bytes, PAGE_SIZE));
	return locked(settled(mm_map(mm(), r->rdi, bytes, prot, how)), r);
}

int64_t sys_munmap(struct regs *r)
{
	uint64_t bytes = ALIGN_UP(r->rsi, PAGE_SIZE);

	/* The areas stay until Linux is out, so that nobody else is given the place. */
	if (unlikely(share_any(mm(), r->rdi, bytes)) && !(r->rdi & (PAGE_SIZE - 1)))
		leave_shared(r->rdi, bytes);
	return settled(mm_unmap(mm(), r->rdi, r->rsi));
}

int64_t sys_mprotect(struct regs *r)
{
	int64_t ret = share_protect(mm(), r->rdi, r->rsi, r->rdx);

	return ret ? ret : mm_protect(mm(), r->rdi, r->rsi, (uint32_t)r->rdx);
}

int64_t sys_pkey_mprotect(struct regs *r)
{
	return (int)r->r10 == -1 ? sys_mprotect(r) : -EINVAL;
}

int64_t sys_mremap(struct regs *r)
{
	if (unlikely(share_any(mm(), r->rdi, ALIGN_UP(r->rsi, PAGE_SIZE))))
		return share_remap(r);
	if (r->r10 & 2 && unlikely(share_any(mm(), r->r8, ALIGN_UP(r->rdx, PAGE_SIZE))))
		leave_shared(r->r8, ALIGN_UP(r->rdx, PAGE_SIZE));
	return settled(mm_remap(mm(), r->rdi, r->rsi, r->rdx, (uint32_t)r->r10, r->r8));
}

int64_t sys_brk(struct regs *r)
{
	return (int64_t)mm_brk(mm(), r->rdi);
}
