/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/mm/mm.h"
#include "cokernel/arch/x86_64/mitigate.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm_internal.h"
#include "cokernel/sched/thread.h"

/* Above this many pages in quarantine the host is asked to hurry. */
#define QUARANTINE_MOST 8192u

static _Atomic uint64_t last_id;

struct mm *mm_create(struct otr_ctx_private *zaps)
{
	struct mm *mm = kmem_zalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	mm->root = kvm_root_alloc();
	if (!mm->root.v) {
		kmem_free(mm);
		return NULL;
	}
	mm->id = atomic_fetch_add(&last_id, 1) + 1;
	list_init(&mm->quarantine);
	list_init(&mm->shared_quarantine);
	list_init(&mm->idle_files);
	mm->vmas.seed = (uint32_t)rdtsc();
	mm->mmap_top = OTR_USER_END;
	mm->limit_as = mm->limit_data = UINT64_MAX;
	mm->zaps = zaps;
	return mm;
}

void mm_detach(struct mm *mm)
{
	spin_lock(&mm->lock);
	mm->zaps = NULL;
	mm->overflow_start = mm->overflow_end = 0;
	spin_unlock(&mm->lock);
}

static void leave(void *arg)
{
	struct cpu *c = this_cpu();

	if (!arg || c->mm != arg)
		return;
	write_cr3(kernel_root.v);
	cpumask_clear(&c->mm->cpus, c->index);
	c->mm = NULL;
}

void mm_leave(void)
{
	leave(this_cpu()->mm);
}

void mm_destroy(struct mm *mm)
{
	struct list *l;
	struct vma *v;

	leave(mm);
	xcall(&mm->cpus, leave, mm);
	while ((v = vma_of(tree_first(&mm->vmas))))
		vma_delete(mm, v);
	file_fini(mm);
	pages_free_all(mm);
	while ((l = list_pop_front(&mm->quarantine)))
		page_put(list_entry(l, struct page, link));
	while ((l = list_pop_front(&mm->shared_quarantine)))
		parked_free(list_entry(l, struct parked_page, link));
	kvm_root_free(mm->root);
	kmem_free(mm);
}

void mm_switch(struct mm *mm)
{
	struct cpu *c = this_cpu();

	if (c->mm)
		cpumask_clear(&c->mm->cpus, c->index);
	/* The bit before CR3, so that a flush cannot miss this CPU. */
	cpumask_set(&mm->cpus, c->index);
	c->mm = mm;
	write_cr3(mm->root.v);
	if (c->mm_last != mm->id) {
		c->mm_last = mm->id;
		mitigate_switch();
	}
}

bool range_ok(uint64_t addr, uint64_t bytes)
{
	return addr >= OTR_USER_START && bytes <= OTR_USER_END && addr <= OTR_USER_END - bytes &&
	       !(addr & (PAGE_SIZE - 1));
}

/* Takes the lock when no page is being moved: those who change the address
 * space wait for mm_evacuate()'s batch, which is bounded. */
void lock_settled(struct mm *mm)
{
	for (;;) {
		spin_lock(&mm->lock);
		if (likely(!mm->moving))
			return;
		spin_unlock(&mm->lock);
		thread_park_until(clock_uptime_ns() + 200000);
	}
}

/* Removes areas and pages of the range, cutting areas at its ends. */
static int remove_range(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v, *next;
	int err = vma_cut(mm, start, end);

	if (err)
		return err;
	err = pages_remove(mm, start, end);
	if (err)
		return err;
	for (v = vma_find(mm, start); v && v->start < end; v = next) {
		next = vma_next(v);
		vma_delete(mm, v);
	}
	return 0;
}

int64_t mm_map(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot, uint32_t flags)
{
	return mm_map_area(mm, addr, bytes, &(struct area){ .prot = prot }, flags);
}

