/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/siphash.h"

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    struct siphash_state s = siphash_begin(key);
    uint64_t last = (uint64_t)bytes << 56;
    size_t n = bytes;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t m = load64(p);
        s.v3 ^= m;
        siphash_round(&s);
        siphash_round(&s);
        s.v0 ^= m;
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    s.v3 ^= last;
    siphash_round(&s);
    siphash_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
