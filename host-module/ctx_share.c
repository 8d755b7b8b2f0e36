// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of Linux's that a program shares: mapped files, shared anonymous memory,
 * SysV segments. The proxy has the real mapping at the program's addresses, in
 * place of ours; the co-kernel mirrors it. Each frame it may use is a grant that
 * is recorded here and told with OTR_MSG_GRANT, and ends when Linux changes the
 * mapping (truncation, write-back, migration, munmap): the co-kernel is asked to
 * give it back with OTR_MSG_REVOKE, and Linux goes on when it has, or when the
 * partition has been stopped because it did not.
 *
 * grant_lock is what hmm calls the driver's lock: it is held from the look at the
 * sequence number until the co-kernel has the grant, and while one is revoked.
 * Under it nothing is allocated that may start reclaim, which revokes too.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include "ctx.h"

#define REVOKE_TIMEOUT_MS 3000
#define GRANT_TIMEOUT_MS 3000

/* ---- Revoking ---- */

/* grant_lock held. When it returns the co-kernel uses nothing of the range. */
static void revoke(struct otr_context *c, u64 start, u64 end)
{
	struct otr_msg msg = { .type = OTR_MSG_REVOKE, .arg = { c->id, start, end } };
	int ret;

	if (READ_ONCE(c->exited) || READ_ONCE(c->dead))
		return;
	ret = otr_request(c->p, &msg, NULL, REVOKE_TIMEOUT_MS, false);
	if (!ret || ret == -ESRCH)
		return;
	otr_crash(c->p, "program %u did not give back memory of Linux's within %u s (error %d)",
		  c->id, REVOKE_TIMEOUT_MS / 1000, ret);
	/* Set when the partition's CPUs have been stopped. */
	wait_event(c->wait, READ_ONCE(c->dead));
}

static bool invalidate(struct mmu_interval_notifier *n, const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	struct otr_context *c = container_of(n, struct otr_context, mirror);
	unsigned long first = max_t(u64, range->start, OTR_USER_START) >> PAGE_SHIFT, index = first;
	unsigned long last = (min_t(u64, range->end, OTR_USER_END) - 1) >> PAGE_SHIFT;
	void *entry;

	/* The proxy was killed. Its program ends while it can still reach what it
	 * shares: the robust futexes there are to be given up. */
	if (range->event == MMU_NOTIFY_RELEASE)
		otr_ctx_kill(c);
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&c->grant_lock);
	else if (!mutex_trylock(&c->grant_lock))
		return false;
	entry = xa_find(&c->grants, &index, last, XA_PRESENT);
	if (entry && !mmu_notifier_range_blockable(range)) {
		mutex_unlock(&c->grant_lock);
		return false;
	}
	mmu_interval_set_seq(n, seq);
	if (entry) {
		revoke(c, (u64)first << PAGE_SHIFT, (u64)(last + 1) << PAGE_SHIFT);
		xa_for_each_range(&c->grants, index, entry, first, last)
			xa_erase(&c->grants, index);
	}
	mutex_unlock(&c->grant_lock);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = { .invalidate = invalidate };

/* ---- Granting ---- */

/* One notifier for all of the program's addresses, at the first grant. */
static int start_mirror(struct otr_context *c)
{
	int ret = 0;

	mutex_lock(&c->mirror_lock);
	if (!c->mirrored)
		ret = mmu_interval_notifier_insert(&c->mirror, current->mm, OTR_USER_START,
						   OTR_USER_END - OTR_USER_START, &mirror_ops);
	if (!ret)
		c->mirrored = true;
	mutex_unlock(&c->mirror_lock);
	return ret;
}

struct wanted {
	u64 addr;                    /* of the first page, which must come */
	u32 must;                    /* so many pages must come, */
	u32 count;                   /* and of so many those that are there */
	bool write;
	dev_t dev;
	u64 ino, pgoff;              /* what the first page is */
	unsigned long pfn[OTR_GRANT_COUNT];
};

