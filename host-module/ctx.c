// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts come and go: an open file of /dev/outrigger-run attaches to a running
 * partition, its program ends, the proxy ends, the partition ends, in any order.
 *
 * One worker, release_work, takes a context apart, whoever asked for it: it has
 * the co-kernel end the program, waits until Linux holds nothing of its memory,
 * lets the co-kernel free it, and gives back the pages of AREA_CONTEXTS.
 */
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ctx.h"

#define OTR_FS_MAGIC 0x4f545247
#define SIGKILL_STATUS 9u
#define EXIT_TIMEOUT_MS 10000

static struct vfsmount *mount;

/* ---- Pages of AREA_CONTEXTS ---- */

int otr_ctx_page_alloc(struct otr_partition *p, u32 *page)
{
	int ret = -ENOSPC;
	u32 n;

	mutex_lock(&p->ctx_lock);
	n = find_first_zero_bit(p->ctx_page_map, p->sh.ctx_pages);
	if (n < p->sh.ctx_pages) {
		__set_bit(n, p->ctx_page_map);
		*page = n;
		ret = 0;
	}
	mutex_unlock(&p->ctx_lock);
	if (!ret)
		memset(otr_ctx_page(p, n), 0, PAGE_SIZE);
	return ret;
}

void otr_ctx_page_free(struct otr_partition *p, u32 page)
{
	mutex_lock(&p->ctx_lock);
	__clear_bit(page, p->ctx_page_map);
	mutex_unlock(&p->ctx_lock);
}

void *otr_ctx_page(struct otr_partition *p, u32 page)
{
	return p->sh.contexts + (u64)page * PAGE_SIZE;
}

/* ---- Lifetime ---- */

static void ctx_free(struct kref *ref)
{
	struct otr_context *c = container_of(ref, struct otr_context, ref);

	otr_zap_fini(c);
	otr_files_fini(c);
	otr_share_fini(c);
	iput(c->inode);
	put_pid(c->pid);
	otr_partition_put(c->p);
	kfree(c);
}

void otr_ctx_get(struct otr_context *c)
{
	kref_get(&c->ref);
}

void otr_ctx_put(struct otr_context *c)
{
	kref_put(&c->ref, ctx_free);
}

static void set_exited(struct otr_context *c, u32 status)
{
	if (!c->exited) {
		c->status = status;
		smp_store_release(&c->exited, true);
	}
	otr_slots_wake(c);
	wake_up_all(&c->wait);
}

/* Asks for the release; any number of times, any context that may not sleep too. */
void otr_ctx_begin_release(struct otr_context *c)
{
	if (test_and_set_bit(0, &c->release_flag))
		return;
	WRITE_ONCE(c->closing, true);
	kref_get(&c->ref);
	queue_work(otr_wq, &c->release_work);
}

/* Kills the program; false if it has not ended in time. Sleeps. */
bool otr_ctx_kill(struct otr_context *c)
{
	struct otr_msg msg = { .type = OTR_MSG_PROC_KILL, .arg = { c->id, SIGKILL } };

	if (READ_ONCE(c->exited))
		return true;
	otr_request(c->p, &msg, NULL, EXIT_TIMEOUT_MS, false);
	return wait_event_timeout(c->wait, READ_ONCE(c->exited), msecs_to_jiffies(EXIT_TIMEOUT_MS));
}

/* The program has ended in the co-kernel, or the partition is over. */
static void end_program(struct otr_context *c)
{
	if (!otr_ctx_kill(c))
		otr_crash(c->p, "program %u did not end within %u s of being killed", c->id,
			  EXIT_TIMEOUT_MS / 1000);
	/* the crash, or its cause, marks every context exited */
	wait_event(c->wait, READ_ONCE(c->exited));
}

