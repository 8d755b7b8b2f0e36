/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/tcp_migrate.h"

#include "cokernel/net/tcp_internal.h"

#define IMAGE_MAGIC 0x6e637074u /* "tpcn" */
#define IMAGE_VERSION 6u
#define SEGS_MAX (1u << 20)

/* Plain values, copied as they are. */
#define VALUES(X) \
    X(uint32_t, rcv_nxt) X(uint32_t, rcv_wup) X(uint32_t, rcv_adv) X(uint32_t, ts_recent) X(uint32_t, snd_una) X(uint32_t, snd_nxt) \
    X(uint32_t, snd_wnd) X(uint32_t, max_wnd) X(uint32_t, snd_wl1) X(uint32_t, snd_wl2) X(uint32_t, write_seq) X(uint32_t, snd_sml) X(uint32_t, snd_up) \
    X(uint32_t, dup_bytes) X(uint32_t, cwnd) X(uint32_t, ssthresh) X(uint32_t, cwnd_used) X(uint32_t, high_seq) \
    X(uint32_t, prr_delivered) X(uint32_t, prr_out) X(uint32_t, prr_flight) X(uint32_t, prior_cwnd) X(uint32_t, prior_ssthresh) \
    X(uint32_t, undo_marker) X(uint32_t, undo_retrans) X(uint32_t, retrans_ts) X(uint32_t, ecn_high) X(uint32_t, srtt_us) \
    X(uint32_t, rttvar_us) X(uint32_t, rto_us) X(uint32_t, min_rtt_us) X(uint32_t, rack_rtt_us) X(uint32_t, rack_end) \
    X(uint32_t, rack_fack) X(uint32_t, tlp_end) X(uint32_t, reo_round_end) X(uint32_t, fin_seq) X(uint32_t, urg_seq) \
    X(uint32_t, rcv_mss) X(uint32_t, adv_mss) X(uint32_t, iss) X(uint32_t, irs) X(uint32_t, peer_mss) X(uint32_t, rcv_space) \
    X(uint32_t, total_retrans) X(uint64_t, delivered) X(uint64_t, bytes_acked) X(uint64_t, bytes_received) X(uint64_t, bytes_sent) \
    X(uint64_t, bytes_retrans) X(uint32_t, segs_in) X(uint32_t, segs_out) X(uint16_t, plp_mtu) X(uint16_t, plp_high) \
    X(uint8_t, state) X(uint8_t, ca_state) X(uint8_t, snd_wscale) X(uint8_t, rcv_wscale) X(uint8_t, ts_ok) X(uint8_t, sack_ok) \
    X(uint8_t, ws_ok) X(uint8_t, ecn_ok) X(uint8_t, fin_queued) X(uint8_t, fin_sent) X(uint8_t, fin_acked) X(uint8_t, fin_received) \
    X(uint8_t, fin_known) X(uint8_t, ecn_echo) X(uint8_t, ecn_cwr_due) X(uint8_t, urg_state) X(uint8_t, urg_byte) X(uint8_t, urg_sent) X(uint8_t, frto) \
    X(uint8_t, frto_new) X(uint8_t, dupacks) X(uint8_t, quickacks) X(uint8_t, reo_mult) X(uint8_t, reo_persist) \
    X(uint8_t, reordering_seen) X(uint8_t, rack_valid) X(uint8_t, tlp_out) X(uint8_t, tlp_retrans) X(uint8_t, backoff) \
    X(uint8_t, retries) X(uint8_t, keep_probes) X(uint8_t, persist_probes) X(uint8_t, syn_lost) X(uint8_t, plp_on)

/* Points in time, moved as their distance from now. */
#define TIMES(X) \
    X(ts_recent_ns) X(min_rtt_ns) X(rack_sent_ns) X(last_send_ns) X(first_unacked_ns) X(last_rcv_ns) X(oow_ack_ns) X(challenge_ns) \
    X(rcv_space_ns)

