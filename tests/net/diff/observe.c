/* SPDX-License-Identifier: BSD-2-Clause */
/* What a script's peer sees of a frame. Whose it is, the peer's address says. */
#include "tests/net/diff/worlds.h"

static void observe_tcp(struct seen *o, const uint8_t *t, uint32_t bytes)
{
    uint32_t header = bytes >= 20 ? (t[12] >> 4) * 4u : 0;
    if (header < 20 || header > bytes)
        return;
    uint32_t seq = get_be32(t + 4), ack = get_be32(t + 8), n = bytes - header;
    uint16_t flags = t[13];
    o->answers += !n && !(flags & (TCP_SYN | TCP_FIN)); /* what timers send carries something */
    if (flags & TCP_SYN) {
        o->iss = seq;
        o->have_iss = true;
        o->syn |= flags & TCP_ACK ? 2 : 1;
        for (const uint8_t *p = t + 20; p < t + header && *p; p += *p == 1 ? 1 : p[1]) {
            o->mss = *p == 2 ? get_be16(p + 2) : o->mss;
            o->options |= *p == 2 ? 1 : *p == 3 ? 2 : *p == 4 ? 4 : *p == 8 ? 8 : *p == 1 ? 0 : 128;
        }
    }
    for (const uint8_t *p = t + 20; p < t + header && *p; p += *p == 1 ? 1 : p[1])
        if (*p == 8)
            o->tsval = get_be32(p + 2);
    if (flags & TCP_RST) {
        o->rst++;
        o->rst_flags = (uint8_t)flags;
        o->rst_seq = o->have_iss && seq ? seq - o->iss : seq; /* 0 where there is no connection: RFC 9293 3.10.7.1 */
        o->rst_ack = flags & TCP_ACK ? ack - PEER_ISS : 0;
        return;
    }
    uint32_t end = seq - o->iss + n + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
    if (o->have_iss && (int32_t)(end - o->sent) > 0)
        o->sent = end;
    if ((flags & TCP_ACK) && (!o->acked || (int32_t)(ack - PEER_ISS - o->acked) > 0))
        o->acked = ack - PEER_ISS;
    o->fin |= flags & TCP_FIN;
    for (uint32_t k = 0; k < n && o->have_iss; k++) /* the stream, wherever it is */
        if (t[header + k] != pattern(seq - o->iss - 1 + k))
            o->wrong++;
}

/* Bytes by their places, in any order. */
static uint64_t sum_of(const uint8_t *p, uint32_t at, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t z = ((uint64_t)(at + k) << 8 | p[k]) * 0x9e3779b97f4a7c15ull;
        sum += (z ^ z >> 29) * 0xbf58476d1ce4e5b9ull;
    }
    return sum;
}

static void observe_message(struct seen *o, uint8_t proto, const uint8_t *p, uint32_t at, uint32_t n)
{
    if (proto == IP_PROTO_ICMP6 && !at && n && p[0] >= 133 && p[0] <= 143) /* discovery is between neighbours */
        return;
    o->icmps += !at && proto != IP_PROTO_UDP;
    o->datagrams += !at && proto == IP_PROTO_UDP;
    o->sum += sum_of(p, at, n);
}

/* Whose peer has an address in the net'th network of peers. */
static struct script *script_at(unsigned net, uint16_t port)
{
    struct script *s = script_of(port);
    return s && net / 2 == s->turn ? s : NULL;
}

void observe(enum world w, const uint8_t *f, uint32_t len)
{
    const uint8_t *ip = f + 14, *p, *end;
    uint16_t type = len >= 14 + 20 ? get_be16(f + 12) : 0;
    uint32_t at = 0;
    uint8_t proto;
    struct script *s;
    if (type == ETH_TYPE_IP4) {
        proto = ip[9];
        p = ip + (ip[0] & 15) * 4u;
        end = ip + get_be16(ip + 2);
        at = (get_be16(ip + 6) & 0x1fffu) * 8;
        s = ip[16] == 10 ? script_at(ip[17] - 10u, get_be16(ip + 18)) : NULL;
    } else if (type == ETH_TYPE_IP6 && len >= 14 + IP6_HEADER_BYTES) {
        proto = ip[6];
        p = ip + IP6_HEADER_BYTES;
        end = p + get_be16(ip + 4);
        s = ip[24] == 0xfd ? script_at(get_be16(ip + 26) - 0x10u, get_be16(ip + 38)) : NULL;
        if (proto == IP_PROTO_FRAGMENT && end - p >= 8) {
            proto = p[0];
            at = get_be16(p + 2) & 0xfff8u;
            p += 8;
        }
    } else
        return;
    if (!s || p > end || end > f + len)
        return;
    if (proto == IP_PROTO_TCP)
        observe_tcp(&s->seen[w], p, (uint32_t)(end - p));
    else if (proto == IP_PROTO_UDP || proto == IP_PROTO_ICMP || proto == IP_PROTO_ICMP6)
        observe_message(&s->seen[w], proto, p, at, (uint32_t)(end - p));
}
