// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs: taken from Linux and given back, kept away from Linux while a partition
 * owns them, started and stopped.
 *
 * A CPU of a partition is in one of three conditions: stopped (in wait-for-SIPI,
 * or as Linux's offline code left it), started (runs the co-kernel) or on its
 * way. INIT brings every one of them back to "stopped", which is also what
 * Linux expects of a CPU that it brings up again.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <asm/apic.h>
#include <asm/msr.h>
#include <asm/smp.h>

#include "outrigger.h"

#define LOW_PAGE_MIN 0x10000ull
#define LOW_PAGE_END 0xa0000ull
#define START_TIMEOUT_MS 3000
#define STOP_NMI_TIMEOUT_MS 200

/* The data at the end of trampoline.S. */
struct otr_trampoline_data {
	u64 root;
	u64 entry;
	u64 boot_header;
	u64 cpu_index;
	u32 low_root;
	u32 long_offset;
	u16 long_selector;
	u16 gdt_limit;
	u32 gdt_base;
} __packed;

static DEFINE_SPINLOCK(otr_cpu_owner_lock);
static struct otr_partition **cpu_owner;	/* by Linux's number */
static DEFINE_MUTEX(otr_start_lock);
static u64 low_phys;				/* borrowed page; 0: none found */
static struct page *low_root;			/* top-level table under 4 GiB */
static struct page *low_saved;
static int hotplug_state = -1;

/* ---- Ownership ---- */

static struct otr_partition *owner_of(u32 cpu)
{
	return READ_ONCE(cpu_owner[cpu]);
}

static bool own(u32 cpu, struct otr_partition *from, struct otr_partition *to)
{
	bool ok;

	spin_lock(&otr_cpu_owner_lock);
	ok = cpu_owner[cpu] == from;
	if (ok)
		cpu_owner[cpu] = to;
	spin_unlock(&otr_cpu_owner_lock);
	return ok;
}

/* Linux is about to bring a CPU up: not while a partition owns it, because the
 * INIT would pull it away under the co-kernel. */
static int hotplug_prepare(unsigned int cpu)
{
	struct otr_partition *p = owner_of(cpu);

	if (!p)
		return 0;
	pr_info("CPU %u stays offline: a partition owns it\n", cpu);
	return -EPERM;	/* on -EBUSY Linux would try again and again */
}

/* ---- Interprocessor interrupts ---- */

void otr_ipi(u32 apic_id, u32 icr_low)
{
	unsigned long flags;

	local_irq_save(flags);
	if (apic->wait_icr_idle)
		apic->wait_icr_idle();
	apic->icr_write(icr_low, apic_id);
	local_irq_restore(flags);
}

/* Physical destination and fixed delivery, whatever mode Linux itself uses. */
void otr_cpu_ring(struct otr_partition *p, struct otr_cpu *c)
{
	u32 vector = READ_ONCE(p->sh.status->doorbell_vector);

	if (vector < 32 || vector > 255)
		return;
	p->send_count++;
	otr_ipi(c->apic_id, APIC_DM_FIXED | vector);
}

static void send_init(u32 apic_id)
{
	otr_ipi(apic_id, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	usleep_range(10000, 12000);
	otr_ipi(apic_id, APIC_INT_LEVELTRIG | APIC_DM_INIT);
}

/* Intel SDM vol. 3, 9.4.4.1: INIT, 10 ms, SIPI, 200 us, SIPI. */
static void send_start(u32 apic_id, u64 page)
{
	send_init(apic_id);
	otr_ipi(apic_id, APIC_DM_STARTUP | (u32)(page >> 12));
	udelay(200);
	otr_ipi(apic_id, APIC_DM_STARTUP | (u32)(page >> 12));
}

/* ---- Starting and stopping ---- */

struct otr_cpu *otr_cpu_by_index(struct otr_partition *p, u32 index)
{
	struct otr_cpu *c;

	list_for_each_entry(c, &p->cpus, link)
		if (c->index == index)
			return c;
	return NULL;
}

static void fill_trampoline(void *page, struct otr_partition *p, struct otr_cpu *c)
{
	struct otr_trampoline_data *d = page + (otr_trampoline_data - otr_trampoline_start);

	memcpy(page_address(low_root), __va(p->sh.root_phys), PAGE_SIZE);
	memcpy(page, otr_trampoline_start, otr_trampoline_end - otr_trampoline_start);
	d->root = p->sh.root_phys;
	d->entry = p->sh.entry;
	d->boot_header = p->sh.boot_virt;
	d->cpu_index = c->index;
	d->low_root = page_to_phys(low_root);
	d->long_offset += low_phys;
	d->gdt_base += low_phys;
}

static bool arrived(struct otr_partition *p, struct otr_cpu *c)
{
	if (smp_load_acquire(&p->sh.cpu_status[c->index].state) != OTR_CPU_OFF)
		return true;
	return c->index == 0 && smp_load_acquire(&p->sh.status->state) != OTR_CK_NONE;
}

/* Starts a CPU at the image's entry and waits until it is out of the borrowed
 * page. op_lock held. On failure the CPU is stopped again. */
int otr_cpu_start(struct otr_partition *p, struct otr_cpu *c, struct otr_note *note)
{
	unsigned long end;
	void *low;
	int ret = 0;

	mutex_lock(&p->cpu_lock);
	if (!(OTR_IN(otr_state(p)) & (OTR_IN(OTR_PART_BOOTING) | OTR_IN(OTR_PART_RUNNING)))) {
		mutex_unlock(&p->cpu_lock);
		return otr_refuse(note, -EIO, "the partition crashed while CPU %u was started",
				  c->linux_cpu);
	}
	mutex_lock(&otr_start_lock);
	low = memremap(low_phys, PAGE_SIZE, MEMREMAP_WB);
	if (!low) {
		ret = otr_refuse(note, -ENOMEM, "cannot map the start-up page at %#llx", low_phys);
		goto out;
	}
	cpus_read_lock();	/* Linux's own start-up code may lie in the same page */
	memcpy(page_address(low_saved), low, PAGE_SIZE);
	fill_trampoline(low, p, c);
	c->started = true;
	send_start(c->apic_id, low_phys);
	end = jiffies + msecs_to_jiffies(START_TIMEOUT_MS);
	while (!arrived(p, c) && time_before(jiffies, end))
		usleep_range(50, 200);
	if (!arrived(p, c)) {
		send_init(c->apic_id);
		c->started = false;
		ret = otr_refuse(note, -ETIMEDOUT,
				 "CPU %u (APIC id %u) was started, but the image gave no sign of life within %u ms",
				 c->linux_cpu, c->apic_id, START_TIMEOUT_MS);
	}
	memcpy(low, page_address(low_saved), PAGE_SIZE);
	cpus_read_unlock();
	memunmap(low);
out:
	mutex_unlock(&otr_start_lock);
	mutex_unlock(&p->cpu_lock);
	return ret;
}

static bool halted(struct otr_partition *p, struct otr_cpu *c)
{
	u32 s = smp_load_acquire(&p->sh.cpu_status[c->index].state);

	return s == OTR_CPU_PARKED || s == OTR_CPU_STOPPED;
}

/* Stops every CPU whatever it does: an NMI first if registers are wanted, in
 * which the co-kernel saves them, then INIT. cpu_lock is taken here. */
void otr_cpu_stop_all(struct otr_partition *p, bool save_regs)
{
	unsigned long end;
	struct otr_cpu *c;
	bool waiting = false;

	mutex_lock(&p->cpu_lock);
	list_for_each_entry(c, &p->cpus, link) {
		if (!save_regs || !c->started || halted(p, c))
			continue;
		WRITE_ONCE(p->sh.cpu_control[c->index].stop, 1);
		smp_wmb();	/* pairs with the co-kernel's NMI handler reading stop */
		otr_ipi(c->apic_id, APIC_DM_NMI);
		waiting = true;
	}
	end = jiffies + msecs_to_jiffies(STOP_NMI_TIMEOUT_MS);
	while (waiting && time_before(jiffies, end)) {
		waiting = false;
		list_for_each_entry(c, &p->cpus, link)
			waiting |= c->started && !halted(p, c);
		if (waiting)
			usleep_range(200, 500);
	}
	list_for_each_entry(c, &p->cpus, link) {
		if (!c->started)
			continue;
		send_init(c->apic_id);
		c->started = false;
	}
	mutex_unlock(&p->cpu_lock);
}

/* ---- Moving CPUs between Linux and a partition ---- */

static int check_take(u32 cpu, u32 flags, struct otr_note *note)
{
	struct otr_partition *owner;

	if (cpu >= nr_cpu_ids || !cpu_possible(cpu) || !cpu_present(cpu))
		return otr_refuse(note, -ENXIO, "CPU %u does not exist", cpu);
	if (cpu == 0)
		return otr_refuse(note, -EINVAL, "CPU 0 cannot be given away: Linux needs its boot CPU; choose another");
	owner = owner_of(cpu);
	if (owner)
		return otr_refuse(note, -EBUSY, "CPU %u is owned by a partition already", cpu);
	if (!cpu_online(cpu))
		return otr_refuse(note, -ENODEV, "CPU %u is offline; bring it online first", cpu);
	if (num_online_cpus() <= 1)
		return otr_refuse(note, -EBUSY, "CPU %u is the last one that Linux has", cpu);
	if (!(flags & OTR_FORCE) && cpumask_weight(topology_sibling_cpumask(cpu)) > 1)
		return otr_refuse(note, -EINVAL,
				  "CPU %u shares its core with another CPU of Linux; give the whole core or force it",
				  cpu);
	return 0;
}

static void read_policy(struct otr_cpu *c)
{
	c->hwp_request = 0;
	if (boot_cpu_has(X86_FEATURE_HWP) &&
	    rdmsrl_safe_on_cpu(c->linux_cpu, MSR_HWP_REQUEST, &c->hwp_request))
		c->hwp_request = 0;
}

/* A live partition's index 0 stays unused once its CPU has left: whoever enters
 * an image with it is the first CPU of a boot. */
static u32 free_index(struct otr_partition *p)
{
	u32 i = OTR_IN(otr_state(p)) & OTR_LIVE ? 1 : 0;

	while (otr_cpu_by_index(p, i))
		i++;
	return i;
}

/* Tells a running co-kernel of its new CPU and starts it. */
static int start_live(struct otr_partition *p, struct otr_cpu *c, struct otr_note *note)
{
	struct otr_msg msg = {
		.type = OTR_MSG_CPU_ADD,
		.arg = { c->index, c->apic_id, c->node, c->linux_cpu },
	};
	int ret;

	if (c->index >= p->sh.cpu_limit)
		return otr_refuse(note, -ENOSPC, "the partition was booted for at most %u CPUs",
				  p->sh.cpu_limit);
	p->sh.cpu_status[c->index].state = OTR_CPU_OFF;
	memset(&p->sh.cpu_control[c->index], 0, sizeof(p->sh.cpu_control[0]));
	ret = otr_request(p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
	if (ret)
		return otr_refuse(note, ret, "the co-kernel refused CPU %u (error %d)",
				  c->linux_cpu, ret);
	return otr_cpu_start(p, c, note);
}

int otr_cpu_add(struct otr_partition *p, u32 cpu, u32 flags, struct otr_note *note)
{
	struct otr_cpu *c;
	int ret = check_take(cpu, flags, note);

	if (ret || (flags & OTR_DRY_RUN))
		return ret;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->linux_cpu = cpu;
	c->apic_id = per_cpu(x86_cpu_to_apicid, cpu);
	c->node = cpu_to_node(cpu);
	c->index = free_index(p);
	read_policy(c);
	if (!own(cpu, NULL, p)) {
		kfree(c);
		return otr_refuse(note, -EBUSY, "CPU %u is owned by a partition already", cpu);
	}
	ret = remove_cpu(cpu);
	if (ret) {
		own(cpu, p, NULL);
		kfree(c);
		return otr_refuse(note, ret, "Linux does not let go of CPU %u (error %d)", cpu, ret);
	}
	mutex_lock(&p->cpu_lock);
	spin_lock(&p->ring_lock);
	list_add_tail(&c->link, &p->cpus);
	spin_unlock(&p->ring_lock);
	mutex_unlock(&p->cpu_lock);
	if (otr_state(p) == OTR_PART_RUNNING) {
		ret = start_live(p, c, note);
		if (ret) {
			otr_cpu_return(p, c);
			return ret;
		}
	}
	otr_sysfs_cpu_add(p, c);
	return 0;
}

/* Gives a CPU back; it must be stopped or parked. Frees c. */
int otr_cpu_return(struct otr_partition *p, struct otr_cpu *c)
{
	u32 cpu = c->linux_cpu;
	int ret, tries;

	otr_sysfs_cpu_remove(c);
	mutex_lock(&p->cpu_lock);
	if (c->started)
		send_init(c->apic_id);
	c->started = false;
	spin_lock(&p->ring_lock);
	list_del(&c->link);
	spin_unlock(&p->ring_lock);
	mutex_unlock(&p->cpu_lock);
	own(cpu, p, NULL);
	for (tries = 0; tries < 50; tries++) {
		ret = add_cpu(cpu);
		if (ret != -EBUSY)
			break;
		msleep(20);	/* hotplug is disabled for a moment, e.g. by PCI probing */
	}
	if (ret < 0)
		otr_pr(err, p, "CPU %u does not come back to Linux (error %d); try: echo 1 > /sys/devices/system/cpu/cpu%u/online\n",
		       cpu, ret, cpu);
	kfree(c);
	return ret < 0 ? ret : 0;
}

static int park_live(struct otr_partition *p, struct otr_cpu *c, struct otr_note *note)
{
	struct otr_msg msg = { .type = OTR_MSG_CPU_REMOVE, .arg = { c->index } };
	int ret;

	if (list_is_singular(&p->cpus))
		return otr_refuse(note, -EBUSY, "CPU %u is the partition's last one", c->linux_cpu);
	ret = otr_request(p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
	if (ret)
		return otr_refuse(note, ret, "the co-kernel does not let go of CPU %u (error %d)",
				  c->linux_cpu, ret);
	if (smp_load_acquire(&p->sh.cpu_status[c->index].state) != OTR_CPU_PARKED)
		return otr_refuse(note, -EBUSY, "the co-kernel did not park CPU %u", c->linux_cpu);
	return 0;
}

int otr_cpu_remove(struct otr_partition *p, u32 cpu, u32 flags, struct otr_note *note)
{
	struct otr_cpu *c;
	int ret = 0;

	list_for_each_entry(c, &p->cpus, link)
		if (c->linux_cpu == cpu)
			goto found;
	return otr_refuse(note, -ENOENT, "CPU %u does not belong to the partition", cpu);
found:
	if (otr_state(p) == OTR_PART_RUNNING && !(flags & OTR_DRY_RUN))
		ret = park_live(p, c, note);
	if (ret || (flags & OTR_DRY_RUN))
		return ret;
	ret = otr_cpu_return(p, c);
	if (ret)
		return otr_refuse(note, ret, "CPU %u left the partition, but Linux could not bring it up (error %d)",
				  cpu, ret);
	return 0;
}

/* Physical address of the borrowed start-up page; always the same one. */
u64 otr_cpu_low_page(void)
{
	return low_phys;
}

/* ---- Start and end of the module ---- */

static int find_low_page(struct resource *res, void *arg)
{
	u64 start = max_t(u64, ALIGN(res->start, PAGE_SIZE), LOW_PAGE_MIN);

	if (start + PAGE_SIZE > min_t(u64, res->end + 1, LOW_PAGE_END))
		return 0;
	low_phys = start;
	return 1;
}

int otr_cpu_init(void)
{
	int ret = -ENOMEM;

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM, LOW_PAGE_MIN,
			    LOW_PAGE_END - 1, NULL, find_low_page);
	if (!low_phys) {
		pr_err("no RAM between %#llx and %#llx to start CPUs with\n",
		       LOW_PAGE_MIN, LOW_PAGE_END);
		return -ENODEV;
	}
	cpu_owner = kcalloc(nr_cpu_ids, sizeof(*cpu_owner), GFP_KERNEL);
	low_root = alloc_page(GFP_KERNEL | GFP_DMA32);
	low_saved = alloc_page(GFP_KERNEL);
	if (!cpu_owner || !low_root || !low_saved)
		goto free;
	ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "outrigger:owned",
					hotplug_prepare, NULL);
	if (ret < 0)
		goto free;
	hotplug_state = ret;
	return 0;
free:
	otr_cpu_fini();
	return ret;
}

void otr_cpu_fini(void)
{
	if (hotplug_state >= 0)
		cpuhp_remove_state_nocalls(hotplug_state);
	hotplug_state = -1;
	if (low_root)
		__free_page(low_root);
	if (low_saved)
		__free_page(low_saved);
	kfree(cpu_owner);
	low_root = low_saved = NULL;
	cpu_owner = NULL;
}