static bool own_pages_pinned(struct otr_context *c)
{
	bool pinned = otr_page_pinned(virt_to_page(otr_ctx_page(c->p, c->mailbox_page)));
	u32 i;

	for (i = 0; i < c->slot_pages; i++)
		pinned |= otr_page_pinned(virt_to_page(c->slots[i]->slot));
	return pinned;
}

static void wait_unpinned(struct otr_context *c)
{
	unsigned int ms = 1;

	while (!otr_zap_everything(c) || own_pages_pinned(c)) {
		msleep(ms);
		ms = min(ms * 2, 500u);
	}
}

static void reap(struct otr_context *c)
{
	struct otr_msg msg = { .type = OTR_MSG_PROC_REAP, .arg = { c->id } };
	int ret;

	if (READ_ONCE(c->dead))
		return;
	ret = otr_request(c->p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, false);
	if (ret && ret != -EIO)
		otr_crash(c->p, "program %u was not freed after its end (error %d)", c->id, ret);
}

static void unlink_context(struct otr_context *c)
{
	struct otr_partition *p = c->p;

	otr_slots_free(c);
	if (c->has_debug_page)
		otr_ctx_page_free(p, c->debug_page);
	otr_ctx_page_free(p, c->mailbox_page);
	otr_ctx_page_free(p, c->private_page);
	mutex_lock(&p->ctx_lock);
	list_del_init(&c->link);
	mutex_unlock(&p->ctx_lock);
	atomic_dec(&p->ctx_count);
	otr_pairs_end(p);
	wake_up_all(&p->ctx_wait);
	otr_ctx_put(c);	/* the list's */
}

static void release_work(struct work_struct *work)
{
	struct otr_context *c = container_of(work, struct otr_context, release_work);

	otr_slots_wake(c);
	wake_up_all(&c->wait);
	end_program(c);
	down_write(&c->life);	/* waits for calls and faults under way */
	c->detached = true;
	up_write(&c->life);
	cancel_work_sync(&c->stop_work);
	cancel_delayed_work_sync(&c->zap_work);
	otr_share_end(c);
	wait_unpinned(c);
	reap(c);
	unlink_context(c);
	otr_ctx_put(c);		/* the work's */
}

/* ---- What the co-kernel and the partition tell ---- */

static struct otr_context *find(struct otr_partition *p, u32 id)
{
	struct otr_context *c;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link) {
		if (c->id == id) {
			kref_get(&c->ref);
			mutex_unlock(&p->ctx_lock);
			return c;
		}
	}
	mutex_unlock(&p->ctx_lock);
	return NULL;
}

void otr_ctx_exit(struct otr_partition *p, u32 id, u32 status)
{
	struct otr_context *c = find(p, id);

	if (!c) {
		otr_crash(p, "protocol error: program %u, which does not exist, ended", id);
		return;
	}
	set_exited(c, status & 0xffff);
	otr_ctx_put(c);
}

/* Whether there is such a program. */
bool otr_ctx_zap_hint(struct otr_partition *p, u32 id)
{
	struct otr_context *c = find(p, id);

	if (!c)
		return false;
	/* A release that is under way zaps everything; it may be waiting for a
	 * thread that waits for the doorbell thread, which we are. */
	if (down_read_trylock(&c->life)) {
		if (!c->detached)
			mod_delayed_work(otr_wq, &c->zap_work, 0);
		up_read(&c->life);
	}
	otr_ctx_put(c);
	return true;
}

/* The partition is no longer live: every program in it is over. */
void otr_ctx_crashed(struct otr_partition *p)
{
	struct otr_context *c;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link) {
		WRITE_ONCE(c->dead, true);
		wake_up_all(&c->fetch_wait);
		set_exited(c, SIGKILL_STATUS);
		/* Its threads may all be in calls that block. */
		if (c->killed_too)
			kill_pid(c->pid, SIGKILL, 1);
	}
	mutex_unlock(&p->ctx_lock);
}

