/* SPDX-License-Identifier: BSD-2-Clause */
/* A counter behind a descriptor, as Linux's fs/eventfd.c has it. The Linux eventfd behind
 * a local one stays at 0. */
#ifndef LIBPOXIS_FILES_EVENTFD_H
#define LIBPOXIS_FILES_EVENTFD_H

#include "libpoxis/files/local.h"

struct eventfd {
	struct local local;
	struct local_end end;
	bool semaphore;             /* reading takes 1 */
	/* local.lock */
	uint64_t count;             /* at most UINT64_MAX - 1 */
	struct list readers;        /* struct local_waiter */
	struct list writers;
};

/* With its end, a reference; NULL: memory is out. */
struct eventfd *eventfd_create(uint64_t count, bool semaphore, bool nonblock);

#endif
