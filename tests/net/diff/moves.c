/* SPDX-License-Identifier: BSD-2-Clause */
/* What a script does next, by its stream of random numbers. */
#include "tests/net/diff/worlds.h"

#define FAR 4000000u                   /* beyond any window */

uint32_t below(struct script *s, uint32_t n)
{
    s->rng += 0x9e3779b97f4a7c15ull;
    uint64_t z = s->rng;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) % n);
}
bool chance(struct script *s, uint32_t percent) { return below(s, 100) < percent; }

/* An ICMP error about the connection: what it quotes begins at seq. */
static void icmp_step(struct script *s, uint32_t seq)
{
    struct quote q = { .proto = IP_PROTO_TCP, .from_port = s->active ? s->port : PORT, .to_port = s->active ? PEER_PORT : s->port, .seq = seq };
    q.to_port += chance(s, 10);
    s->icmp = (int)below(s, error_count());
    s->what = error_name((unsigned)s->icmp);
    s->syn_icmp |= s->active && s->phase < 2 && !seq && q.to_port == PEER_PORT && !error_is_hard(s, (unsigned)s->icmp);
    s->too_big |= error_is_too_big((unsigned)s->icmp);
    s->frag_time = !s->v6 && error_is_frag_time((unsigned)s->icmp);
    error_to_both(s, (unsigned)s->icmp, &q);
    s->ask = chance(s, 60);
}

static void passive_open(struct script *s)
{
    if (s->phase == 0) {
        send_both(s, (struct segment){ .flags = TCP_SYN, .seq = 0, .wnd = 60000, .closed_port = chance(s, 3) });
        s->what = "syn";
    } else {
        static const char *const names[] = { "syn again", "ack of syn-ack", "ack with data", "bad ack of syn-ack", "reset in syn-received", "fin with the ack" };
        unsigned k = chance(s, 80) ? 1 + below(s, 2) : below(s, 6);
        struct segment g = { .flags = TCP_ACK, .seq = 1, .ack = 1, .wnd = 500 };
        if (k == 0)
            g = (struct segment){ .flags = TCP_SYN, .seq = 0, .wnd = 60000 };
        if (k == 2)
            s->peer_next += g.len = 1 + below(s, 1000);
        if (k == 3)
            g.ack = 77;
        if (k == 4)
            g.flags = TCP_RST;
        if (k == 5) {
            g.flags |= TCP_FIN;
            s->peer_next++;
            s->peer_fin = true;
        }
        send_both(s, g);
        s->what = names[k];
        if (k == 0 || k == 3) /* still half open, perhaps */
            s->phase--;
    }
    s->phase++;
}

static void active_open(struct script *s)
{
    if (s->phase == 0) {
        connect_both(s);
        s->what = "connect";
    } else {
        static const char *const names[] = { "syn-ack", "syn-ack of another number", "reset in syn-sent", "reset of another number", "syn, both at once", "ack without syn", "icmp" };
        unsigned k = chance(s, 75) ? 0 : below(s, 7);
        if (k == 6) { /* about the SYN, or what is not in flight */
            icmp_step(s, chance(s, 80) ? 0 : 70000);
            return;
        }
        struct segment g = { .flags = TCP_SYN | TCP_ACK, .seq = 0, .ack = 1, .wnd = 60000 };
        g.ack += k == 1 || k == 3 ? 5 : 0;
        if (k == 2 || k == 3)
            g.flags = TCP_RST | TCP_ACK;
        if (k == 4)
            g.flags = TCP_SYN;
        if (k == 5)
            g.flags = TCP_ACK;
        send_both(s, g);
        s->what = names[k];
        if (k == 1 || k == 3 || k == 5)
            s->phase--;
    }
    s->phase++;
}

