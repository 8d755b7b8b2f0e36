/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef NETBENCH_HOST_H
#define NETBENCH_HOST_H

#include "cokernel/net/net_env.h"

extern const struct net_env bench_env; /* the link's clock, malloc */
void bench_no_release(void *ctx, void *storage);

#endif
