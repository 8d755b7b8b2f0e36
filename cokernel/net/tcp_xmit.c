/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments onto the wire: header, options, checksum, payload views. */
#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define COPY_BYTES 192u /* below, copying payload behind the header is cheaper than a view */
#define HEAD_ROOM (ETH_HEADER_BYTES + 4 + IP6_HEADER_BYTES)
_Static_assert(HEAD_ROOM + 60 + COPY_BYTES <= PBUF_MEDIUM_BYTES - PBUF_DESC_BYTES, "and a small message behind them a medium one");
_Static_assert(HEAD_ROOM + 60 <= PBUF_SMALL_BYTES - PBUF_DESC_BYTES, "all headers fit a small buffer");

static void finish(struct pbuf *pb, const struct net_path *path, const struct net_addr *src, const struct net_addr *dst)
{
    uint64_t sum = cksum_pseudo(src, dst, IP_PROTO_TCP, pb->total);
    if (path->iface->offloads & NIC_TX_CSUM) {
        store16(pb->data + 16, cksum_fold(sum));
        pb->flags |= PBUF_CSUM_PARTIAL;
        pb->csum_start = 0;
        pb->csum_offset = 16;
        return;
    }
    if (!pb->next)
        store16(pb->data + 16, cksum_finish(cksum_add(sum, pb->data, pb->len)));
    else
        store16(pb->data + 16, cksum_finish(cksum_pbuf(sum, pb, 0, pb->total)));
}

static uint8_t *put_ts(uint8_t *p, uint32_t val, uint32_t ecr)
{
    put_be32(p, 0x0101080a);
    put_be32(p + 4, val);
    put_be32(p + 8, ecr);
    return p + TCP_TS_OPTION_BYTES;
}

static void put_header(uint8_t *h, const struct net_flow_key *k, uint32_t seq, uint32_t ack, uint32_t header, uint16_t flags, uint16_t wnd)
{
    put_be16(h, k->local_port);
    put_be16(h + 2, k->remote_port);
    put_be32(h + 4, seq);
    put_be32(h + 8, ack);
    put_be16(h + 12, (uint16_t)(header / 4 << 12 | flags));
    put_be16(h + 14, wnd);
    store32(h + 16, 0);
}

/* SACK blocks, which come behind the time stamp; returns their bytes. */
static uint32_t sack_options(struct tcp_pcb *pcb, uint8_t *p)
{
    struct tcp_sack sacks[4];
    unsigned n = tcp_build_sacks(pcb, sacks, pcb->ts_ok ? 3 : 4);
    put_be32(p, 0x01010500 | (2 + 8 * n));
    p += 4;
    for (unsigned k = 0; k < n; k++, p += 8) {
        put_be32(p, sacks[k].start);
        put_be32(p + 4, sacks[k].end);
    }
    return 4 + 8 * n;
}

/* Padded to whole words; 34 is the option's kind (RFC 7413 4.1.1). */
static uint8_t *put_fastopen(uint8_t *p, const struct tcp_fo_cookie *c)
{
    unsigned n = 2u + c->bytes;
    *p++ = 34;
    *p++ = (uint8_t)n;
    net_copy(p, c->b, c->bytes);
    for (p += c->bytes; n % 4; n++)
        *p++ = 1;
    return p;
}

/* The connection's own SYN (RFC 9293 3.7.1, 7323 2, 2018 2). */
static uint32_t syn_options(struct tcp_pcb *pcb, uint8_t *p, uint16_t flags)
{
    uint8_t *start = p;
    bool answer = flags & TCP_ACK;
    put_be16(p, 0x0204);
    put_be16(p + 2, (uint16_t)pcb->adv_mss);
    p += 4;
    if (!answer || pcb->ts_ok) {
        if (!answer || pcb->sack_ok) {
            put_be16(p, 0x0402);
            put_be16(p + 2, 0x080a);
        } else {
            put_be32(p, 0x0101080a);
        }
        put_be32(p + 4, tcp_ts_now(pcb->ns, pcb->ts_offset));
        put_be32(p + 8, answer ? pcb->ts_recent : 0);
        p += 12;
    } else if (pcb->sack_ok) {
        put_be32(p, 0x01010402);
        p += 4;
    }
    if (!answer || pcb->ws_ok) {
        put_be32(p, 0x01030300u | pcb->rcv_wscale);
        p += 4;
    }
    struct tcp_fo_cookie cookie;
    if (net_unlikely(pcb->fo) && tcp_fo_option(pcb, &cookie))
        p = put_fastopen(p, &cookie);
    return (uint32_t)(p - start);
}

static struct pbuf *payload_views(struct tcp_pcb *pcb, struct pbuf *head, struct pbuf *from, uint32_t seq, uint32_t len)
{
    struct pbuf *tail = head;
    uint32_t offset = seq - from->seq;
    while (len) {
        while (offset >= from->len) {
            offset -= from->len;
            from = from->link;
        }
        uint32_t n = net_min(from->len - offset, len);
        struct pbuf *v = pbuf_view(&pcb->ns->pools, from, offset, n);
        if (!v) {
            pbuf_put(head);
            return NULL;
        }
        tail->next = v;
        tail = v;
        head->total += n;
        len -= n;
        offset += n;
    }
    return head;
}

