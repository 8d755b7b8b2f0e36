/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash (Aumasson and Bernstein, 2012). SipHash-1-3 places flows in tables,
 * where an attacker must not find collisions; SipHash-2-4 makes what the wire
 * shows: initial sequence numbers, cookies, ports.
 */
#ifndef NET_SIPHASH_H
#define NET_SIPHASH_H

#include "cokernel/net/net_bytes.h"

struct siphash_key { uint64_t k0, k1; };
struct siphash_state { uint64_t v0, v1, v2, v3; };

static inline uint64_t siphash_rotl(uint64_t v, int n) { return v << n | v >> (64 - n); }

static inline void siphash_round(struct siphash_state *s)
{
    s->v0 += s->v1; s->v1 = siphash_rotl(s->v1, 13); s->v1 ^= s->v0; s->v0 = siphash_rotl(s->v0, 32);
    s->v2 += s->v3; s->v3 = siphash_rotl(s->v3, 16); s->v3 ^= s->v2;
    s->v0 += s->v3; s->v3 = siphash_rotl(s->v3, 21); s->v3 ^= s->v0;
    s->v2 += s->v1; s->v1 = siphash_rotl(s->v1, 17); s->v1 ^= s->v2; s->v2 = siphash_rotl(s->v2, 32);
}

static inline struct siphash_state siphash_begin(const struct siphash_key *k)
{
    return (struct siphash_state){
        k->k0 ^ 0x736f6d6570736575ull, k->k1 ^ 0x646f72616e646f6dull,
        k->k0 ^ 0x6c7967656e657261ull, k->k1 ^ 0x7465646279746573ull,
    };
}

static inline void siphash13_word(struct siphash_state *s, uint64_t m)
{
    s->v3 ^= m;
    siphash_round(s);
    s->v0 ^= m;
}

/* `words` words of 8 bytes were fed in before. */
static inline uint64_t siphash13_end(struct siphash_state *s, unsigned words)
{
    siphash13_word(s, (uint64_t)(words * 8) << 56);
    s->v2 ^= 0xff;
    siphash_round(s);
    siphash_round(s);
    siphash_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline void siphash24_word(struct siphash_state *s, uint64_t m)
{
    s->v3 ^= m;
    siphash_round(s);
    siphash_round(s);
    s->v0 ^= m;
}

/* last: what is left over, and above it the length of all in bytes. */
static inline uint64_t siphash24_end(struct siphash_state *s, uint64_t last)
{
    siphash24_word(s, last);
    s->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        siphash_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t bytes);

/* Of the 16 bytes that a and b are, each with its lowest byte first. */
static inline uint64_t siphash24_pair(const struct siphash_key *key, uint64_t a, uint64_t b)
{
    struct siphash_state s = siphash_begin(key);
    siphash24_word(&s, a);
    siphash24_word(&s, b);
    return siphash24_end(&s, 16ull << 56);
}

#endif
