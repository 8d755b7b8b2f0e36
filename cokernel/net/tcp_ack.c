/* SPDX-License-Identifier: BSD-2-Clause */
/* What an acknowledgement does: window, scoreboard, round-trip time, then recovery. */
#include "cokernel/net/tcp_internal.h"

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
    tcp_free_sent(pcb, ack);
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

void tcp_wake_writer(struct tcp_pcb *pcb, uint32_t acked)
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

bool tcp_update_window(struct tcp_pcb *pcb, const struct tcp_in *in)
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

bool tcp_ack_input(struct tcp_pcb *pcb, struct tcp_in *in)
{
    uint32_t ack = in->ack;
    /* RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT */
    if (net_unlikely(seq_gt(ack, pcb->snd_nxt) || seq_lt(ack, pcb->snd_una - pcb->max_wnd))) {
        tcp_challenge_ack(pcb);
        return false;
    }
    pcb->persist_probes = 0;
    pcb->ep.error = 0; /* the peer is there, whatever ICMP said */
    bool window_changed = seq_ge(ack, pcb->snd_una) && tcp_update_window(pcb, in);
    if (!pcb->rtx_head && net_likely(!pcb->tlp_out)) /* nothing outstanding, so nothing to learn */
        return true;
    bool advances = seq_gt(ack, pcb->snd_una);
    if (net_likely(advances && tcp_is_calm(pcb, in))) {
        tcp_confirm(pcb);
        tcp_ack_calm(pcb, ack);
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
        tcp_confirm(pcb);
    }
    tcp_rack_on_ack(pcb, &news);
    tcp_recovery_on_ack(pcb, in, &news);
    tcp_tlp_on_ack(pcb, ack, &news);
    if (advances || news.newly_sacked)
        tcp_rearm_rtx(pcb);
    if (advances)
        tcp_wake_writer(pcb, news.acked);
    if (pcb->lost_bytes || tcp_unsent(pcb) || pcb->fin_queued != pcb->fin_sent)
        tcp_mark_dirty(pcb);
    return true;
}
