/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fast Open (RFC 7413): data in the SYN for peers that were here before. As
 * server: cookies are made and checked without memory, under a key that
 * changes by the hour; requests whose handshake is not finished are limited by
 * listener. As client: cookies by pair of addresses, and a memory of paths that
 * swallow such SYNs.
 *
 * A listener turns it on by TCP_OPT_FASTOPEN, a client by tcp_connect.fast_open.
 * Called from tcp_listen.c, tcp_input.c, tcp_output.c and where connections end.
 */
#include "cokernel/net/tcp_internal.h"

#define COOKIE_BYTES 8u
#define ROTATE_NS (3600 * NET_NS_PER_S)        /* a cookie is good for one period and the next: RFC 7413 4.1.2, 5 */
#define PENALTY_NS (60 * NET_NS_PER_S)         /* RFC 7413 5.1: a request that was reset counts on as pending */
#define PEERS 1024u
#define BLACK_HOLE_NS (60 * NET_NS_PER_S)      /* after a lost SYN with data, doubled with each, as Linux */
#define LOSSES_MAX 6u
#define LOSSES_ELSEWHERE 3u                    /* in a row, whoever the peer: the hole is on our side */
#define EVERYWHERE_NS (3600 * NET_NS_PER_S)

struct peer {
    struct net_flow flow;     /* by both addresses */
    uint64_t used_ns, not_before_ns;
    struct tcp_fo_cookie cookie;
    uint16_t mss;             /* that it announced last */
    uint8_t losses;
};

int tcp_fo_init(struct net_stack *ns, const struct siphash_key *table_key)
{
    /* From the key that instances of one address have in common, so that they honour each other's cookies. */
    static const char text[2][8] = { "fastopen", "rotation" };
    ns->fo_key.k0 = siphash24(&ns->cookie_key, text[0], sizeof text[0]);
    ns->fo_key.k1 = siphash24(&ns->cookie_key, text[1], sizeof text[1]);
    net_slab_init(&ns->fo_peers, &ns->mem, sizeof(struct peer), 16u << 10, PEERS);
    return net_flow_table_init(&ns->fo_table, &ns->mem, table_key);
}

void tcp_fo_fini(struct net_stack *ns)
{
    net_slab_fini(&ns->fo_peers);
    net_flow_table_fini(&ns->fo_table);
}

/* ---- server ---- */

struct mac_input { struct net_addr local, remote; uint64_t period; };
_Static_assert(sizeof(struct mac_input) == 40, "no padding, every byte of which would be hashed");

static uint64_t make(struct net_stack *ns, const struct net_flow_key *key, uint64_t period)
{
    struct mac_input in = { key->local, key->remote, period };
    return siphash24(&ns->fo_key, &in, sizeof in);
}

void tcp_fo_make(struct net_stack *ns, const struct net_flow_key *key, struct tcp_fo_cookie *out)
{
    uint64_t mac = make(ns, key, ns->now_ns / ROTATE_NS);
    out->bytes = COOKIE_BYTES;
    net_copy(out->b, &mac, COOKIE_BYTES);
}

enum verdict { BAD, GOOD, OLD };

static enum verdict check(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_fo_cookie *c)
{
    uint64_t mac, period = ns->now_ns / ROTATE_NS;
    if (c->bytes != COOKIE_BYTES)
        return BAD;
    net_copy(&mac, c->b, COOKIE_BYTES);
    if (mac == make(ns, key, period))
        return GOOD;
    return period && mac == make(ns, key, period - 1) ? OLD : BAD;
}

static bool too_many(struct tcp_listener *l)
{
    if (l->fo_penalties && l->ns->now_ns >= l->fo_penalty_until_ns)
        l->fo_penalties = 0;
    return l->fo_pending + l->fo_penalties >= l->opts.fastopen || net_mem_pressed(&l->ns->mem);
}