struct image {
    uint32_t magic, version;
    uint64_t bytes;              /* everything, this header included */
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
    uint32_t ts_now;             /* our time stamp clock */
    uint32_t seg_count, island_count, send_bytes, receive_bytes;
    struct tcp_opts opts;
#define DECLARE_VALUE(type, name) type name;
#define DECLARE_TIME(name) uint64_t name;
    VALUES(DECLARE_VALUE)
    TIMES(DECLARE_TIME)
    uint64_t keep_left_ns;
    struct tcp_cubic cubic;
    struct tcp_dctcp dctcp;
};

struct image_seg { uint32_t seq, end, flags, pad; uint64_t age_ns; };
struct image_island { uint32_t start, end; };

static bool state_can_move(unsigned state)
{
    switch (state) {
    case TCP_ESTABLISHED:
    case TCP_FIN_WAIT_1:
    case TCP_FIN_WAIT_2:
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
        return true;
    }
    return false;
}

static bool can_move(const struct tcp_pcb *pcb) { return state_can_move(pcb->state) && !pcb->listener; }

static uint32_t queued_bytes(const struct tcp_pcb *pcb)
{
    uint32_t bytes = 0;
    for (const struct pbuf *p = pcb->snd_head; p; p = p->link)
        bytes += p->len;
    return bytes;
}

size_t tcp_export_bytes(const struct tcp_pcb *pcb) { return can_move(pcb) ? tcp_image_bytes(pcb) : 0; }

size_t tcp_image_bytes(const struct tcp_pcb *pcb)
{
    size_t n = sizeof(struct image);
    for (const struct tcp_seg *s = pcb->rtx_head; s; s = s->next)
        n += sizeof(struct image_seg);
    for (const struct tcp_island *i = pcb->islands; i; i = i->next)
        n += sizeof(struct image_island) + (i->end - i->start);
    return n + queued_bytes(pcb) + pcb->rcv_bytes;
}

static uint64_t age(uint64_t now, uint64_t then) { return then ? now - then + 1 : 0; } /* 0 stays "never" */
static uint64_t from_age(uint64_t now, uint64_t a) { return !a ? 0 : a > now ? 1 : now - a + 1; }

static uint8_t *put_packets(uint8_t *p, const struct pbuf *pb)
{
    for (; pb; pb = pb->link)
        p += pbuf_copy_out(pb, 0, p, pb->total);
    return p;
}

int64_t tcp_export(struct tcp_pcb *pcb, void *out, size_t room)
{
    size_t bytes = tcp_export_bytes(pcb);
    if (!bytes)
        return -NET_EINVAL;
    if (bytes > room)
        return -NET_ENOSPC;
    tcp_image_write(pcb, out);
    pcb->ns->counters.tcp_exported++;
    tcp_pcb_free(pcb);
    return (int64_t)bytes;
}

bool tcp_image_key(const void *image, size_t bytes, struct net_flow_key *key)
{
    struct image im;
    if (bytes < sizeof im)
        return false;
    net_copy(&im, image, sizeof im);
    *key = (struct net_flow_key){ .local = net_addr_v6(im.local), .remote = net_addr_v6(im.remote), .local_port = im.local_port, .remote_port = im.remote_port };
    return true;
}

