/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors about what a world has sent, and pings. */
#include <string.h>

#include "tests/net/diff/worlds.h"

static const struct { const char *name; uint8_t type4, code4, type6, code6; bool hard4, hard6; uint16_t mtu; } kinds[] = {
    { "no route", 3, 0, 1, 0, 0, 0, 0 },
    { "host unreachable", 3, 1, 1, 3, 0, 0, 0 },
    { "protocol unreachable", 3, 2, 4, 1, 1, 1, 0 },
    { "port unreachable", 3, 3, 1, 4, 1, 1, 0 },
    { "source route failed", 3, 5, 1, 2, 0, 0, 0 },
    { "network unknown", 3, 6, 1, 5, 1, 1, 0 },
    { "host unknown", 3, 7, 1, 6, 1, 1, 0 },
    { "isolated", 3, 8, 1, 7, 1, 0, 0 },
    { "network prohibited", 3, 9, 1, 1, 1, 1, 0 },
    { "host prohibited", 3, 10, 1, 1, 1, 1, 0 },
    { "not for this service", 3, 12, 1, 0, 0, 0, 0 },
    { "filtered", 3, 13, 1, 1, 1, 1, 0 },
    { "precedence", 3, 15, 1, 5, 1, 1, 0 },
    { "time exceeded", 11, 0, 3, 0, 0, 0, 0 },
    { "reassembly time exceeded", 11, 1, 3, 1, 0, 0, 0 },
    { "parameter problem", 12, 0, 4, 0, 1, 1, 0 },
    { "parameter problem, option", 12, 1, 4, 2, 1, 1, 0 },
    { "unreachable of no code", 3, 77, 1, 77, 0, 0, 0 },
    { "source quench", 4, 0, 100, 0, 0, 0, 0 },
    { "too big, 1400", 3, 4, 2, 0, 0, 0, 1400 },
    { "too big, 1280", 3, 4, 2, 0, 0, 0, 1280 },
    { "too big, 600", 3, 4, 2, 0, 0, 0, 600 },
    { "too big, larger", 3, 4, 2, 0, 0, 0, 9000 },
};
unsigned error_count(void) { return sizeof kinds / sizeof *kinds; }
const char *error_name(unsigned kind) { return kinds[kind].name; }
bool error_is_hard(const struct script *s, unsigned kind) { return s->v6 ? kinds[kind].hard6 : kinds[kind].hard4; }
bool error_is_too_big(unsigned kind) { return kinds[kind].mtu; }
bool error_is_frag_time(unsigned kind) { return kinds[kind].type4 == 11 && kinds[kind].code4 == 1; }

void error_to_both(struct script *s, unsigned kind, const struct quote *q)
{
    static const struct envelope router = { .from = FROM_PEER };
    struct net_addr us = address_of_us(s), peer = address_of_peer(s);
    if (q->other_host)
        peer.b[15] ^= 0x80, peer.b[14] ^= 0x80;
    if (q->other_source)
        us.b[15]++;
    for (enum world w = 0; w < WORLDS; w++) {
        uint8_t m[128] = { s->v6 ? kinds[kind].type6 : kinds[kind].type4, s->v6 ? kinds[kind].code6 : kinds[kind].code4 }, *ip = m + 8, *l4 = ip + 20;
        bool udp = q->proto == IP_PROTO_UDP;
        uint32_t bytes = udp ? 8 : 20;
        put_be16(m + 6, kinds[kind].mtu); /* the upper half is 0 in both families */
        if (s->v6) {
            l4 = ip + IP6_HEADER_BYTES;
            ip[0] = 0x60;
            put_be16(ip + 4, (uint16_t)(udp ? 8 + q->seq : 1400));
            ip[6] = q->proto;
            ip[7] = 64;
            memcpy(ip + 8, us.b, 16);
            memcpy(ip + 24, peer.b, 16);
        } else {
            ip[0] = 0x45;
            put_be16(ip + 2, (uint16_t)(udp ? 28 + q->seq : 1440));
            ip[6] = udp ? 0 : 0x40;
            ip[8] = 64;
            ip[9] = q->proto;
            store32(ip + 12, us.w[3]);
            store32(ip + 16, peer.w[3]);
            store16(ip + 10, cksum_finish(cksum_ip4_header(ip)));
        }
        put_be16(l4, q->from_port);
        put_be16(l4 + 2, q->to_port);
        if (udp)
            put_be16(l4 + 4, (uint16_t)(8 + q->seq));
        else {
            put_be32(l4 + 4, s->seen[w].iss + q->seq);
            put_be16(l4 + 12, 5u << 12 | TCP_ACK);
        }
        uint32_t len = (uint32_t)(l4 - m) + bytes;
        store16(m + 2, message_checksum(s, &router, IP_PROTO_ICMP, m, len));
        send_packet(s, w, IP_PROTO_ICMP, m, len, &router);
    }
}

void echo_to_both(struct script *s, uint32_t n, const struct envelope *e)
{
    uint8_t m[4096] = { s->v6 ? 128 : 8 };
    put_be16(m + 4, s->port);
    put_be16(m + 6, s->ip_id);
    for (uint32_t k = 8; k < 8 + n; k++)
        m[k] = (uint8_t)below(s, 256);
    store16(m + 2, message_checksum(s, e, IP_PROTO_ICMP, m, 8 + n));
    for (enum world w = 0; w < WORLDS; w++)
        send_packet(s, w, IP_PROTO_ICMP, m, 8 + n, e);
}
