/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory calls. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/slot.h"

/* uapi/asm-generic/mman*.h */
enum {
	MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_SHARED_VALIDATE = 3, MAP_TYPE = 15,
	MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_32BIT = 0x40, MAP_GROWSDOWN = 0x100,
	MAP_LOCKED = 0x2000, MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000,
	MAP_STACK = 0x20000, MAP_HUGETLB = 0x40000, MAP_FIXED_NOREPLACE = 0x100000,
	MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3,
	MADV_DONTNEED = 4, MADV_FREE = 8, MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE = 15,
	MADV_DONTDUMP = 16, MADV_DODUMP = 17, MADV_COLD = 20, MADV_PAGEOUT = 21,
	MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23, MADV_DONTNEED_LOCKED = 24,
	SYS_PREAD64 = 17,
};

static struct mm *mm(void)
{
	return current_thread()->mm;
}

/* A private file mapping is read in whole: correct as long as nobody changes
 * the file afterwards, which POSIX leaves open. */
static int64_t read_in(uint64_t at, uint64_t bytes, uint64_t fd, uint64_t offset)
{
	struct slot *s = current_thread()->slot;
	uint64_t done = 0;

	while (done < bytes) {
		int64_t n = slot_call_always(s, SYS_PREAD64, (uint64_t[6]){
			fd, at + done, bytes - done, offset + done });

		if (n < 0)
			return n;
		if (!n)
			break;
		done += (uint64_t)n;
	}
	return 0;
}

int64_t sys_mmap(struct regs *r)
{
	uint64_t flags = r->r10, bytes = r->rsi;
	uint32_t prot = (uint32_t)r->rdx & 7, how = 0;
	bool file = !(flags & MAP_ANONYMOUS), private = (flags & MAP_TYPE) == MAP_PRIVATE;
	int64_t at, err;

	if (!private && (flags & MAP_TYPE) != MAP_SHARED && (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (r->r9 & (PAGE_SIZE - 1))
		return -EINVAL;
	if (flags & MAP_HUGETLB)
		return dispatch_refuse(r, -ENOMEM, "there is no hugetlbfs pool; memory is backed by 2 MiB pages anyway");
	if (file && !private)
		return dispatch_refuse(r, -ENODEV, "shared file mappings are not built yet");
	if (flags & MAP_32BIT)
		return dispatch_refuse(r, -ENOMEM, "MAP_32BIT is not built yet");
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		how |= MM_FIXED | (flags & MAP_FIXED_NOREPLACE ? MM_NOREPLACE : 0);
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		how |= MM_POPULATE;
	if (!file)
		return mm_map(mm(), r->rdi, bytes, prot, how);
	at = mm_map(mm(), r->rdi, bytes, MM_READ | MM_WRITE, how);
	if (at < 0)
		return at;
	err = read_in((uint64_t)at, bytes, r->r8, r->r9);
	if (!err && prot != (MM_READ | MM_WRITE))
		err = mm_protect(mm(), (uint64_t)at, bytes, prot);
	if (err) {
		mm_unmap(mm(), (uint64_t)at, bytes);
		return err;
	}
	return at;
}

int64_t sys_munmap(struct regs *r)
{
	return mm_unmap(mm(), r->rdi, r->rsi);
}

int64_t sys_mprotect(struct regs *r)
{
	return mm_protect(mm(), r->rdi, r->rsi, (uint32_t)r->rdx);
}

int64_t sys_pkey_mprotect(struct regs *r)
{
	return (int)r->r10 == -1 ? sys_mprotect(r) : -EINVAL;
}

int64_t sys_mremap(struct regs *r)
{
	return mm_remap(mm(), r->rdi, r->rsi, r->rdx, (uint32_t)r->r10, r->r8);
}

int64_t sys_brk(struct regs *r)
{
	return (int64_t)mm_brk(mm(), r->rdi);
}

int64_t sys_madvise(struct regs *r)
{
	switch (r->rdx) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:             /* may be freed at once */
		return mm_discard(mm(), r->rdi, r->rsi);
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		if (r->rdi & (PAGE_SIZE - 1))
			return -EINVAL;
		return mm_populate(mm(), r->rdi, ALIGN_UP(r->rsi, PAGE_SIZE),
				   r->rdx == MADV_POPULATE_READ ? MM_READ : MM_WRITE);
	case MADV_NORMAL: case MADV_RANDOM: case MADV_SEQUENTIAL: case MADV_WILLNEED:
	case MADV_HUGEPAGE: case MADV_NOHUGEPAGE: case MADV_DONTDUMP: case MADV_DODUMP:
	case MADV_COLD: case MADV_PAGEOUT:
		return r->rdi & (PAGE_SIZE - 1) ? -EINVAL : 0;  /* hints */
	default:
		return -EINVAL;
	}
}

/* Memory is never taken away from a program: locking it means making it present. */
int64_t sys_mlock(struct regs *r)
{
	uint64_t start = ALIGN_DOWN(r->rdi, PAGE_SIZE), end = ALIGN_UP(r->rdi + r->rsi, PAGE_SIZE);
	int err = mm_populate(mm(), start, end - start, MM_READ);

	return err == -EFAULT || err == -EACCES ? -ENOMEM : err;
}

int64_t sys_munlock(struct regs *r)
{
	return 0;
}

int64_t sys_mlockall(struct regs *r)
{
	return r->rdi && !(r->rdi & ~7ul) ? 0 : -EINVAL;
}

int64_t sys_munlockall(struct regs *r)
{
	return 0;
}

/* There are no shared file mappings to write back. */
int64_t sys_msync(struct regs *r)
{
	return r->rdi & (PAGE_SIZE - 1) || r->rdx & ~7ul ? -EINVAL : 0;
}
