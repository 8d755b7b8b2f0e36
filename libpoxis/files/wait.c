/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/files/wait.h"
#include "cokernel/core/clock.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/signal.h"

#define NSEC_PER_SEC 1000000000ll
#define SEC_MOST     4000000000ll   /* longer is as good as for ever */

bool wait_take_time(struct wait *w, int64_t sec, int64_t nsec)
{
	if (sec < 0 || nsec < 0 || nsec >= NSEC_PER_SEC)
		return false;
	w->timeout_ns = (uint64_t)(MIN(sec, SEC_MOST) * NSEC_PER_SEC + nsec);
	return true;
}

void wait_begin(struct wait *w)
{
	w->waited = true;
	if (w->timeout_ns && w->timeout_ns != WAIT_FOR_EVER && !w->deadline)
		w->deadline = clock_uptime_ns() + w->timeout_ns;
	if (w->mask_at)
		signal_mask_begin(current_thread(), w->mask);
}

uint64_t wait_left_ns(const struct wait *w)
{
	uint64_t now;

	if (!w->deadline)
		return w->timeout_ns;
	now = clock_uptime_ns();
	return w->deadline > now ? w->deadline - now : 0;
}

uint64_t wait_left_ms(const struct wait *w)
{
	return MIN((wait_left_ns(w) + 999999) / 1000000, (uint64_t)INT32_MAX);
}
