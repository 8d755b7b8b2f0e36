/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/clock.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"

#define NSEC_PER_SEC 1000000000ull

/* Linux's numbers (uapi/linux/time.h) */
enum {
	CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_MONOTONIC_RAW = 4,
	CLOCK_REALTIME_COARSE = 5, CLOCK_MONOTONIC_COARSE = 6, CLOCK_BOOTTIME = 7, CLOCK_TAI = 11,
};

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

/* One consistent copy; the host's write sections are short, but the host may
 * be stopped within one: then the old parameters are as good as any. */
static bool snapshot(struct otr_clock *to)
{
	static struct otr_clock last;

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
	*to = last;
	return false;
}

static void add_ns(struct clock_time *t, uint64_t ns)
{
	t->sec += (int64_t)(ns / NSEC_PER_SEC);
	t->nsec += (int64_t)(ns % NSEC_PER_SEC);
	if (t->nsec >= (int64_t)NSEC_PER_SEC) {
		t->nsec -= (int64_t)NSEC_PER_SEC;
		t->sec++;
	}
}

int clock_read(int id, struct clock_time *t)
{
	struct otr_clock c;
	uint64_t delta, now;

	switch (id) {
	case CLOCK_REALTIME: case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE: case CLOCK_MONOTONIC_COARSE: case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		break;
	default:
		return -EINVAL;
	}
	if (!shared || !snapshot(&c) || c.mode != OTR_CLOCK_TSC || c.shift > 63 || c.raw_shift > 63)
		return -EOPNOTSUPP;
	now = rdtsc_ordered();
	delta = now > c.cycle_last ? now - c.cycle_last : 0;
	if (id == CLOCK_MONOTONIC_RAW) {
		t->sec = (int64_t)c.raw_sec;
		t->nsec = 0;
		add_ns(t, (delta * c.raw_mult + c.raw_nsec) >> c.raw_shift);
		return 0;
	}
	t->sec = (int64_t)c.wall_sec;
	t->nsec = 0;
	if (id == CLOCK_REALTIME_COARSE || id == CLOCK_MONOTONIC_COARSE)
		delta = 0;
	add_ns(t, (delta * c.mult + c.xtime_nsec) >> c.shift);
	if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME) {
		t->sec += c.wall_to_mono_sec;
		add_ns(t, c.wall_to_mono_nsec);
	}
	if (id == CLOCK_BOOTTIME)
		add_ns(t, c.boot_ns);
	if (id == CLOCK_TAI)
		t->sec += c.tai_sec;
	return 0;
}
