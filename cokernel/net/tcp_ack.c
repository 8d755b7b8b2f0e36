/* SPDX-License-Identifier: BSD-2-Clause */
/* What an acknowledgement does: window, scoreboard, round-trip time, then recovery. */
#include "cokernel/net/tcp_internal.h"

#define MIN_RTT_WINDOW_NS (300 * NET_NS_PER_S) /* Linux: tcp_min_rtt_wlen */

void tcp_rtt_sample(struct tcp_pcb *pcb, uint32_t rtt_us)
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

/* Parts of the send queue that are wholly acknowledged. */
static void free_sent(struct tcp_pcb *pcb, uint32_t ack)
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

/* The front of s is acknowledged up to ack, which lies inside it. */
static void trim_front(struct tcp_pcb *pcb, struct tcp_seg *s, uint32_t ack, struct tcp_ack_news *news)
{
    uint32_t n = ack - s->seq;
    if (s->flags & SEG_SACKED) {
        pcb->sacked_bytes -= n;
    } else {
        news->delivered += n;
        pcb->delivered += n;
        if (s->flags & SEG_LOST)
            pcb->lost_bytes -= n;
    }
    s->seq = ack;
    s->flags &= (uint16_t)~SEG_SYN;
    while (s->pb && seq_le(s->pb->seq + s->pb->len, ack) && s->pb->link)
        s->pb = s->pb->link;
}

static void clean(struct tcp_pcb *pcb, uint32_t ack, struct tcp_ack_news *news)
{
    struct tcp_seg *s;
    while ((s = pcb->rtx_head) && seq_le(s->end, ack)) {
        if (s->flags & SEG_SYN)
            news->syn_acked = 1;
        if (s->flags & SEG_FIN)
            pcb->fin_acked = 1;
        if (!(s->flags & SEG_RETRANS) && !news->rtt_sent_ns && !(s->flags & SEG_SACKED))
            news->rtt_sent_ns = s->sent_ns;
        if (!(s->flags & SEG_SACKED))
            tcp_seg_delivered(pcb, s, news);
        tcp_seg_free(pcb, s);
    }
    if (s && seq_lt(s->seq, ack))
        trim_front(pcb, s, ack, news);
    news->acked = ack - pcb->snd_una;
    pcb->snd_una = ack;
    pcb->bytes_acked += news->acked - news->syn_acked;
    free_sent(pcb, ack);
}

static void update_rtt(struct tcp_pcb *pcb, const struct tcp_in *in, const struct tcp_ack_news *news)
{
    struct net_stack *ns = pcb->ns;
    if (news->rtt_sent_ns && !news->retrans_acked) {
        tcp_rtt_sample(pcb, tcp_elapsed_us(ns->now_ns, news->rtt_sent_ns));
    } else if (news->acked && pcb->ts_ok && in->has_ts && in->tsecr && !news->dsack) {
        /* RFC 7323 4.1; Karn's ambiguity is gone. Except after a lost ACK: what answers a duplicate echoes the first copy,
         * and would measure our timeout, which would grow from it and be measured again. */
        uint32_t ms = tcp_ts_now(ns, pcb->ts_offset) - in->tsecr;
        if (ms < TCP_RTO_MAX_US / 1000)
            tcp_rtt_sample(pcb, ms * 1000 + 500);
    }
}

static void wake_writer(struct tcp_pcb *pcb, uint32_t acked)
{
    unsigned events = 0;
    if (pcb->opts.notify_acked && acked)
        events |= NET_EV_ACKED;
    if (pcb->want_write && pcb->write_seq - pcb->snd_una <= pcb->opts.sndbuf * 2 / 3) {
        pcb->want_write = 0;
        events |= NET_EV_WRITABLE;
    }
    if (events)
        tcp_post(pcb, events);
}