/* mmap_lock held. Whether the area is shared memory of Linux's; cuts w to it. */
static bool sharable(struct mm_struct *mm, struct wanted *w)
{
	struct vm_area_struct *vma = find_vma(mm, w->addr);

	if (!vma || vma->vm_start > w->addr || !(vma->vm_flags & VM_MAYSHARE) || !vma->vm_file ||
	    vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return false;
	w->count = min_t(u64, w->count, (vma->vm_end - w->addr) >> PAGE_SHIFT);
	w->must = min(w->must, w->count);
	w->dev = file_inode(vma->vm_file)->i_sb->s_dev;
	w->ino = file_inode(vma->vm_file)->i_ino;
	w->pgoff = vma->vm_pgoff + ((w->addr - vma->vm_start) >> PAGE_SHIFT);
	return true;
}

static int look(struct otr_context *c, struct wanted *w, struct hmm_range *range)
{
	int ret = -EFAULT;
	u32 i;

	mmap_read_lock(current->mm);
	if (sharable(current->mm, w)) {
		*range = (struct hmm_range){
			.notifier = &c->mirror, .start = w->addr,
			.end = w->addr + ((u64)w->count << PAGE_SHIFT), .hmm_pfns = w->pfn,
			.notifier_seq = range->notifier_seq,
			.pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
		};
		for (i = 0; i < w->count; i++)
			w->pfn[i] = i >= w->must ? 0 :
				    HMM_PFN_REQ_FAULT | (w->write ? HMM_PFN_REQ_WRITE : 0);
		ret = hmm_range_fault(range);
	}
	mmap_read_unlock(current->mm);
	return ret;
}

/* grant_lock held; nothing was invalidated since the look. */
static int tell(struct otr_context *c, const struct wanted *w)
{
	struct otr_msg msg = {
		.type = OTR_MSG_GRANT,
		.arg = { c->id, w->addr, w->count, w->dev, w->ino, w->pgoff },
	};
	unsigned long first = w->addr >> PAGE_SHIFT;
	u32 i;

	for (i = 0; i < w->count; i++) {
		unsigned long pfn = w->pfn[i];

		c->priv->grant[i] = !(pfn & HMM_PFN_VALID) ? 0 :
				    PFN_PHYS(page_to_pfn(hmm_pfn_to_page(pfn))) | OTR_GRANT_VALID |
				    (pfn & HMM_PFN_WRITE ? OTR_GRANT_WRITE : 0);
		/* Cannot fail: the place was reserved. */
		if (pfn & HMM_PFN_VALID)
			xa_store(&c->grants, first + i, xa_mk_value(page_to_pfn(hmm_pfn_to_page(pfn))),
				 GFP_NOWAIT);
	}
	return otr_request(c->p, &msg, NULL, GRANT_TIMEOUT_MS, false);
}

static int grant(struct otr_context *c, struct wanted *w)
{
	unsigned long stop = jiffies + msecs_to_jiffies(GRANT_TIMEOUT_MS), first = w->addr >> PAGE_SHIFT;
	u32 i, reserved = w->count;
	struct hmm_range range;
	int ret;

	for (i = 0; i < reserved; i++) {
		ret = xa_reserve(&c->grants, first + i, GFP_KERNEL);
		if (ret) {
			reserved = i;
			goto release;
		}
	}
	for (;;) {
		range.notifier_seq = mmu_interval_read_begin(&c->mirror);
		ret = look(c, w, &range);
		if (ret && ret != -EBUSY)
			break;
		if (!ret) {
			mutex_lock(&c->grant_lock);
			if (!mmu_interval_read_retry(&c->mirror, range.notifier_seq)) {
				ret = tell(c, w);
				mutex_unlock(&c->grant_lock);
				break;
			}
			mutex_unlock(&c->grant_lock);
		}
		ret = -EINTR;
		if (fatal_signal_pending(current) || time_after(jiffies, stop))
			break;
		cond_resched();
	}
release:
	/* Places that were not used; a stored one stays. */
	for (i = 0; i < reserved; i++)
		xa_release(&c->grants, first + i);
	return ret;
}

int otr_ctx_grant(struct file *filp, struct otr_ioc_grant *req, struct otr_note *note)
{
	u64 end = req->addr + (u64)req->must * PAGE_SIZE;
	struct otr_context *c;
	struct wanted *w;
	int ret;

	if (!PAGE_ALIGNED(req->addr) || req->addr < OTR_USER_START || req->addr >= OTR_USER_END ||
	    !req->must || req->must > OTR_GRANT_COUNT || end > OTR_USER_END)
		return -EINVAL;
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return -ENOMEM;
	w->addr = req->addr;
	w->must = req->must;
	w->write = req->write;
	w->count = min_t(u64, OTR_GRANT_COUNT, (OTR_USER_END - req->addr) >> PAGE_SHIFT);
	c = otr_ctx_enter(filp, note);
	if (IS_ERR(c)) {
		kfree(w);
		return PTR_ERR(c);
	}
	ret = -ESRCH;
	if (!c->detached && !otr_ctx_over(c))
		ret = start_mirror(c);
	if (!ret)
		ret = grant(c, w);
	otr_ctx_leave(c);
	kfree(w);
	return ret;
}

void otr_share_init(struct otr_context *c)
{
	xa_init(&c->grants);
	mutex_init(&c->grant_lock);
	mutex_init(&c->mirror_lock);
}

/* The context is detached, its program over. */
void otr_share_end(struct otr_context *c)
{
	if (c->mirrored)
		mmu_interval_notifier_remove(&c->mirror);
	c->mirrored = false;
}

void otr_share_fini(struct otr_context *c)
{
	xa_destroy(&c->grants);
}
