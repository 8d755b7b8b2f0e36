/* SPDX-License-Identifier: BSD-2-Clause */
/* Access to the current program's memory. 0 or -EFAULT; nothing is trusted and
 * a fault in the middle leaves a partial copy, as in Linux. */
#ifndef LIBPOXIS_USER_H
#define LIBPOXIS_USER_H

#include "abi/call.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/thread.h"

size_t user_copy(void *to, const void *from, size_t bytes);
int user_cas32(uint32_t *at, uint32_t *old, uint32_t new);

static inline bool user_range_ok(uaddr_t at, uint64_t bytes)
{
	return bytes <= OTR_USER_END && at <= OTR_USER_END - bytes;
}

static inline int user_read(void *to, uaddr_t from, size_t bytes)
{
	if (!user_range_ok(from, bytes) || user_copy(to, (const void *)from, bytes))
		return -EFAULT;
	return 0;
}

/* Under a spin lock: -EFAULT also where the page only has to be brought in. */
static inline int user_read_locked(void *to, uaddr_t from, size_t bytes)
{
	int err;

	current_thread()->no_fault = true;
	err = user_read(to, from, bytes);
	current_thread()->no_fault = false;
	return err;
}

static inline int user_write(uaddr_t to, const void *from, size_t bytes)
{
	if (!user_range_ok(to, bytes) || user_copy((void *)to, from, bytes))
		return -EFAULT;
	return 0;
}

/* As user_read_locked(). */
static inline int user_write_locked(uaddr_t to, const void *from, size_t bytes)
{
	int err;

	current_thread()->no_fault = true;
	err = user_write(to, from, bytes);
	current_thread()->no_fault = false;
	return err;
}

#endif
