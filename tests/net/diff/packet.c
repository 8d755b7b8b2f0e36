/* SPDX-License-Identifier: BSD-2-Clause */
/* What is around the peer's messages: Ethernet, IPv4 or IPv6, and what can be odd about them. */
#include <string.h>

#include "tests/net/diff/worlds.h"

static const uint8_t OWN_MAC[6] = { 2, 0, 0, 0, 0, 1 }, PEER_MAC[6] = { 2, 0, 0, 0, 0, 2 };

static struct net_addr six(uint16_t second, uint32_t last)
{
    struct net_addr a = { .b = { 0xfd, 0, (uint8_t)(second >> 8), (uint8_t)second } };
    put_be32(a.b + 12, last);
    return a;
}

struct net_addr address_of_us(const struct script *s) { return s->v6 ? six(9, 1) : net_addr_v4(0x0a090001); }

static struct net_addr peer(const struct script *s, unsigned second)
{
    return s->v6 ? six((uint16_t)(0x10 + 2 * s->turn + second), s->port) : net_addr_v4((0x0a0a0000u + (2u * s->turn + second) * 0x10000u) | s->port);
}

struct net_addr address_of_peer(const struct script *s) { return peer(s, 0); }

struct net_addr from_address(const struct script *s, const struct envelope *e)
{
    static const struct net_addr loop = { .b = { [15] = 1 } }, group = { .b = { 0xff, 0x0e, [15] = 5 } }, nobody = { 0 };
    switch (e->from) {
    case FROM_SECOND: return peer(s, 1);
    case FROM_US: return address_of_us(s);
    case FROM_NOBODY: return s->v6 ? nobody : net_addr_v4(0);
    case FROM_LOOPBACK: return s->v6 ? loop : net_addr_v4(0x7f000001);
    case FROM_GROUP: return s->v6 ? group : net_addr_v4(0xe0010203);
    default: return address_of_peer(s);
    }
}

struct net_addr to_address(const struct script *s, const struct envelope *e)
{
    static const struct net_addr all = { .b = { 0xff, 2, [15] = 1 } };
    if (e->to == TO_ALL)
        return s->v6 ? all : net_addr_v4(0x0a0900ff);
    if (e->to == TO_STRANGER)
        return s->v6 ? six(9, 9) : net_addr_v4(0x0a090009);
    return address_of_us(s);
}

/* Of an IPv4 header: options, or what is wrong with it. */
static const struct odd4 { const char *name; uint8_t bytes, options[12]; } odd4[] = {
    { "no-operation options", 4, { 1, 1, 1, 1 } },
    { END_OF_OPTIONS, 8, { 0, 9, 9, 9, 9, 9, 9, 9 } },
    { "an unknown option", 4, { 0x9a, 4, 1, 2 } },
    { "a loose source route that is done", 8, { 131, 7, 8, 10, 9, 0, 1, 0 } },
    { "a strict source route", 8, { 137, 7, 4, 10, 9, 0, 7, 0 } },
    { "an option that is too long", 4, { 0x9a, 40, 1, 1 } },
    { "an option that is too short", 4, { 0x9a, 1, 1, 1 } },
    { "a wrong header checksum", 0, { 0 } },
    { "a length beyond the frame", 0, { 0 } },
    { "bytes behind the packet", 0, { 0 } },
    { "another protocol", 0, { 0 } },
    { "version 5", 0, { 0 } },
};
enum { CHECKSUM4 = 8, LENGTH4, TRAILER4, PROTOCOL4, VERSION4 };