int64_t mm_map_area(struct mm *mm, uint64_t addr, uint64_t bytes, const struct area *like, uint32_t flags)
{
	struct area a = *like;
	uint64_t align = PAGE_SIZE;
	struct vma *v;
	int err = 0;

	if (!bytes || bytes > OTR_USER_END)
		return bytes ? -ENOMEM : -EINVAL;
	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	lock_settled(mm);
	if (flags & MM_FIXED) {
		if (!range_ok(addr, bytes)) {
			err = addr & (PAGE_SIZE - 1) ? -EINVAL : -ENOMEM;
			goto out;
		}
		v = vma_find(mm, addr);
		if (v && v->start < addr + bytes) {
			err = flags & MM_NOREPLACE ? -EEXIST : remove_range(mm, addr, addr + bytes);
			if (err)
				goto out;
		}
	} else {
		if (bytes >= LARGE_SIZE)
			align = LARGE_SIZE;
		addr = flags & MM_LOW ? vma_find_low(mm, bytes) : vma_find_gap(mm, addr, bytes, align);
		if (!addr) {
			err = -ENOMEM;
			goto out;
		}
	}
	a.flags |= (flags & MM_NOHUGE) | (mm->lock_future && !a.fixed ? MM_LOCKED : 0);
	err = vma_may_add(mm, &a, bytes) ? vma_add(mm, addr, addr + bytes, &a) : -ENOMEM;
out:
	spin_unlock(&mm->lock);
	if (err)
		return err;
	if ((flags & MM_POPULATE || a.flags & MM_LOCKED) && a.prot)
		mm_populate(mm, addr, bytes, a.prot & MM_WRITE ? MM_WRITE : MM_READ);
	return (int64_t)addr;
}

int mm_unmap(struct mm *mm, uint64_t addr, uint64_t bytes)
{
	int err;

	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	if (!bytes || addr & (PAGE_SIZE - 1) || addr + bytes < addr)
		return -EINVAL;
	if (!range_ok(addr, bytes))
		return addr < OTR_USER_END && addr + bytes <= OTR_USER_END ? 0 : -EINVAL;
	lock_settled(mm);
	err = remove_range(mm, addr, addr + bytes);
	/* Freed room above is found again by the next search. */
	if (!err && addr + bytes > mm->mmap_next)
		mm->mmap_next = MIN(addr + bytes, mm->mmap_top);
	spin_unlock(&mm->lock);
	mm_collect(mm);
	if (mm->quarantine_pages > QUARANTINE_MOST)
		mm_ask_zap(mm);
	return err;
}

int range_covered(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(mm, start);
	uint64_t at = start;

	for (; v && v->start <= at && at < end; v = vma_next(v))
		at = v->end;
	return at >= end ? 0 : -ENOMEM;
}

int mm_covered(struct mm *mm, uint64_t addr, uint64_t bytes)
{
	int err;

	spin_lock(&mm->lock);
	err = range_covered(mm, addr, addr + bytes);
	spin_unlock(&mm->lock);
	return err;
}

int mm_protect(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot)
{
	uint64_t end;
	struct vma *v;
	int err;

	if (addr & (PAGE_SIZE - 1) || prot & ~7u)
		return -EINVAL;
	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	if (!bytes)
		return 0;
	if (!range_ok(addr, bytes))
		return -ENOMEM;
	end = addr + bytes;
	lock_settled(mm);
	err = range_covered(mm, addr, end);
	if (!err)
		err = vma_cut(mm, addr, end);
	if (!err)
		err = pages_protect(mm, addr, end, prot);
	if (!err)
		for (v = vma_find(mm, addr); v && v->start < end; ) {
			uint64_t next = v->end;

			vma_count(mm, &v->a, -(int64_t)(v->end - v->start));
			v->a.prot = prot;
			vma_count(mm, &v->a, (int64_t)(v->end - v->start));
			vma_try_join(mm, v);
			v = vma_find(mm, next);
		}
	spin_unlock(&mm->lock);
	return err;
}

int mm_discard(struct mm *mm, uint64_t addr, uint64_t bytes)
{
	int err;

	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!range_ok(addr, bytes))
		return -ENOMEM;
	lock_settled(mm);
	err = pages_remove(mm, addr, addr + bytes);
	if (!err)
		err = range_covered(mm, addr, addr + bytes);
	spin_unlock(&mm->lock);
	mm_collect(mm);
	return err;
}