/* The bytes at `offset` of a queue's part and those behind it. */
static void copy_payload(uint8_t *to, struct pbuf *from, uint32_t offset, uint32_t len)
{
    while (len) {
        while (offset >= from->len) {
            offset -= from->len;
            from = from->link;
        }
        uint32_t n = net_min(from->len - offset, len);
        net_copy(to, from->data + offset, n);
        to += n;
        len -= n;
        offset += n;
    }
}

/* For want of views, which are small buffers: the payload in large ones. NULL if there are not enough. */
static __attribute__((noinline)) struct pbuf *copied(struct net_stack *ns, const struct tcp_xmit *x, uint32_t offset, uint32_t headroom)
{
    struct pbuf *head = pbuf_alloc_large(&ns->pools, headroom), *part = head;
    for (uint32_t done = 0; part; part = pbuf_alloc_large(&ns->pools, 0)) {
        uint32_t n = net_min(pbuf_tailroom(part), x->len - done);
        copy_payload(pbuf_extend(part, n), x->pb, offset + done, n);
        if (part != head)
            pbuf_append(head, part);
        done += n;
        if (done == x->len)
            return head;
    }
    if (head)
        pbuf_put(head);
    return NULL;
}

static void acked_now(struct tcp_pcb *pcb)
{
    pcb->rcv_wup = pcb->rcv_nxt;
    pcb->ack_now = 0;
    pcb->dsack_valid = 0;
    if (pcb->quickacks)
        pcb->quickacks--;
    tcp_deadline_clear(pcb, TCP_T_DELACK);
}

int tcp_xmit(struct tcp_pcb *pcb, const struct tcp_xmit *x)
{
    struct net_stack *ns = pcb->ns;
    const struct net_flow_key *k = &pcb->flow.key;
    uint8_t options[40];   /* all of a SYN; of others what comes behind the time stamp */
    int err = tcp_path(pcb);
    if (net_unlikely(err < 0))
        return err;
    uint16_t flags = x->flags;
    uint16_t wnd = tcp_window_field(pcb, flags & TCP_SYN);
    uint32_t opt = 0, ts = 0;
    if (net_unlikely(flags & TCP_SYN)) {
        opt = syn_options(pcb, options, flags);
    } else {
        ts = pcb->ts_ok ? TCP_TS_OPTION_BYTES : 0;
        if (net_unlikely((pcb->islands || pcb->dsack_valid) && pcb->sack_ok))
            opt = sack_options(pcb, options);
    }
    uint32_t header = TCP_HEADER_BYTES + ts + opt;
    uint32_t from = x->seq + (flags & TCP_SYN ? 1 : 0);
    bool copy = x->len && x->len <= COPY_BYTES;
    struct pbuf *pb = copy ? pbuf_alloc_medium(&ns->pools, HEAD_ROOM + header) : pbuf_alloc_small(&ns->pools, HEAD_ROOM + header);
    if (net_unlikely(!pb)) {
        ns->counters.memory_refused++;
        return -NET_ENOBUFS;
    }
    if (copy)
        copy_payload(pbuf_extend(pb, x->len), x->pb, from - x->pb->seq, x->len);
    else if (x->len && !(pb = payload_views(pcb, pb, x->pb, from, x->len)) && !(pb = copied(ns, x, from - x->pb->seq, HEAD_ROOM + header)))
        return -NET_ENOBUFS;
    if (pcb->ecn_ok && !(flags & TCP_SYN)) {
        if (pcb->ecn_echo)
            flags |= TCP_ECE;
        if (x->len && pcb->ecn_cwr_due && seq_ge(x->seq, pcb->snd_nxt)) {
            flags |= TCP_CWR;
            pcb->ecn_cwr_due = 0;
        }
    }
    uint32_t urgent = 0;
    if (net_unlikely(pcb->urg_sent) && seq_lt(x->seq, pcb->snd_up)) { /* retransmissions and bare ACKs say it as well */
        flags |= TCP_URG;
        urgent = net_min(pcb->snd_up - x->seq, 65535u);
    }
    uint8_t *h = pbuf_push(pb, header);
    put_header(h, k, x->seq, flags & TCP_ACK ? pcb->rcv_nxt : 0, header, flags, wnd);
    if (net_unlikely(urgent))
        put_be16(h + 18, (uint16_t)urgent);
    if (ts)
        put_ts(h + TCP_HEADER_BYTES, tcp_ts_now(ns, pcb->ts_offset), pcb->ts_recent);
    if (net_unlikely(opt))
        net_copy(h + TCP_HEADER_BYTES + ts, options, opt);
    finish(pb, &pcb->path, &k->local, &k->remote);
    if (x->len > pcb->mss && !x->whole) {
        pb->flags |= PBUF_TSO;
        pb->gso_size = (uint16_t)(tcp_path_mtu(pcb) - header - (net_addr_is_v4(&k->remote) ? IP4_HEADER_BYTES : IP6_HEADER_BYTES));
    }
    uint8_t tos = pcb->opts.tos;
    /* RFC 3168 6.1.4, 6.1.5: no ECT on pure ACKs and retransmissions. */
    if (pcb->ecn_ok && x->len && seq_ge(x->seq, pcb->snd_nxt))
        tos |= IP_ECN_ECT0;
    pcb->segs_out++;
    ns->counters.tcp_out++;
    if (flags & TCP_ACK)
        acked_now(pcb);
    return ip_output_tcp(&pcb->path, k, tos, pcb->opts.ttl, pb);
}

