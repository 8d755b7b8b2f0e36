/* SPDX-License-Identifier: BSD-2-Clause */
/* The segments of the peer, which writes them by hand. */
#include "tests/net/diff/worlds.h"

void put_segment(struct script *s, enum world w, const struct segment *g)
{
    static const struct envelope plain = { 0 };
    uint8_t t[2048] = { 0 }, *o = t + 20;
    const struct seen *seen = &s->seen[w];
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
    uint32_t header = (uint32_t)(o - t);
    for (uint32_t k = 0; k < g->len; k++)
        o[k] = pattern(g->seq - 1 + k);
    put_be16(t, s->active ? PEER_PORT : s->port);
    put_be16(t + 2, s->active ? s->port : g->closed_port ? CLOSED_PORT : PORT);
    put_be32(t + 4, PEER_ISS + g->seq);
    put_be32(t + 8, g->flags & TCP_ACK ? seen->iss + g->ack : 0);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | g->flags));
    put_be16(t + 14, g->wnd);
    store16(t + 16, message_checksum(s, &plain, IP_PROTO_TCP, t, header + g->len));
    t[17] ^= g->corrupt;
    send_packet(s, w, IP_PROTO_TCP, t, header + g->len, &plain);
}

void send_both(struct script *s, struct segment g)
{
    s->tsval++;
    s->last_seq = g.seq;
    s->last_end = g.seq + g.len;
    s->last_fin = g.flags & TCP_FIN;
    if (s->last_fin && (!s->fin_seen || ((int32_t)(s->last_end - s->fin_at) < 0 && s->seen[OWN].acked <= s->fin_at))) {
        s->fin_seen = true;
        s->fin_at = s->last_end;
    }
    s->shut |= !g.wnd && (g.flags & TCP_ACK);
    for (enum world w = 0; w < WORLDS; w++)
        put_segment(s, w, &g);
}