void tcp_image_write(const struct tcp_pcb *pcb, void *out)
{
    struct net_stack *ns = pcb->ns;
    uint64_t now = ns->now_ns;
    size_t bytes = tcp_image_bytes(pcb);
    struct image im;
    net_zero(&im, sizeof im);
    im.magic = IMAGE_MAGIC;
    im.version = IMAGE_VERSION;
    im.bytes = bytes;
    net_copy(im.local, pcb->flow.key.local.b, 16);
    net_copy(im.remote, pcb->flow.key.remote.b, 16);
    im.local_port = pcb->flow.key.local_port;
    im.remote_port = pcb->flow.key.remote_port;
    im.ts_now = tcp_ts_now(ns, pcb->ts_offset);
    im.opts = pcb->opts;
#define SAVE_VALUE(type, name) im.name = (type)pcb->name;
#define SAVE_TIME(name) im.name = age(now, pcb->name);
    VALUES(SAVE_VALUE)
    TIMES(SAVE_TIME)
    im.keep_left_ns = pcb->deadlines[TCP_T_KEEP] > now ? pcb->deadlines[TCP_T_KEEP] - now : 0;
    if (pcb->opts.cc == TCP_CC_CUBIC) {
        im.cubic = pcb->cc_data.cubic;
        im.cubic.epoch_ns = age(now, im.cubic.epoch_ns);
    } else if (pcb->opts.cc == TCP_CC_DCTCP) {
        im.dctcp = pcb->cc_data.dctcp;
    }
    uint8_t *p = (uint8_t *)out + sizeof im;
    for (const struct tcp_seg *s = pcb->rtx_head; s; s = s->next, p += sizeof(struct image_seg), im.seg_count++) {
        struct image_seg one = { .seq = s->seq, .end = s->end, .flags = s->flags & (uint32_t)~SEG_PROBE, .age_ns = now - s->sent_ns };
        net_copy(p, &one, sizeof one);
    }
    for (const struct tcp_island *i = pcb->islands; i; i = i->next, p += sizeof(struct image_island), im.island_count++) {
        struct image_island one = { i->start, i->end };
        net_copy(p, &one, sizeof one);
    }
    im.send_bytes = queued_bytes(pcb);
    im.receive_bytes = pcb->rcv_bytes;
    p = put_packets(p, pcb->snd_head);
    p = put_packets(p, pcb->rcv_head);
    for (const struct tcp_island *i = pcb->islands; i; i = i->next)
        p = put_packets(p, i->head);
    net_copy(out, &im, sizeof im);
}

bool tcp_key_plausible(const struct net_flow_key *k)
{
    return k->local_port && k->remote_port && net_addr_is_v4(&k->local) == net_addr_is_v4(&k->remote) && !net_addr_is_any(&k->local) && !net_addr_is_any(&k->remote) &&
           !net_addr_is_multicast(&k->local) && !net_addr_is_multicast(&k->remote);
}

/* Values that tcp_set() would have taken. */
static bool options_plausible(const struct tcp_opts *o)
{
    return o->cc < TCP_CC_COUNT && o->ttl && o->rcvbuf >= 1024 && o->rcvbuf <= TCP_RCVBUF_MAX && o->sndbuf >= 2048 && o->sndbuf <= TCP_SNDBUF_MAX &&
           o->keep_idle_s && o->keep_idle_s <= 32767 && o->keep_intvl_s && o->keep_intvl_s <= 32767 && o->keep_count &&
           o->linger2_s <= 120 && (!o->maxseg || o->maxseg >= 88) && o->fastopen <= 65535 && o->pacing_rate <= INT64_MAX && !(o->tos & 3) &&
           (o->keepalive | o->nodelay | o->cork | o->ecn | o->notify_acked | o->rcvbuf_locked | o->oobinline) <= 1;
}

/* The state and what was said of FINs must agree, else the connection would never end. */
static bool fins_plausible(const struct image *im)
{
    bool queued = im->state != TCP_ESTABLISHED && im->state != TCP_CLOSE_WAIT;
    bool received = im->state == TCP_CLOSE_WAIT || im->state == TCP_CLOSING || im->state == TCP_LAST_ACK;
    if (im->fin_queued != queued || im->fin_received != received || im->fin_acked != (im->state == TCP_FIN_WAIT_2) ||
        im->fin_sent > im->fin_queued || im->fin_acked > im->fin_sent || im->fin_known > 1 || (im->fin_received && im->island_count))
        return false;
    if (im->fin_sent && im->snd_nxt != im->write_seq + 1)
        return false;
    if (im->fin_known && !im->fin_received && im->fin_seq - im->rcv_nxt > 1u << 30)
        return false;
    return !im->fin_acked || (im->snd_una == im->snd_nxt && !im->seg_count);
}

