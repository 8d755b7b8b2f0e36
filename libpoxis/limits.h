/* SPDX-License-Identifier: BSD-2-Clause */
/* Resource limits on memory and CPU time: kept by the proxy, in force here. */
#ifndef LIBPOXIS_LIMITS_H
#define LIBPOXIS_LIMITS_H

#include "cokernel/lib/types.h"

/* Whether the caller may lock so many bytes more: 0, -ENOMEM, -EPERM. */
int lock_may_add(uint64_t bytes);
/* RLIMIT_CPU as the proxy has it is in force for the calling program from now on. -ENOMEM. */
int limits_take_cpu(void);

#endif
