/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/siphash.h"

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    struct siphash_state s = siphash_begin(key);
    uint64_t last = (uint64_t)bytes << 56;
    size_t n = bytes;
    for (; n >= 8; n -= 8, p += 8)
        siphash24_word(&s, load64(p));
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    return siphash24_end(&s, last);
}
