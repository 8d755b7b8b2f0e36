// SPDX-License-Identifier: GPL-2.0
/*
 * The unified address space: the proxy's one mapping of program addresses, whose
 * faults insert the very frames that the co-kernel's page table names.
 *
 * Frames of memory blocks are device memory (PFN_DEV|PFN_MAP): inserted 2 MiB at
 * a time where the co-kernel maps them so, and pinnable. Frames of contiguous
 * memory are ordinary pages, inserted 4 KiB at a time with vm_insert_page(). The
 * VMA counts as DAX (S_DAX on its inode), without which Linux 6.1 takes no huge
 * faults.
 *
 * The page table is the co-kernel's to write at any time: every entry is read
 * once, every table and frame must belong to the partition.
 *
 * 4 KiB frames go in read-only; a write comes back as pfn_mkwrite or
 * page_mkwrite, where the kernel makes the entry writable only if it is still
 * the one we looked at.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pfn_t.h>
#include <linux/sched/signal.h>

#include "ctx.h"

#define TRIES 8

struct frame {
	u64 pfn;                     /* of the address's own 4 KiB */
	u64 huge_pfn;                /* of the 2 MiB around it, if huge */
	bool huge;
	bool writable;
	u32 kind;                    /* OTR_MEM_BLOCK or OTR_MEM_CONTIG */
};

/* ---- The co-kernel's page table ---- */

static int not_owned(struct otr_context *c, u64 phys)
{
	otr_crash(c->p, "protocol error: page table of program %u names %#llx, which is not the partition's",
		  c->id, phys);
	return -EPROTO;
}

/* Fills f for a leaf entry that maps `bytes`. */
static int take_leaf(struct otr_context *c, u64 entry, u64 addr, u64 bytes, struct frame *f)
{
	u64 base = (entry & OTR_PTE_ADDR) & ~(bytes - 1), huge = base + ((addr & (bytes - 1)) & PMD_MASK);

	f->huge = bytes >= PMD_SIZE;
	f->huge_pfn = PHYS_PFN(huge);
	f->pfn = PHYS_PFN(base + (addr & (bytes - 1)));
	if (!otr_memory_owns(c->p, f->huge ? huge : base, min_t(u64, bytes, PMD_SIZE), &f->kind))
		return not_owned(c, f->huge ? huge : base);
	return 0;
}

/* 0: present and a user's; -ENOENT: not; -EPROTO: lies. zap_lock held. */
static int walk(struct otr_context *c, u64 addr, struct frame *f)
{
	u64 table = c->root_phys, entry;
	int shift;

	f->writable = true;
	for (shift = 39; ; shift -= 9) {
		if (!otr_memory_owns(c->p, table, PAGE_SIZE, NULL))
			return not_owned(c, table);
		entry = READ_ONCE(((u64 *)__va(table))[(addr >> shift) & 511]);
		if (!(entry & OTR_PTE_P) || !(entry & OTR_PTE_U))
			return -ENOENT;
		/* Linux's own memory is mapped by the proxy itself. */
		if (shift == 12 && entry & OTR_PTE_GRANT &&
		    !otr_memory_owns(c->p, entry & OTR_PTE_ADDR, PAGE_SIZE, NULL))
			return -ENOENT;
		f->writable &= !!(entry & OTR_PTE_W);
		if (shift == 12 || ((entry & OTR_PTE_PS) && shift < 39))
			return take_leaf(c, entry, addr, 1ull << shift, f);
		table = entry & OTR_PTE_ADDR;
	}
}

/* ---- Asking for a page ---- */

enum fetch { FETCH_UNLOCKED, FETCH_HERE, FETCH_NOT };

/* A piece of a file is to be read first. While that happens mmap_lock is let go,
 * where the caller allows it: some file systems touch user memory under the locks
 * that reading takes. */
static vm_fault_t fetch(struct otr_context *c, struct vm_fault *vmf, u32 index, enum fetch how)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	bool drop = how == FETCH_UNLOCKED && (vmf->flags & FAULT_FLAG_ALLOW_RETRY) &&
		    !(vmf->flags & (FAULT_FLAG_RETRY_NOWAIT | OTR_FAULT_VMA_LOCK));
	int ret = -ESRCH;

	if (how == FETCH_NOT)
		return VM_FAULT_FALLBACK;
	if (drop) {
		otr_ctx_get(c);
		mmap_read_unlock(mm);
	}
	down_read(&c->life);
	if (!c->detached && !READ_ONCE(c->dead))
		ret = otr_fetch_run(c, index);
	up_read(&c->life);
	if (drop) {
		otr_ctx_put(c);
		return VM_FAULT_RETRY;
	}
	return ret ? VM_FAULT_SIGBUS : 0;
}

/* Has the co-kernel make the page present (and private and writable). Sleeps,
 * bounded and killable, without zap_lock. 0: look again. */
