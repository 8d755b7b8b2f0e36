/* SPDX-License-Identifier: BSD-2-Clause */
/* Segment arrival (RFC 9293 3.10.7) with the defences of RFC 5961 and RFC 7323's PAWS. */
#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define OOW_ACK_NS (500 * NET_NS_PER_MS)     /* RFC 5961 7 leaves the limit open: one per connection in half a second */
#define SYN_AGAIN_NS (100 * NET_NS_PER_MS)   /* a repeated SYN is answered so often at most */
#define CHALLENGE_TOKENS 1000u
/* SYNs that an instance looks at: what is beyond is a flood, whose answers must not cost those who are connected
 * more than a part of the core's time. */
#define SYN_INTERVAL_NS 5000u /* 200,000 a second, a third of what a core could open if it did nothing else */
#define SYN_BURST 1024u
#define PAWS_IDLE_NS (24ull * 24 * 3600 * NET_NS_PER_S) /* RFC 7323 5.5: 24 days */

static bool parse(struct net_stack *ns, struct net_rx *rx, struct tcp_in *in)
{
    struct pbuf *pb = rx->pb;
    const uint8_t *h = pb->data;
    uint32_t header = pb->len >= TCP_HEADER_BYTES ? (h[12] >> 4) * 4u : 0;
    if (header < TCP_HEADER_BYTES || header > pb->len || rx->group || net_addr_is_multicast(&rx->src)) {
        ns->counters.tcp_bad_header++;
        return false;
    }
    if (!(pb->flags & PBUF_CSUM_GOOD)) {
        uint64_t sum = cksum_pseudo(&rx->src, &rx->dst, IP_PROTO_TCP, pb->total);
        sum = pb->next ? cksum_pbuf(sum, pb, 0, pb->total) : cksum_add(sum, h, pb->len);
        if (cksum_fold(sum) != 0xffff) {
            ns->counters.tcp_bad_cksum++;
            return false;
        }
    }
    in->rx = rx;
    in->pb = pb;
    in->remote_port = get_be16(h);
    in->local_port = get_be16(h + 2);
    in->seq = get_be32(h + 4);
    in->ack = get_be32(h + 8);
    in->flags = h[13];
    in->wnd = get_be16(h + 14);
    in->urgent = get_be16(h + 18);
    in->len = pb->total - header;
    in->end = in->seq + in->len + (in->flags >> 1 & 1) + (in->flags & 1); /* SYN, FIN */
    in->has_ts = in->has_mss = in->has_wscale = in->sack_ok = in->sack_count = in->has_fo = 0;
    if (!tcp_parse_options(in, h, header)) {
        ns->counters.tcp_bad_header++;
        return false;
    }
    pbuf_drop(pb, header);
    if (net_unlikely(pb->len == 0 && pb->next)) /* the payload is in the parts behind */
        in->pb = pbuf_advance(pb, 0);
    return true;
}

static struct net_flow *find(struct net_stack *ns, struct tcp_in *in, const struct net_flow_key *key)
{
    struct net_flow *f = ns->last_flow;
    if (f && net_flow_key_eq(&f->key, key))
        return f;
    in->hash = in->pb->flags & PBUF_HASHED ? in->pb->seq : net_flow_hash(&ns->flows.key, key);
    f = net_flow_find_hashed(&ns->flows, key, in->hash);
    if (f && f->kind == FLOW_TCP)
        ns->last_flow = f;
    return f;
}

void tcp_dispatch(struct net_stack *ns, struct tcp_in *in, const struct net_flow_key *key, struct net_flow *f)
{
    if (net_likely(f && f->kind == FLOW_TCP)) {
        tcp_segment_input(net_container_of(f, struct tcp_pcb, flow), in);
        return;
    }
    if (f && f->kind == FLOW_TCP_SYN) {
        tcp_synreq_input(net_container_of(f, struct tcp_synreq, flow), in);
        return;
    }
    if (f && f->kind == FLOW_TCP_TIMEWAIT && !tcp_timewait_input(net_container_of(f, struct tcp_timewait, flow), in))
        return;
    struct tcp_listener *l = tcp_find_listener(ns, key, in->hash);
    if (l) {
        tcp_listen_input(l, in, key);
        return;
    }
    ns->counters.tcp_no_port++;
    tcp_reset_for(ns, key, in);
}

