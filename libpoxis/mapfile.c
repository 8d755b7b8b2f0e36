/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/mapfile.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

#define LENT_LOOK_NS 200000u
#define CLOSES 4u               /* that one OTR_CALL_FILE carries */

bool mapfile_lent(const struct mm *mm)
{
	return current_thread()->process->mm != mm;
}

static int64_t call_file(struct mm *mm, uint64_t fd, uint32_t prot)
{
	uint32_t idle[CLOSES] = { 0 };
	int64_t ret;

	/* The number would be one of the child's, the area its parent's. */
	if (mapfile_lent(mm))
		return -ENOMEM;
	mm_files_take_idle(mm, idle, CLOSES);
	ret = slot_call_always(current_thread()->slot, OTR_CALL_FILE, (uint64_t[6]){
		fd, prot, idle[0], idle[1], idle[2], idle[3] });
	/* The proxy may answer anything; a wrong number is its program's harm. */
	return ret > INT32_MAX ? -EPROTO : ret;
}

int64_t mapfile_open(struct mm *mm, uint64_t fd, uint32_t prot)
{
	return call_file(mm, fd, prot);
}

void mapfile_settle(struct mm *mm)
{
	while (!mapfile_lent(mm) && !list_empty(&mm->idle_files) && !thread_killed(current_thread()))
		call_file(mm, OTR_FILE_NONE, 0);
}

int mapfile_fetch(struct mm *mm, uint32_t index)
{
	struct mm *own = current_thread()->process->mm;
	bool lent = own != mm;
	int64_t ret = 0;

	if (!lent || mm_fetch_lend(mm, index, own))
		ret = slot_call_always(current_thread()->slot, OTR_CALL_FETCH, (uint64_t[6]){ index });
	else
		thread_park_until(clock_uptime_ns() + LENT_LOOK_NS);
	if (lent)
		mm_fetch_return(mm, own, MM_RETURN_DONE);
	if (thread_killed(current_thread()))
		return -EINTR;
	/* What was read says the request itself; here the host did not even try. */
	return ret < 0 && ret != -EINTR ? -ENXIO : 0;
}