static void peer_step(struct script *s)
{
    static const struct { const char *name; unsigned weight; } kinds[] = {
        { "data", 20 }, { "ack of all", 20 }, { "old data again", 5 }, { "data that overlaps", 6 }, { "data behind a gap", 6 }, { "data beyond the window", 3 },
        { "fin", 6 }, { "data with fin", 4 }, { "exact reset", 2 }, { "reset in the window", 4 }, { "reset beyond the window", 2 }, { "syn in the window", 4 },
        { "syn below the window", 3 }, { "ack of what was not sent", 4 }, { "very old ack", 3 }, { "keepalive probe", 4 }, { "probe with a byte", 3 },
        { "corrupt data", 3 }, { "data with an old time stamp", 4 }, { "data without time stamp", 3 }, { "no flags", 3 }, { "window 0", 3 }, { "push without data", 2 },
        { "syn-ack in the window", 3 }, { "fin behind a gap", 3 }, { "data without ack flag", 3 }, { "data with fin, again", 3 }, { "ack of a part", 5 },
        { "icmp", 3 },
    };
    unsigned total = 0, k = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        total += kinds[i].weight;
    for (unsigned at = below(s, total); at >= kinds[k].weight; k++)
        at -= kinds[k].weight;
    uint32_t sent = s->seen[LINUX].sent, n = 1 + below(s, chance(s, 70) ? 300 : 1400), ack = s->peer_acked;
    struct segment g = { .flags = TCP_ACK, .seq = s->peer_next, .ack = ack, .wnd = 500 };
    if (k == 28) { /* about what has been acknowledged, or will be sent */
        icmp_step(s, chance(s, 50) ? ack - 1 - below(s, 1000) : sent + 1 + below(s, 1000));
        return;
    }
    bool fin = false;
    s->what = kinds[k].name;
    switch (k) {
    case 0: g.len = n; break;
    case 1: g.ack = sent; break;
    case 2: n = net_min(n, s->peer_next - 1 - s->peer_fin); g.seq = 1; g.len = n; break;
    case 3: g.len = n; g.seq -= net_min(s->peer_next - 1u, below(s, 200)); break;
    case 4: g.seq += 1 + below(s, 2000); g.len = n; break;
    case 5: g.seq += FAR; g.len = n; break;
    case 6: fin = true; break;
    case 7: g.len = n; fin = true; break;
    case 8: g.flags = TCP_RST; break;
    case 9: g.flags = TCP_RST; g.seq += 1 + below(s, 5000); break;
    case 10: g.flags = TCP_RST; g.seq += FAR; break;
    case 11: g.flags = TCP_SYN; g.seq += below(s, 5000); break;
    case 12: g.flags = TCP_SYN; g.seq -= net_min(s->peer_next, 1 + below(s, 50)); break;
    case 13: g.ack = sent + 1 + below(s, 100000); g.len = below(s, 2) * n; break;
    case 14: g.ack = 1 - 20000000u; g.len = below(s, 2) * n; break;
    case 15: g.seq--; break;
    case 16: g.seq--; g.len = 1; break;
    case 17: g.len = n; g.corrupt = 1; break;
    case 18: g.len = n; g.old_ts = true; break;
    case 19: g.len = n; g.no_ts = true; break;
    case 20: g.flags = 0; g.len = below(s, 2) * n; break;
    case 21: g.wnd = 0; g.ack = sent; break;
    case 22: g.flags |= TCP_PSH; break;
    case 23: g.flags |= TCP_SYN; g.seq += below(s, 3000); break;
    case 24: g.seq += 10 + below(s, 100); g.flags |= TCP_FIN; break;
    case 25: g.flags = TCP_PSH; g.len = n; break;
    case 26: g.seq -= net_min(s->peer_next - 1u, 20u); g.len = net_min(s->peer_next - 1u - s->peer_fin, 20u); g.flags |= s->peer_fin ? TCP_FIN : 0; break;
    case 27: g.ack = ack + (sent - ack) / 2; break;
    }
    if (fin)
        g.flags |= TCP_FIN;
    send_both(s, g);
    if (k == 1 || k == 21 || k == 27)
        s->peer_acked = g.ack;
    s->probing = k >= 8 && k <= 26 && k != 19 && k != 21;
    if ((k == 0 || k == 3 || k == 7 || k == 6 || (k == 19 && !(s->options & 8)) || (k == 18 && !(s->options & 8))) && !s->peer_fin) {
        s->peer_next = g.seq + g.len + fin > s->peer_next ? g.seq + g.len + fin : s->peer_next;
        s->peer_fin |= fin;
    }
}

static void call_step(struct script *s)
{
    unsigned k = below(s, 21);
    if (k == 20) {
        error_both(s);
        s->what = "error";
    } else if (k < 8) {
        write_both(s, 1 + below(s, chance(s, 70) ? 200 : 3000));
        s->what = "write";
    } else if (k < 16) {
        read_both(s, 1 + below(s, chance(s, 50) ? 100 : 8000));
        s->what = "read";
    } else if (k < 18) {
        shut_both(s);
        s->what = "shutdown";
    } else {
        close_both(s, k == 19);
        s->what = k == 19 ? "abort" : "close";
    }
}

void step(struct script *s)
{
    s->step_ns = now_ns();
    for (enum world w = 0; w < WORLDS; w++) {
        s->seen[w].answers = 0;
        s->seen[w].result = 0;
    }
    if (s->udp) {
        udp_step(s);
        own_run();
        return;
    }
    s->probing = false;
    bool ask = s->ask && both_open(s);
    s->ask = false;
    s->icmp = -1;
    if (s->seen[LINUX].acked == s->seen[OWN].acked && s->seen[LINUX].acked - s->peer_next < FAR) /* a gap was filled */
        s->peer_next = s->seen[LINUX].acked;
    s->acked_before = s->seen[LINUX].acked;
    bool waits = s->seen[LINUX].sent > s->peer_acked && s->phase >= 2;
    s->waited = waits ? s->waited + 1 : 0;
    if (ask) {
        error_both(s);
        s->what = "error";
    } else if (s->waited == 1 && chance(s, 30)) {
        icmp_step(s, chance(s, 80) ? s->peer_acked : s->peer_acked - 2000000);
    } else if (s->waited > 0) { /* before timeouts, which would mix timing into everything */
        send_both(s, (struct segment){ .flags = TCP_ACK, .seq = s->peer_next, .ack = s->seen[LINUX].sent, .wnd = 500 });
        s->peer_acked = s->seen[LINUX].sent;
        s->what = "ack in time";
    } else if (s->phase < 2)
        s->active ? active_open(s) : passive_open(s);
    else if (both_open(s) && chance(s, 40))
        call_step(s);
    else
        peer_step(s);
    own_run();
}