static vm_fault_t ask(struct otr_context *c, struct vm_fault *vmf, bool write, enum fetch how)
{
	struct otr_msg reply, msg = {
		.type = OTR_MSG_PROC_FAULT, .arg = { c->id, vmf->address & PAGE_MASK, write },
	};
	unsigned long stop = jiffies + msecs_to_jiffies(OTR_FAULT_TIMEOUT_MS);
	int ret;

	/* -EAGAIN: the page is being moved, or too much is being read. */
	while ((ret = otr_request(c->p, &msg, &reply, OTR_FAULT_TIMEOUT_MS, true)) == -EAGAIN &&
	       time_before(jiffies, stop) && !fatal_signal_pending(current))
		msleep(1);
	if (ret)
		return ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	return reply.arg[1] ? fetch(c, vmf, reply.arg[1] - 1, how) : 0;
}

/* The context of a fault, with `life` and zap_lock held for reading. */
static bool enter(struct otr_context *c)
{
	down_read(&c->life);
	if (!c->detached && !READ_ONCE(c->dead)) {
		down_read(&c->zap_lock);
		return true;
	}
	up_read(&c->life);
	return false;
}

static void leave(struct otr_context *c)
{
	up_read(&c->zap_lock);
	up_read(&c->life);
}

static struct otr_context *context_of(struct vm_fault *vmf)
{
	return vmf->vma->vm_private_data;
}

/* ---- Faults ---- */

static vm_fault_t insert_small(struct otr_context *c, struct vm_fault *vmf, u64 addr,
			       const struct frame *f)
{
	int ret;

	if (otr_zap_record(c, addr, f->pfn, false))
		return VM_FAULT_OOM;
	if (f->kind == OTR_MEM_BLOCK)
		return vmf_insert_mixed(vmf->vma, addr, __pfn_to_pfn_t(f->pfn, PFN_DEV | PFN_MAP));
	ret = vm_insert_page(vmf->vma, addr, pfn_to_page(f->pfn));
	if (!ret || ret == -EBUSY)
		return VM_FAULT_NOPAGE;
	return ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static vm_fault_t user_fault(struct vm_fault *vmf)
{
	struct otr_context *c = context_of(vmf);
	u64 addr = vmf->address & PAGE_MASK;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct frame f;
	vm_fault_t ret;
	int tries, err;

	for (tries = 0; tries < TRIES; tries++) {
		if (!enter(c))
			return VM_FAULT_SIGBUS;
		err = walk(c, addr, &f);
		if (!err && (!write || f.writable)) {
			ret = insert_small(c, vmf, addr, &f);
			leave(c);
			return ret;
		}
		leave(c);
		if (err == -EPROTO)
			return VM_FAULT_SIGBUS;
		ret = ask(c, vmf, write, FETCH_UNLOCKED);
		if (ret)
			return ret;
	}
	return VM_FAULT_SIGBUS;
}

/* Whether the table entry that is there maps something else. */
static bool other_pmd(struct vm_fault *vmf, u64 pfn)
{
	pmd_t pmd = READ_ONCE(*vmf->pmd);

	return !pmd_none(pmd) && pmd_pfn(pmd) != pfn;
}

static vm_fault_t insert_huge(struct otr_context *c, struct vm_fault *vmf, bool write,
			      const struct frame *f)
{
	u64 start = vmf->address & PMD_MASK;

	if (start < vmf->vma->vm_start || start + PMD_SIZE > vmf->vma->vm_end)
		return VM_FAULT_FALLBACK;
	if (other_pmd(vmf, f->huge_pfn)) {
		otr_zap_one(c, start, PMD_SIZE);
		return VM_FAULT_NOPAGE;
	}
	if (otr_zap_record(c, start, f->huge_pfn, true))
		return VM_FAULT_OOM;
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(f->huge_pfn, PFN_DEV | PFN_MAP), write);
}

static OTR_HUGE_FAULT(user_huge_fault, vmf, order)
{
	struct otr_context *c = context_of(vmf);
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct frame f;
	vm_fault_t ret;
	int tries, err;

	if (!OTR_HUGE_IS_PMD(order))
		return VM_FAULT_FALLBACK;
	for (tries = 0; tries < TRIES; tries++) {
		if (!enter(c))
			return VM_FAULT_SIGBUS;
		err = walk(c, vmf->address & PAGE_MASK, &f);
		if (!err && (!f.huge || f.kind != OTR_MEM_BLOCK)) {
			leave(c);
			return VM_FAULT_FALLBACK;
		}
		if (!err && (!write || f.writable)) {
			ret = insert_huge(c, vmf, write, &f);
			leave(c);
			return ret;
		}
		leave(c);
		if (err == -EPROTO)
			return VM_FAULT_SIGBUS;
		ret = ask(c, vmf, write, FETCH_NOT);
		if (ret)
			return ret;
	}
	return VM_FAULT_SIGBUS;
}

