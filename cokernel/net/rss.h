/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flow groups: the buckets by which a NIC with receive-side scaling spreads
 * connections over queues. Computed here as the device does it, so that an
 * instance knows which of its connections a bucket holds.
 */
#ifndef NET_RSS_H
#define NET_RSS_H

#include "cokernel/net/flow.h"

#define NET_RSS_KEY_BYTES 40u

struct net_rss {
    uint8_t key[NET_RSS_KEY_BYTES]; /* as written to the device */
    uint32_t groups;                /* a power of two, at most 4096 */
};

/* The Toeplitz hash of a segment that arrives for this flow (NDIS "RSS hashing types", TCP/IPv4 and TCP/IPv6). */
uint32_t net_rss_hash(const struct net_rss *rss, const struct net_flow_key *flow);
static inline uint32_t net_rss_group(const struct net_rss *rss, const struct net_flow_key *flow)
{
    return net_rss_hash(rss, flow) & (rss->groups - 1);
}

#endif
