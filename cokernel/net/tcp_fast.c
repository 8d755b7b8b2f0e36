/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header prediction, from the frame on: a segment of an established connection
 * that is the next in order, acknowledges what was sent once, and is plain in
 * every layer (IPv4 without options, TCP with nothing but the time stamp).
 * Each check of the layers is made here as well, or follows from one that is;
 * whatever does not pass goes their way, untouched.
 */
#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define MIN_RTT_WINDOW_NS (300 * NET_NS_PER_S) /* Linux: tcp_min_rtt_wlen */
#define TCP_AT (ETH_HEADER_BYTES + IP4_HEADER_BYTES)
#define PLAIN_BYTES (TCP_AT + TCP_HEADER_BYTES + TCP_TS_OPTION_BYTES)
#define HEADERS_BYTES 256u /* of a chain, as eth_input() wants them in the first part */

static inline void rtt_sample(struct tcp_pcb *pcb, uint32_t rtt_us)
{
    uint64_t now = pcb->ns->now_ns;
    rtt_us = net_max(rtt_us, 1u);
    if (rtt_us <= pcb->min_rtt_us || now - pcb->min_rtt_ns > MIN_RTT_WINDOW_NS) {
        pcb->min_rtt_us = rtt_us;
        pcb->min_rtt_ns = now;
    }
    if (!pcb->srtt_us) { /* RFC 6298 2.2 */
        pcb->srtt_us = rtt_us;
        pcb->rttvar_us = rtt_us / 2;
    } else { /* 2.3 */
        uint32_t diff = pcb->srtt_us > rtt_us ? pcb->srtt_us - rtt_us : rtt_us - pcb->srtt_us;
        pcb->rttvar_us = pcb->rttvar_us - pcb->rttvar_us / 4 + diff / 4;
        pcb->srtt_us = pcb->srtt_us - pcb->srtt_us / 8 + rtt_us / 8;
        if (!pcb->srtt_us)
            pcb->srtt_us = 1;
    }
    uint64_t rto = (uint64_t)pcb->srtt_us + net_max(4ull * pcb->rttvar_us, (uint64_t)TCP_RTO_MIN_US);
    pcb->rto_us = (uint32_t)net_min(rto, (uint64_t)TCP_RTO_MAX_US);
}

void tcp_rtt_sample(struct tcp_pcb *pcb, uint32_t rtt_us) { rtt_sample(pcb, rtt_us); }

/* Parts of the send queue that are wholly acknowledged. */
static inline void free_sent(struct tcp_pcb *pcb, uint32_t ack)
{
    struct pbuf *pb;
    while ((pb = pcb->snd_head) && seq_le(pb->seq + pb->len, ack)) {
        pcb->snd_head = pb->link;
        pcb->snd_true -= pbuf_true_bytes(pb);
        if (pcb->snd_cursor == pb)
            pcb->snd_cursor = pb->link;
        pbuf_put(pb);
    }
    if (!pcb->snd_head)
        pcb->snd_tail = NULL;
}

void tcp_free_sent(struct tcp_pcb *pcb, uint32_t ack) { free_sent(pcb, ack); }

void tcp_ack_calm(struct tcp_pcb *pcb, uint32_t ack)
{
    struct net_stack *ns = pcb->ns;
    uint32_t acked = ack - pcb->snd_una, flight = pcb->snd_nxt - pcb->snd_una;
    struct tcp_seg *s = pcb->rtx_head, *last = NULL;
    uint64_t first_ns = s->sent_ns;
    for (; s && seq_le(s->end, ack); s = s->next) {
        pcb->fin_acked |= s->flags / SEG_FIN & 1;
        pcb->rack_sent_ns = s->sent_ns;
        pcb->rack_end = pcb->rack_fack = s->end;
        if (last)
            net_slab_put(&ns->tcp_segs, last);
        last = s;
    }
    pcb->rtx_head = pcb->time_head = s;
    pcb->lost_hint = pcb->sack_hint = NULL;
    if (s) {
        s->prev = s->tprev = NULL;
        if (seq_lt(s->seq, ack)) {
            s->seq = ack;
            while (s->pb && seq_le(s->pb->seq + s->pb->len, ack) && s->pb->link)
                s->pb = s->pb->link;
        }
    } else {
        pcb->rtx_tail = pcb->time_tail = NULL;
    }
    pcb->delivered += acked;
    pcb->bytes_acked += acked;
    pcb->snd_una = pcb->high_seq = pcb->ecn_high = ack;
    pcb->reo_round_end = seq_max(pcb->reo_round_end, ack);
    pcb->retries = pcb->backoff = 0;
    if (last) {
        net_slab_put(&ns->tcp_segs, last);
        pcb->rack_valid = 1;
        pcb->rack_rtt_us = tcp_elapsed_us(ns->now_ns, pcb->rack_sent_ns);
        rtt_sample(pcb, first_ns == pcb->rack_sent_ns ? pcb->rack_rtt_us : tcp_elapsed_us(ns->now_ns, first_ns));
    }
    free_sent(pcb, ack);
    tcp_cc_on_ack(pcb, acked, flight);
    if (!s && pcb->write_seq == pcb->snd_nxt && !pcb->fin_queued) {
        pcb->rtx_mode = RTX_NONE;
        tcp_deadline_clear(pcb, TCP_T_RTX);
    } else {
        tcp_rearm_rtx(pcb);
        if (tcp_unsent(pcb) || pcb->fin_queued != pcb->fin_sent)
            tcp_mark_dirty(pcb);
    }
    if (pcb->want_write | pcb->opts.notify_acked)
        tcp_wake_writer(pcb, acked);
}

