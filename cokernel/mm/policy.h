/* SPDX-License-Identifier: BSD-2-Clause */
/* On which nodes pages of programs are allocated; modes are Linux's
 * (uapi/linux/mempolicy.h). Nodes are Linux's numbers, of which the partition has
 * some. */
#ifndef COKERNEL_MM_POLICY_H
#define COKERNEL_MM_POLICY_H

#include "cokernel/lib/types.h"

enum {
	POLICY_DEFAULT = 0, POLICY_PREFERRED = 1, POLICY_BIND = 2, POLICY_INTERLEAVE = 3,
	POLICY_LOCAL = 4, POLICY_PREFERRED_MANY = 5,
};

struct policy {
	uint16_t mode;
	uint16_t flags;             /* as the program gave them, for get_mempolicy() */
	uint64_t nodes;             /* a bit each */
};

static inline bool policy_equal(const struct policy *a, const struct policy *b)
{
	return a->mode == b->mode && a->flags == b->flags && a->nodes == b->nodes;
}

#endif