/* What is divided by, shifted by or added up. */
static bool numbers_plausible(const struct image *im)
{
    const uint32_t most = 1u << 30; /* RFC 7323 2.3: no window is larger */
    if (!im->cwnd || im->cwnd > most || im->ssthresh > UINT32_MAX / 2 || im->prior_cwnd > most || im->prior_ssthresh > UINT32_MAX / 2 ||
        im->snd_wnd > most || im->max_wnd > most || im->cwnd_used > most)
        return false;
    if ((im->ca_state == CA_CWR || im->ca_state == CA_RECOVERY) && !im->prr_flight)
        return false;
    if (im->adv_mss < TCP_MSS_MIN || im->adv_mss > 65535 || im->rcv_mss > im->adv_mss || !im->rcv_mss ||
        (im->peer_mss && (im->peer_mss < TCP_MSS_MIN || im->peer_mss > 65535)))
        return false;
    if (im->plp_on > 1 || (im->plp_on ? im->plp_mtu < 552 || im->plp_high < im->plp_mtu : im->plp_mtu))
        return false;
    if (im->rto_us > TCP_RTO_MAX_US || !im->rto_us || im->srtt_us > UINT32_MAX / 16 || im->rttvar_us > UINT32_MAX / 16 || !im->rcv_space ||
        im->reo_mult > 16 || !im->reo_mult || im->backoff > 16 || im->frto > 2 || im->snd_wscale > TCP_WSCALE_MAX ||
        im->rcv_wscale > TCP_WSCALE_MAX)
        return false;
    if (im->opts.cc == TCP_CC_CUBIC && (im->cubic.w_max > most || im->cubic.origin > most || im->cubic.w_est > 2 * most || im->cubic.prior_w_max > most))
        return false;
    if (im->opts.cc == TCP_CC_DCTCP && (im->dctcp.alpha > 1024 || im->dctcp.ce_state > 1 || im->dctcp.marked > im->dctcp.acked))
        return false;
    return (im->ts_ok | im->sack_ok | im->ws_ok | im->ecn_ok | im->ecn_echo | im->ecn_cwr_due | im->urg_sent | im->syn_lost |
            im->frto_new | im->reordering_seen | im->rack_valid | im->tlp_out | im->tlp_retrans) <= 1 && im->urg_state <= TCP_URG_READ;
}

/* Everything that later code relies on. */
static bool plausible(const struct image *im, const uint8_t *image, size_t bytes)
{
    if (im->magic != IMAGE_MAGIC || im->version != IMAGE_VERSION || im->bytes != bytes || im->seg_count > SEGS_MAX ||
        im->island_count > TCP_ISLANDS + 1 || !im->local_port || !im->remote_port || im->ca_state > CA_LOSS || !state_can_move(im->state) ||
        !options_plausible(&im->opts) || !fins_plausible(im) || !numbers_plausible(im))
        return false;
    uint64_t need = sizeof *im + (uint64_t)im->seg_count * sizeof(struct image_seg) + (uint64_t)im->island_count * sizeof(struct image_island) +
                    im->send_bytes + im->receive_bytes;
    if (need > bytes || !seq_le(im->snd_una, im->snd_nxt) || !seq_le(im->rcv_wup, im->rcv_nxt) || !seq_le(im->rcv_nxt, im->rcv_adv) ||
        im->snd_nxt - im->snd_una > (1u << 30) + 2 || im->rcv_adv - im->rcv_nxt > (1u << 30) || im->send_bytes > (1u << 30))
        return false;
    /* The queue's bytes begin at snd_una, or before it inside one part. */
    uint32_t data_una = im->fin_acked ? im->write_seq : im->snd_una;
    if (im->write_seq - data_una > im->send_bytes || !seq_le(im->snd_nxt - im->fin_sent, im->write_seq))
        return false;
    const uint8_t *p = image + sizeof *im;
    uint32_t at = im->snd_una;
    for (uint32_t k = 0; k < im->seg_count; k++, p += sizeof(struct image_seg)) {
        struct image_seg s;
        net_copy(&s, p, sizeof s);
        bool last_fin = (s.flags & SEG_FIN) != 0;
        if (s.seq != at || !seq_lt(s.seq, s.end) || (s.flags & ~(uint32_t)(SEG_FIN | SEG_SACKED | SEG_LOST | SEG_RETRANS | SEG_URG)) ||
            (s.flags & (SEG_SACKED | SEG_LOST)) == (SEG_SACKED | SEG_LOST) ||
            last_fin != (im->fin_sent && s.end == im->snd_nxt && k + 1 == im->seg_count))
            return false;
        at = s.end;
    }
    if (at != im->snd_nxt)
        return false;
    uint32_t edge = im->rcv_nxt;
    for (uint32_t k = 0; k < im->island_count; k++, p += sizeof(struct image_island)) {
        struct image_island i;
        net_copy(&i, p, sizeof i);
        if (!seq_lt(edge, i.start) || !seq_lt(i.start, i.end) || !seq_le(i.end, im->rcv_adv))
            return false;
        edge = i.end;
        need += i.end - i.start;
    }
    return need == bytes;
}

