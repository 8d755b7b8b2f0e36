// SPDX-License-Identifier: GPL-2.0
/*
 * Partitions and their state machine:
 *
 *   created -> loaded -> booting -> running -> stopping -> stopped
 *                 ^         |          |           |          |
 *                 +- fails -+          +-> crashed <          |
 *                 +------- load, boot again ------+-----------+
 *
 * `state` and `reason` change under state_lock only, through otr_state_move()
 * and otr_crash(). An administrative operation holds op_lock from its checks to
 * its end, so two commands on one partition follow each other. A crash does not
 * wait for op_lock: it marks the state at once, and a worker stops the CPUs and
 * wakes whoever waits for the co-kernel. The lock order is in outrigger.h.
 */
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "outrigger.h"

#define SHUTDOWN_DEFAULT_MS 10000

static DEFINE_MUTEX(otr_list_lock);
static LIST_HEAD(partitions);
struct workqueue_struct *otr_wq;

int otr_refuse(struct otr_note *note, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vscnprintf(note->text, sizeof(note->text), fmt, ap);
	va_end(ap);
	return err;
}

/* ---- State ---- */

const char *otr_state_name(u32 state)
{
	static const char *const name[] = {
		[OTR_PART_CREATED] = "created", [OTR_PART_LOADED] = "loaded",
		[OTR_PART_BOOTING] = "booting", [OTR_PART_RUNNING] = "running",
		[OTR_PART_STOPPING] = "stopping", [OTR_PART_STOPPED] = "stopped",
		[OTR_PART_CRASHED] = "crashed",
	};

	return state < ARRAY_SIZE(name) ? name[state] : "unknown";
}

u32 otr_state(struct otr_partition *p)
{
	return READ_ONCE(p->state);
}

void otr_state_reason(struct otr_partition *p, char *to, size_t bytes)
{
	unsigned long flags;

	spin_lock_irqsave(&p->state_lock, flags);
	strscpy(to, p->reason, bytes);
	spin_unlock_irqrestore(&p->state_lock, flags);
}

/* Moves to a state from one of from_mask; false if it is in none of them.
 * reason replaces the old one, NULL keeps it. Any context. */
bool otr_state_move(struct otr_partition *p, u32 from_mask, u32 to, const char *reason)
{
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&p->state_lock, flags);
	ok = OTR_IN(p->state) & from_mask;
	if (ok) {
		WRITE_ONCE(p->state, to);
		if (reason)
			strscpy(p->reason, reason, sizeof(p->reason));
	}
	spin_unlock_irqrestore(&p->state_lock, flags);
	if (ok) {
		wake_up_all(&p->state_wait);
		queue_work(otr_wq, &p->event_work);
	}
	return ok;
}

/* Text from a co-kernel is printed as one line of plain characters. */
static void make_plain(char *s)
{
	for (; *s; s++)
		if (!isascii(*s) || !isprint(*s))
			*s = ' ';
}

void otr_crash(struct otr_partition *p, const char *fmt, ...)
{
	char reason[sizeof(p->reason)];
	va_list ap;

	va_start(ap, fmt);
	vscnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	make_plain(reason);
	if (!otr_state_move(p, OTR_LIVE, OTR_PART_CRASHED, reason))
		return;
	otr_pr(err, p, "crashed: %s\n", reason);
	queue_work(otr_wq, &p->crash_work);
}

/* Looks whether the status area tells of an end that nobody asked for. What it
 * says while booting is read_status()'s to judge. Any context. */
void otr_crash_status(struct otr_partition *p)
{
	struct otr_status *s = p->sh.status;
	u32 state = otr_state(p), claim = smp_load_acquire(&s->state);
	char reason[sizeof(s->reason)];

	if (state != OTR_PART_RUNNING && state != OTR_PART_STOPPING)
		return;
	if (claim == OTR_CK_RUNNING || (claim == OTR_CK_STOPPED && state == OTR_PART_STOPPING))
		return;
	memcpy(reason, s->reason, sizeof(reason));
	reason[sizeof(reason) - 1] = 0;
	if (claim == OTR_CK_PANIC)
		otr_crash(p, "panic: %s", reason);
	else if (claim == OTR_CK_STOPPED)
		otr_crash(p, "the co-kernel stopped without being asked");
	else
		otr_crash(p, "protocol error: status %u while %s", claim, otr_state_name(state));
}

