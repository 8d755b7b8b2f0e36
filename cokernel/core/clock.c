/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/clock.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"

#define NSEC_PER_SEC 1000000000ull

static const struct otr_clock *shared;
static uint64_t uptime_mult;    /* ns = ticks * mult >> 32 */

void clock_init(void)
{
	shared = boot_area(OTR_AREA_CLOCK, NULL);
	uptime_mult = (1000000ull << 32) / MAX(boot_info.tsc_khz, 1ul);
}

uint64_t clock_uptime_ns(void)
{
	return (uint64_t)((unsigned __int128)(rdtsc() - boot_tsc_entry) * uptime_mult >> 32);
}

/* One consistent copy. The host's write sections are short, but the host may be
 * stopped within one. */
static bool snapshot(struct otr_clock *to)
{
	for (int i = 0; i < 100000; i++) {
		uint32_t seq = load_acquire(&shared->seq);

		if (!(seq & 1)) {
			*to = *(const volatile struct otr_clock *)shared;
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (load_relaxed(&shared->seq) == seq)
				return true;
		}
		cpu_pause();
	}
	return false;
}

int clock_read(int id, struct clock_time *t)
{
	unsigned bit = id >= 0 && id < OTR_CLOCK_BASES ? 1u << id : 0, scale = id == OTR_CLOCK_MONOTONIC_RAW;
	uint64_t delta = 0, now, ns;
	struct otr_clock c;

	if (!(bit & (OTR_CLOCKS_FINE | OTR_CLOCKS_COARSE)))
		return -EINVAL;
	if (!shared || !snapshot(&c) || c.mode != OTR_CLOCK_TSC || c.scale[scale].shift > 63)
		return -EOPNOTSUPP;
	now = rdtsc_ordered();
	if (now > c.cycle_last && bit & OTR_CLOCKS_FINE)
		delta = now - c.cycle_last;
	ns = (delta * c.scale[scale].mult + c.base[id].ns) >> c.scale[scale].shift;
	t->sec = c.base[id].sec + (int64_t)(ns / NSEC_PER_SEC);
	t->nsec = (int64_t)(ns % NSEC_PER_SEC);
	return 0;
}
