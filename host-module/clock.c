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

/* Seconds and shifted nanoseconds, of which there may be a few seconds too many. */
static void set_base(struct otr_clock *c, int id, s64 sec, u64 ns, u32 shift)
{
	while (ns >= (u64)NSEC_PER_SEC << shift) {
		ns -= (u64)NSEC_PER_SEC << shift;
		sec++;
	}
	c->base[id].sec = sec;
	c->base[id].ns = ns;
}

static void read_timekeeper(struct otr_clock *c, const struct timekeeper *tk)
{
	const struct tk_read_base *mono = &tk->tkr_mono, *raw = &tk->tkr_raw;
	u64 boot_ns = ktime_to_ns(tk->offs_boot), ns;
	u32 rest, shift = mono->shift;
	s64 sec;

	if (mono->clock->vdso_clock_mode != VDSO_CLOCKMODE_TSC) {
		c->mode = OTR_CLOCK_OTHER;
		return;
	}
	c->mode = OTR_CLOCK_TSC;
	c->cycle_last = mono->cycle_last;
	c->scale[0].mult = mono->mult;
	c->scale[0].shift = shift;
	c->scale[1].mult = raw->mult;
	c->scale[1].shift = raw->shift;
	set_base(c, OTR_CLOCK_REALTIME, tk->xtime_sec, mono->xtime_nsec, shift);
	set_base(c, OTR_CLOCK_TAI, tk->xtime_sec + tk->tai_offset, mono->xtime_nsec, shift);
	c->base[OTR_CLOCK_REALTIME_COARSE] = c->base[OTR_CLOCK_REALTIME];
	sec = tk->xtime_sec + tk->wall_to_monotonic.tv_sec;
	ns = mono->xtime_nsec + ((u64)tk->wall_to_monotonic.tv_nsec << shift);
	set_base(c, OTR_CLOCK_MONOTONIC, sec, ns, shift);
	c->base[OTR_CLOCK_MONOTONIC_COARSE] = c->base[OTR_CLOCK_MONOTONIC];
	boot_ns = div_u64_rem(boot_ns, NSEC_PER_SEC, &rest);
	set_base(c, OTR_CLOCK_BOOTTIME, sec + boot_ns, ns + ((u64)rest << shift), shift);
	set_base(c, OTR_CLOCK_MONOTONIC_RAW, tk->raw_sec, raw->xtime_nsec, raw->shift);
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
