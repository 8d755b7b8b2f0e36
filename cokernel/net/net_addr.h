/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2),
 * so that every table and every connection has one address type.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include "cokernel/net/net_bytes.h"

struct net_mac { uint8_t b[6]; };

struct net_addr {
    union {
        uint8_t b[16];
        uint32_t w[4]; /* network byte order */
        uint64_t q[2];
    };
};

/* Network-order word 2 of an IPv4-mapped address. */
#define NET_ADDR_V4_TAG 0xffff0000u

static inline struct net_addr net_addr_v4_raw(uint32_t be)
{
    return (struct net_addr){ .w = { 0, 0, NET_ADDR_V4_TAG, be } };
}
/* From host order: 0x0a000001 is 10.0.0.1. */
static inline struct net_addr net_addr_v4(uint32_t host) { return net_addr_v4_raw(net_bswap32(host)); }
static inline struct net_addr net_addr_v6(const void *p)
{
    struct net_addr a;
    net_copy(a.b, p, 16);
    return a;
}
static inline bool net_addr_is_v4(const struct net_addr *a) { return a->q[0] == 0 && a->w[2] == NET_ADDR_V4_TAG; }
static inline bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
    return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}
/* :: or 0.0.0.0 */
static inline bool net_addr_is_any(const struct net_addr *a)
{
    return a->q[0] == 0 && (a->q[1] == 0 || (a->w[2] == NET_ADDR_V4_TAG && a->w[3] == 0));
}
static inline uint32_t net_addr_host4(const struct net_addr *a) { return net_bswap32(a->w[3]); }
static inline bool net_addr_is_multicast(const struct net_addr *a)
{
    return net_addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}
static inline bool net_addr_is_loopback(const struct net_addr *a)
{
    if (net_addr_is_v4(a))
        return a->b[12] == 127;
    return a->q[0] == 0 && a->w[2] == 0 && a->w[3] == net_bswap32(1);
}
/* fe80::/10 (RFC 4291 2.5.6). */
static inline bool net_addr_is_link_local6(const struct net_addr *a) { return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80; }

/* True if the first `bits` (0..128) bits agree. IPv4 prefixes count from bit 96. */
static inline bool net_addr_in_prefix(const struct net_addr *a, const struct net_addr *prefix, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;
    if (!net_same(a->b, prefix->b, bytes))
        return false;
    return rest == 0 || ((a->b[bytes] ^ prefix->b[bytes]) >> (8 - rest)) == 0;
}

static inline bool net_mac_eq(const struct net_mac *a, const struct net_mac *b) { return net_same(a, b, 6); }
static inline bool net_mac_is_group(const struct net_mac *m) { return m->b[0] & 1; }

/* Text forms: RFC 4291 2.2 and RFC 5952; returns bytes written without the NUL, out needs 46. */
unsigned net_addr_format(const struct net_addr *a, char *out);
/* 0 or -NET_EINVAL. Accepts dotted IPv4 and RFC 4291 IPv6 text. */
int net_addr_parse(const char *text, struct net_addr *out);

#endif