bool tcp_predict(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    // cppcheck-suppress ctuuninitvar ; tcp_fast_input() sets what is read here
    uint32_t acked = in->ack - pcb->snd_una, wnd = in->wnd << pcb->snd_wscale;
    if (pcb->state != TCP_ESTABLISHED || (in->flags & ~(TCP_PSH | TCP_FIN)) != TCP_ACK || in->seq != pcb->rcv_nxt || !tcp_is_calm(pcb, in) ||
        acked > pcb->snd_nxt - pcb->snd_una || seq_gt(in->end, pcb->rcv_adv) || pcb->islands || pcb->fin_known ||
        in->has_ts != pcb->ts_ok || (in->has_ts && seq_lt(in->tsval, pcb->ts_recent)))
        return false;
    if (in->len) {
        if (pcb->rcv_true > pcb->opts.rcvbuf || pcb->user_gone || net_mem_pressed(&ns->mem)) /* memory wants a closer look; or nobody will ever read it */
            return false;
    } else if (!acked && pcb->rtx_head) { /* a duplicate, or a window update */
        return false;
    }
    if (net_likely(wnd == pcb->snd_wnd && pcb->rtx_mode != RTX_PERSIST)) {
        if (seq_le(pcb->snd_wl1, in->seq)) {
            pcb->snd_wl1 = in->seq;
            pcb->snd_wl2 = in->ack; /* not older: what lies behind snd_una has been refused */
        }
    } else {
        tcp_update_window(pcb, in);
    }
    if (acked && net_likely(pcb->rtx_head != NULL)) {
        tcp_confirm(pcb);
        tcp_ack_calm(pcb, in->ack);
    }
    if (in->has_ts && pcb->rcv_nxt == pcb->rcv_wup) { /* RFC 7323 4.3 */
        pcb->ts_recent = in->tsval;
        pcb->ts_recent_ns = ns->now_ns;
    }
    pcb->last_rcv_ns = ns->now_ns;
    if (net_unlikely(pcb->ep.error)) /* the peer is there, whatever ICMP said */
        pcb->ep.error = 0;
    pcb->keep_probes = pcb->persist_probes = 0;
    ns->counters.tcp_predicted++;
    return true;
}

/* NULL if it has none. Its hash is in pb->seq then, and always unless the last one's was hit. */
static inline struct net_flow *find(struct net_stack *ns, struct pbuf *pb, const struct net_flow_key *key)
{
    struct net_flow *f = ns->last_flow;
    if (f && net_flow_key_eq(&f->key, key))
        return f;
    if (!(pb->flags & PBUF_HASHED)) {
        pb->seq = net_flow_hash(&ns->flows.key, key);
        pb->flags |= PBUF_HASHED;
    }
    f = net_flow_find_hashed(&ns->flows, key, pb->seq);
    if (f && f->kind == FLOW_TCP)
        ns->last_flow = f;
    return f;
}

/* A path by way of a neighbour that is still good shows that the peer's address is no broadcast or group of ours. */
static inline bool path_good(const struct net_stack *ns, const struct net_path *path)
{
    return path->generation == ns->path_generation && path->neigh;
}

static inline bool peer_known(struct net_stack *ns, const struct net_flow_key *key, struct net_flow *f)
{
    if (f && f->kind == FLOW_TCP)
        return path_good(ns, &net_container_of(f, struct tcp_pcb, flow)->path);
    if (f && f->kind == FLOW_TCP_SYN)
        return path_good(ns, &net_container_of(f, struct tcp_synreq, flow)->path);
    const struct net_path_memo *m = net_path_known(ns, &key->local, &key->remote);
    return m && m->path.neigh;
}