/* The flow's hash if this is a plain TCP segment over IPv4: everything is checked again later. */
static bool hash_ahead(struct net_stack *ns, struct pbuf *pb)
{
    const uint8_t *f = pb->data, *ip = f + ETH_HEADER_BYTES;
    if (pb->len < ETH_HEADER_BYTES + IP4_HEADER_BYTES + TCP_HEADER_BYTES || load16(f + 12) != net_bswap16(ETH_TYPE_IP4) || ip[0] != 0x45 ||
        ip[9] != IP_PROTO_TCP || (load16(ip + 6) & net_bswap16(0x3fff)))
        return false;
    struct net_flow_key key = { .local = net_addr_v4_raw(load32(ip + 16)), .remote = net_addr_v4_raw(load32(ip + 12)),
                                .local_port = get_be16(ip + 22), .remote_port = get_be16(ip + 20) };
    if (ns->last_flow && net_flow_key_eq(&ns->last_flow->key, &key)) /* the same again: it is in the cache */
        return false;
    pb->seq = net_flow_hash(&ns->flows.key, &key);
    pb->flags |= PBUF_HASHED;
    return true;
}

/* With many connections each segment finds its own cold. So a burst is looked up ahead, in steps each of which asks
 * for the cache lines that the next one reads; the rest of a connection is asked for some frames before its own. */
void tcp_prefetch(struct net_stack *ns, struct pbuf **frames, unsigned count, const struct tcp_pcb *found[NET_BURST])
{
    struct { struct net_flow *flow; uint32_t hash; unsigned frame; } ahead[NET_BURST];
    unsigned hashed = 0, pending = 0;
    for (unsigned k = 0; k < count; k++) {
        found[k] = NULL;
        if (hash_ahead(ns, frames[k])) {
            ahead[hashed].frame = k;
            ahead[hashed].hash = frames[k]->seq;
            __builtin_prefetch(net_flow_bucket(&ns->flows, ahead[hashed++].hash));
        }
    }
    for (unsigned k = 0; k < hashed; k++) {
        // cppcheck-suppress uninitvar ; hashed says how many are set
        struct net_flow *f = *net_flow_bucket(&ns->flows, ahead[k].hash);
        if (!f)
            continue;
        __builtin_prefetch(f);
        ahead[pending] = ahead[k];
        ahead[pending++].flow = f;
    }
    while (pending) { /* along the chains, all of them by a step */
        unsigned still = 0;
        for (unsigned k = 0; k < pending; k++) {
            struct net_flow *f = ahead[k].flow;
            if (f->hash == ahead[k].hash) {
                if (f->kind == FLOW_TCP) {
                    const struct tcp_pcb *pcb = found[ahead[k].frame] = net_container_of(f, struct tcp_pcb, flow);
                    __builtin_prefetch(pcb->rtx_head);
                    __builtin_prefetch(pcb->snd_head);
                }
            } else if ((f = f->next)) {
                __builtin_prefetch(f);
                ahead[still] = ahead[k];
                ahead[still++].flow = f;
            }
        }
        pending = still;
    }
}

void tcp_prefetch_rest(const struct tcp_pcb *pcb)
{
    if (pcb)
        for (size_t at = 64; at < TCP_PCB_HOT_BYTES; at += 64)
            __builtin_prefetch((const char *)pcb + at);
}

static void refill_syns(struct net_stack *ns)
{
    uint64_t refill = (ns->now_ns - ns->syn_refill_ns) / SYN_INTERVAL_NS;
    if (refill) {
        ns->syn_tokens = (uint32_t)net_min((uint64_t)SYN_BURST, ns->syn_tokens + refill);
        ns->syn_refill_ns += refill * SYN_INTERVAL_NS;
    }
}

bool tcp_syn_allowed(struct net_stack *ns)
{
    refill_syns(ns);
    if (!ns->syn_tokens) {
        ns->counters.tcp_syn_dropped++;
        return false;
    }
    ns->syn_tokens--;
    return true;
}

