// SPDX-License-Identifier: GPL-2.0
/*
 * Debuggers: an open file of /dev/outrigger-run that looks at the program of another.
 * Requests go to the co-kernel with a page for their data, which the context keeps
 * from its first debugger on. Memory is none of ours: the program's is its proxy's,
 * and Linux has calls for that, with rights of their own.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "ctx.h"

#define DEBUG_TIMEOUT_MS 2000

/* As for ptrace(2): all user and group ids of the process are the caller's, and it may
 * be dumped; or the caller has the capability. */
static bool may_debug(struct pid *pid)
{
	const struct cred *mine = current_cred(), *its;
	struct task_struct *t = get_pid_task(pid, PIDTYPE_TGID);
	struct mm_struct *mm;
	bool same, dumpable = false, capable;

	if (!t)
		return false;
	mm = get_task_mm(t);
	if (mm) {
		dumpable = (READ_ONCE(mm->flags) & MMF_DUMPABLE_MASK) == SUID_DUMP_USER;
		mmput(mm);
	}
	rcu_read_lock();
	its = __task_cred(t);
	same = uid_eq(mine->uid, its->uid) && uid_eq(mine->uid, its->euid) && uid_eq(mine->uid, its->suid) &&
	       gid_eq(mine->gid, its->gid) && gid_eq(mine->gid, its->egid) && gid_eq(mine->gid, its->sgid) &&
	       cap_issubset(its->cap_permitted, mine->cap_permitted);
	capable = ns_capable(its->user_ns, CAP_SYS_PTRACE);
	rcu_read_unlock();
	put_task_struct(t);
	return capable || (same && dumpable);
}

/* life and debug_lock held. */
static int request(struct otr_context *c, struct otr_ioc_debug *req)
{
	struct otr_msg reply, msg = {
		.type = OTR_MSG_DEBUG,
		.arg = { c->id, req->op, c->debug_page, req->arg[0], req->arg[1], req->arg[2] },
	};
	int ret;

	if (c->detached || otr_ctx_over(c))
		return -ESRCH;
	ret = otr_request(c->p, &msg, &reply, DEBUG_TIMEOUT_MS, false);
	req->result = ret ? 0 : reply.arg[1];
	return ret;
}

static int begin(struct otr_context *c, struct otr_note *note)
{
	struct otr_ioc_debug attach = { .op = OTR_DEBUG_ATTACH };
	int ret = 0;

	down_read(&c->life);
	mutex_lock(&c->debug_lock);
	if (c->debugged)
		ret = otr_refuse(note, -EBUSY, "the program has a debugger already");
	if (!ret && !c->has_debug_page && !c->detached) {
		ret = otr_ctx_page_alloc(c->p, &c->debug_page);
		if (ret)
			otr_refuse(note, ret, "%s has no room for a debugger", c->p->name);
		else
			c->has_debug_page = true;
	}
	if (!ret) {
		WRITE_ONCE(c->debug_event, false);
		ret = request(c, &attach);
		c->debugged = !ret;
		if (ret)
			otr_refuse(note, ret, "the co-kernel lets nobody debug the program (error %d)", ret);
	}
	mutex_unlock(&c->debug_lock);
	up_read(&c->life);
	return ret;
}

static int attach(struct otr_file *f, struct otr_ioc_debug_attach *req, struct otr_note *note)
{
	struct otr_partition *p;
	struct otr_context *c = NULL;
	struct pid *pid;
	int ret = otr_partition_get_to_run(req->name, &p, note);

	if (ret)
		return ret;
	pid = find_get_pid(req->pid);
	if (pid)
		c = otr_ctx_of_pid(p, pid);
	ret = !c ? otr_refuse(note, -ESRCH, "no program of %s has the pid %u", p->name, req->pid) :
	      !may_debug(pid) ? otr_refuse(note, -EPERM, "no permission to debug process %u", req->pid) :
	      begin(c, note);
	put_pid(pid);
	if (ret && c)
		otr_ctx_put(c);
	else if (!ret)
		f->debugs = c;
	otr_partition_put(p);
	return ret;
}

int otr_debug_attach(struct file *file, struct otr_ioc_debug_attach *req, struct otr_note *note)
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

static void take_event(struct otr_context *c, struct otr_ioc_debug *req)
{
	req->result = xchg(&c->debug_event, false);
	if (!READ_ONCE(c->exited))
		return;
	req->result = 2;
	req->arg[0] = c->status;
}

static int with_data(struct otr_context *c, struct otr_ioc_debug *req)
{
	bool in = req->op == OTR_DEBUG_SET || req->op == OTR_DEBUG_RESUME, out = req->op == OTR_DEBUG_THREAD;
	void __user *data = u64_to_user_ptr(req->data);
	void *page = otr_ctx_page(c->p, c->debug_page);
	int ret;

	if (in && copy_from_user(page, data, PAGE_SIZE))
		return -EFAULT;
	ret = request(c, req);
	if (!ret && out && req->result && copy_to_user(data, page, PAGE_SIZE))
		ret = -EFAULT;
	return ret;
}

int otr_debug(struct file *file, struct otr_ioc_debug *req, struct otr_note *note)
{
	struct otr_file *f = file->private_data;
	struct otr_context *c = READ_ONCE(f->debugs);
	int ret = -ESRCH;

	req->result = 0;
	if (!c)
		return otr_refuse(note, -EINVAL, "this file is no debugger yet");
	if (!req->op || req->op > OTR_DEBUG_KILL)
		return otr_refuse(note, -EINVAL, "no request %u of a debugger", req->op);
	if (req->op == OTR_DEBUG_EVENT) {
		take_event(c, req);
		return 0;
	}
	if (down_read_killable(&c->life))
		return -EINTR;
	if (!mutex_lock_killable(&c->debug_lock)) {
		if (!c->detached)
			ret = with_data(c, req);
		mutex_unlock(&c->debug_lock);
	}
	up_read(&c->life);
	return ret;
}

__poll_t otr_debug_poll(struct file *file, struct poll_table_struct *table)
{
	struct otr_file *f = file->private_data;
	struct otr_context *c = READ_ONCE(f->debugs);

	if (!c)
		return EPOLLERR;
	poll_wait(file, &c->wait, table);
	return READ_ONCE(c->debug_event) || READ_ONCE(c->exited) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* The file goes, whoever had it: the program goes on. */
void otr_debug_close(struct otr_file *f)
{
	struct otr_ioc_debug detach = { .op = OTR_DEBUG_DETACH };
	struct otr_context *c = f->debugs;

	if (!c)
		return;
	down_read(&c->life);
	mutex_lock(&c->debug_lock);
	request(c, &detach);
	c->debugged = false;
	mutex_unlock(&c->debug_lock);
	up_read(&c->life);
	otr_ctx_put(c);
}