/* Whether there is such a program. */
bool otr_ctx_debug_event(struct otr_partition *p, u32 id)
{
	struct otr_context *c = find(p, id);

	if (!c)
		return false;
	WRITE_ONCE(c->debug_event, true);
	wake_up_all(&c->wait);
	otr_ctx_put(c);
	return true;
}

/* The program of p whose proxy is pid, with a reference; NULL. */
struct otr_context *otr_ctx_of_pid(struct otr_partition *p, struct pid *pid)
{
	struct otr_context *c;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link) {
		if (c->pid == pid && !otr_ctx_over(c)) {
			kref_get(&c->ref);
			mutex_unlock(&p->ctx_lock);
			return c;
		}
	}
	mutex_unlock(&p->ctx_lock);
	return NULL;
}

/* Which program of the same partition a process, or the process of a thread, is; 0: of none. */
int otr_ctx_of(struct file *file, struct otr_ioc_of *req, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note), *found = NULL;
	struct task_struct *task;
	struct pid *pid;

	if (IS_ERR(c))
		return PTR_ERR(c);
	pid = find_get_pid(req->pid);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (task) {
		found = otr_ctx_of_pid(c->p, task_tgid(task));
		put_task_struct(task);
	}
	req->context = found ? found->id : 0;
	if (found)
		otr_ctx_put(found);
	otr_ctx_leave(c);
	return 0;
}

static bool is_stopped(struct otr_context *c)
{
	struct task_struct *t;
	bool stopped;

	rcu_read_lock();
	t = pid_task(c->pid, PIDTYPE_TGID);
	stopped = t && (READ_ONCE(t->signal->flags) & SIGNAL_STOP_STOPPED);
	rcu_read_unlock();
	return stopped;
}

/* Watchdog: a stopped proxy stops its program, and back. */
void otr_ctx_poll(struct otr_partition *p)
{
	struct otr_context *c;
	bool stopped;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link) {
		stopped = is_stopped(c);
		if (stopped == c->stop_wanted || otr_ctx_over(c))
			continue;
		c->stop_wanted = stopped;
		queue_work(otr_wq, &c->stop_work);
	}
	mutex_unlock(&p->ctx_lock);
}

/* Memory is about to leave the partition: no context may have it mapped. */
int otr_ctx_unmap_range(struct otr_partition *p, u64 phys, u64 bytes)
{
	struct otr_context *c;
	int ret = 0;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link) {
		ret = otr_zap_phys(c, phys, bytes);
		if (ret)
			break;
	}
	mutex_unlock(&p->ctx_lock);
	return ret;
}

/* op_lock held, before a boot; no context is left of the last one. */
int otr_ctx_setup(struct otr_partition *p)
{
	bitmap_free(p->ctx_page_map);
	kvfree(p->slot_page);
	p->ctx_page_map = bitmap_zalloc(p->sh.ctx_pages, GFP_KERNEL);
	p->slot_page = kvcalloc(p->sh.ctx_pages, sizeof(*p->slot_page), GFP_KERNEL);
	p->slot_page_end = 0;
	return p->ctx_page_map && p->slot_page ? otr_versions_setup(p) : -ENOMEM;
}

/* op_lock held, partition quiet. -EBUSY: Linux still holds pins. */
int otr_ctx_teardown(struct otr_partition *p, u32 timeout_ms)
{
	struct otr_context *c;

	mutex_lock(&p->ctx_lock);
	list_for_each_entry(c, &p->contexts, link)
		otr_ctx_begin_release(c);
	mutex_unlock(&p->ctx_lock);
	if (!wait_event_timeout(p->ctx_wait, !atomic_read(&p->ctx_count),
				msecs_to_jiffies(timeout_ms)))
		return -EBUSY;
	otr_versions_teardown(p);
	mutex_lock(&p->ctx_lock);
	bitmap_free(p->ctx_page_map);
	kvfree(p->slot_page);
	p->ctx_page_map = NULL;
	p->slot_page = NULL;
	mutex_unlock(&p->ctx_lock);
	return 0;
}

