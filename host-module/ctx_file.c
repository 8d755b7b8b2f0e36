// SPDX-License-Identifier: GPL-2.0
/*
 * Files that programs map privately. The module holds them under numbers of the
 * context; the co-kernel asks for pieces of them in otr_ctx_private.fetch, which
 * no program can write, and the module reads them straight into the partition's
 * frames. A proxy only says which request is to be done next: one that is not
 * posted, or done by somebody else already, is none of its business.
 *
 * No lock of ours is held while a file is read: file systems take locks under
 * which they also touch user memory. The frames are referenced instead, as by a
 * pin, so that memory cannot leave the partition under a read.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "ctx.h"

#define BUSY_LOOK (HZ / 50 + 1)
#define ZERO_MINOR 5	/* of MEM_MAJOR, drivers/char/mem.c */

/* ---- Numbers ---- */

static unsigned long key_of(struct file *file)
{
	return (unsigned long)file / sizeof(long);
}

/* files_lock held. Numbers are not used again. */
static int number_of(struct otr_context *c, struct file *file, u32 *number)
{
	void *known = xa_load(&c->file_numbers, key_of(file));
	int ret;

	if (known) {
		*number = xa_to_value(known);
		return 0;
	}
	ret = xa_alloc_cyclic(&c->files, number, file, XA_LIMIT(1, INT_MAX), &c->next_file, GFP_KERNEL);
	if (ret < 0)
		return ret;
	ret = xa_err(xa_store(&c->file_numbers, key_of(file), xa_mk_value(*number), GFP_KERNEL));
	if (ret) {
		xa_erase(&c->files, *number);
		return ret;
	}
	get_file(file);
	return 0;
}

/* files_lock held. */
static void forget(struct otr_context *c, u32 number)
{
	struct file *file = xa_erase(&c->files, number);

	if (!file)
		return;
	xa_erase(&c->file_numbers, key_of(file));
	fput(file);
}

static struct file *find(struct otr_context *c, u32 number)
{
	struct file *file;

	mutex_lock(&c->files_lock);
	file = xa_load(&c->files, number);
	if (file)
		get_file(file);
	mutex_unlock(&c->files_lock);
	return file;
}

/* What mmap(2) would say to a private mapping. 1: it reads as zeroes. */
static int check(struct file *file, u32 prot)
{
	struct inode *inode = file_inode(file);

	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (prot & PROT_EXEC && (file->f_path.mnt->mnt_flags & MNT_NOEXEC ||
				 inode->i_sb->s_iflags & SB_I_NOEXEC))
		return -EPERM;
	if (S_ISCHR(inode->i_mode) && inode->i_rdev == MKDEV(MEM_MAJOR, ZERO_MINOR))
		return 1;
	if (!file->f_op->mmap || !S_ISREG(inode->i_mode) || !(file->f_mode & FMODE_CAN_READ))
		return -ENODEV;
	return 0;
}

/* files_lock held. Tells the co-kernel in the one place where no program can write. */
static void tell_version(struct otr_context *c, u32 number, u32 slot, u32 version)
{
	struct otr_file_version *to = &c->priv->version[number % OTR_VERSIONS_RECENT];

	WRITE_ONCE(to->file, 0);
	smp_wmb();
	WRITE_ONCE(to->slot, slot);
	WRITE_ONCE(to->version, version);
	smp_store_release(&to->file, number);
}

int otr_ctx_file(struct file *filp, struct otr_ioc_file *req, struct otr_note *note)
{
	struct otr_context *c;
	struct file *file = NULL;
	u32 slot = 0, version = 0;
	int ret = 0, i;

	if (req->fd >= 0) {
		file = fget(req->fd);
		if (!file)
			return -EBADF;
		ret = check(file, req->prot);
	}
	req->number = 0;
	c = otr_ctx_enter(filp, note);
	if (IS_ERR(c)) {
		if (file)
			fput(file);
		return PTR_ERR(c);
	}
	if (!ret && file && !c->detached)
		otr_version_get(c->p, file, &slot, &version);
	mutex_lock(&c->files_lock);
	for (i = 0; i < ARRAY_SIZE(req->close); i++)
		forget(c, req->close[i]);
	if (!ret && file && !c->detached)
		ret = number_of(c, file, &req->number);
	if (!ret && req->number)
		tell_version(c, req->number, slot, version);
	mutex_unlock(&c->files_lock);
	otr_ctx_leave(c);
	if (file)
		fput(file);
	return ret == 1 ? 0 : ret;
}