/* Bytes into parts linked by pbuf.link; NULL if out of memory. */
static struct pbuf *get_parts(struct net_stack *ns, const uint8_t *p, uint32_t n, uint32_t seq, struct pbuf **tail)
{
    struct pbuf *head = NULL;
    *tail = NULL;
    while (n) {
        struct pbuf *pb = pbuf_alloc_large(&ns->pools, 0);
        if (!pb) {
            tcp_free_parts(head);
            return NULL;
        }
        uint32_t len = net_min(n, pbuf_tailroom(pb));
        net_copy(pbuf_extend(pb, len), p, len);
        pb->seq = seq;
        if (*tail)
            (*tail)->link = pb;
        else
            head = pb;
        *tail = pb;
        p += len;
        n -= len;
        seq += len;
    }
    return head;
}

static uint32_t true_bytes(const struct pbuf *p)
{
    uint32_t n = 0;
    for (; p; p = p->link)
        n += pbuf_true_bytes(p);
    return n;
}

/* tcp_seg_new() appends to the time list; a SACKED or LOST one leaves it again, others go where their time is. */
static bool get_seg(struct tcp_pcb *pcb, const struct image_seg *im)
{
    struct pbuf *pb = pcb->rtx_tail ? pcb->rtx_tail->pb : pcb->snd_head; /* by sequence, so never before the last one's */
    struct tcp_seg *s = tcp_seg_new(pcb, im->seq, im->end, 0, NULL);
    if (!s)
        return false;
    s->sent_ns = im->age_ns > pcb->ns->now_ns ? 0 : pcb->ns->now_ns - im->age_ns;
    uint16_t flags = (uint16_t)im->flags;
    struct tcp_seg *before = s->tprev;
    if (before)
        before->tnext = NULL;
    else
        pcb->time_head = NULL;
    pcb->time_tail = before;
    s->flags = flags;
    if (flags & SEG_RETRANS) {
        pcb->retrans_out = 1;
        pcb->retrans_high = pcb->snd_nxt;
    }
    if (flags & SEG_SACKED)
        pcb->sacked_bytes += s->end - s->seq;
    if (flags & SEG_LOST)
        pcb->lost_bytes += s->end - s->seq;
    if (!(flags & (SEG_SACKED | SEG_LOST))) {
        while (before && before->sent_ns > s->sent_ns)
            before = before->tprev;
        s->tprev = before;
        s->tnext = before ? before->tnext : pcb->time_head;
        if (s->tnext)
            s->tnext->tprev = s;
        else
            pcb->time_tail = s;
        if (before)
            before->tnext = s;
        else
            pcb->time_head = s;
    }
    while (pb && seq_ge(s->seq, pb->seq + pb->len))
        pb = pb->link;
    s->pb = pb;
    return true;
}