/* ---- Attaching ---- */

static struct otr_context *ctx_alloc(struct otr_partition *p, struct inode *inode)
{
	struct otr_context *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return NULL;
	kref_init(&c->ref);
	INIT_LIST_HEAD(&c->link);
	init_rwsem(&c->life);
	mutex_init(&c->twin_lock);
	init_waitqueue_head(&c->wait);
	mutex_init(&c->debug_lock);
	INIT_WORK(&c->release_work, release_work);
	INIT_WORK(&c->stop_work, otr_ctx_stop_work);
	otr_zap_init(c);
	otr_files_init(c);
	otr_share_init(c);
	get_device(&p->dev);
	c->p = p;
	ihold(inode);
	c->inode = inode;
	c->tgid = task_tgid_vnr(current);
	c->pid = get_task_pid(current, PIDTYPE_TGID);
	return c;
}

static int take_pages(struct otr_context *c, struct otr_note *note)
{
	int ret = otr_ctx_page_alloc(c->p, &c->private_page);

	if (ret)
		goto full;
	ret = otr_ctx_page_alloc(c->p, &c->mailbox_page);
	if (ret)
		goto free_private;
	c->priv = otr_ctx_page(c->p, c->private_page);
	if (IS_ERR(otr_slots_alloc(c, note))) {
		ret = -ENOSPC;
		goto free_mailbox;
	}
	return 0;
free_mailbox:
	otr_ctx_page_free(c->p, c->mailbox_page);
free_private:
	otr_ctx_page_free(c->p, c->private_page);
full:
	return otr_refuse(note, ret, "%s has no room for another program", c->p->name);
}

/* The lock keeps a boot or a teardown from passing between the check of the
 * state and the linking. */
static int link_context(struct otr_context *c, struct otr_note *note)
{
	struct otr_partition *p = c->p;
	int ret;

	if (mutex_lock_killable(&p->op_lock))
		return -EINTR;
	if (otr_state(p) != OTR_PART_RUNNING) {
		ret = otr_refuse(note, -ENODEV, "%s is %s, not running", p->name,
				 otr_state_name(otr_state(p)));
		goto unlock;
	}
	ret = take_pages(c, note);
	if (ret)
		goto unlock;
	kref_get(&c->ref);
	mutex_lock(&p->ctx_lock);
	c->id = ++p->next_context;
	list_add_tail(&c->link, &p->contexts);
	mutex_unlock(&p->ctx_lock);
	atomic_inc(&p->ctx_count);
	if (!(OTR_IN(otr_state(p)) & OTR_LIVE))
		otr_ctx_crashed(p);
unlock:
	mutex_unlock(&p->op_lock);
	return ret;
}

/* Has the co-kernel make its side. On failure the context is released. */
static int create_remote(struct otr_context *c, struct otr_note *note)
{
	struct otr_msg reply, msg = {
		.type = OTR_MSG_PROC_CREATE,
		.arg = { c->id, c->private_page, c->mailbox_page, c->slots[0]->page,
			 (u32)c->tgid | (u64)from_kuid(&init_user_ns, current_uid()) << 32 },
	};
	int ret = otr_request(c->p, &msg, &reply, OTR_REQUEST_TIMEOUT_MS, true);

	if (ret && ret != -ETIMEDOUT && ret != -EINTR) {
		set_exited(c, SIGKILL_STATUS);
		WRITE_ONCE(c->dead, true);	/* nothing to reap */
	}
	if (ret) {
		otr_ctx_begin_release(c);
		return otr_refuse(note, ret, "the co-kernel of %s made no process (error %d)",
				  c->p->name, ret);
	}
	c->root_phys = reply.arg[1];
	if (!IS_ALIGNED(c->root_phys, PAGE_SIZE) ||
	    !otr_memory_owns(c->p, c->root_phys, PAGE_SIZE, NULL)) {
		otr_crash(c->p, "protocol error: page table of program %u at %#llx", c->id, c->root_phys);
		otr_ctx_begin_release(c);
		return otr_refuse(note, -EIO, "%s crashed", c->p->name);
	}
	return 0;
}