/* Between the IPv6 header and the message: kind of header, its bytes. */
static const struct odd6 { const char *name; uint8_t kind, bytes, header[16]; } odd6[] = {
    { "a hop-by-hop header of padding", IP_PROTO_HOPOPTS, 8, { 0, 0, 1, 4 } },
    { "a destination header of padding", IP_PROTO_DSTOPTS, 8, { 0, 0, 1, 4 } },
    { "an option to skip", IP_PROTO_DSTOPTS, 8, { 0, 0, 0x1e, 4, 1, 2, 3, 4 } },
    { "an option to drop", IP_PROTO_DSTOPTS, 8, { 0, 0, 0x5e, 4, 1, 2, 3, 4 } },
    { "an option to report", IP_PROTO_DSTOPTS, 8, { 0, 0, 0x9e, 4, 1, 2, 3, 4 } },
    { "an option to report to hosts", IP_PROTO_HOPOPTS, 8, { 0, 0, 0xde, 4, 1, 2, 3, 4 } },
    { "an option beyond its header", IP_PROTO_DSTOPTS, 8, { 0, 0, 0x1e, 9, 1, 2, 3, 4 } },
    { "a routing header that is done", IP_PROTO_ROUTING, 8, { 0, 0, 99, 0 } },
    { "a routing header of type 0", IP_PROTO_ROUTING, 8, { 0, 0, 0, 1 } },
    { "an unknown routing header", IP_PROTO_ROUTING, 8, { 0, 0, 99, 1 } },
    { "a fragment that is all", IP_PROTO_FRAGMENT, 8, { 0, 0, 0, 0, 1, 2, 3, 4 } },
    { "a header beyond the packet", IP_PROTO_DSTOPTS, 8, { 0, 200, 1, 4 } },
    { LONG_PADDING, IP_PROTO_DSTOPTS, 16, { 0, 1, 1, 12 } },
    { "a length beyond the frame", 0, 0, { 0 } },
    { "bytes behind the packet", 0, 0, { 0 } },
    { "another protocol", 0, 0, { 0 } },
    { "no next header", 0, 0, { 0 } },
    { "version 5", 0, 0, { 0 } },
};
enum { LENGTH6 = 14, TRAILER6, PROTOCOL6, NONE6, VERSION6 };

unsigned odd_count(const struct script *s) { return s->v6 ? sizeof odd6 / sizeof *odd6 : sizeof odd4 / sizeof *odd4; }

const char *odd_name(const struct script *s, unsigned odd) { return !odd ? "" : s->v6 ? odd6[odd - 1].name : odd4[odd - 1].name; }

static uint32_t put_macs(uint8_t *f, const struct script *s, const struct envelope *e)
{
    static const uint8_t all4[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, all6[6] = { 0x33, 0x33, 0, 0, 0, 1 };
    memcpy(f, e->to != TO_ALL ? OWN_MAC : s->v6 ? all6 : all4, 6);
    memcpy(f + 6, PEER_MAC, 6);
    put_be16(f + 12, s->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
    return 14;
}

uint16_t message_checksum(const struct script *s, const struct envelope *e, uint8_t proto, const uint8_t *message, uint32_t len)
{
    struct net_addr from = from_address(s, e), to = to_address(s, e);
    uint64_t sum = 0;
    if (proto != IP_PROTO_ICMP || s->v6)
        sum = cksum_pseudo(&from, &to, proto == IP_PROTO_ICMP ? IP_PROTO_ICMP6 : proto, len);
    return cksum_finish(cksum_add(sum, message, len));
}

/* frag: more fragments in the lowest bit, the offset in bytes above. */
static void send4(const struct script *s, enum world w, uint8_t proto, const uint8_t *message, uint32_t len, uint32_t frag, const struct envelope *e)
{
    uint8_t f[2048] = { 0 };
    uint8_t *ip = f + put_macs(f, s, e);
    uint32_t header = 20 + (e->odd ? odd4[e->odd - 1].bytes : 0), total = header + len;
    ip[0] = (uint8_t)((e->odd == VERSION4 ? 5 : 4) << 4 | header / 4);
    put_be16(ip + 2, (uint16_t)(total + (e->odd == LENGTH4 ? 1 : 0)));
    put_be16(ip + 4, s->ip_id);
    put_be16(ip + 6, (uint16_t)((frag & 1) << 13 | frag >> 4));
    ip[8] = e->ttl ? e->ttl : 64;
    ip[9] = e->odd == PROTOCOL4 ? 253 : proto;
    struct net_addr from = from_address(s, e), to = to_address(s, e);
    store32(ip + 12, from.w[3]);
    store32(ip + 16, to.w[3]);
    if (header > 20)
        memcpy(ip + 20, odd4[e->odd - 1].options, header - 20);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, header)));
    ip[11] ^= e->odd == CHECKSUM4;
    memcpy(ip + header, message, len);
    frame_to(w, f, 14 + total + (e->odd == TRAILER4 ? 6 : 0));
}

