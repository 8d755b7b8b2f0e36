/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071). Partial sums are 64-bit values of
 * native-order words; they add up in any order as long as every piece but
 * the last is of even length, else cksum_add_at() swaps.
 */
#ifndef NET_CKSUM_H
#define NET_CKSUM_H

#include "cokernel/net/net_addr.h"

struct pbuf;

/* Sum of `n` bytes at any alignment, added to `sum` with end-around carry. */
uint64_t cksum_add(uint64_t sum, const void *data, size_t n);

static inline uint64_t cksum_add64(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

/* As cksum_add() for a piece that starts `offset` bytes into the message. */
static inline uint64_t cksum_add_at(uint64_t sum, size_t offset, const void *data, size_t n)
{
    uint64_t piece = cksum_add(0, data, n);
    if (offset & 1)
        piece = piece << 8 | piece >> 56;
    return cksum_add64(sum, piece);
}

/* Folds to 16 bits, not complemented. The result is stored without byte swap. */
static inline uint16_t cksum_fold(uint64_t sum)
{
    /* A half plus itself rotated: the upper half of the sum takes in the carry. */
    uint32_t s = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
    return (uint16_t)((s + (s << 16 | s >> 16)) >> 16);
}

static inline uint16_t cksum_finish(uint64_t sum) { return (uint16_t)~cksum_fold(sum); }

/* Sum of an IPv4 header without options, small enough for cksum_fold() as it is. */
static inline uint64_t cksum_ip4_header(const uint8_t *h)
{
    return cksum_add64(cksum_add64(load64(h), load64(h + 8)), load32(h + 16));
}

/* RFC 1624 eqn. 3: the checksum after a 16-bit word changed. All in wire order. */
static inline uint16_t cksum_update16(uint16_t cksum, uint16_t from, uint16_t to)
{
    uint32_t s = (uint32_t)(uint16_t)~cksum + (uint16_t)~from + to;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

/* Pseudo-header of RFC 9293 3.1 or RFC 8200 8.1, by the kind of the addresses. */
static inline uint64_t cksum_pseudo(const struct net_addr *src, const struct net_addr *dst, uint8_t proto, uint32_t len)
{
    uint64_t sum = (uint64_t)net_bswap32(len) + ((uint32_t)proto << 24);
    if (net_addr_is_v4(src))
        return sum + src->w[3] + dst->w[3];
    sum += (uint64_t)src->w[0] + src->w[1] + src->w[2] + src->w[3];
    return sum + dst->w[0] + dst->w[1] + dst->w[2] + dst->w[3];
}

/* Sum over a packet's bytes [offset, end), whatever its parts. */
uint64_t cksum_pbuf(uint64_t sum, const struct pbuf *pb, uint32_t offset, uint32_t bytes);

#endif
