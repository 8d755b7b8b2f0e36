// SPDX-License-Identifier: GPL-2.0
/*
 * The device nodes: decodes and checks each ioctl, acts through the other
 * files, and carries the sentence of a refusal back. Structs are copied in once
 * and out once.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "outrigger.h"

/* Any request, as large as the largest. */
union otr_any {
	struct otr_req req;
	struct otr_ioc_version version;
	struct otr_ioc_create create;
	struct otr_ioc_name name;
	struct otr_ioc_cpu cpu;
	struct otr_ioc_memory memory;
	struct otr_ioc_load load;
	struct otr_ioc_log log;
	struct otr_ioc_peek peek;
	struct otr_ioc_test test;
	struct otr_ioc_attach attach;
	struct otr_ioc_twin twin;
	struct otr_ioc_wait wait;
	struct otr_ioc_slot slot;
	struct otr_ioc_file file;
	struct otr_ioc_inherit inherit;
	struct otr_ioc_grant grant;
	struct otr_ioc_file_name file_name;
	struct otr_ioc_cloexec cloexec;
	struct otr_ioc_die die;
	struct otr_ioc_pair pair;
	struct otr_ioc_of of;
	struct otr_ioc_debug_attach debug_attach;
	struct otr_ioc_debug debug;
};

typedef int (*otr_op)(struct file *file, union otr_any *a, struct otr_note *note);

static int zero(const u64 *words, size_t n, struct otr_note *note)
{
	while (n--)
		if (words[n])
			return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return 0;
}

static int known(u32 flags, u32 mask, struct otr_note *note)
{
	return flags & ~mask ? otr_refuse(note, -EINVAL, "unknown flags %#x", flags & ~mask) : 0;
}

/* The partition of that name, with a reference and, if `lock`, its op_lock. */
static int open_name(char *name, bool lock, struct otr_partition **p, struct otr_note *note)
{
	int ret;

	if (strnlen(name, OTR_NAME_SIZE) == OTR_NAME_SIZE)
		return otr_refuse(note, -ENAMETOOLONG, "the partition's name does not end");
	*p = otr_partition_get(name);
	if (!*p)
		return otr_refuse(note, -ENOENT, "there is no partition %s", name);
	ret = lock ? otr_partition_lock(*p, note) : 0;
	if (ret)
		otr_partition_put(*p);
	return ret;
}

static void close_name(struct otr_partition *p)
{
	otr_partition_unlock(p);
	otr_partition_put(p);
}

/* ---- Administration ---- */

static int do_version(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->version.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	a->version.abi_version = OTR_ABI_VERSION;
	strscpy(a->version.module_version, THIS_MODULE->version ?: "",
		sizeof(a->version.module_version));
	return 0;
}

static int do_create(struct file *file, union otr_any *a, struct otr_note *note)
{
	int ret = zero(a->create.reserved, 2, note) ?: known(a->create.flags, OTR_DRY_RUN, note);

	return ret ?: otr_partition_create(&a->create, note);
}

/* Checks of destroy, shutdown, kill and boot. */
static int name_open(union otr_any *a, u32 flags, struct otr_partition **p, struct otr_note *note)
{
	int ret = zero(a->name.reserved, 2, note) ?: known(a->name.flags, flags, note);

	return ret ?: open_name(a->name.name, true, p, note);
}

static int do_destroy(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = name_open(a, OTR_DRY_RUN | OTR_FORCE, &p, note);

	if (ret)
		return ret;
	ret = otr_partition_destroy(p, a->name.flags, note);
	close_name(p);
	return ret;
}

static int do_boot(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = name_open(a, OTR_DRY_RUN, &p, note);

	if (ret)
		return ret;
	ret = otr_boot(p, a->name.flags, note);
	close_name(p);
	return ret;
}

static int do_shutdown(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = name_open(a, OTR_DRY_RUN, &p, note);

	if (ret)
		return ret;
	ret = otr_partition_shutdown(p, a->name.flags, a->name.timeout_ms, note);
	close_name(p);
	return ret;
}

