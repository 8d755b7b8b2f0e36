/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The congestion state machine: fast recovery with proportional rate reduction
 * (RFC 6937), NewReno without SACK (RFC 6582), F-RTO (RFC 5682), and undoing
 * what was spurious by time stamps (RFC 3522) or D-SACK (RFC 3708).
 */
#include "cokernel/net/tcp_internal.h"

static void begin_reduction(struct tcp_pcb *pcb)
{
    pcb->high_seq = pcb->snd_nxt;
    pcb->prior_cwnd = pcb->cwnd;
    pcb->prior_ssthresh = pcb->ssthresh;
    pcb->ssthresh = net_max(pcb->cc->ssthresh(pcb), 2 * pcb->mss);
    pcb->prr_delivered = pcb->prr_out = 0;
    pcb->prr_flight = net_max(tcp_in_flight(pcb) + pcb->lost_bytes, pcb->mss);
}

static void begin_undo(struct tcp_pcb *pcb)
{
    pcb->undo_marker = pcb->snd_una ? pcb->snd_una : 1;
    pcb->undo_retrans = 0;
    pcb->retrans_ts = 0;
}

void tcp_enter_cwr(struct tcp_pcb *pcb)
{
    if (pcb->ca_state >= CA_CWR)
        return;
    begin_reduction(pcb);
    pcb->undo_marker = 0;
    pcb->ca_state = CA_CWR;
}

void tcp_enter_recovery(struct tcp_pcb *pcb)
{
    pcb->ns->counters.tcp_fast_recovery++;
    if (pcb->ca_state < CA_CWR)
        begin_reduction(pcb);
    else
        pcb->high_seq = pcb->snd_nxt; /* from CWR: reduced already */
    begin_undo(pcb);
    pcb->ca_state = CA_RECOVERY;
}

/* After a retransmission timeout (RFC 5681 3.1 (4), RFC 6298 5.4). */
void tcp_enter_loss(struct tcp_pcb *pcb)
{
    bool first = pcb->ca_state != CA_LOSS || seq_ge(pcb->snd_una, pcb->high_seq);
    struct tcp_seg *head = pcb->rtx_head;
    if (head && (head->flags & SEG_SACKED)) {
        pcb->ns->counters.tcp_sack_reneged++;
        tcp_sack_forget(pcb);
    }
    if (first && pcb->ca_state < CA_CWR) {
        pcb->prior_cwnd = pcb->cwnd;
        pcb->prior_ssthresh = pcb->ssthresh;
    }
    if (first) {
        pcb->ssthresh = net_max(pcb->cc->ssthresh(pcb), 2 * pcb->mss);
        begin_undo(pcb);
        /* RFC 5682 2.1 step 1: not while an earlier recovery is unfinished. */
        pcb->frto = pcb->ca_state != CA_LOSS && pcb->state != TCP_SYN_RCVD && pcb->ca_state != CA_RECOVERY;
    } else {
        pcb->frto = 0;
    }
    for (struct tcp_seg *s = pcb->rtx_head; s; s = s->next)
        tcp_seg_mark_lost(pcb, s);
    pcb->high_seq = pcb->snd_nxt;
    pcb->cwnd = pcb->mss;
    pcb->dup_bytes = 0;
    pcb->dupacks = 0;
    pcb->frto_new = 0;
    pcb->ca_state = CA_LOSS;
    pcb->tlp_out = 0;
    if (pcb->plp_out)
        tcp_plp_inconclusive(pcb);
}

static void undo(struct tcp_pcb *pcb)
{
    pcb->ns->counters.tcp_undo++;
    tcp_seg_unmark_lost(pcb);
    pcb->cwnd = net_max(pcb->cwnd, pcb->prior_cwnd);
    pcb->ssthresh = net_max(pcb->ssthresh, pcb->prior_ssthresh);
    if (pcb->cc->on_undo)
        pcb->cc->on_undo(pcb);
    pcb->undo_marker = 0;
    pcb->frto = pcb->frto_new = 0;
    pcb->dup_bytes = 0;
    pcb->dupacks = 0;
    pcb->ca_state = pcb->sacked_bytes ? CA_DISORDER : CA_OPEN;
}

