/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a call waits for events, and which signals wait meanwhile; poll.c and epoll. */
#ifndef LIBPOXIS_FILES_WAIT_H
#define LIBPOXIS_FILES_WAIT_H

#include "cokernel/lib/types.h"

#define WAIT_FOR_EVER UINT64_MAX

struct wait {
	uint64_t timeout_ns;        /* or WAIT_FOR_EVER */
	uint64_t deadline;          /* clock_uptime_ns(), of one that waits; 0: none */
	bool waited;                /* it came to that */
	uaddr_t mask_at;            /* of signals, meanwhile; 0: none */
	uint64_t mask;
};

/* Of poll() and epoll_wait(): below zero is for ever. */
static inline uint64_t wait_from_ms(int32_t ms)
{
	return ms < 0 ? WAIT_FOR_EVER : (uint32_t)ms * 1000000ull;
}
/* False: that is no time. */
bool wait_take_time(struct wait *w, int64_t sec, int64_t nsec);
/* The wait begins, and with it that of the signals: a park token may be gone after that. */
void wait_begin(struct wait *w);
/* Of the time that it may wait; 0 when that is over. */
uint64_t wait_left_ns(const struct wait *w);
/* The same as Linux would be told, rounded up. */
uint64_t wait_left_ms(const struct wait *w);

#endif