static void crash_work(struct work_struct *work)
{
	struct otr_partition *p = container_of(work, struct otr_partition, crash_work);

	otr_cpu_stop_all(p, true);
	otr_chan_close(p);
	otr_ctx_crashed(p);
}

static void event_work(struct work_struct *work)
{
	otr_sysfs_changed(container_of(work, struct otr_partition, event_work));
}

/* ---- Names and references ---- */

static struct otr_partition *find(const char *name)
{
	struct otr_partition *p;

	list_for_each_entry(p, &partitions, link)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

struct otr_partition *otr_partition_get(const char *name)
{
	struct otr_partition *p;

	mutex_lock(&otr_list_lock);
	p = find(name);
	if (p)
		get_device(&p->dev);
	mutex_unlock(&otr_list_lock);
	return p;
}

void otr_partition_put(struct otr_partition *p)
{
	put_device(&p->dev);
}

int otr_partition_lock(struct otr_partition *p, struct otr_note *note)
{
	if (mutex_lock_killable(&p->op_lock))
		return -EINTR;
	if (!p->gone)
		return 0;
	mutex_unlock(&p->op_lock);
	return otr_refuse(note, -ENOENT, "partition %s was destroyed", p->name);
}

void otr_partition_unlock(struct otr_partition *p)
{
	mutex_unlock(&p->op_lock);
}

int otr_partition_count(void)
{
	struct otr_partition *p;
	int n = 0;

	mutex_lock(&otr_list_lock);
	list_for_each_entry(p, &partitions, link)
		n++;
	mutex_unlock(&otr_list_lock);
	return n;
}

/* Whether the caller has the rights `bits` (4 read the log, 1 run programs). */
int otr_partition_may(struct otr_partition *p, u32 bits)
{
	u32 have = p->mode & 7;

	if (capable(CAP_SYS_ADMIN))
		return 0;
	if (uid_eq(current_fsuid(), p->uid))
		have = p->mode >> 6;
	else if (in_group_p(p->gid))
		have = p->mode >> 3;
	return (have & bits) == bits ? 0 : -EACCES;
}

int otr_partition_get_to_run(const char *name, struct otr_partition **to, struct otr_note *note)
{
	struct otr_partition *p;
	int ret;

	if (strnlen(name, OTR_NAME_SIZE) == OTR_NAME_SIZE)
		return otr_refuse(note, -ENAMETOOLONG, "the partition's name does not end");
	p = otr_partition_get(name);
	if (!p)
		return otr_refuse(note, -ENOENT, "there is no partition %s", name);
	ret = otr_partition_may(p, 1);
	if (ret) {
		otr_refuse(note, ret, "no permission to run programs in %s", p->name);
		otr_partition_put(p);
		return ret;
	}
	*to = p;
	return 0;
}

static int check_name(const char *name, struct otr_note *note)
{
	size_t i, n = strnlen(name, OTR_NAME_SIZE);

	if (n == OTR_NAME_SIZE)
		return otr_refuse(note, -ENAMETOOLONG, "a name has at most %u characters",
				  OTR_NAME_SIZE - 1);
	for (i = 0; i < n; i++)
		if (!isascii(name[i]) ||
		    !(isalnum(name[i]) || (i && strchr("_.-", name[i]))))
			n = 0;
	if (!n)
		return otr_refuse(note, -EINVAL, "a name has letters, digits, '_', '.', '-' and begins with a letter or digit");
	return 0;
}

static void partition_release(struct device *dev)
{
	struct otr_partition *p = container_of(dev, struct otr_partition, dev);

	kfree(p);
	module_put(THIS_MODULE);
}

static struct otr_partition *partition_alloc(const struct otr_ioc_create *req)
{
	struct otr_partition *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return NULL;
	strscpy(p->name, req->name, sizeof(p->name));
	snprintf(p->irq_name, sizeof(p->irq_name), "outrigger-%s", p->name);
	p->uid = make_kuid(current_user_ns(), req->uid);
	p->gid = make_kgid(current_user_ns(), req->gid);
	p->mode = req->mode;
	mutex_init(&p->op_lock);
	mutex_init(&p->cpu_lock);
	mutex_init(&p->ctx_lock);
	init_rwsem(&p->shared_lock);
	spin_lock_init(&p->state_lock);
	spin_lock_init(&p->tx_lock);
	spin_lock_init(&p->req_lock);
	spin_lock_init(&p->ring_lock);
	spin_lock_init(&p->slot_lock);
	raw_spin_lock_init(&p->bell_lock);
	INIT_LIST_HEAD(&p->chunks);
	INIT_LIST_HEAD(&p->cpus);
	INIT_LIST_HEAD(&p->requests);
	INIT_LIST_HEAD(&p->contexts);
	INIT_LIST_HEAD(&p->clock_link);
	init_waitqueue_head(&p->state_wait);
	init_waitqueue_head(&p->ctx_wait);
	otr_pairs_init(p);
	INIT_WORK(&p->crash_work, crash_work);
	INIT_WORK(&p->event_work, event_work);
	INIT_DELAYED_WORK(&p->watchdog, otr_watchdog_work);
	otr_versions_init(p);
	return p;
}

int otr_partition_create(const struct otr_ioc_create *req, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = check_name(req->name, note);

	if (ret)
		return ret;
	if (req->mode & ~0770u)
		return otr_refuse(note, -EINVAL, "mode %o; only bits of 0770 exist", req->mode);
	if (!uid_valid(make_kuid(current_user_ns(), req->uid)) ||
	    !gid_valid(make_kgid(current_user_ns(), req->gid)))
		return otr_refuse(note, -EINVAL, "no such owner or group");
	mutex_lock(&otr_list_lock);
	if (find(req->name)) {
		ret = otr_refuse(note, -EEXIST, "partition %s exists already", req->name);
		goto unlock;
	}
	if (req->flags & OTR_DRY_RUN)
		goto unlock;
	ret = -ENOMEM;
	p = partition_alloc(req);
	if (!p)
		goto unlock;
	__module_get(THIS_MODULE);
	device_initialize(&p->dev);
	p->dev.class = &otr_class;
	p->dev.release = partition_release;
	ret = dev_set_name(&p->dev, "%s", p->name);
	if (!ret)
		ret = device_add(&p->dev);
	if (ret) {
		put_device(&p->dev);
		goto unlock;
	}
	list_add_tail(&p->link, &partitions);
	otr_pr(info, p, "created\n");
unlock:
	mutex_unlock(&otr_list_lock);
	return ret;
}

/* ---- The end ---- */

/* Stops CPUs, interrupt, clock, watchdog and requests: afterwards nobody runs in
 * the partition and nobody here writes to its shared region. op_lock held, the
 * state is no longer live. */
void otr_partition_quiet(struct otr_partition *p)
{
	otr_watchdog_stop(p);
	otr_chan_close(p);
	cancel_work_sync(&p->crash_work);
	otr_cpu_stop_all(p, otr_state(p) == OTR_PART_CRASHED);
	otr_doorbell_close(p);
	otr_clock_close(p);
	otr_ctx_crashed(p);
}

static int crashed(struct otr_partition *p, struct otr_note *note, const char *when)
{
	char reason[160];

	otr_state_reason(p, reason, sizeof(reason));
	return otr_refuse(note, -EIO, "%s crashed while %s: %s", p->name, when, reason);
}

static bool all_parked(struct otr_partition *p)
{
	struct otr_cpu *c;

	if (smp_load_acquire(&p->sh.status->state) != OTR_CK_STOPPED)
		return false;
	list_for_each_entry(c, &p->cpus, link)
		if (c->started && smp_load_acquire(&p->sh.cpu_status[c->index].state) != OTR_CPU_PARKED)
			return false;
	return true;
}

static int wait_parked(struct otr_partition *p, u32 timeout_ms, struct otr_note *note)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);

	while (!all_parked(p)) {
		if (otr_state(p) != OTR_PART_STOPPING)
			return crashed(p, note, "shutting down");
		if (time_after(jiffies, end))
			return otr_refuse(note, -ETIMEDOUT,
					  "%s did not stop within %u ms; `outrigger kill %s` stops it at once",
					  p->name, timeout_ms, p->name);
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(500, 1000);
	}
	return 0;
}