static int attach(struct otr_file *f, struct otr_ioc_attach *req, struct otr_note *note)
{
	struct otr_partition *p;
	struct otr_context *c;
	int ret = otr_partition_get_to_run(req->name, &p, note);

	if (ret)
		return ret;
	ret = -ENOMEM;
	c = ctx_alloc(p, f->inode);
	if (!c)
		goto put;
	c->killed_too = req->flags & OTR_ATTACH_KILL;
	ret = link_context(c, note);
	if (!ret)
		ret = create_remote(c, note);
	if (ret) {
		otr_ctx_put(c);
		goto put;
	}
	f->ctx = c;
	req->context = c->id;
	req->mailbox_page = c->mailbox_page;
	req->slot_page = c->slots[0]->page;
put:
	otr_partition_put(p);
	return ret;
}

int otr_ctx_attach(struct file *file, struct otr_ioc_attach *req, struct otr_note *note)
{
	struct otr_file *f = file->private_data;
	int ret;

	if (mutex_lock_killable(&f->lock))
		return -EINTR;
	ret = f->ctx || f->debugs ? otr_refuse(note, -EBUSY, "this file is in use already") :
				    attach(f, req, note);
	mutex_unlock(&f->lock);
	return ret;
}

/* The caller must be the process that attached: a forked child is another one. */
struct otr_context *otr_ctx_enter(struct file *file, struct otr_note *note)
{
	struct otr_file *f = file->private_data;
	struct otr_context *c = READ_ONCE(f->ctx);

	if (!c) {
		otr_refuse(note, -EINVAL, "this file is no context yet");
		return ERR_PTR(-EINVAL);
	}
	if (task_tgid(current) != c->pid) {
		otr_refuse(note, -EPERM, "this context belongs to another process");
		return ERR_PTR(-EPERM);
	}
	if (down_read_killable(&c->life))
		return ERR_PTR(-EINTR);
	return c;
}

void otr_ctx_leave(struct otr_context *c)
{
	up_read(&c->life);
}

/* ---- Files ---- */

int otr_ctx_open(struct file *file)
{
	struct otr_file *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	mutex_init(&f->lock);
	f->inode = alloc_anon_inode(mount->mnt_sb);
	if (IS_ERR(f->inode)) {
		int ret = PTR_ERR(f->inode);

		kfree(f);
		return ret;
	}
	f->inode->i_flags |= S_DAX;	/* huge faults and pins; see ctx_vm.c */
	file->f_mapping = f->inode->i_mapping;
	file->f_wb_err = filemap_sample_wb_err(file->f_mapping);
	file->private_data = f;
	return 0;
}

void otr_ctx_close(struct file *file)
{
	struct otr_file *f = file->private_data;

	otr_debug_close(f);
	if (f->ctx) {
		otr_ctx_begin_release(f->ctx);
		/* We are the proxy on its way out, mostly: whoever waits for it may rely on its
		 * program reading and writing no more. end_program() sees to what takes longer. */
		wait_event_timeout(f->ctx->wait, READ_ONCE(f->ctx->exited), msecs_to_jiffies(EXIT_TIMEOUT_MS));
		otr_ctx_put(f->ctx);
	}
	iput(f->inode);
	kfree(f);
}

static int fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, OTR_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: our own mount must not keep the module from going. */
static struct file_system_type fs_type = {
	.name = "outrigger",
	.init_fs_context = fs_init_context,
	.kill_sb = kill_anon_super,
};

int otr_ctx_init(void)
{
	mount = kern_mount(&fs_type);
	return PTR_ERR_OR_ZERO(mount);
}

void otr_ctx_fini(void)
{
	kern_unmount(mount);
}