static bool restore_queues(struct tcp_pcb *pcb, const struct image *im, const uint8_t *image)
{
    struct net_stack *ns = pcb->ns;
    const uint8_t *segs = image + sizeof *im, *islands = segs + im->seg_count * sizeof(struct image_seg);
    const uint8_t *p = islands + im->island_count * sizeof(struct image_island);
    struct tcp_island **at = &pcb->islands;
    pcb->snd_head = get_parts(ns, p, im->send_bytes, im->write_seq - im->send_bytes, &pcb->snd_tail);
    if (im->send_bytes && !pcb->snd_head)
        return false;
    pcb->snd_true = true_bytes(pcb->snd_head);
    p += im->send_bytes;
    pcb->rcv_head = get_parts(ns, p, im->receive_bytes, 0, &pcb->rcv_tail);
    if (im->receive_bytes && !pcb->rcv_head)
        return false;
    pcb->rcv_bytes = im->receive_bytes;
    pcb->rcv_true = true_bytes(pcb->rcv_head);
    p += im->receive_bytes;
    for (uint32_t k = 0; k < im->island_count; k++) {
        struct image_island one;
        net_copy(&one, islands + k * sizeof one, sizeof one);
        struct tcp_island *i = net_slab_get(&ns->tcp_islands);
        if (!i)
            return false;
        *i = (struct tcp_island){ .start = one.start, .end = one.end, .stamp = ++pcb->island_stamp };
        i->head = get_parts(ns, p, one.end - one.start, 0, &i->tail);
        if (!i->head) {
            net_slab_put(&ns->tcp_islands, i);
            return false;
        }
        i->true_bytes = true_bytes(i->head);
        pcb->rcv_true += i->true_bytes;
        pcb->island_count++;
        *at = i;
        at = &i->next;
        p += one.end - one.start;
    }
    for (uint32_t k = 0; k < im->seg_count; k++) {
        struct image_seg one;
        net_copy(&one, segs + k * sizeof one, sizeof one);
        if (!get_seg(pcb, &one))
            return false;
    }
    for (struct pbuf *pb = pcb->snd_head; pb && !pcb->snd_cursor; pb = pb->link)
        if (!pcb->fin_sent && seq_lt(pcb->snd_nxt, pb->seq + pb->len))
            pcb->snd_cursor = pb;
    return true;
}

struct tcp_pcb *tcp_import(struct net_stack *ns, const void *image, size_t bytes, void *user, int *error)
{
    struct image im;
    *error = -NET_EPROTO;
    if (bytes < sizeof im)
        return NULL;
    net_copy(&im, image, sizeof im); /* copied once, then checked */
    struct net_flow_key key = { .local = net_addr_v6(im.local), .remote = net_addr_v6(im.remote), .local_port = im.local_port, .remote_port = im.remote_port };
    if (!tcp_key_plausible(&key) || !plausible(&im, image, bytes))
        return NULL;
    *error = -NET_EEXIST;
    if (net_flow_find(&ns->flows, &key))
        return NULL;
    *error = -NET_ENOMEM;
    struct tcp_pcb *pcb = tcp_pcb_new(ns, &key, &im.opts);
    if (!pcb)
        return NULL;
    uint64_t now = ns->now_ns;
#define LOAD_VALUE(type, name) pcb->name = im.name;
#define LOAD_TIME(name) pcb->name = from_age(now, im.name);
    VALUES(LOAD_VALUE)
    TIMES(LOAD_TIME)
    pcb->ep.user = user;
    pcb->ts_offset = im.ts_now - (uint32_t)(now / NET_NS_PER_MS);
    pcb->cc = tcp_cc_table[pcb->opts.cc];
    if (pcb->opts.cc == TCP_CC_CUBIC) {
        pcb->cc_data.cubic = im.cubic;
        pcb->cc_data.cubic.epoch_ns = from_age(now, im.cubic.epoch_ns);
    } else if (pcb->opts.cc == TCP_CC_DCTCP) {
        pcb->cc_data.dctcp = im.dctcp;
    }
    if (!restore_queues(pcb, &im, image)) {
        tcp_pcb_free(pcb);
        return NULL;
    }
    tcp_set_mss(pcb, 0);
    tcp_path(pcb);
    tcp_pcb_insert(pcb);
    tcp_rearm_rtx(pcb);
    if (im.keep_left_ns)
        tcp_deadline_set(pcb, TCP_T_KEEP, now + im.keep_left_ns);
    pcb->ack_now = 1; /* tells the peer's switch and our window where we are */
    tcp_mark_dirty(pcb);
    net_event_post(ns, &pcb->ep, NET_EV_WRITABLE | (pcb->rcv_bytes || pcb->fin_received ? NET_EV_READABLE : 0));
    ns->counters.tcp_imported++;
    *error = 0;
    return pcb;
}