/* op_lock held. On a timeout the partition stays `stopping`: shutdown can be
 * repeated, kill and destroy work. */
int otr_partition_shutdown(struct otr_partition *p, u32 flags, u32 timeout_ms,
			   struct otr_note *note)
{
	struct otr_msg msg = { .type = OTR_MSG_SHUTDOWN };
	u32 state = otr_state(p);
	int ret;

	if (state != OTR_PART_RUNNING && state != OTR_PART_STOPPING)
		return otr_refuse(note, -EINVAL, "%s is %s, not running", p->name, otr_state_name(state));
	if (flags & OTR_DRY_RUN)
		return 0;
	if (!timeout_ms)
		timeout_ms = SHUTDOWN_DEFAULT_MS;
	if (otr_state_move(p, OTR_IN(OTR_PART_RUNNING), OTR_PART_STOPPING, NULL)) {
		ret = otr_request(p, &msg, NULL, timeout_ms, true);
		if (ret && ret != -ETIMEDOUT && otr_state(p) == OTR_PART_STOPPING) {
			otr_state_move(p, OTR_IN(OTR_PART_STOPPING), OTR_PART_RUNNING, NULL);
			return otr_refuse(note, ret, "the co-kernel of %s refused to shut down (error %d)",
					  p->name, ret);
		}
	}
	ret = wait_parked(p, timeout_ms, note);
	if (ret)
		return ret;
	if (!otr_state_move(p, OTR_IN(OTR_PART_STOPPING), OTR_PART_STOPPED, "shut down"))
		return crashed(p, note, "shutting down");
	otr_partition_quiet(p);
	otr_pr(info, p, "stopped\n");
	return 0;
}