int64_t mm_remap(struct mm *mm, uint64_t old, uint64_t old_bytes, uint64_t new_bytes,
		 uint32_t flags, uint64_t new_addr)
{
	struct vma *v, *next;
	struct area a;
	uint64_t to;
	int64_t ret;

	old_bytes = ALIGN_UP(old_bytes, PAGE_SIZE);
	new_bytes = ALIGN_UP(new_bytes, PAGE_SIZE);
	if (flags & ~7u || (flags & 3) == 2 || (flags & 4 && (!(flags & 1) || old_bytes != new_bytes)) ||
	    !new_bytes || !old_bytes ||
	    !range_ok(old, old_bytes) || new_bytes > OTR_USER_END)
		return -EINVAL;
	if (flags & 2 && (!range_ok(new_addr, new_bytes) ||
			  (new_addr < old + old_bytes && old < new_addr + new_bytes)))
		return -EINVAL;
	lock_settled(mm);
	v = vma_find(mm, old);
	if (!v || v->start > old || v->end < old + old_bytes) {
		ret = -EFAULT;
		goto out;
	}
	if (flags & 4 && (v->a.file || v->a.share)) {
		ret = -EINVAL;
		goto out;
	}
	if (!(flags & 2)) {
		if (new_bytes <= old_bytes && !(flags & 4)) {
			ret = new_bytes < old_bytes ?
			      remove_range(mm, old + new_bytes, old + old_bytes) : 0;
			ret = ret ? ret : (int64_t)old;
			goto out;
		}
		next = vma_next(v);
		if (!(flags & 4) && v->end == old + old_bytes && old + new_bytes <= OTR_USER_END &&
		    (!next || next->start >= old + new_bytes)) {
			a = vma_piece(v, v->end);
			ret = !vma_may_add(mm, &a, new_bytes - old_bytes) ? -ENOMEM : vma_add(mm, v->end, old + new_bytes, &a);
			ret = ret ? ret : (int64_t)old;
			goto out;
		}
		if (!(flags & 1) || !vma_may_add(mm, &v->a, new_bytes - old_bytes)) {
			ret = -ENOMEM;
			goto out;
		}
		to = vma_find_gap(mm, 0, new_bytes, new_bytes >= LARGE_SIZE ? LARGE_SIZE : PAGE_SIZE);
		if (!to) {
			ret = -ENOMEM;
			goto out;
		}
	} else {
		to = new_addr;
		ret = remove_range(mm, to, to + new_bytes);
		if (ret)
			goto out;
		v = vma_find(mm, old);
	}
	ret = vma_cut(mm, old, old + old_bytes);
	if (ret)
		goto out;
	v = vma_find(mm, old);
	ret = pages_move(mm, old, to, MIN(old_bytes, new_bytes));
	a = v->a;
	if (!ret) {
		ret = vma_add(mm, to, to + new_bytes, &a);
		/* The tables are there: this cannot fail. */
		if (ret)
			pages_move(mm, to, old, MIN(old_bytes, new_bytes));
	}
	if (!ret && !(flags & 4))
		ret = remove_range(mm, old, old + old_bytes);
	if (!ret)
		ret = (int64_t)to;
out:
	spin_unlock(&mm->lock);
	mm_collect(mm);
	return ret;
}

uint64_t mm_brk(struct mm *mm, uint64_t addr)
{
	uint64_t old_end = ALIGN_UP(mm->brk, PAGE_SIZE), new_end = ALIGN_UP(addr, PAGE_SIZE);
	struct area heap = { .prot = MM_READ | MM_WRITE, .flags = mm->lock_future ? MM_LOCKED : 0 };
	struct vma *v;

	lock_settled(mm);
	if (addr < mm->brk_start || addr >= OTR_USER_END)
		goto out;
	if (new_end < old_end) {
		if (remove_range(mm, new_end, old_end))
			goto out;
	} else if (new_end > old_end) {
		v = vma_find(mm, old_end);
		if ((v && v->start < new_end) || !vma_may_add(mm, &heap, new_end - old_end) ||
		    vma_add(mm, old_end, new_end, &heap))
			goto out;
	}
	mm->brk = addr;
out:
	spin_unlock(&mm->lock);
	return mm->brk;
}

void mm_clear(struct mm *mm)
{
	lock_settled(mm);
	remove_range(mm, OTR_USER_START, OTR_USER_END);
	file_forget_fetches(mm);
	mm->brk_start = mm->brk = 0;
	mm->mmap_next = 0;
	mm->lock_future = false;
	spin_unlock(&mm->lock);
}