bool tcp_fo_listen(struct tcp_listener *l, struct tcp_in *in, struct tcp_handshake *hs)
{
    struct net_stack *ns = l->ns;
    enum verdict v = in->fo.bytes ? check(ns, &hs->key, &in->fo) : BAD;
    if (v == BAD) {
        ns->counters.tcp_fastopen_bad += in->fo.bytes != 0;
        hs->fo_cookie = 1; /* asked for one, or needs a new one */
        return false;
    }
    if (too_many(l)) {
        ns->counters.tcp_fastopen_limited++;
        return false; /* an ordinary handshake: RFC 7413 5.1 */
    }
    hs->fast_open = 1;
    struct tcp_pcb *pcb = tcp_listener_spawn(l, hs, NULL);
    if (!pcb) {
        hs->fast_open = 0;
        return false;
    }
    pcb->fo = TCP_FO_PASSIVE | (in->len ? TCP_FO_DATA | TCP_FO_TAKEN : 0) | (v == OLD ? TCP_FO_OPTION : 0);
    pcb->fo_listener = l;
    l->fo_pending++;
    ns->counters.tcp_fastopen_in++;
    in->seq++;
    in->flags &= (uint16_t)~TCP_SYN;
    if (in->len)
        tcp_data_input(pcb, in);
    tcp_send_syn(pcb); /* the SYN-ACK says how much of it was taken */
    if (!pcb->rtx_head) { /* no memory to remember it by */
        tcp_pcb_free(pcb);
        return true; /* the SYN will come again */
    }
    tcp_rearm_rtx(pcb);
    return true;
}

/* Its handshake is over, one way or the other. */
static void settle(struct tcp_pcb *pcb)
{
    if (pcb->fo_listener) {
        pcb->fo_listener->fo_pending--;
        pcb->fo_listener = NULL;
    }
}

void tcp_fo_established(struct tcp_pcb *pcb)
{
    settle(pcb);
    pcb->fo &= (uint8_t)~TCP_FO_PASSIVE;
}

void tcp_fo_released(struct tcp_pcb *pcb) { settle(pcb); }

void tcp_fo_listener_closed(struct tcp_listener *l)
{
    for (struct tcp_pcb *pcb = l->fo_pending ? l->ns->pcbs : NULL; pcb; pcb = pcb->all_next)
        if (pcb->fo_listener == l)
            settle(pcb);
}

/* ---- client ---- */

static struct net_flow_key peer_key(const struct net_flow_key *key)
{
    return (struct net_flow_key){ .local = key->local, .remote = key->remote };
}

static struct peer *find(struct net_stack *ns, const struct net_flow_key *key)
{
    struct net_flow_key k = peer_key(key);
    struct net_flow *f = ns->fo_table.count ? net_flow_find(&ns->fo_table, &k) : NULL;
    return f ? net_container_of(f, struct peer, flow) : NULL;
}

static void oldest(struct net_flow *f, void *ctx)
{
    struct peer **best = ctx, *p = net_container_of(f, struct peer, flow);
    if (!*best || p->used_ns < (*best)->used_ns)
        *best = p;
}

static struct peer *find_or_add(struct net_stack *ns, const struct net_flow_key *key)
{
    struct peer *p = find(ns, key), *old = NULL;
    if (p)
        return p;
    if (ns->fo_peers.in_use >= PEERS) {
        net_flow_each(&ns->fo_table, oldest, &old);
        net_flow_remove(&ns->fo_table, &old->flow);
        net_slab_put(&ns->fo_peers, old);
    }
    p = net_slab_get(&ns->fo_peers);
    if (!p)
        return NULL;
    *p = (struct peer){ .flow.key = peer_key(key) };
    net_flow_insert(&ns->fo_table, &p->flow);
    return p;
}

void tcp_fo_learn(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_fo_cookie *cookie, uint16_t mss)
{
    struct peer *p = find_or_add(ns, key);
    if (!p)
        return;
    p->cookie = *cookie;
    p->mss = mss;
    p->used_ns = ns->now_ns;
}

bool tcp_fo_option(struct tcp_pcb *pcb, struct tcp_fo_cookie *out)
{
    struct net_stack *ns = pcb->ns;
    if (!(pcb->fo & TCP_FO_OPTION))
        return false;
    pcb->fo &= (uint8_t)~TCP_FO_OPTION; /* once: what is repeated goes without, in case the option is what was swallowed */
    out->bytes = 0;
    if (pcb->state != TCP_SYN_SENT) {
        tcp_fo_make(ns, &pcb->flow.key, out);
        return true;
    }
    struct peer *p = find(ns, &pcb->flow.key);
    if (p)
        *out = p->cookie; /* or none: a request */
    return true;
}