/* A write to a frame that is there read-only. 0: it may be made writable. */
static vm_fault_t user_mkwrite(struct vm_fault *vmf)
{
	struct otr_context *c = context_of(vmf);
	u64 addr = vmf->address & PAGE_MASK, mapped = pte_pfn(vmf->orig_pte);
	struct frame f;
	vm_fault_t ret;
	int tries, err;

	for (tries = 0; tries < TRIES; tries++) {
		if (!enter(c))
			return VM_FAULT_SIGBUS;
		err = walk(c, addr, &f);
		leave(c);
		if (err == -EPROTO)
			return VM_FAULT_SIGBUS;
		if (!err && f.pfn != mapped) {
			otr_zap_one(c, addr, PAGE_SIZE);
			return VM_FAULT_NOPAGE;
		}
		if (!err && f.writable)
			return 0;
		ret = ask(c, vmf, true, FETCH_HERE);
		if (ret)
			return ret;
	}
	return VM_FAULT_SIGBUS;
}

static vm_fault_t user_page_mkwrite(struct vm_fault *vmf)
{
	vm_fault_t ret = user_mkwrite(vmf);

	if (ret)
		return ret;
	lock_page(vmf->page);
	return VM_FAULT_LOCKED;
}

/* The whole address space of the proxy goes: its program ends. */
static void user_close(struct vm_area_struct *vma)
{
	if (!atomic_read(&vma->vm_mm->mm_users))
		otr_ctx_begin_release(vma->vm_private_data);
}

/* An address must stay its offset: zaps go by offset, faults by address. */
static int refuse_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static const struct vm_operations_struct user_ops = {
	.fault = user_fault,
	.huge_fault = user_huge_fault,
	.pfn_mkwrite = user_mkwrite,
	.page_mkwrite = user_page_mkwrite,
	.close = user_close,
	.mremap = refuse_mremap,
};

/* ---- Mailbox and slot pages ---- */

bool otr_ctx_user_page(struct otr_context *c, u32 page)
{
	u32 i, n = smp_load_acquire(&c->slot_pages);

	if (page == c->mailbox_page)
		return true;
	for (i = 0; i < n; i++)
		if (c->slots[i]->page == page)
			return true;
	return false;
}

static vm_fault_t page_fault(struct vm_fault *vmf)
{
	struct otr_context *c = context_of(vmf);
	u64 addr = vmf->address & PAGE_MASK, phys;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	u32 page = vmf->pgoff - PHYS_PFN(OTR_MMAP_PAGES), kind;
	int err;

	if (!enter(c))
		return ret;
	phys = c->p->sh.contexts_phys + (u64)page * PAGE_SIZE;
	if (!otr_ctx_user_page(c, page) || !otr_memory_owns(c->p, phys, PAGE_SIZE, &kind))
		goto leave;
	if (kind == OTR_MEM_BLOCK) {
		ret = vmf_insert_mixed(vmf->vma, addr, phys_to_pfn_t(phys, PFN_DEV | PFN_MAP));
		goto leave;
	}
	err = vm_insert_page(vmf->vma, addr, pfn_to_page(PHYS_PFN(phys)));
	ret = !err || err == -EBUSY ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
leave:
	leave(c);
	return ret;
}

static const struct vm_operations_struct page_ops = {
	.fault = page_fault,
	.mremap = refuse_mremap,
};

/* ---- mmap ---- */

static int check_user(struct vm_area_struct *vma)
{
	if (vma->vm_start < OTR_USER_START || vma->vm_end > OTR_USER_END)
		return -EINVAL;
	return vma->vm_pgoff == vma->vm_start >> PAGE_SHIFT ? 0 : -EINVAL;
}

static int check_page(struct otr_context *c, struct vm_area_struct *vma)
{
	u64 page = vma->vm_pgoff - PHYS_PFN(OTR_MMAP_PAGES);

	if (vma->vm_end - vma->vm_start != PAGE_SIZE || page >= c->p->sh.ctx_pages)
		return -EINVAL;
	return otr_ctx_user_page(c, page) ? 0 : -EACCES;
}

int otr_ctx_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct otr_note note;
	struct otr_context *c;
	int ret;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	c = otr_ctx_enter(file, &note);
	if (IS_ERR(c))
		return PTR_ERR(c);
	ret = -ESRCH;
	if (c->detached)
		goto leave;
	if (vma->vm_pgoff >= PHYS_PFN(OTR_MMAP_PAGES)) {
		ret = check_page(c, vma);
		vma->vm_ops = &page_ops;
	} else {
		ret = check_user(vma);
		vma->vm_ops = &user_ops;
		vm_flags_set(vma, VM_HUGEPAGE);
	}
	/* c outlives the VMA, which holds the file. */
	vma->vm_private_data = c;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
leave:
	otr_ctx_leave(c);
	return ret;
}