static bool update_window(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    uint32_t wnd = in->flags & TCP_SYN ? in->wnd : in->wnd << pcb->snd_wscale; /* RFC 7323 2.2: never scaled in a SYN */
    /* RFC 9293 3.10.7.4 fifth: not from older segments. */
    if (!(seq_lt(pcb->snd_wl1, in->seq) || (pcb->snd_wl1 == in->seq && seq_le(pcb->snd_wl2, in->ack))))
        return false;
    bool changed = wnd != pcb->snd_wnd;
    if (wnd > pcb->snd_wnd || in->ack != pcb->snd_una)
        tcp_mark_dirty(pcb);
    if (pcb->rtx_mode == RTX_PERSIST && wnd) {
        pcb->rtx_mode = RTX_NONE;
        pcb->backoff = 0;
        tcp_deadline_clear(pcb, TCP_T_RTX);
        tcp_mark_dirty(pcb); /* if the window is still too small to use, persisting begins anew */
    }
    pcb->snd_wnd = wnd;
    pcb->max_wnd = net_max(pcb->max_wnd, wnd);
    pcb->snd_wl1 = in->seq;
    pcb->snd_wl2 = in->ack;
    return changed;
}

/* Whether all that is outstanding was sent once, in order, and the ACK says nothing but how far the peer has come. */
static bool is_calm(const struct tcp_pcb *pcb, const struct tcp_in *in)
{
    return !(pcb->ca_state | pcb->retrans_out | pcb->tlp_out | pcb->plp_out | pcb->ecn_ok | in->sack_count | pcb->dupacks) &&
           !(pcb->sacked_bytes | pcb->lost_bytes | pcb->dup_bytes) && !pcb->deadlines[TCP_T_REO];
}

/* What the general way below comes to then, in a fraction of its instructions. */
static void ack_calm(struct tcp_pcb *pcb, uint32_t ack)
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
        tcp_rtt_sample(pcb, tcp_elapsed_us(ns->now_ns, first_ns));
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
        wake_writer(pcb, acked);
}

bool tcp_ack_input(struct tcp_pcb *pcb, struct tcp_in *in)
{
    uint32_t ack = in->ack;
    /* RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT */
    if (net_unlikely(seq_gt(ack, pcb->snd_nxt) || seq_lt(ack, pcb->snd_una - pcb->max_wnd))) {
        tcp_challenge_ack(pcb);
        return false;
    }
    pcb->persist_probes = 0;
    bool window_changed = seq_ge(ack, pcb->snd_una) && update_window(pcb, in);
    if (!pcb->rtx_head && net_likely(!pcb->tlp_out)) /* nothing outstanding, so nothing to learn */
        return true;
    bool advances = seq_gt(ack, pcb->snd_una);
    if (net_likely(advances && is_calm(pcb, in))) {
        if (net_unlikely(pcb->urg_sent) && seq_ge(ack, pcb->snd_up))
            pcb->urg_sent = 0;
        if (pcb->path.neigh && pcb->path.generation == pcb->ns->path_generation && pcb->path.neigh->state != NEIGH_REACHABLE)
            neigh_confirm(pcb->path.neigh);
        ack_calm(pcb, ack);
        return true;
    }
    struct tcp_ack_news news = { .in_flight_before = tcp_in_flight(pcb) };
    if (!advances && !in->sack_count && (in->len || window_changed || seq_lt(ack, pcb->snd_una)) && !(in->flags & TCP_ECE))
        return true;
    if (advances)
        clean(pcb, ack, &news);
    if (in->sack_count && pcb->sack_ok)
        tcp_sack_input(pcb, in, &news);
    news.is_dup = !advances && ack == pcb->snd_una && !in->len && !window_changed && !(in->flags & (TCP_SYN | TCP_FIN));
    news.ece = pcb->ecn_ok && (in->flags & TCP_ECE);
    if (advances) {
        pcb->retrans_out &= seq_lt(ack, pcb->retrans_high);
        if (net_unlikely(pcb->urg_sent) && seq_ge(ack, pcb->snd_up))
            pcb->urg_sent = 0; /* else the pointer would mean something again once the numbers wrap */
        pcb->retries = pcb->backoff = 0;
        update_rtt(pcb, in, &news);
        if (pcb->path.neigh && pcb->path.generation == pcb->ns->path_generation && pcb->path.neigh->state != NEIGH_REACHABLE)
            neigh_confirm(pcb->path.neigh);
    }
    tcp_rack_on_ack(pcb, &news);
    tcp_recovery_on_ack(pcb, in, &news);
    tcp_tlp_on_ack(pcb, ack, &news);
    if (advances || news.newly_sacked)
        tcp_rearm_rtx(pcb);
    if (advances)
        wake_writer(pcb, news.acked);
    if (pcb->lost_bytes || tcp_unsent(pcb) || pcb->fin_queued != pcb->fin_sent)
        tcp_mark_dirty(pcb);
    return true;
}
