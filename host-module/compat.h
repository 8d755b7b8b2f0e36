/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernel versions that the module supports.
 * No other file of the module looks at LINUX_VERSION_CODE.
 */
#ifndef OUTRIGGER_COMPAT_H
#define OUTRIGGER_COMPAT_H

#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/* huge_fault got an order instead of an enum in 6.6. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define OTR_HUGE_FAULT(name, vmf, order) \
	vm_fault_t name(struct vm_fault *vmf, enum page_entry_size otr_pe_size)
#define OTR_HUGE_IS_PMD(order) (otr_pe_size == PE_SIZE_PMD)
#else
#define OTR_HUGE_FAULT(name, vmf, order) \
	vm_fault_t name(struct vm_fault *vmf, unsigned int order)
#define OTR_HUGE_IS_PMD(order) ((order) == PMD_ORDER)
#endif

/* Faults under the lock of one VMA came in 6.4. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define OTR_FAULT_VMA_LOCK 0
#else
#define OTR_FAULT_VMA_LOCK FAULT_FLAG_VMA_LOCK
#endif

/* The lock of a group of fsnotify was made safe under reclaim by a flag until 6.10. */
#ifdef FSNOTIFY_GROUP_NOFS
#define OTR_FSNOTIFY_FLAGS FSNOTIFY_GROUP_NOFS
#else
#define OTR_FSNOTIFY_FLAGS 0
#endif
static inline struct fsnotify_mark *otr_find_inode_mark(struct inode *inode, struct fsnotify_group *group)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return fsnotify_find_mark(&inode->i_fsnotify_marks, group);
#else
	return fsnotify_find_inode_mark(inode, group);
#endif
}

/* An inode's times went behind functions in 6.6 and 6.7. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define otr_inode_mtime(inode) ((inode)->i_mtime)
#else
#define otr_inode_mtime(inode) inode_get_mtime(inode)
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define otr_inode_ctime(inode) ((inode)->i_ctime)
#else
#define otr_inode_ctime(inode) inode_get_ctime(inode)
#endif

/* pte_offset_map() of a page table that may go away became the rule in 6.5;
 * nothing here needs it. page_mapcount() lost its users in 6.12. */
static inline int otr_page_maps(struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

#endif
