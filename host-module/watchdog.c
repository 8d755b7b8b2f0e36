// SPDX-License-Identifier: GPL-2.0
/*
 * Looks after a running partition, four times a second: in phase 0 it pings
 * every CPU, in phase 3 it wants the answers. So each CPU gets at most one ping
 * a second, and one that stopped answering is noticed within 1.75 s. Also
 * notices a panic whose doorbell was lost, resets the doorbell's flood count,
 * and lets programs follow their proxies' stops.
 */
#include <linux/jiffies.h>

#include "outrigger.h"

#define TICK (HZ / 4)
#define PHASES 4
#define PHASE_CHECK 3

static void ping(struct otr_partition *p)
{
	struct otr_cpu *c;

	spin_lock(&p->ring_lock);
	list_for_each_entry(c, &p->cpus, link) {
		if (!READ_ONCE(c->started) ||
		    READ_ONCE(p->sh.cpu_status[c->index].state) != OTR_CPU_ONLINE)
			continue;
		c->ping_open = true;
		smp_store_release(&p->sh.cpu_control[c->index].ping, ++c->ping);
		otr_cpu_ring(p, c);
	}
	spin_unlock(&p->ring_lock);
}

static void check(struct otr_partition *p)
{
	struct otr_cpu *c;
	u32 state, silent = U32_MAX;

	spin_lock(&p->ring_lock);
	list_for_each_entry(c, &p->cpus, link) {
		if (!c->ping_open)
			continue;
		c->ping_open = false;
		state = READ_ONCE(p->sh.cpu_status[c->index].state);
		if (READ_ONCE(c->started) && state != OTR_CPU_PARKED &&
		    READ_ONCE(p->sh.cpu_status[c->index].ping_ack) != c->ping)
			silent = c->linux_cpu;
	}
	spin_unlock(&p->ring_lock);
	if (silent != U32_MAX)
		otr_crash(p, "CPU %u does not answer", silent);
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
	} else if (phase == PHASE_CHECK) {
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
