/* SPDX-License-Identifier: BSD-2-Clause */
/* The peer, which writes its segments by hand. */
#include "tests/net/diff/worlds.h"

void put_segment(struct script *s, enum world w, const struct segment *g)
{
    uint8_t f[2048] = { 0 }, *ip = f + 14, *t = ip + 20, *o = t + 20;
    const struct seen *seen = &s->seen[w];
    put_macs(f);
    put_be16(f + 12, ETH_TYPE_IP4);
    if (g->flags & TCP_SYN) {
        if (s->options & 1) {
            put_be32(o, 0x02040000u | s->mss);
            o += 4;
        }
        if (s->options & 4) {
            put_be32(o, 0x01010402);
            o += 4;
        }
        if (s->options & 2) {
            put_be32(o, 0x01030307);
            o += 4;
        }
    }
    if ((s->options & 8) && !g->no_ts) {
        put_be32(o, 0x0101080a);
        put_be32(o + 4, g->old_ts ? s->tsval - 100000 : s->tsval);
        put_be32(o + 8, g->flags & TCP_ACK ? seen->tsval : 0);
        o += 12;
    }
    uint32_t header = (uint32_t)(o - t), total = 20 + header + g->len;
    for (uint32_t k = 0; k < g->len; k++)
        o[k] = pattern(g->seq - 1 + k);
    put_be16(t, s->active ? PEER_PORT : s->port);
    put_be16(t + 2, s->active ? s->port : g->closed_port ? CLOSED_PORT : PORT);
    put_be32(t + 4, PEER_ISS + g->seq);
    put_be32(t + 8, g->flags & TCP_ACK ? seen->iss + g->ack : 0);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | g->flags));
    put_be16(t + 14, g->wnd);
    struct net_addr from = net_addr_v4(0x0a090002), to = net_addr_v4(0x0a090001);
    store16(t + 16, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, header + g->len), t, header + g->len)));
    t[17] ^= g->corrupt;
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)total);
    ip[8] = 64;
    ip[9] = IP_PROTO_TCP;
    store32(ip + 12, from.w[3]);
    store32(ip + 16, to.w[3]);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    frame_to(w, f, 14 + total);
}

void send_both(struct script *s, struct segment g)
{
    s->tsval++;
    s->fin_seen |= g.flags & TCP_FIN;
    s->shut |= !g.wnd && (g.flags & TCP_ACK);
    for (enum world w = 0; w < WORLDS; w++)
        put_segment(s, w, &g);
}