uint32_t tcp_fo_syn_bytes(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    struct peer *p = find(ns, &pcb->flow.key);
    if ((p && ns->now_ns < p->not_before_ns) || ns->now_ns < ns->fo_off_until_ns)
        return 0; /* an ordinary SYN, without the option */
    pcb->fo |= TCP_FO_ACTIVE | TCP_FO_OPTION;
    if (!p || !p->cookie.bytes)
        return 0;
    p->used_ns = ns->now_ns;
    /* MSS, time stamp with SACK, window scale: 20 bytes, and the option; RFC 6691: announced sizes count none. */
    uint32_t options = 20 + ((2u + p->cookie.bytes + 3) & ~3u), mss = net_min((uint32_t)p->mss, pcb->adv_mss);
    uint32_t len = net_min(pcb->write_seq - (pcb->iss + 1), mss > options ? mss - options : 0);
    if (len)
        pcb->fo |= TCP_FO_DATA;
    return len;
}

static void lost(struct tcp_pcb *pcb, bool silently)
{
    struct net_stack *ns = pcb->ns;
    struct peer *p = find_or_add(ns, &pcb->flow.key);
    ns->counters.tcp_fastopen_lost++;
    if (p) {
        p->losses = (uint8_t)net_min(p->losses + 1u, LOSSES_MAX);
        p->not_before_ns = ns->now_ns + (BLACK_HOLE_NS << p->losses);
        p->used_ns = ns->now_ns;
    }
    if (silently && ++ns->fo_losses >= LOSSES_ELSEWHERE) {
        ns->fo_off_until_ns = ns->now_ns + (EVERYWHERE_NS << net_min(ns->fo_losses - LOSSES_ELSEWHERE, LOSSES_MAX));
        net_log(ns, NET_LOG_WARN, "Fast Open is off for a while: SYNs with data are lost on the way to every peer");
    }
}

void tcp_fo_answered(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    bool v4 = net_addr_is_v4(&pcb->flow.key.remote);
    uint16_t mss = in->has_mss ? in->mss : v4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    if (in->has_fo && in->fo.bytes)
        tcp_fo_learn(ns, &pcb->flow.key, &in->fo, mss);
    if (!(pcb->fo & TCP_FO_DATA))
        return;
    if (seq_gt(in->ack, pcb->iss + 1)) {
        struct peer *p = find(ns, &pcb->flow.key);
        pcb->fo |= TCP_FO_TAKEN;
        ns->counters.tcp_fastopen_out++;
        ns->fo_losses = 0;
        if (p) {
            p->losses = 0;
            p->mss = mss;
        }
    } else if (pcb->syn_lost) { /* only the plain SYN came through */
        lost(pcb, true);
    }
    for (struct tcp_seg *s = pcb->rtx_head; s; s = s->next)
        tcp_seg_mark_lost(pcb, s); /* not taken: goes again at once, as RFC 7413 4.2.2 has it */
}

void tcp_fo_failed(struct tcp_pcb *pcb, int error)
{
    if (pcb->fo_listener && error == NET_ECONNRESET) {
        /* RFC 7413 5.1: who forges SYNs makes their supposed senders reset them, and would else never be limited. */
        pcb->fo_listener->fo_penalties++;
        pcb->fo_listener->fo_penalty_until_ns = pcb->ns->now_ns + PENALTY_NS;
    }
    /* Nothing ever came after our data: let the next attempt be an ordinary one. A host that answers no SYN at all is
     * just not there. */
    bool was_there = pcb->state != TCP_SYN_SENT || error != NET_ETIMEDOUT;
    if ((pcb->fo & TCP_FO_ACTIVE) && (pcb->fo & TCP_FO_DATA) && !pcb->bytes_received && was_there)
        lost(pcb, error == NET_ETIMEDOUT);
}