/* Everything we sent twice arrived twice, or an answer to the original came back. */
static bool was_spurious(const struct tcp_pcb *pcb, const struct tcp_in *in, const struct tcp_ack_news *news)
{
    if (!pcb->undo_marker)
        return false;
    if (pcb->retrans_ts && pcb->ts_ok && in->has_ts && in->tsecr && news->acked && (int32_t)(in->tsecr - pcb->retrans_ts) < 0)
        return true; /* Eifel */
    return pcb->retrans_ts && !pcb->undo_retrans && news->dsack;
}

static void finish(struct tcp_pcb *pcb)
{
    if (pcb->ca_state == CA_RECOVERY || pcb->ca_state == CA_CWR)
        pcb->cwnd = net_max(pcb->ssthresh, 2 * pcb->mss); /* the end of PRR */
    pcb->undo_marker = 0;
    pcb->dup_bytes = 0;
    pcb->dupacks = 0;
    pcb->frto = pcb->frto_new = 0;
    pcb->ca_state = pcb->sacked_bytes ? CA_DISORDER : CA_OPEN;
    if (pcb->reo_persist && --pcb->reo_persist == 0)
        pcb->reo_mult = 1;
}

/* RFC 6937 3 with the slow-start reduction bound. */
static void prr(struct tcp_pcb *pcb, const struct tcp_ack_news *news)
{
    uint32_t delivered = news->delivered, flight = tcp_in_flight(pcb), send;
    if (!pcb->sack_ok && news->is_dup)
        delivered = pcb->mss;
    if (!delivered && !news->is_dup)
        return;
    pcb->prr_delivered += delivered;
    if (flight > pcb->ssthresh) {
        uint64_t target = ((uint64_t)pcb->prr_delivered * pcb->ssthresh + pcb->prr_flight - 1) / pcb->prr_flight;
        send = target > pcb->prr_out ? (uint32_t)target - pcb->prr_out : 0;
    } else {
        uint32_t room = pcb->prr_delivered > pcb->prr_out ? pcb->prr_delivered - pcb->prr_out : 0;
        uint32_t limit = net_max(room, delivered);
        if (news->acked && !news->newly_lost)
            limit += pcb->mss;
        send = net_min(pcb->ssthresh - flight, limit);
    }
    if (!pcb->prr_out) /* the fast retransmit itself */
        send = net_max(send, pcb->mss);
    pcb->cwnd = flight + send;
}

/* Duplicate ACKs stand for segments that left, if there is no SACK to say which. */
static void count_dup(struct tcp_pcb *pcb)
{
    uint32_t out = pcb->snd_nxt - pcb->snd_una;
    if (pcb->dupacks < 255)
        pcb->dupacks++;
    pcb->dup_bytes = net_min(pcb->dup_bytes + pcb->mss, out > pcb->mss + pcb->lost_bytes ? out - pcb->mss - pcb->lost_bytes : 0);
}

static void mark_head_lost(struct tcp_pcb *pcb)
{
    struct tcp_seg *s = pcb->rtx_head;
    if (!s || (s->flags & (SEG_LOST | SEG_SACKED)))
        return;
    if (tcp_seg_payload(s) > pcb->mss && tcp_seg_split(pcb, s, s->seq + pcb->mss) < 0)
        return;
    tcp_seg_mark_lost(pcb, s);
}

static void in_recovery(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news)
{
    if (was_spurious(pcb, in, news)) {
        undo(pcb);
        return;
    }
    if (seq_ge(pcb->snd_una, pcb->high_seq)) {
        finish(pcb);
        return;
    }
    if (!pcb->sack_ok) {
        if (news->is_dup)
            count_dup(pcb);
        if (news->acked) { /* a partial ACK: the next hole starts right there (RFC 6582 3.2) */
            pcb->dup_bytes -= net_min(pcb->dup_bytes, news->acked > pcb->mss ? news->acked - pcb->mss : 0u);
            mark_head_lost(pcb);
        }
    }
    prr(pcb, news);
}