/* What is no plain segment of an established connection, but plain below TCP: in is filled in except for what options say. */
static inline __attribute__((always_inline)) bool general_input(struct net_iface *iface, struct pbuf *pb, struct tcp_in *in,
                                                                const struct net_flow_key *key, struct net_flow *f)
{
    struct net_stack *ns = iface->stack;
    const uint8_t *ip = pb->data + ETH_HEADER_BYTES, *t = ip + IP4_HEADER_BYTES;
    uint32_t header = (t[12] >> 4) * 4u;
    if (!peer_known(ns, key, f) && !ip4_source_ok(iface, &key->remote, IP_PROTO_TCP))
        return false;
    in->has_ts = in->has_mss = in->has_wscale = in->sack_ok = in->sack_count = in->has_fo = 0;
    if (!tcp_parse_options(in, t, header))
        return false;
    iface->counters.rx_frames++;
    iface->counters.rx_bytes += pb->total;
    ns->counters.tcp_in++;
    if ((in->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && net_unlikely(!tcp_syn_allowed(ns))) {
        pbuf_put(pb);
        return true;
    }
    in->rx->tos = ip[1];
    in->rx->group = 0;
    in->hash = pb->seq;
    in->local_port = key->local_port;
    in->remote_port = key->remote_port;
    in->urgent = get_be16(t + 18);
    in->end += (in->flags >> 1 & 1) + (in->flags & 1); /* SYN, FIN */
    pb->iface = iface;
    pbuf_trim(pb, TCP_AT + header + in->len); /* Ethernet pads short frames */
    pbuf_drop(pb, TCP_AT + header);
    if (net_unlikely(pb->len == 0 && pb->next))
        in->pb = pbuf_advance(pb, 0);
    if (net_likely(f && f->kind == FLOW_TCP))
        tcp_segment_input(net_container_of(f, struct tcp_pcb, flow), in);
    else
        tcp_dispatch(ns, in, key, f);
    if (in->pb)
        pbuf_put(in->pb);
    return true;
}

bool tcp_fast_input(struct net_iface *iface, struct pbuf *pb)
{
    struct net_stack *ns = iface->stack;
    const uint8_t *f = pb->data, *ip = f + ETH_HEADER_BYTES, *t = f + TCP_AT;
    if (pb->len < TCP_AT + TCP_HEADER_BYTES || (pb->next && (pb->len < HEADERS_BYTES || !(pb->flags & PBUF_CSUM_GOOD))) ||
        (load32(f + 12) & net_bswap32(0xffffff00)) != net_bswap32(ETH_TYPE_IP4 << 16 | 0x4500) || /* any kind of service */
        (load32(ip + 6) & net_bswap32(0x3fff00ff)) != net_bswap32(IP_PROTO_TCP))                  /* no fragment, any time to live */
        return false;
    const struct net_flow_key key = { .local = net_addr_v4_raw(load32(ip + 16)), .remote = net_addr_v4_raw(load32(ip + 12)),
                                      .local_port = get_be16(t + 2), .remote_port = get_be16(t) };
    uint32_t total = get_be16(ip + 2), bytes = total - IP4_HEADER_BYTES, header = (t[12] >> 4) * 4u;
    if (total < IP4_HEADER_BYTES + header || total > pb->total - ETH_HEADER_BYTES || header < TCP_HEADER_BYTES || header > pb->len - TCP_AT ||
        !net_same(f, iface->mac.b, 6) || iface->addrs[0].state != IFADDR_PREFERRED || !net_addr_eq(&key.local, &iface->addrs[0].addr))
        return false;
    if (cksum_fold(cksum_ip4_header(ip)) != 0xffff)
        return false;
    if (!(pb->flags & PBUF_CSUM_GOOD)) {
        uint64_t sum = (uint64_t)net_bswap32(bytes) + ((uint32_t)IP_PROTO_TCP << 24) + load32(ip + 12) + load32(ip + 16);
        if (cksum_fold(cksum_add(sum, t, bytes)) != 0xffff)
            return false;
    }
    struct net_rx rx;
    struct tcp_in in; /* at first what tcp_predict() and tcp_data_in_order() look at */
    in.pb = pb;
    in.seq = get_be32(t + 4);
    in.ack = get_be32(t + 8);
    in.flags = t[13];
    in.wnd = get_be16(t + 14);
    in.len = bytes - header;
    in.end = in.seq + in.len;
    struct net_flow *flow = find(ns, pb, &key);
    struct tcp_pcb *pcb = flow && flow->kind == FLOW_TCP ? net_container_of(flow, struct tcp_pcb, flow) : NULL;
    if (!pcb || !path_good(ns, &pcb->path) || pcb->state != TCP_ESTABLISHED || (load16(t + 12) & net_bswap16(0xfff7)) != net_bswap16(0x8000 | TCP_ACK) ||
        load32(t + TCP_HEADER_BYTES) != net_bswap32(0x0101080a))
        goto general;
    in.has_ts = 1;
    in.tsval = get_be32(t + TCP_HEADER_BYTES + 4);
    in.sack_count = 0;
    if (net_unlikely(!tcp_predict(pcb, &in)))
        goto general;
    iface->counters.rx_frames++;
    iface->counters.rx_bytes += pb->total;
    ns->counters.tcp_in++;
    pcb->segs_in++;
    if (!in.len) {
        pbuf_put(pb);
        return true;
    }
    pb->iface = iface;
    pbuf_trim(pb, ETH_HEADER_BYTES + total);
    pbuf_drop(pb, PLAIN_BYTES);
    tcp_data_in_order(pcb, &in);
    return true;
general:
    in.rx = &rx;
    return general_input(iface, pb, &in, &key, flow);
}