/* op_lock held. */
int otr_partition_kill(struct otr_partition *p, u32 flags, struct otr_note *note)
{
	if (!(OTR_IN(otr_state(p)) & OTR_LIVE))
		return otr_refuse(note, -EINVAL, "%s is %s, not running", p->name,
				  otr_state_name(otr_state(p)));
	if (flags & OTR_DRY_RUN)
		return 0;
	otr_cpu_stop_all(p, true);
	otr_state_move(p, OTR_ANY, OTR_PART_STOPPED, "killed");
	otr_partition_quiet(p);
	otr_pr(info, p, "killed\n");
	return 0;
}

static void forget(struct otr_partition *p)
{
	struct otr_spans *s = rcu_replace_pointer(p->spans, NULL, true);

	mutex_lock(&otr_list_lock);
	list_del(&p->link);
	mutex_unlock(&otr_list_lock);
	kfree_rcu(s, rcu);
	otr_image_free(p->image);
	p->image = NULL;
	cancel_work_sync(&p->event_work);
	device_del(&p->dev);
	put_device(&p->dev);
}

/* op_lock held; the caller's own reference keeps p. Returns every CPU and all
 * memory. Fails only when Linux still holds pins on the memory or cannot take
 * something back; what is left stays with the partition, and destroy can be
 * repeated. */
int otr_partition_destroy(struct otr_partition *p, u32 flags, struct otr_note *note)
{
	struct otr_cpu *c, *next;
	int ret;

	if ((OTR_IN(otr_state(p)) & OTR_LIVE) && !(flags & OTR_FORCE))
		return otr_refuse(note, -EBUSY, "%s is %s; shut it down first, or use --force",
				  p->name, otr_state_name(otr_state(p)));
	if (flags & OTR_DRY_RUN)
		return 0;
	if (otr_state_move(p, OTR_LIVE, OTR_PART_STOPPED, "killed"))
		otr_cpu_stop_all(p, false);
	otr_partition_quiet(p);
	ret = otr_ctx_teardown(p, OTR_REQUEST_TIMEOUT_MS);
	if (ret)
		return otr_refuse(note, ret, "Linux still uses memory of programs of %s; end their proxies and repeat",
				  p->name);
	down_write(&p->shared_lock);
	p->shared_valid = false;
	up_write(&p->shared_lock);
	list_for_each_entry_safe(c, next, &p->cpus, link)
		otr_cpu_return(p, c);
	ret = otr_memory_return_all(p, note);
	if (ret)
		return ret;
	p->gone = true;
	otr_pr(info, p, "destroyed\n");
	forget(p);
	return 0;
}

/* Linux goes down: CPUs must not run on into its reset. */
void otr_partitions_stop_all(const char *why)
{
	struct otr_partition *p;

	mutex_lock(&otr_list_lock);
	list_for_each_entry(p, &partitions, link) {
		if (!otr_state_move(p, OTR_LIVE, OTR_PART_STOPPED, why))
			continue;
		otr_pr(info, p, "stopped: %s\n", why);
		otr_cpu_stop_all(p, false);
	}
	mutex_unlock(&otr_list_lock);
}

/* For the panic path: no locks. */
void otr_partitions_each(void (*fn)(struct otr_partition *p))
{
	struct otr_partition *p;

	list_for_each_entry(p, &partitions, link)
		fn(p);
}
