// SPDX-License-Identifier: GPL-2.0
/*
 * Boots a partition: lays out its memory, opens its channels, starts its first
 * CPU, waits until the image says RUNNING, then starts the others one by one.
 * A failure at any step stops what was started and leaves it `loaded`, with the
 * reason.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "outrigger.h"

static int check_boot(struct otr_partition *p, struct otr_note *note)
{
	u32 state = otr_state(p);

	if (OTR_IN(state) & OTR_LIVE)
		return otr_refuse(note, -EBUSY, "%s is %s already", p->name, otr_state_name(state));
	if (!p->image)
		return otr_refuse(note, -ENOEXEC, "%s has no image; load one first", p->name);
	if (list_empty(&p->cpus))
		return otr_refuse(note, -ENODEV, "%s has no CPU; add one first", p->name);
	if (!boot_cpu_has(X86_FEATURE_NX))
		return otr_refuse(note, -ENODEV, "this machine's CPUs lack NX, or it is switched off");
	return 0;
}

static void number_cpus(struct otr_partition *p)
{
	struct otr_cpu *c;
	u32 i = 0;

	mutex_lock(&p->cpu_lock);
	list_for_each_entry(c, &p->cpus, link) {
		c->index = i++;
		c->ping_open = false;
		c->ping = 0;
		c->nmi = 0;
	}
	mutex_unlock(&p->cpu_lock);
}

static void mark_announced(struct otr_partition *p)
{
	struct otr_chunk *c;

	list_for_each_entry(c, &p->chunks, link)
		c->announced = true;
}

/* What the image says about itself, copied once. 0: go on waiting. */
static int read_status(struct otr_partition *p, struct otr_note *note)
{
	struct otr_status *s = p->sh.status;
	u32 state = smp_load_acquire(&s->state), version = READ_ONCE(s->version);
	char reason[sizeof(s->reason)];

	if (otr_state(p) != OTR_PART_BOOTING) {
		otr_state_reason(p, reason, sizeof(reason));
		return otr_refuse(note, -EIO, "%s crashed while booting: %s", p->name, reason);
	}
	if (state == OTR_CK_NONE || state == OTR_CK_BOOTING)
		return 0;
	memcpy(reason, s->reason, sizeof(reason));
	reason[sizeof(reason) - 1] = 0;
	if (state == OTR_CK_REFUSED)
		return otr_refuse(note, -EPROTO, "the image refused to run: %s", reason);
	if (state == OTR_CK_PANIC)
		return otr_refuse(note, -EIO, "the image panicked while booting: %s", reason);
	if (state != OTR_CK_RUNNING)
		return otr_refuse(note, -EPROTO, "the image reports unknown state %u", state);
	if (READ_ONCE(s->magic) != OTR_STATUS_MAGIC)
		return otr_refuse(note, -EPROTO, "the image's status has a wrong magic number");
	if (version != OTR_ABI_VERSION)
		return otr_refuse(note, -EPROTO, "the image speaks ABI version %u, this module %u",
				  version, OTR_ABI_VERSION);
	return 1;
}

static int wait_running(struct otr_partition *p, struct otr_note *note)
{
	unsigned long end = jiffies + msecs_to_jiffies(OTR_BOOT_TIMEOUT_MS);
	int ret;

	for (;;) {
		ret = read_status(p, note);
		if (ret)
			return ret < 0 ? ret : 0;
		if (time_after(jiffies, end))
			return otr_refuse(note, -ETIMEDOUT, "the image did not come up within %u s",
					  OTR_BOOT_TIMEOUT_MS / 1000);
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(100, 500);
	}
}

static int wait_online(struct otr_partition *p, struct otr_cpu *c, struct otr_note *note)
{
	unsigned long end = jiffies + msecs_to_jiffies(OTR_BOOT_TIMEOUT_MS);

	while (smp_load_acquire(&p->sh.cpu_status[c->index].state) != OTR_CPU_ONLINE) {
		if (otr_state(p) != OTR_PART_BOOTING)
			return otr_refuse(note, -EIO, "%s crashed while CPU %u came up",
					  p->name, c->linux_cpu);
		if (time_after(jiffies, end))
			return otr_refuse(note, -ETIMEDOUT, "CPU %u did not come online within %u s",
					  c->linux_cpu, OTR_BOOT_TIMEOUT_MS / 1000);
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(100, 500);
	}
	return 0;
}

static int start_cpus(struct otr_partition *p, struct otr_note *note)
{
	struct otr_cpu *c;
	int ret;

	list_for_each_entry(c, &p->cpus, link) {
		ret = otr_cpu_start(p, c, note);
		if (!ret)
			ret = c->index == 0 ? wait_running(p, note) : wait_online(p, c, note);
		if (ret)
			return ret;
	}
	return 0;
}

/* op_lock held. */
int otr_boot(struct otr_partition *p, u32 flags, struct otr_note *note)
{
	u32 from = OTR_ANY & ~OTR_LIVE;
	int ret = check_boot(p, note);

	if (ret || (flags & OTR_DRY_RUN))
		return ret;
	otr_partition_quiet(p);
	ret = otr_ctx_teardown(p, OTR_REQUEST_TIMEOUT_MS);
	if (ret)
		return otr_refuse(note, ret, "programs of the last boot still hold memory of %s", p->name);
	number_cpus(p);
	ret = otr_layout(p, note);
	if (!ret)
		ret = otr_ctx_setup(p);
	if (ret)
		return ret;
	if (!otr_state_move(p, from, OTR_PART_BOOTING, ""))
		return -EBUSY;
	otr_chan_open(p);
	otr_clock_open(p);
	ret = otr_doorbell_open(p);
	if (ret)
		otr_refuse(note, ret, "no interrupt for the doorbell (error %d)", ret);
	else
		ret = start_cpus(p, note);
	if (!ret && !otr_state_move(p, OTR_IN(OTR_PART_BOOTING), OTR_PART_RUNNING, NULL))
		ret = otr_refuse(note, -EIO, "%s crashed while booting", p->name);
	if (ret) {
		otr_state_move(p, OTR_ANY, OTR_PART_LOADED, note->text);
		otr_partition_quiet(p);
		return ret;
	}
	mark_announced(p);
	otr_watchdog_start(p);
	otr_pr(info, p, "running\n");
	return 0;
}
