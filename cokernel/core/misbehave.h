/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults on request (OTR_MSG_TEST), for the tests of crash handling; refused
 * with -EPERM unless "test" is on the command line. */
#ifndef COKERNEL_CORE_MISBEHAVE_H
#define COKERNEL_CORE_MISBEHAVE_H

#include "cokernel/lib/types.h"

int misbehave(uint32_t how);

#endif
