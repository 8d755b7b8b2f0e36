// SPDX-License-Identifier: GPL-2.0
/*
 * Publishes Linux's clocks to every booted partition. Linux calls us at each
 * change of its timekeeper (about once a tick), with its lock held and
 * interrupts off.
 */
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <vdso/clocksource.h>

#include "outrigger.h"

static DEFINE_RAW_SPINLOCK(otr_clock_lock);
static LIST_HEAD(clocks);
static struct otr_clock last;		/* without seq */

static void read_timekeeper(struct otr_clock *c, const struct timekeeper *tk)
{
	if (tk->tkr_mono.clock->vdso_clock_mode != VDSO_CLOCKMODE_TSC) {
		c->mode = OTR_CLOCK_OTHER;
		return;
	}
	c->mode = OTR_CLOCK_TSC;
	c->cycle_last = tk->tkr_mono.cycle_last;
	c->mult = tk->tkr_mono.mult;
	c->shift = tk->tkr_mono.shift;
	c->xtime_nsec = tk->tkr_mono.xtime_nsec;
	c->wall_sec = tk->xtime_sec;
	c->wall_to_mono_sec = tk->wall_to_monotonic.tv_sec;
	c->wall_to_mono_nsec = tk->wall_to_monotonic.tv_nsec;
	c->boot_ns = ktime_to_ns(tk->offs_boot);
	c->tai_sec = tk->tai_offset;
	c->raw_mult = tk->tkr_raw.mult;
	c->raw_shift = tk->tkr_raw.shift;
	c->raw_sec = tk->raw_sec;
	c->raw_nsec = tk->tkr_raw.xtime_nsec;
}

/* otr_clock_lock held. */
static void publish(struct otr_clock *to)
{
	u32 seq = READ_ONCE(to->seq) | 1;

	WRITE_ONCE(to->seq, seq);
	smp_wmb();	/* seq odd before the fields; pairs with the co-kernel's reads */
	memcpy((void *)to + sizeof(seq), (void *)&last + sizeof(seq), sizeof(last) - sizeof(seq));
	smp_wmb();	/* the fields before seq even */
	WRITE_ONCE(to->seq, seq + 1);
}

static int timekeeper_changed(struct notifier_block *nb, unsigned long unused, void *priv)
{
	struct otr_partition *p;
	unsigned long flags;

	raw_spin_lock_irqsave(&otr_clock_lock, flags);
	read_timekeeper(&last, priv);
	list_for_each_entry(p, &clocks, clock_link)
		publish(p->sh.clock);
	raw_spin_unlock_irqrestore(&otr_clock_lock, flags);
	return NOTIFY_OK;
}

static struct notifier_block timekeeper_nb = { .notifier_call = timekeeper_changed };

void otr_clock_open(struct otr_partition *p)
{
	raw_spin_lock_irq(&otr_clock_lock);
	publish(p->sh.clock);
	list_add(&p->clock_link, &clocks);
	raw_spin_unlock_irq(&otr_clock_lock);
}

void otr_clock_close(struct otr_partition *p)
{
	raw_spin_lock_irq(&otr_clock_lock);
	list_del_init(&p->clock_link);
	raw_spin_unlock_irq(&otr_clock_lock);
}

bool otr_clock_is_tsc(void)
{
	return READ_ONCE(last.mode) == OTR_CLOCK_TSC;
}

int otr_clock_init(void)
{
	return pvclock_gtod_register_notifier(&timekeeper_nb);
}

void otr_clock_fini(void)
{
	pvclock_gtod_unregister_notifier(&timekeeper_nb);
}
