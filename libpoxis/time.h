/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LIBPOXIS_TIME_H
#define LIBPOXIS_TIME_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/types.h"

/* Reads a struct timespec of the program and makes a deadline on
 * clock_uptime_ns() of it: `clock` is Linux's id, `absolute` as in TIMER_ABSTIME.
 * -EFAULT, -EINVAL. A deadline is never 0. */
int time_user_deadline(uaddr_t at, int clock, bool absolute, uint64_t *deadline);

int64_t sys_clock_gettime(struct regs *r);
int64_t sys_clock_getres(struct regs *r);
int64_t sys_gettimeofday(struct regs *r);
int64_t sys_time(struct regs *r);
int64_t sys_nanosleep(struct regs *r);
int64_t sys_clock_nanosleep(struct regs *r);

#endif
