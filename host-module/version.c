// SPDX-License-Identifier: GPL-2.0
/*
 * Versions of files (abi/call.h): as long as one holds, nobody can have written to
 * the file since it was given, and the co-kernel may keep what it read. The end of a
 * version is written to the shared region before whoever opens the file for writing
 * has its descriptor; a file that is open for writing has none. Linux tells of it
 * by fsnotify: FS_OPEN, and FS_MODIFY for truncate(2) and for writers inside the
 * kernel, who open nothing.
 *
 * Each partition has a group, with a mark in the inode of each file. A mark does not
 * hold its inode: it goes with it, and the version too.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/magic.h>
#include <linux/slab.h>

#include "outrigger.h"

#define GFS2_MAGIC  0x01161970
#define OCFS2_MAGIC 0x7461636f

struct otr_version {
	struct fsnotify_mark mark;
	struct otr_partition *p;
	struct list_head link;       /* p->versions, the least recently wanted first; empty: going */
	u32 slot;
	u32 number;                  /* 0: ended */
	loff_t size;                 /* of the file when it was given */
	struct timespec64 mtime, ctime;
};

static struct otr_version *version_of(struct fsnotify_mark *mark)
{
	return container_of(mark, struct otr_version, mark);
}

/* version_lock held. The partition's shared region is there as long as versions are listed. */
static void end_locked(struct otr_version *v)
{
	if (v->number)
		WRITE_ONCE(v->p->sh.versions[v->slot], 0);
	v->number = 0;
}

/* Ends it for good; false if that was done before. version_lock held. */
static bool unlist_locked(struct otr_version *v)
{
	if (list_empty(&v->link))
		return false;
	end_locked(v);
	list_del_init(&v->link);
	__clear_bit(v->slot, v->p->version_map);
	return true;
}

/* The list's reference is the caller's now, if true. */
static bool unlist(struct otr_version *v)
{
	bool listed;

	spin_lock(&v->p->version_lock);
	listed = unlist_locked(v);
	spin_unlock(&v->p->version_lock);
	return listed;
}

/* ---- What Linux tells ---- */

static int on_event(struct fsnotify_mark *mark, u32 mask, struct inode *inode, struct inode *dir,
		    const struct qstr *name, u32 cookie)
{
	struct otr_version *v = version_of(mark);

	if (!(mask & FS_MODIFY) && inode && !inode_is_open_for_write(inode))
		return 0;
	spin_lock(&v->p->version_lock);
	end_locked(v);
	spin_unlock(&v->p->version_lock);
	return 0;
}

/* The inode goes, its file system does, or a mark is removed here. */
static void on_freeing(struct fsnotify_mark *mark, struct fsnotify_group *group)
{
	if (unlist(version_of(mark)))
		fsnotify_put_mark(mark);
}

static void on_free(struct fsnotify_mark *mark)
{
	kfree(version_of(mark));
}

static const struct fsnotify_ops version_ops = {
	.handle_inode_event = on_event,
	.freeing_mark = on_freeing,
	.free_mark = on_free,
};

/* ---- Giving them ---- */

/* Whether all writers pass through this kernel: not where another machine, or a
 * program, may change a file underneath. */
static bool is_ours_alone(const struct super_block *sb)
{
	switch (sb->s_magic) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	case FUSE_SUPER_MAGIC:
	case GFS2_MAGIC:
	case OCFS2_MAGIC:
		return false;
	default:
		return sb->s_type->fs_flags & FS_REQUIRES_DEV;
	}
}

/* Takes the one that was wanted longest ago out of the list, and its mark out of the
 * inode; false if there is none. version_mutex held. */
static bool forget_oldest(struct otr_partition *p)
{
	struct otr_version *v;

	spin_lock(&p->version_lock);
	v = list_first_entry_or_null(&p->versions, struct otr_version, link);
	/* A reference of our own cannot be had: the list's becomes it. */
	if (v)
		unlist_locked(v);
	spin_unlock(&p->version_lock);
	if (!v)
		return false;
	fsnotify_destroy_mark(&v->mark, p->version_group);
	fsnotify_put_mark(&v->mark);
	return true;
}

/* version_mutex held. The list has the reference; the mark stays as long as the caller
 * has the file open. */
static struct otr_version *make(struct otr_partition *p, struct inode *inode)
{
	struct otr_version *v = kzalloc(sizeof(*v), GFP_KERNEL);
	u32 slot;