int otr_ctx_file_name(struct file *filp, struct otr_ioc_file_name *req, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(filp, note);
	struct file *file;
	char *buffer, *text;
	int ret = 0;
	u32 bytes;

	if (IS_ERR(c))
		return PTR_ERR(c);
	file = find(c, req->number);
	otr_ctx_leave(c);
	if (!file)
		return otr_refuse(note, -ENOENT, "the program maps no file %u", req->number);
	buffer = (char *)__get_free_page(GFP_KERNEL);
	if (!buffer) {
		fput(file);
		return -ENOMEM;
	}
	text = d_path(&file->f_path, buffer, PAGE_SIZE);
	if (IS_ERR(text)) {
		ret = PTR_ERR(text);
	} else {
		bytes = strlen(text) + 1;
		if (bytes > req->text_bytes)
			ret = -ENAMETOOLONG;
		else if (copy_to_user(u64_to_user_ptr(req->text), text, bytes))
			ret = -EFAULT;
		req->text_bytes = bytes;
		req->inode = file_inode(file)->i_ino;
		req->major = MAJOR(file_inode(file)->i_sb->s_dev);
		req->minor = MINOR(file_inode(file)->i_sb->s_dev);
	}
	free_page((unsigned long)buffer);
	fput(file);
	return ret;
}

/* The file whose descriptor the caller gives is the parent's context: having it
 * is the right to what it maps. */
int otr_ctx_inherit(struct file *filp, struct otr_ioc_inherit *req, struct otr_note *note)
{
	struct file *from = fget(req->fd), *file;
	struct otr_context *c, *parent;
	unsigned long number;
	int ret = 0;

	if (!from)
		return -EBADF;
	if (from->f_op != filp->f_op || from == filp) {
		fput(from);
		return otr_refuse(note, -EINVAL, "descriptor %d is no context", req->fd);
	}
	parent = READ_ONCE(((struct otr_file *)from->private_data)->ctx);
	c = otr_ctx_enter(filp, note);
	if (IS_ERR(c)) {
		fput(from);
		return PTR_ERR(c);
	}
	if (!parent || parent->p != c->p || c->detached) {
		ret = -EINVAL;
		goto leave;
	}
	/* A child after its parent: nobody takes them the other way round. */
	mutex_lock(&parent->files_lock);
	mutex_lock_nested(&c->files_lock, SINGLE_DEPTH_NESTING);
	c->next_file = parent->next_file;
	xa_for_each(&parent->files, number, file) {
		ret = xa_err(xa_store(&c->files, number, file, GFP_KERNEL));
		if (!ret)
			get_file(file);
		if (!ret)
			ret = xa_err(xa_store(&c->file_numbers, key_of(file), xa_mk_value(number), GFP_KERNEL));
		if (ret)
			break;
	}
	mutex_unlock(&c->files_lock);
	mutex_unlock(&parent->files_lock);
leave:
	otr_ctx_leave(c);
	fput(from);
	return ret;
}

void otr_files_init(struct otr_context *c)
{
	xa_init_flags(&c->files, XA_FLAGS_ALLOC1);
	xa_init(&c->file_numbers);
	mutex_init(&c->files_lock);
	init_waitqueue_head(&c->fetch_wait);
}

/* Nobody uses the context any more. */
void otr_files_fini(struct otr_context *c)
{
	struct file *file;
	unsigned long number;

	xa_for_each(&c->files, number, file)
		fput(file);
	xa_destroy(&c->files);
	xa_destroy(&c->file_numbers);
}

/* The caller's lowest descriptor from `from` on that an execve closes, or -1. A proxy
 * would have to look through /proc for it, which costs as much as a page fault each. */