static void send6(const struct script *s, enum world w, uint8_t proto, const uint8_t *message, uint32_t len, uint32_t frag, const struct envelope *e)
{
    uint8_t f[2048] = { 0 };
    uint8_t *ip = f + put_macs(f, s, e), *at = ip + IP6_HEADER_BYTES;
    uint8_t kind = e->odd ? odd6[e->odd - 1].bytes ? odd6[e->odd - 1].kind : proto : proto;
    ip[0] = e->odd == VERSION6 ? 0x50 : 0x60;
    if (e->odd && odd6[e->odd - 1].bytes) {
        memcpy(at, odd6[e->odd - 1].header, odd6[e->odd - 1].bytes);
        at[0] = proto;
        at += odd6[e->odd - 1].bytes;
    } else if (frag) {
        kind = IP_PROTO_FRAGMENT;
        at[0] = proto;
        put_be16(at + 2, (uint16_t)((frag >> 1 & 0xfff8u) | (frag & 1)));
        put_be32(at + 4, s->ip_id);
        at += 8;
    }
    ip[6] = e->odd == PROTOCOL6 ? 253 : e->odd == NONE6 ? IP_PROTO_NONE : kind;
    ip[7] = e->ttl ? e->ttl : 64;
    struct net_addr from = from_address(s, e), to = to_address(s, e);
    memcpy(ip + 8, from.b, 16);
    memcpy(ip + 24, to.b, 16);
    memcpy(at, message, len);
    uint32_t payload = (uint32_t)(at - ip) - IP6_HEADER_BYTES + len;
    put_be16(ip + 4, (uint16_t)(payload + (e->odd == LENGTH6 ? 1 : 0)));
    frame_to(w, f, 14 + IP6_HEADER_BYTES + payload + (e->odd == TRAILER6 ? 6 : 0));
}

static const char *const orders[ORDERS] = {
    "fragments in order", "fragments from the end", "a fragment twice", "fragments that overlap", "a fragment too few", "an overlap at the end", "a fragment beyond the end"
};
const char *order_name(unsigned order) { return orders[order]; }

static void send_piece(const struct script *s, enum world w, uint8_t proto, const uint8_t *message, uint32_t len, uint32_t from, uint32_t to, const struct envelope *e)
{
    uint32_t frag = from << 1 | (to < len);
    (s->v6 ? send6 : send4)(s, w, proto, message + from, to - from, frag, e);
}

void send_packet(const struct script *s, enum world w, uint8_t proto, const uint8_t *message, uint32_t len, const struct envelope *e)
{
    uint8_t p = proto == IP_PROTO_ICMP && s->v6 ? IP_PROTO_ICMP6 : proto;
    uint32_t n = e->cuts + 1, size = (len / n + 8) & ~7u;
    if (!e->cuts || size >= len) {
        (s->v6 ? send6 : send4)(s, w, p, message, len, 0, e);
        return;
    }
    n = (len + size - 1) / size;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t at = e->order == 1 ? n - 1 - k : k, from = at * size, to = net_min(from + size, len);
        if (e->order == 4 && at == n / 2)
            continue;
        if (e->order == 3 && at == 1)
            from -= 8;
        if (e->order == 5 && at == 0)
            to = net_min(to + 8, len);
        send_piece(s, w, p, message, len, from, to, e);
        if (e->order == 2 && at == 0)
            send_piece(s, w, p, message, len, from, to, e);
        if (e->order == 6 && k == n / 2 && len < 4000)
            (s->v6 ? send6 : send4)(s, w, p, message, 16, (len + 64) / 8 * 16 | 1, e);
    }
}
