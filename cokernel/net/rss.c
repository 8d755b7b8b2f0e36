/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/rss.h"

/* Each bit of the input that is set adds the 32 bits of the key that begin at its place. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *in, unsigned bytes)
{
    uint32_t window = get_be32(key), hash = 0;
    for (unsigned i = 0; i < bytes; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            if (in[i] & 0x80u >> bit)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> (7 - bit) & 1u);
        }
    return hash;
}

uint32_t net_rss_hash(const struct net_rss *rss, const struct net_flow_key *k)
{
    uint8_t in[36];
    unsigned at = net_addr_is_v4(&k->remote) ? 12 : 0, n = 16 - at;
    net_copy(in, k->remote.b + at, n); /* the sender first */
    net_copy(in + n, k->local.b + at, n);
    put_be16(in + 2 * n, k->remote_port);
    put_be16(in + 2 * n + 2, k->local_port);
    return toeplitz(rss->key, in, 2 * n + 4);
}