int otr_next_cloexec(u32 from)
{
	struct fdtable *t;
	unsigned int fd;
	int found = -1;

	rcu_read_lock();
	t = files_fdtable(current->files);
	for (fd = from; fd < t->max_fds; fd++) {
		fd = find_next_bit(t->close_on_exec, t->max_fds, fd);
		/* The bit of a closed one is left as it was. */
		if (fd < t->max_fds && test_bit(fd, t->open_fds)) {
			found = fd;
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

/* ---- Fetching ---- */

static void put_frames(u64 pfn, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++)
		put_page(pfn_to_page(pfn + i));
}

/* References the frames, if they are the partition's. */
static int get_frames(struct otr_context *c, u64 phys, u64 bytes)
{
	u64 i;
	int ret = 0;

	/* Whoever takes memory away has taken it off the list of what is owned
	 * before it takes zap_lock for writing and looks for references. */
	down_read(&c->zap_lock);
	if (otr_memory_owns(c->p, phys, bytes, NULL))
		for (i = 0; i < PHYS_PFN(bytes); i++)
			get_page(pfn_to_page(PHYS_PFN(phys) + i));
	else
		ret = -EPROTO;
	up_read(&c->zap_lock);
	return ret;
}

/*
 * What Linux's page cache has from `at` on, up to a page that is not there, as a fault in a
 * private mapping would find it; the rest is the file system's to read. 0: the first is not.
 */
static u64 copy_cached(struct file *file, void *to, u64 bytes, loff_t at)
{
	struct address_space *mapping = file->f_mapping;
	struct page *page;
	loff_t size;
	u64 done = 0;
	bool there;

	if (!PAGE_ALIGNED(at) || mapping->host->i_sb->s_magic == HUGETLBFS_MAGIC)
		return 0;
	while (done < bytes) {
		page = find_get_page(mapping, (at + done) >> PAGE_SHIFT);
		if (!page)
			break;
		there = PageUptodate(page) && !PageHWPoison(page);
		if (there) {
			copy_page(to + done, page_address(page));
			mark_page_accessed(page);
		}
		put_page(page);
		/* Looked at last: what the file had when it was copied, and no more. */
		size = i_size_read(mapping->host);
		if (!there || (u64)size <= at + done)
			break;
		done += min_t(u64, PAGE_SIZE, size - at - done);
		if (!PAGE_ALIGNED(done))
			break;
	}
	return done;
}

static s64 read_file(struct file *file, void *to, u64 bytes, loff_t at)
{
	u64 done = 0;
	ssize_t n;

	while (done < bytes) {
		n = copy_cached(file, to + done, bytes - done, at);
		if (n)
			at += n;
		else
			n = kernel_read(file, to + done, bytes - done, &at);
		if (n < 0)
			return n;
		if (!n)
			break;
		done += n;
	}
	return done;
}

static s64 execute(struct otr_context *c, const struct otr_fetch *f)
{
	struct file *file;
	s64 ret;

	if (!f->bytes || f->bytes > OTR_FETCH_MOST || !PAGE_ALIGNED(f->phys | f->bytes | f->offset) ||
	    get_frames(c, f->phys, f->bytes)) {
		otr_crash(c->p, "protocol error: program %u wants %#llx bytes of a file at %#llx, which is not the partition's",
			  c->id, f->bytes, f->phys);
		return -EPROTO;
	}
	file = find(c, f->file);
	ret = -EBADF;
	if (file) {
		ret = (s64)f->offset < 0 ? 0 : read_file(file, __va(f->phys), f->bytes, f->offset);
		fput(file);
	}
	put_frames(PHYS_PFN(f->phys), PHYS_PFN(f->bytes));
	return ret;
}

/* Does request `index`, or waits while another thread does. `life` is held, no
 * other lock. The result is in the request, for the co-kernel. */
int otr_fetch_run(struct otr_context *c, u32 index)
{
	struct otr_fetch *f, copy;
	u32 state;

	if (index >= OTR_FETCH_COUNT)
		return -EINVAL;
	f = &c->priv->fetch[index];
	state = cmpxchg(&f->state, OTR_FETCH_POSTED, OTR_FETCH_BUSY);
	if (state == OTR_FETCH_BUSY) {
		/* Another thread, or a vfork child's proxy, which wakes nobody here. */
		wait_event_killable_timeout(c->fetch_wait, READ_ONCE(f->state) != OTR_FETCH_BUSY ||
					    READ_ONCE(c->dead), BUSY_LOOK);
		return 0;
	}
	if (state != OTR_FETCH_POSTED)
		return 0;
	memcpy(&copy, f, sizeof(copy));
	WRITE_ONCE(f->result, execute(c, &copy));
	smp_store_release(&f->state, OTR_FETCH_DONE);
	wake_up_all(&c->fetch_wait);
	return 0;
}

int otr_ctx_fetch(struct file *filp, u32 index, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(filp, note);
	int ret = -ESRCH;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (!c->detached && !READ_ONCE(c->dead))
		ret = otr_fetch_run(c, index);
	otr_ctx_leave(c);
	return ret;
}
