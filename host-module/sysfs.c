// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/class/outrigger/NAME/: what a partition has and how it fares, one value a
 * file; cpuN/ below it for each of its CPUs, N being Linux's number. A change of
 * state, CPUs or memory is a uevent, and these files can be polled.
 */
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "outrigger.h"

static struct otr_partition *of(struct device *dev)
{
	return container_of(dev, struct otr_partition, dev);
}

#define PARTITION_ATTR(name, fmt, ...)						\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr,	\
			   char *buf)						\
{										\
	struct otr_partition *p = of(dev);					\
										\
	return sysfs_emit(buf, fmt "\n", __VA_ARGS__);				\
}										\
static DEVICE_ATTR_RO(name)

static u64 chunk_bytes(struct otr_partition *p, u32 kind)
{
	struct otr_spans *s;
	u64 bytes = 0;
	u32 i;

	rcu_read_lock();
	s = rcu_dereference(p->spans);
	for (i = 0; s && i < s->count; i++)
		if (kind == OTR_MEM_ANY || s->span[i].kind == kind)
			bytes += s->span[i].end - s->span[i].start;
	rcu_read_unlock();
	return bytes;
}

/* A word of otr_status, or 0 while there is none. */
#define STATUS_ATTR(name, field)						\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr,	\
			   char *buf)						\
{										\
	struct otr_partition *p = of(dev);					\
	u64 v;									\
										\
	down_read(&p->shared_lock);						\
	v = p->shared_valid ? READ_ONCE(p->sh.status->field) : 0;		\
	up_read(&p->shared_lock);						\
	return sysfs_emit(buf, "%llu\n", v);					\
}										\
static DEVICE_ATTR_RO(name)

PARTITION_ATTR(state, "%s", otr_state_name(otr_state(p)));
PARTITION_ATTR(owner, "%u", from_kuid(&init_user_ns, p->uid));
PARTITION_ATTR(group, "%u", from_kgid(&init_user_ns, p->gid));
PARTITION_ATTR(mode, "%04o", p->mode);
PARTITION_ATTR(memory, "%llu", chunk_bytes(p, OTR_MEM_ANY));
PARTITION_ATTR(memory_block, "%llu", chunk_bytes(p, OTR_MEM_BLOCK));
PARTITION_ATTR(memory_contig, "%llu", chunk_bytes(p, OTR_MEM_CONTIG));
PARTITION_ATTR(interrupts, "%llu", p->bell_count);
PARTITION_ATTR(interrupts_sent, "%llu", p->send_count);
PARTITION_ATTR(contexts, "%d", atomic_read(&p->ctx_count));
STATUS_ATTR(processes, process_count);
STATUS_ATTR(threads, thread_count);
STATUS_ATTR(memory_total, mem_total_bytes);
STATUS_ATTR(memory_free, mem_free_bytes);
STATUS_ATTR(tsc_entry, tsc_entry);
STATUS_ATTR(tsc_running, tsc_running);
STATUS_ATTR(tsc_first_user, tsc_first_user);
STATUS_ATTR(kernel_root, kernel_root);

static ssize_t tsc_load_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct otr_partition *p = of(dev);
	u64 v;

	down_read(&p->shared_lock);
	v = p->shared_valid ? p->tsc_load : 0;
	up_read(&p->shared_lock);
	return sysfs_emit(buf, "%llu\n", v);
}
static DEVICE_ATTR_RO(tsc_load);

/* Where the shared region is, for dumps: physical address and size. */
static ssize_t shared_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct otr_partition *p = of(dev);
	u64 phys = 0, bytes = 0;

	down_read(&p->shared_lock);
	if (p->shared_valid) {
		phys = p->sh.phys;
		bytes = p->sh.bytes;
	}
	up_read(&p->shared_lock);
	return sysfs_emit(buf, "%#llx %#llx\n", phys, bytes);
}
static DEVICE_ATTR_RO(shared);

static ssize_t reason_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	char reason[sizeof(of(dev)->reason)];

	otr_state_reason(of(dev), reason, sizeof(reason));
	return sysfs_emit(buf, "%s\n", reason);
}
static DEVICE_ATTR_RO(reason);

static ssize_t cpus_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct otr_partition *p = of(dev);
	struct otr_cpu *c;
	cpumask_var_t mask;
	int n;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	mutex_lock(&p->cpu_lock);
	list_for_each_entry(c, &p->cpus, link)
		cpumask_set_cpu(c->linux_cpu, mask);
	mutex_unlock(&p->cpu_lock);
	n = sysfs_emit(buf, "%*pbl\n", cpumask_pr_args(mask));
	free_cpumask_var(mask);
	return n;
}
static DEVICE_ATTR_RO(cpus);

/* One line a range: start end node kind. */
static ssize_t ranges_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct otr_partition *p = of(dev);
	struct otr_spans *s;
	int n = 0;
	u32 i;

	rcu_read_lock();
	s = rcu_dereference(p->spans);
	for (i = 0; s && i < s->count && n < PAGE_SIZE - 80; i++)
		n += sysfs_emit_at(buf, n, "%#llx %#llx %d %s\n", s->span[i].start, s->span[i].end,
				   s->span[i].node,
				   s->span[i].kind == OTR_MEM_BLOCK ? "block" : "contig");
	rcu_read_unlock();
	return n;
}
static DEVICE_ATTR_RO(ranges);

