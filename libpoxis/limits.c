/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/limits.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/cputimer.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

enum { RLIMIT_CPU = 0, RLIMIT_DATA = 2, RLIMIT_MEMLOCK = 8, RLIMIT_AS = 9 };

enum { SOFT = 0, HARD = 1 };

/* UINT64_MAX: none. */
static uint64_t limit(uint32_t resource, uint64_t which)
{
	int64_t ret = slot_call_always(current_thread()->slot, OTR_CALL_LIMIT, (uint64_t[6]){ resource, which });

	return ret < 0 ? 0 : ret == INT64_MAX ? UINT64_MAX : (uint64_t)ret;
}

int lock_may_add(uint64_t bytes)
{
	struct mm *mm = current_thread()->mm;
	uint64_t most = limit(RLIMIT_MEMLOCK, SOFT);

	if (!most)
		return -EPERM;
	return mm->locked_bytes > most || bytes > most - mm->locked_bytes ? -ENOMEM : 0;
}

int limits_take_cpu(void)
{
	/* A hard one alone there is not. */
	uint64_t soft_s = limit(RLIMIT_CPU, SOFT), hard_s = soft_s == UINT64_MAX ? soft_s : limit(RLIMIT_CPU, HARD);

	return cputimer_limit(current_thread()->process, soft_s, hard_s);
}

/* The proxy keeps the new limit; what it is now holds from now on. */
static int64_t changed(int64_t ret, uint32_t resource)
{
	struct mm *mm = current_thread()->mm;

	if (!ret && resource == RLIMIT_AS)
		mm->limit_as = limit(RLIMIT_AS, SOFT);
	if (!ret && resource == RLIMIT_DATA)
		mm->limit_data = limit(RLIMIT_DATA, SOFT);
	if (!ret && resource == RLIMIT_CPU)
		return limits_take_cpu();
	return ret;
}

int64_t sys_setrlimit(struct regs *r)
{
	return changed(dispatch_delegate(r), (uint32_t)r->rdi);
}

int64_t sys_prlimit64(struct regs *r)
{
	return changed(dispatch_delegate(r), (uint32_t)r->rsi);
}