static void in_loss(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news)
{
    if (was_spurious(pcb, in, news) || (pcb->frto && news->orig_delivered && (pcb->sack_ok || pcb->frto == 2))) {
        pcb->ns->counters.tcp_rto_spurious++;
        undo(pcb); /* RFC 5682 3.1 step 3 b */
        return;
    }
    if (seq_ge(pcb->snd_una, pcb->high_seq)) {
        finish(pcb);
        return;
    }
    if (pcb->frto == 1) {
        if (news->acked && tcp_unsent(pcb) && pcb->snd_wnd > pcb->snd_nxt - pcb->snd_una + pcb->mss) {
            pcb->frto = 2; /* step 2 b: two new segments tell the truth */
            pcb->frto_new = 1;
            pcb->cwnd = tcp_in_flight(pcb) + 2 * pcb->mss;
            return;
        }
        if (news->acked || news->is_dup)
            pcb->frto = 0;
    } else if (pcb->frto == 2) {
        pcb->frto = 0; /* step 3 a: the loss was real */
        pcb->frto_new = 0;
        pcb->cwnd = net_min(pcb->cwnd, 3 * pcb->mss);
    }
    if (news->acked)
        tcp_cc_slow_start(pcb, net_min(news->acked, 2 * pcb->mss));
}

void tcp_recovery_on_ack(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news)
{
    if (pcb->cc->on_ecn)
        pcb->cc->on_ecn(pcb, news->acked, news->ece);
    else if (net_unlikely(news->ece) && pcb->ca_state < CA_CWR && seq_ge(pcb->snd_una, pcb->ecn_high)) {
        pcb->ns->counters.tcp_ecn_reduced++; /* RFC 3168 6.1.2: once a window */
        tcp_enter_cwr(pcb);
        pcb->ecn_high = pcb->snd_nxt;
        pcb->ecn_cwr_due = 1;
    }
    switch (pcb->ca_state) {
    case CA_RECOVERY:
        in_recovery(pcb, in, news);
        return;
    case CA_LOSS:
        in_loss(pcb, in, news);
        return;
    case CA_CWR:
        if (pcb->lost_bytes) {
            tcp_enter_recovery(pcb);
            prr(pcb, news);
        } else if (seq_ge(pcb->snd_una, pcb->high_seq)) {
            finish(pcb);
        } else {
            prr(pcb, news);
        }
        return;
    }
    if (net_unlikely(!pcb->sack_ok)) {
        if (news->acked) {
            pcb->dupacks = 0;
            pcb->dup_bytes = 0;
        } else if (news->is_dup) {
            count_dup(pcb);
            /* RFC 6582 3.2 step 2: not for what a timeout has repaired already. */
            if (pcb->dupacks >= TCP_DUPTHRESH && seq_ge(pcb->snd_una, pcb->high_seq))
                mark_head_lost(pcb);
        }
    }
    if (net_unlikely(pcb->lost_bytes) && !(pcb->plp_out && tcp_plp_lost(pcb))) {
        tcp_enter_recovery(pcb);
        prr(pcb, news);
        return;
    }
    pcb->ca_state = pcb->sacked_bytes || pcb->dup_bytes ? CA_DISORDER : CA_OPEN;
    if (!news->acked)
        return;
    /* Marks behind snd_una mean nothing; they follow it so that they never wrap. */
    pcb->high_seq = pcb->snd_una;
    pcb->ecn_high = seq_max(pcb->ecn_high, pcb->snd_una);
    pcb->reo_round_end = seq_max(pcb->reo_round_end, pcb->snd_una);
    tcp_cc_on_ack(pcb, news->acked, news->in_flight_before);
}