static struct attribute *partition_attrs[] = {
	&dev_attr_state.attr, &dev_attr_reason.attr, &dev_attr_owner.attr,
	&dev_attr_group.attr, &dev_attr_mode.attr, &dev_attr_cpus.attr,
	&dev_attr_memory.attr, &dev_attr_memory_block.attr, &dev_attr_memory_contig.attr,
	&dev_attr_ranges.attr, &dev_attr_interrupts.attr, &dev_attr_interrupts_sent.attr,
	&dev_attr_contexts.attr, &dev_attr_processes.attr, &dev_attr_threads.attr,
	&dev_attr_memory_total.attr, &dev_attr_memory_free.attr, &dev_attr_tsc_load.attr,
	&dev_attr_tsc_entry.attr, &dev_attr_tsc_running.attr, &dev_attr_tsc_first_user.attr,
	&dev_attr_kernel_root.attr, &dev_attr_shared.attr,
	NULL,
};
ATTRIBUTE_GROUPS(partition);

struct class otr_class = {
	.name = "outrigger",
	.dev_groups = partition_groups,
};

void otr_sysfs_changed(struct otr_partition *p)
{
	char state[32];
	char *env[] = { state, NULL };

	snprintf(state, sizeof(state), "STATE=%s", otr_state_name(otr_state(p)));
	sysfs_notify(&p->dev.kobj, NULL, "state");
	sysfs_notify(&p->dev.kobj, NULL, "cpus");
	sysfs_notify(&p->dev.kobj, NULL, "memory");
	kobject_uevent_env(&p->dev.kobj, KOBJ_CHANGE, env);
}

/* ---- One folder a CPU ---- */

struct cpu_dir {
	struct kobject kobj;
	struct otr_partition *p;     /* parent in sysfs, so it outlives us */
	struct otr_cpu *c;           /* gone after otr_sysfs_cpu_remove() */
};

struct cpu_attr {
	struct attribute attr;
	size_t offset;               /* in otr_cpu_status */
	size_t bytes;
};

static ssize_t cpu_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct cpu_dir *d = container_of(kobj, struct cpu_dir, kobj);
	struct cpu_attr *a = container_of(attr, struct cpu_attr, attr);
	struct otr_partition *p = d->p;
	u64 v = 0;

	down_read(&p->shared_lock);
	if (p->shared_valid && d->c->index < p->sh.cpu_limit) {
		void *from = (void *)&p->sh.cpu_status[d->c->index] + a->offset;

		v = a->bytes == 8 ? READ_ONCE(*(u64 *)from) : READ_ONCE(*(u32 *)from);
	}
	up_read(&p->shared_lock);
	return sysfs_emit(buf, "%llu\n", v);
}

#define CPU_ATTR(file, field)							\
static struct cpu_attr cpu_attr_##file = {					\
	.attr = { .name = #file, .mode = 0444 },				\
	.offset = offsetof(struct otr_cpu_status, field),			\
	.bytes = sizeof_field(struct otr_cpu_status, field),			\
}
CPU_ATTR(state, state);
CPU_ATTR(timer, timer_count);
CPU_ATTR(doorbell, doorbell_count);
CPU_ATTR(foreign, foreign_count);
CPU_ATTR(switches, switch_count);
CPU_ATTR(idle_ns, idle_ns);
CPU_ATTR(pid, current_pid);
CPU_ATTR(tid, current_tid);
CPU_ATTR(syscalls, syscall_count);

static ssize_t cpu_id_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct cpu_dir *d = container_of(kobj, struct cpu_dir, kobj);

	if (!strcmp(attr->name, "index"))
		return sysfs_emit(buf, "%u\n", d->c->index);
	if (!strcmp(attr->name, "node"))
		return sysfs_emit(buf, "%d\n", d->c->node);
	return sysfs_emit(buf, "%u\n", d->c->apic_id);
}

static struct attribute cpu_index = { .name = "index", .mode = 0444 };
static struct attribute cpu_apic = { .name = "apic_id", .mode = 0444 };
static struct attribute cpu_node = { .name = "node", .mode = 0444 };

static ssize_t cpu_dir_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	if (attr == &cpu_index || attr == &cpu_apic || attr == &cpu_node)
		return cpu_id_show(kobj, attr, buf);
	return cpu_show(kobj, attr, buf);
}

static struct attribute *cpu_attrs[] = {
	&cpu_index, &cpu_apic, &cpu_node, &cpu_attr_state.attr, &cpu_attr_timer.attr,
	&cpu_attr_doorbell.attr, &cpu_attr_foreign.attr, &cpu_attr_switches.attr,
	&cpu_attr_idle_ns.attr, &cpu_attr_pid.attr, &cpu_attr_tid.attr, &cpu_attr_syscalls.attr,
	NULL,
};
ATTRIBUTE_GROUPS(cpu);

static void cpu_dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct cpu_dir, kobj));
}

static const struct sysfs_ops cpu_dir_ops = { .show = cpu_dir_show };
static struct kobj_type cpu_dir_type = {
	.release = cpu_dir_release,
	.sysfs_ops = &cpu_dir_ops,
	.default_groups = cpu_groups,
};

void otr_sysfs_cpu_add(struct otr_partition *p, struct otr_cpu *c)
{
	struct cpu_dir *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return;
	d->p = p;
	d->c = c;
	if (kobject_init_and_add(&d->kobj, &cpu_dir_type, &p->dev.kobj, "cpu%u", c->linux_cpu)) {
		kobject_put(&d->kobj);
		return;
	}
	c->kobj = &d->kobj;
}

/* Removing the files waits for readers, so c may be freed afterwards. */
void otr_sysfs_cpu_remove(struct otr_cpu *c)
{
	if (!c->kobj)
		return;
	kobject_del(c->kobj);
	kobject_put(c->kobj);
	c->kobj = NULL;
}

int otr_sysfs_init(void)
{
	return class_register(&otr_class);
}

void otr_sysfs_fini(void)
{
	class_unregister(&otr_class);
}