void tcp_send_ack_at(struct tcp_pcb *pcb, uint32_t seq)
{
    struct tcp_xmit x = { .seq = seq, .flags = TCP_ACK };
    tcp_xmit(pcb, &x);
}

void tcp_send_ack(struct tcp_pcb *pcb) { tcp_send_ack_at(pcb, pcb->snd_nxt); }

void tcp_send_reset(struct tcp_pcb *pcb)
{
    struct tcp_xmit x = { .seq = pcb->snd_nxt, .flags = TCP_RST | TCP_ACK };
    pcb->ns->counters.tcp_rst_out++;
    tcp_xmit(pcb, &x);
}

/* The header in front of pb, in which there are options, if anything. */
static inline void put_raw(struct net_stack *ns, struct net_path *path, const struct net_flow_key *k, struct pbuf *pb, const struct tcp_out *out)
{
    uint8_t *h = pbuf_push(pb, TCP_HEADER_BYTES);
    put_header(h, k, out->seq, out->ack, pb->len, out->flags, (uint16_t)out->wnd);
    finish(pb, path, &k->local, &k->remote);
    ns->counters.tcp_out++;
}

void tcp_send_raw(struct net_stack *ns, const struct net_flow_key *k, const struct tcp_out *out)
{
    struct net_addr src = k->local;
    struct net_path path;
    if (net_path_find(ns, &src, &k->remote, NULL, &path) < 0)
        return;
    struct pbuf *pb = pbuf_alloc_small(&ns->pools, HEAD_ROOM + TCP_HEADER_BYTES);
    if (!pb)
        return;
    if (out->ts_ok)
        put_ts(pbuf_extend(pb, TCP_TS_OPTION_BYTES), out->tsval, out->tsecr);
    put_raw(ns, &path, k, pb, out);
    ip_output_tcp(&path, k, 0, 0, pb);
}

void tcp_synack(struct net_stack *ns, const struct tcp_handshake *hs, const struct tcp_opts *opts, struct net_path *path)
{
    struct net_addr src = hs->key.local;
    if (path->generation != ns->path_generation && net_path_find(ns, &src, &hs->key.remote, NULL, path) < 0)
        return;
    struct pbuf *pb = pbuf_alloc_small(&ns->pools, HEAD_ROOM + TCP_HEADER_BYTES);
    if (!pb)
        return;
    uint8_t *p = pb->data;
    put_be16(p, 0x0204);
    put_be16(p + 2, tcp_advertised_mss(ns, &hs->key.remote, path->mtu, opts->maxseg));
    p += 4;
    if (hs->ts_ok) {
        p = put_ts(p, tcp_ts_now(ns, hs->ts_offset), hs->ts_recent);
        if (hs->sack_ok)
            put_be16(p - TCP_TS_OPTION_BYTES, 0x0402);
    } else if (hs->sack_ok) {
        put_be32(p, 0x01010402);
        p += 4;
    }
    if (hs->ws_ok) {
        put_be32(p, 0x01030300u | hs->rcv_wscale);
        p += 4;
    }
    if (net_unlikely(hs->fo_cookie)) {
        struct tcp_fo_cookie cookie;
        tcp_fo_make(ns, &hs->key, &cookie);
        p = put_fastopen(p, &cookie);
    }
    pbuf_extend(pb, (uint32_t)(p - pb->data));
    struct tcp_out out = { .seq = hs->iss, .ack = hs->irs + 1, .wnd = net_min(tcp_initial_window(opts), 65535u),
                           .flags = (uint16_t)(TCP_SYN | TCP_ACK | (hs->ecn_ok ? TCP_ECE : 0)) }; /* RFC 3168 6.1.1 */
    put_raw(ns, path, &hs->key, pb, &out);
    ip_output_tcp(path, &hs->key, opts->tos, opts->ttl, pb);
}

void tcp_reset_for(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_in *in)
{
    if ((in->flags & TCP_RST) || in->rx->group)
        return;
    struct tcp_out out = { 0 };
    if (in->flags & TCP_ACK) { /* RFC 9293 3.10.7.1 */
        out.seq = in->ack;
        out.flags = TCP_RST;
    } else {
        out.ack = in->end;
        out.flags = TCP_RST | TCP_ACK;
    }
    ns->counters.tcp_rst_out++;
    tcp_send_raw(ns, key, &out);
}
