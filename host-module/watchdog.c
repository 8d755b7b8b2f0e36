// SPDX-License-Identifier: GPL-2.0
/*
 * Looks after a running partition, eight times a second, and pings every CPU once
 * a second. A CPU that has not answered by NMI_AGE gets an NMI. If it sees that,
 * and at the next tick still has not seen the ping, which was pending before, it
 * hangs with interrupts off: noticed within 1.6 s. One that sees neither may
 * just not be run by an emulator or hypervisor; it has until SILENT_AGE. Also
 * notices a panic whose doorbell was lost, resets the doorbell's flood count,
 * and lets programs follow their proxies' stops.
 */
#include <linux/jiffies.h>

#include "outrigger.h"

#define TICK (HZ / 8)
#define PHASES 8
#define NMI_AGE 2
#define SILENT_AGE 40

static void ping(struct otr_partition *p)
{
	struct otr_cpu *c;

	spin_lock(&p->ring_lock);
	list_for_each_entry(c, &p->cpus, link) {
		if (!READ_ONCE(c->started) ||
		    READ_ONCE(p->sh.cpu_status[c->index].state) != OTR_CPU_ONLINE)
			continue;
		if (c->ping_open)
			continue;
		c->ping_open = true;
		c->ping_age = 0;
		c->nmi_seen_age = 0;
		smp_store_release(&p->sh.cpu_control[c->index].ping, ++c->ping);
		otr_cpu_ring(p, c);
	}
	spin_unlock(&p->ring_lock);
}

/* One tick of a CPU with a ping open. True: it is dead. */
static bool is_dead(struct otr_partition *p, struct otr_cpu *c)
{
	struct otr_cpu_status *s = &p->sh.cpu_status[c->index];

	if (!READ_ONCE(c->started) || READ_ONCE(s->state) == OTR_CPU_PARKED ||
	    READ_ONCE(s->ping_ack) == c->ping) {
		c->ping_open = false;
		return false;
	}
	if (++c->ping_age < NMI_AGE)
		return false;
	if (c->ping_age == NMI_AGE) {
		smp_store_release(&p->sh.cpu_control[c->index].nmi, ++c->nmi);
		otr_ipi(c->apic_id, APIC_DM_NMI);
		return false;
	}
	if (c->nmi_seen_age)
		return true;
	if (READ_ONCE(s->nmi_ack) == c->nmi)
		c->nmi_seen_age = c->ping_age;
	return c->ping_age >= SILENT_AGE;
}

static void check(struct otr_partition *p)
{
	struct otr_cpu *c;
	u32 dead = U32_MAX;

	spin_lock(&p->ring_lock);
	list_for_each_entry(c, &p->cpus, link)
		if (c->ping_open && is_dead(p, c))
			dead = c->linux_cpu;
	spin_unlock(&p->ring_lock);
	if (dead != U32_MAX)
		otr_crash(p, "CPU %u does not answer", dead);
}

void otr_watchdog_work(struct work_struct *work)
{
	struct otr_partition *p = container_of(work, struct otr_partition, watchdog.work);
	u32 phase = p->watchdog_phase++ % PHASES;

	if (!(OTR_IN(otr_state(p)) & OTR_LIVE))
		return;
	otr_crash_status(p);
	if (phase == 0) {
		WRITE_ONCE(p->bell_spurious, 0);
		WRITE_ONCE(p->bell_second, 0);
		WRITE_ONCE(p->useless_count, 0);
		WRITE_ONCE(p->message_count, 0);
		ping(p);
	} else {
		check(p);
	}
	otr_ctx_poll(p);
	queue_delayed_work(otr_wq, &p->watchdog, TICK);
}

void otr_watchdog_start(struct otr_partition *p)
{
	p->watchdog_phase = 0;
	queue_delayed_work(otr_wq, &p->watchdog, 0);
}

void otr_watchdog_stop(struct otr_partition *p)
{
	cancel_delayed_work_sync(&p->watchdog);
}