	if (!v)
		return NULL;
	for (;;) {
		spin_lock(&p->version_lock);
		slot = find_first_zero_bit(p->version_map, OTR_VERSIONS);
		if (slot < OTR_VERSIONS)
			__set_bit(slot, p->version_map);
		spin_unlock(&p->version_lock);
		if (slot < OTR_VERSIONS)
			break;
		forget_oldest(p);
	}
	v->p = p;
	v->slot = slot;
	fsnotify_init_mark(&v->mark, p->version_group);
	v->mark.mask = FS_OPEN | FS_MODIFY;
	v->mark.flags |= FSNOTIFY_MARK_FLAG_NO_IREF;
	spin_lock(&p->version_lock);
	list_add_tail(&v->link, &p->versions);
	spin_unlock(&p->version_lock);
	if (!fsnotify_add_inode_mark(&v->mark, inode, 0))
		return v;
	unlist(v);
	fsnotify_put_mark(&v->mark);
	return NULL;
}

static bool is_changed(const struct otr_version *v, const struct inode *inode)
{
	struct timespec64 mtime = otr_inode_mtime(inode), ctime = otr_inode_ctime(inode);

	return v->size != i_size_read(inode) || !timespec64_equal(&v->mtime, &mtime) ||
	       !timespec64_equal(&v->ctime, &ctime);
}

/* The number that holds now; 0: none. */
static u32 number_of(struct otr_partition *p, struct otr_version *v, struct inode *inode)
{
	u32 number;

	spin_lock(&p->version_lock);
	if (!list_empty(&v->link)) {
		list_move_tail(&v->link, &p->versions);
		if (!v->number || is_changed(v, inode)) {
			v->size = i_size_read(inode);
			v->mtime = otr_inode_mtime(inode);
			v->ctime = otr_inode_ctime(inode);
			v->number = ++p->last_version ?: ++p->last_version;
			WRITE_ONCE(p->sh.versions[v->slot], v->number);
		}
	}
	number = v->number;
	spin_unlock(&p->version_lock);
	/* Whoever becomes a writer after this look finds the number in on_event(). */
	smp_mb();
	if (!inode_is_open_for_write(inode))
		return number;
	spin_lock(&p->version_lock);
	end_locked(v);
	spin_unlock(&p->version_lock);
	return 0;
}

/* The version of what `file` contains now, for the co-kernel; number 0: it has none. A
 * context of the partition is held. */
void otr_version_get(struct otr_partition *p, struct file *file, u32 *slot, u32 *number)
{
	struct inode *inode = file_inode(file);
	struct fsnotify_mark *mark;
	struct otr_version *v;

	*slot = *number = 0;
	if (!S_ISREG(inode->i_mode) || !is_ours_alone(inode->i_sb) || inode_is_open_for_write(inode))
		return;
	mutex_lock(&p->version_mutex);
	mark = p->version_group ? otr_find_inode_mark(inode, p->version_group) : NULL;
	v = mark ? version_of(mark) : p->version_group ? make(p, inode) : NULL;
	if (v) {
		*slot = v->slot;
		*number = number_of(p, v, inode);
	}
	if (mark)
		fsnotify_put_mark(mark);
	mutex_unlock(&p->version_mutex);
}

/* ---- With the partition ---- */

void otr_versions_init(struct otr_partition *p)
{
	mutex_init(&p->version_mutex);
	spin_lock_init(&p->version_lock);
	INIT_LIST_HEAD(&p->versions);
}

/* Before a boot. Without a group the co-kernel keeps no pages, and all else goes on. */
int otr_versions_setup(struct otr_partition *p)
{
	struct fsnotify_group *group = fsnotify_alloc_group(&version_ops, OTR_FSNOTIFY_FLAGS);

	if (IS_ERR(group))
		return PTR_ERR(group);
	mutex_lock(&p->version_mutex);
	p->version_group = group;
	p->last_version = 0;
	bitmap_zero(p->version_map, OTR_VERSIONS);
	mutex_unlock(&p->version_mutex);
	return 0;
}

/* No context is left. Nobody writes to the shared region when it returns. */
void otr_versions_teardown(struct otr_partition *p)
{
	struct fsnotify_group *group;

	mutex_lock(&p->version_mutex);
	group = p->version_group;
	while (group && forget_oldest(p))
		;
	p->version_group = NULL;
	mutex_unlock(&p->version_mutex);
	if (!group)
		return;
	fsnotify_put_group(group);
	/* Events that were on their way, too. */
	fsnotify_wait_marks_destroyed();
}