static int do_kill(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = name_open(a, OTR_DRY_RUN, &p, note);

	if (ret)
		return ret;
	ret = otr_partition_kill(p, a->name.flags, note);
	close_name(p);
	return ret;
}

/* Live changes need a partition that runs or one that does not, not in between. */
static int settled(struct otr_partition *p, struct otr_note *note)
{
	u32 state = otr_state(p);

	if (state == OTR_PART_BOOTING || state == OTR_PART_STOPPING)
		return otr_refuse(note, -EBUSY, "%s is %s", p->name, otr_state_name(state));
	return 0;
}

static int cpu_op(union otr_any *a, struct otr_note *note,
		  int (*op)(struct otr_partition *, u32, u32, struct otr_note *))
{
	struct otr_partition *p;
	int ret = zero(a->cpu.reserved, 2, note) ?:
		  known(a->cpu.flags, OTR_DRY_RUN | OTR_FORCE, note) ?:
		  open_name(a->cpu.name, true, &p, note);

	if (ret)
		return ret;
	ret = settled(p, note) ?: op(p, a->cpu.cpu, a->cpu.flags, note);
	otr_sysfs_changed(p);
	close_name(p);
	return ret;
}

static int do_cpu_add(struct file *file, union otr_any *a, struct otr_note *note)
{
	return cpu_op(a, note, otr_cpu_add);
}

static int do_cpu_remove(struct file *file, union otr_any *a, struct otr_note *note)
{
	return cpu_op(a, note, otr_cpu_remove);
}

static int memory_op(union otr_any *a, struct otr_note *note,
		     int (*op)(struct otr_partition *, struct otr_ioc_memory *, struct otr_note *))
{
	struct otr_partition *p;
	int ret = zero(a->memory.reserved, 2, note) ?: known(a->memory.flags, OTR_DRY_RUN, note);

	if (!ret && a->memory.reserved0)
		ret = otr_refuse(note, -EINVAL, "a reserved field is not 0");
	ret = ret ?: open_name(a->memory.name, true, &p, note);
	if (ret)
		return ret;
	ret = settled(p, note) ?: op(p, &a->memory, note);
	otr_sysfs_changed(p);
	close_name(p);
	return ret;
}

static int do_mem_add(struct file *file, union otr_any *a, struct otr_note *note)
{
	return memory_op(a, note, otr_memory_add);
}

static int do_mem_remove(struct file *file, union otr_any *a, struct otr_note *note)
{
	return memory_op(a, note, otr_memory_remove);
}

static int do_load(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = zero(a->load.reserved, 2, note) ?: open_name(a->load.name, true, &p, note);

	if (ret)
		return ret;
	ret = otr_image_load(p, &a->load, note);
	close_name(p);
	return ret;
}

static int do_log(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = zero(a->log.reserved, 2, note) ?: open_name(a->log.name, false, &p, note);

	if (ret)
		return ret;
	ret = otr_partition_may(p, 4);
	if (ret)
		otr_refuse(note, ret, "no permission to read the log of %s", p->name);
	else
		ret = otr_log_read(p, &a->log, note);
	otr_partition_put(p);
	return ret;
}

static int do_peek(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_partition *p;
	int ret = zero(a->peek.reserved, 2, note) ?: open_name(a->peek.name, true, &p, note);

	if (ret)
		return ret;
	ret = otr_peek(p, &a->peek, note);
	close_name(p);
	return ret;
}

