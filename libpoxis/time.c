/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks and sleeping. */
#include "libpoxis/time.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/signal.h"
#include "libpoxis/usage.h"
#include "libpoxis/user.h"

#define NSEC_PER_SEC 1000000000ll
#define SEC_MOST 4000000000ll   /* longer sleeps are as good as for ever */

int time_user_deadline(uaddr_t at, int clock, bool absolute, uint64_t *deadline)
{
	struct clock_time t, now;
	int64_t delta;
	int err = user_read(&t, at, sizeof(t));

	if (err)
		return err;
	if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (absolute) {
		err = clock_read(clock, &now);
		if (err)
			return err;
		t.sec -= now.sec;
		t.nsec -= now.nsec;
	}
	if (t.sec > SEC_MOST)
		t.sec = SEC_MOST;
	delta = t.sec < -SEC_MOST ? 0 : t.sec * NSEC_PER_SEC + t.nsec;
	*deadline = MAX(clock_uptime_ns() + (delta > 0 ? (uint64_t)delta : 0), 1ul);
	return 0;
}

int64_t sys_clock_gettime(struct regs *r)
{
	struct clock_time t;
	uint64_t ns;
	int err = clock_read((int)r->rdi, &t);

	if (err && !usage_clock((int)r->rdi, &ns)) {
		t = (struct clock_time){ (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC) };
		err = 0;
	}
	/* Dynamic clocks, and all of them without the TSC. */
	if (err)
		return dispatch_delegate(r);
	return user_write(r->rsi, &t, sizeof(t));
}

int64_t sys_clock_getres(struct regs *r)
{
	struct clock_time t;

	if ((r->rdi == 5 || r->rdi == 6) || clock_read((int)r->rdi, &t))
		return dispatch_delegate(r);
	t = (struct clock_time){ 0, 1 };
	return r->rsi ? user_write(r->rsi, &t, sizeof(t)) : 0;
}

int64_t sys_gettimeofday(struct regs *r)
{
	struct clock_time t;

	if (r->rsi || clock_read(0, &t))
		return dispatch_delegate(r);
	t.nsec /= 1000;
	return r->rdi ? user_write(r->rdi, &t, sizeof(t)) : 0;
}

int64_t sys_time(struct regs *r)
{
	struct clock_time t;

	if (clock_read(0, &t))
		return dispatch_delegate(r);
	if (r->rdi && user_write(r->rdi, &t.sec, sizeof(t.sec)))
		return -EFAULT;
	return t.sec;
}

static int64_t sleep_until(uint64_t deadline, uaddr_t remain)
{
	struct thread *t = current_thread();
	struct clock_time left;
	uint64_t now;

	signal_may_park(t);         /* what came meanwhile is seen below */
	while (thread_interrupted(t) || thread_park_until(deadline) != -ETIMEDOUT) {
		if (!thread_interrupted(t))
			continue;
		now = clock_uptime_ns();
		if (remain && now < deadline) {
			left.sec = (int64_t)(deadline - now) / NSEC_PER_SEC;
			left.nsec = (int64_t)(deadline - now) % NSEC_PER_SEC;
			user_write(remain, &left, sizeof(left));
		}
		return -EINTR;
	}
	return 0;
}

int64_t sys_nanosleep(struct regs *r)
{
	uint64_t deadline;
	int err = time_user_deadline(r->rdi, 1, false, &deadline);

	return err ? err : sleep_until(deadline, r->rsi);
}

int64_t sys_clock_nanosleep(struct regs *r)
{
	bool absolute = r->rsi & 1;
	uint64_t deadline;
	int err;

	if (r->rdi != 0 && r->rdi != 1 && r->rdi != 7 && r->rdi != 11)
		return dispatch_delegate(r);
	err = time_user_deadline(r->rdx, (int)r->rdi, absolute, &deadline);
	if (err == -EOPNOTSUPP)
		return dispatch_delegate(r);
	return err ? err : sleep_until(deadline, absolute ? 0 : r->r10);
}