unsigned tcp_shed_syns(struct net_stack *ns, struct pbuf **frames, unsigned count)
{
    unsigned kept = 0, allowed;
    refill_syns(ns);
    allowed = ns->syn_tokens;
    if (allowed >= count)
        return count;
    for (unsigned k = 0; k < count; k++) {
        struct pbuf *pb = frames[k];
        const uint8_t *f = pb->data, *t = f + ETH_HEADER_BYTES + IP4_HEADER_BYTES;
        if (pb->len >= ETH_HEADER_BYTES + IP4_HEADER_BYTES + TCP_HEADER_BYTES && load16(f + 12) == net_bswap16(ETH_TYPE_IP4) && f[14] == 0x45 &&
            f[23] == IP_PROTO_TCP && (t[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN && !allowed--) {
            allowed = 0;
            ns->counters.tcp_syn_dropped++;
            pbuf_put(pb);
        } else {
            frames[kept++] = pb;
        }
    }
    return kept;
}

void tcp_input(struct net_stack *ns, struct net_rx *rx)
{
    struct tcp_in in;
    ns->counters.tcp_in++;
    if (rx->pb->len >= TCP_HEADER_BYTES && net_unlikely((rx->pb->data[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN) && !tcp_syn_allowed(ns)) {
        pbuf_put(rx->pb);
        return;
    }
    if (!parse(ns, rx, &in)) {
        pbuf_put(rx->pb);
        return;
    }
    rx->flow.local_port = in.local_port;
    rx->flow.remote_port = in.remote_port;
    tcp_dispatch(ns, &in, &rx->flow, find(ns, &in, &rx->flow));
    if (in.pb)
        pbuf_put(in.pb);
}

/* RFC 5961 7. The instance-wide bucket refills by an unpredictable amount, so that
 * counting its answers tells an off-path attacker nothing (CVE-2016-5696). */
void tcp_challenge_ack(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    if (ns->now_ns - ns->challenge_refill_ns >= NET_NS_PER_S || !ns->challenge_refill_ns) {
        ns->challenge_refill_ns = ns->now_ns;
        ns->challenge_tokens = CHALLENGE_TOKENS / 2 + (uint32_t)(net_random(ns) % CHALLENGE_TOKENS);
    }
    if ((pcb->challenge_ns && ns->now_ns - pcb->challenge_ns < OOW_ACK_NS) || !ns->challenge_tokens) {
        ns->counters.tcp_challenge_limited++;
        return;
    }
    ns->challenge_tokens--;
    pcb->challenge_ns = ns->now_ns;
    ns->counters.tcp_challenge_ack++;
    tcp_send_ack(pcb);
}

/* An unacceptable segment is answered by an ACK, but two hosts that disagree must not loop. */
static void out_of_window(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    ns->counters.tcp_out_of_window++;
    if (in->flags & TCP_RST)
        return;
    if (in->len && seq_le(in->end, pcb->rcv_nxt)) { /* an old duplicate: its sender missed our ACK */
        ns->counters.tcp_duplicate++;
        if (pcb->sack_ok) {
            pcb->dsack = (struct tcp_sack){ in->seq, in->seq + in->len };
            pcb->dsack_valid = 1;
            ns->counters.tcp_dsack_out++;
        }
    } else if (!in->len && pcb->oow_ack_ns && ns->now_ns - pcb->oow_ack_ns < OOW_ACK_NS && !(in->flags & TCP_FIN)) {
        return;
    }
    pcb->oow_ack_ns = ns->now_ns;
    pcb->ack_now = 1;
    tcp_mark_dirty(pcb);
}

static void syn_sent_input(struct tcp_pcb *pcb, struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    bool ack_ok = (in->flags & TCP_ACK) && seq_gt(in->ack, pcb->iss) && seq_le(in->ack, pcb->snd_nxt); /* of data in the SYN, it may take less */
    if ((in->flags & TCP_ACK) && !ack_ok) {
        tcp_reset_for(ns, &pcb->flow.key, in);
        return;
    }
    if (in->flags & TCP_RST) {
        if (ack_ok) {
            ns->counters.tcp_rst_in++;
            tcp_pcb_done(pcb, NET_ECONNREFUSED);
        }
        return;
    }
    if (!(in->flags & TCP_SYN))
        return;
    pcb->irs = in->seq;
    pcb->rcv_nxt = pcb->rcv_wup = in->seq + 1;
    pcb->rcv_adv = pcb->rcv_nxt + net_min(tcp_initial_window(&pcb->opts), 65535u);
    pcb->ts_ok = in->has_ts;
    pcb->sack_ok = in->sack_ok;
    pcb->ws_ok = in->has_wscale;
    pcb->snd_wscale = in->has_wscale ? in->wscale : 0;
    if (!in->has_wscale)
        pcb->rcv_wscale = 0;
    if (in->has_ts) {
        pcb->ts_recent = in->tsval;
        pcb->ts_recent_ns = ns->now_ns;
    }
    pcb->snd_wnd = pcb->max_wnd = in->wnd; /* never scaled in a SYN: RFC 7323 2.2 */
    pcb->snd_wl1 = in->seq;
    tcp_set_mss(pcb, in->has_mss ? in->mss : net_addr_is_v4(&pcb->flow.key.remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6);
    tcp_rcv_init(pcb);
    if (ack_ok) {
        pcb->ecn_ok = pcb->opts.ecn && (in->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE; /* RFC 3168 6.1.1 */
        struct tcp_in ack = *in;
        ack.flags = TCP_SYN | TCP_ACK;
        ack.len = 0;
        ack.sack_count = 0;
        tcp_established(pcb);
        tcp_ack_input(pcb, &ack);
        pcb->snd_wl1 = in->seq;
        if (net_unlikely(pcb->fo))
            tcp_fo_answered(pcb, in);
        pcb->ack_now = 1;
        tcp_mark_dirty(pcb);
        tcp_post(pcb, NET_EV_CONNECTED | NET_EV_WRITABLE);
        if (in->len || (in->flags & TCP_FIN)) {
            in->seq++;
            in->flags &= (uint16_t)~TCP_SYN;
            tcp_data_input(pcb, in);
        }
        return;
    }
    /* Simultaneous open (RFC 9293 3.5): our SYN becomes a SYN-ACK. */
    pcb->state = TCP_SYN_RCVD;
    pcb->ecn_ok = 0;
    tcp_send_syn(pcb);
}

static bool paws_fails(const struct tcp_pcb *pcb, const struct tcp_in *in)
{
    return pcb->ts_ok && in->has_ts && !(in->flags & TCP_RST) && (int32_t)(in->tsval - pcb->ts_recent) < 0 &&
           pcb->ns->now_ns - pcb->ts_recent_ns < PAWS_IDLE_NS;
}

/* RFC 3168 6.1.3; before the data is queued. */
static void ecn_input(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    bool ce = (in->rx->tos & IP_ECN_MASK) == IP_ECN_CE;
    if (ce)
        pcb->ns->counters.tcp_ecn_ce++;
    if (pcb->opts.cc == TCP_CC_DCTCP) { /* RFC 8257 3.2: the echo follows the marks exactly, whatever the peer has done about them */
        if (!in->len)
            return;
        if (pcb->cc_data.dctcp.ce_state != ce && pcb->rcv_nxt != pcb->rcv_wup)
            tcp_send_ack(pcb);
        pcb->cc_data.dctcp.ce_state = ce;
        pcb->ecn_echo = ce;
        return;
    }
    if (in->flags & TCP_CWR)
        pcb->ecn_echo = 0;
    if (ce)
        pcb->ecn_echo = 1;
}

/* The last of a connection that its user has left: a plain ACK of all there was, with which it is over. What it would teach about the path
 * dies with the connection, so nothing is learnt from it. */
static bool is_last(const struct tcp_pcb *pcb, const struct tcp_in *in)
{
    return pcb->state == TCP_LAST_ACK && pcb->user_gone && pcb->fin_sent && in->ack == pcb->snd_nxt && (in->flags & ~TCP_PSH) == TCP_ACK &&
           !in->len && in->seq == pcb->rcv_nxt && in->has_ts == pcb->ts_ok && !paws_fails(pcb, in) && pcb->rtx_head && tcp_is_calm(pcb, in);
}

void tcp_segment_input(struct tcp_pcb *pcb, struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    pcb->segs_in++;
    if (net_likely(tcp_predict(pcb, in))) {
        if (in->len)
            tcp_data_in_order(pcb, in);
        if (in->flags & TCP_FIN)
            tcp_fin_in_order(pcb);
        return;
    }
    if (net_unlikely(pcb->state == TCP_SYN_SENT)) {
        syn_sent_input(pcb, in);
        return;
    }
    if (is_last(pcb, in)) {
        tcp_confirm(pcb);
        tcp_pcb_done(pcb, 0);
        return;
    }
    if (net_unlikely(paws_fails(pcb, in))) {
        ns->counters.tcp_paws++;
        out_of_window(pcb, in);
        return;
    }
    if (net_unlikely(pcb->state == TCP_SYN_RCVD) && (in->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && in->seq == pcb->irs) {
        if (ns->now_ns - pcb->oow_ack_ns > SYN_AGAIN_NS) { /* SYN again: below the window if data came with it */
            pcb->oow_ack_ns = ns->now_ns;
            tcp_send_syn(pcb);
        }
        return;
    }
    /* RFC 9293 3.10.7.4 first. The left edge is what the peer may believe it still is. */
    if (net_unlikely(seq_lt(in->end, pcb->rcv_wup) || seq_gt(in->seq, seq_max(pcb->rcv_adv, pcb->rcv_nxt)))) {
        if ((in->flags & TCP_SYN) && !(in->flags & TCP_RST))
            tcp_challenge_ack(pcb);
        else
            out_of_window(pcb, in);
        return;
    }
    if (net_unlikely(in->flags & (TCP_RST | TCP_SYN))) {
        if (in->flags & TCP_RST) {
            if (in->seq != pcb->rcv_nxt) { /* RFC 5961 3.2 */
                tcp_challenge_ack(pcb);
                return;
            }
            ns->counters.tcp_rst_in++;
            tcp_pcb_done(pcb, pcb->state == TCP_CLOSE_WAIT ? NET_EPIPE : NET_ECONNRESET);
            return;
        }
        if (pcb->state != TCP_SYN_RCVD || in->seq != pcb->irs) {
            tcp_challenge_ack(pcb); /* RFC 5961 4.2 */
            return;
        }
        in->seq++; /* the SYN-ACK of a simultaneous open */
    }
    if (net_unlikely(!(in->flags & TCP_ACK)))
        return;
    if (net_unlikely(pcb->state == TCP_SYN_RCVD)) {
        if (seq_le(in->ack, pcb->snd_una) || seq_gt(in->ack, pcb->snd_nxt)) {
            tcp_reset_for(ns, &pcb->flow.key, in);
            return;
        }
        tcp_established(pcb);
        tcp_post(pcb, NET_EV_CONNECTED | NET_EV_WRITABLE);
    }
    if (!tcp_ack_input(pcb, in))
        return;
    /* Only now: what an attacker guesses must not move the time stamp that everything later is measured by. */
    if (in->has_ts && pcb->ts_ok && seq_le(in->seq, pcb->rcv_wup)) { /* RFC 7323 4.3 */
        pcb->ts_recent = in->tsval;
        pcb->ts_recent_ns = ns->now_ns;
    }
    pcb->last_rcv_ns = ns->now_ns;
    pcb->keep_probes = 0;
    if (net_unlikely(pcb->fin_acked)) {
        if (pcb->state == TCP_FIN_WAIT_1) {
            pcb->state = TCP_FIN_WAIT_2;
            if (pcb->user_gone)
                tcp_deadline_set(pcb, TCP_T_KEEP, ns->now_ns + pcb->opts.linger2_s * NET_NS_PER_S);
        } else if (pcb->state == TCP_CLOSING) {
            tcp_enter_timewait(pcb);
            return;
        } else if (pcb->state == TCP_LAST_ACK) {
            tcp_pcb_done(pcb, 0);
            return;
        }
    }
    if (net_unlikely((in->flags & TCP_URG) || pcb->urg_state == TCP_URG_AHEAD))
        tcp_urgent_input(pcb, in);
    if (net_unlikely(pcb->ecn_ok))
        ecn_input(pcb, in);
    if (in->len || (in->flags & TCP_FIN))
        tcp_data_input(pcb, in);
}

void tcp_icmp_error(struct net_stack *ns, const struct net_icmp_error *e)
{
    struct net_flow *f = net_flow_find(&ns->flows, &e->flow);
    if (!f || f->kind != FLOW_TCP)
        return;
    struct tcp_pcb *pcb = net_container_of(f, struct tcp_pcb, flow);
    /* RFC 5927 4.1: the quoted sequence number must be one that is in flight. */
    if (seq_lt(e->tcp_seq, pcb->snd_una) || seq_ge(e->tcp_seq, pcb->snd_nxt))
        return;
    if (e->what == NET_UNREACH_TOO_BIG) {
        if (e->mtu >= pcb->path.mtu && pcb->path.mtu)
            return;
        net_pmtu_learn(ns, &e->flow.remote, e->mtu);
        if (tcp_path(pcb) == 0 && pcb->rtx_head && pcb->state != TCP_SYN_SENT) {
            /* RFC 1191 6.4, RFC 8201 5.4: send again at once, without a congestion response. */
            for (struct tcp_seg *s = pcb->rtx_head; s; s = s->next)
                if (tcp_seg_payload(s) > pcb->mss && !(s->flags & (SEG_SACKED | SEG_LOST)))
                    tcp_seg_mark_lost(pcb, s);
            tcp_mark_dirty(pcb);
        }
        return;
    }
    /* RFC 5927 5.2, RFC 1122 4.2.3.9: hard errors abort a connection attempt only. */
    if (pcb->state == TCP_SYN_SENT && e->what != NET_UNREACH_SOFT) {
        tcp_pcb_done(pcb, e->error);
        return;
    }
    if (!pcb->user_gone && !pcb->listener) {
        pcb->ep.error = e->error; /* soft: RFC 5461 */
        tcp_post(pcb, NET_EV_ERROR);
    }
}