static int do_test(struct file *file, union otr_any *a, struct otr_note *note)
{
	struct otr_msg msg = { .type = OTR_MSG_TEST, .arg = { a->test.test } };
	struct otr_partition *p;
	int ret;

	if (a->test.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	ret = open_name(a->test.name, false, &p, note);
	if (ret)
		return ret;
	if (otr_state(p) == OTR_PART_RUNNING)
		ret = otr_request(p, &msg, NULL, 1000, true);
	else
		ret = otr_refuse(note, -EINVAL, "%s is not running", p->name);
	otr_partition_put(p);
	return ret;
}

/* ---- Running programs ---- */

static int do_attach(struct file *file, union otr_any *a, struct otr_note *note)
{
	int ret = known(a->attach.flags, OTR_ATTACH_KILL, note);

	return ret ? ret : otr_ctx_attach(file, &a->attach, note);
}

static int do_twin(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_twin(file, &a->twin, note);
}

static int do_start(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_start(file, note);
}

static int do_wait(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->wait.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_ctx_wait(file, &a->wait, note);
}

static int do_kick(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_kick(file, a->slot.slot, note);
}

static int do_zap(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_zap(file, note);
}

static int do_file(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->file.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_ctx_file(file, &a->file, note);
}

static int do_fetch(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_fetch(file, a->slot.slot, note);
}

static int do_inherit(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->inherit.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_ctx_inherit(file, &a->inherit, note);
}

static int do_grant(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_grant(file, &a->grant, note);
}

static int do_file_name(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_file_name(file, &a->file_name, note);
}

static int do_cloexec(struct file *file, union otr_any *a, struct otr_note *note)
{
	a->cloexec.fd = otr_next_cloexec(a->cloexec.from);
	return 0;
}

static int do_pair(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_pair(file, &a->pair, note);
}

static int do_of(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_of(file, &a->of, note);
}

static int do_die(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->die.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_ctx_die(file, &a->die, note);
}

static int do_debug_attach(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->debug_attach.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_debug_attach(file, &a->debug_attach, note);
}

static int do_debug(struct file *file, union otr_any *a, struct otr_note *note)
{
	if (a->debug.reserved)
		return otr_refuse(note, -EINVAL, "a reserved field is not 0");
	return otr_debug(file, &a->debug, note);
}

static int do_stop(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_stop(file, true, note);
}

static int do_cont(struct file *file, union otr_any *a, struct otr_note *note)
{
	return otr_ctx_stop(file, false, note);
}

/* ---- Decoding ---- */

#define ADMIN 1
#define RUN 2
static const struct {
	otr_op op;
	u32 bytes;
	u32 nodes;
} ops[] = {
	[0] = { do_version, sizeof(struct otr_ioc_version), ADMIN | RUN },
	[1] = { do_create, sizeof(struct otr_ioc_create), ADMIN },
	[2] = { do_destroy, sizeof(struct otr_ioc_name), ADMIN },
	[3] = { do_cpu_add, sizeof(struct otr_ioc_cpu), ADMIN },
	[4] = { do_cpu_remove, sizeof(struct otr_ioc_cpu), ADMIN },
	[5] = { do_mem_add, sizeof(struct otr_ioc_memory), ADMIN },
	[6] = { do_mem_remove, sizeof(struct otr_ioc_memory), ADMIN },
	[7] = { do_load, sizeof(struct otr_ioc_load), ADMIN },
	[8] = { do_boot, sizeof(struct otr_ioc_name), ADMIN },
	[9] = { do_shutdown, sizeof(struct otr_ioc_name), ADMIN },
	[10] = { do_kill, sizeof(struct otr_ioc_name), ADMIN },
	[11] = { do_log, sizeof(struct otr_ioc_log), ADMIN | RUN },
	[12] = { do_peek, sizeof(struct otr_ioc_peek), ADMIN },
	[13] = { do_test, sizeof(struct otr_ioc_test), ADMIN },
	[32] = { do_attach, sizeof(struct otr_ioc_attach), RUN },
	[33] = { do_twin, sizeof(struct otr_ioc_twin), RUN },
	[34] = { do_start, sizeof(struct otr_ioc_slot), RUN },
	[35] = { do_wait, sizeof(struct otr_ioc_wait), RUN },
	[36] = { do_kick, sizeof(struct otr_ioc_slot), RUN },
	[37] = { do_zap, sizeof(struct otr_ioc_slot), RUN },
	[38] = { do_stop, sizeof(struct otr_ioc_slot), RUN },
	[39] = { do_cont, sizeof(struct otr_ioc_slot), RUN },
	[40] = { do_file, sizeof(struct otr_ioc_file), RUN },
	[41] = { do_fetch, sizeof(struct otr_ioc_slot), RUN },
	[42] = { do_inherit, sizeof(struct otr_ioc_inherit), RUN },
	[43] = { do_grant, sizeof(struct otr_ioc_grant), RUN },
	[44] = { do_file_name, sizeof(struct otr_ioc_file_name), RUN },
	[45] = { do_die, sizeof(struct otr_ioc_die), RUN },
	[46] = { do_debug_attach, sizeof(struct otr_ioc_debug_attach), RUN },
	[47] = { do_debug, sizeof(struct otr_ioc_debug), RUN },
	[48] = { do_cloexec, sizeof(struct otr_ioc_cloexec), RUN },
	[49] = { do_pair, sizeof(struct otr_ioc_pair), RUN },
	[50] = { do_of, sizeof(struct otr_ioc_of), RUN },
};

static void tell(const struct otr_req *req, const struct otr_note *note)
{
	size_t n = strlen(note->text) + 1;

	if (!req->message || !req->message_bytes || n == 1)
		return;
	/* The refusal stands even if nobody can read why. */
	if (copy_to_user(u64_to_user_ptr(req->message), note->text,
			 min_t(size_t, n, req->message_bytes)))
		pr_debug("message buffer not writable\n");
}

static long decode(struct file *file, unsigned int cmd, unsigned long arg, u32 node)
{
	void __user *user = (void __user *)arg;
	u32 nr = _IOC_NR(cmd), bytes;
	struct otr_note note;
	struct otr_req head;
	union otr_any a;
	int ret;

	if (_IOC_TYPE(cmd) != 'O' || nr >= ARRAY_SIZE(ops) || !ops[nr].op)
		return -ENOTTY;
	bytes = ops[nr].bytes;
	if (cmd != (0xc0000000u | bytes << 16 | 'O' << 8 | nr))
		return -EINVAL;
	if (!(ops[nr].nodes & node))
		return -ENOTTY;
	memset(&a, 0, sizeof(a));
	if (copy_from_user(&a, user, bytes))
		return -EFAULT;
	if (a.req.size != bytes)
		return -EINVAL;
	head = a.req;
	note.text[0] = 0;
	ret = ops[nr].op(file, &a, &note);
	if (ret < 0) {
		if (ret == -ENOMEM && !note.text[0])
			otr_refuse(&note, ret, "the kernel is out of memory");
		tell(&head, &note);
	}
	a.req = head;
	if ((ret >= 0 || nr == 5 || nr == 6) && copy_to_user(user, &a, bytes))
		return -EFAULT;
	return ret;
}

static long admin_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return decode(file, cmd, arg, ADMIN);
}

static long run_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return decode(file, cmd, arg, RUN);
}

static int run_open(struct inode *inode, struct file *file)
{
	return otr_ctx_open(file);
}


static int run_release(struct inode *inode, struct file *file)
{
	otr_ctx_close(file);
	return 0;
}

static const struct file_operations admin_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = admin_ioctl,
};

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = run_open,
	.release = run_release,
	.mmap = otr_ctx_mmap,
	.poll = otr_debug_poll,
	.unlocked_ioctl = run_ioctl,
};

static struct miscdevice admin_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "outrigger",
	.mode = 0600,
	.fops = &admin_fops,
};

static struct miscdevice run_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "outrigger-run",
	.mode = 0666,
	.fops = &run_fops,
};

int otr_chardev_init(void)
{
	int ret = misc_register(&admin_dev);

	if (ret)
		return ret;
	ret = misc_register(&run_dev);
	if (ret)
		misc_deregister(&admin_dev);
	return ret;
}

void otr_chardev_fini(void)
{
	misc_deregister(&run_dev);
	misc_deregister(&admin_dev);
}
