/* SPDX-License-Identifier: BSD-2-Clause */
/* Time: Linux's clocks by the host's parameters, and the co-kernel's own
 * monotonic nanoseconds for timers (the TSC since boot). */
#ifndef COKERNEL_CORE_CLOCK_H
#define COKERNEL_CORE_CLOCK_H

#include "cokernel/lib/types.h"

struct clock_time { int64_t sec; int64_t nsec; };

void clock_init(void);
/* Since this co-kernel's first instruction. Monotonic; timers use it. */
uint64_t clock_uptime_ns(void);
/* Linux's clock `id` (CLOCK_REALTIME .. CLOCK_TAI and the coarse ones).
 * -EINVAL for other ids, -EOPNOTSUPP while Linux does not use the TSC: then the
 * call must be delegated. */
int clock_read(int id, struct clock_time *t);

#endif
