/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss detection by time: RACK and tail loss probes (RFC 8985). */
#include "cokernel/net/tcp_internal.h"

static uint32_t reo_wnd_us(struct tcp_pcb *pcb)
{
    if (!pcb->reordering_seen &&
        (pcb->ca_state >= CA_RECOVERY || pcb->sacked_bytes >= TCP_DUPTHRESH * pcb->mss)) /* 6.2 step 4 */
        return 0;
    uint32_t min_rtt = pcb->min_rtt_us == UINT32_MAX ? 0 : pcb->min_rtt_us;
    return net_min(pcb->reo_mult * (min_rtt / 4), pcb->srtt_us);
}

/* 6.2 step 5. Returns when to look again, 0: not needed. */
static uint64_t detect(struct tcp_pcb *pcb)
{
    uint64_t now = pcb->ns->now_ns, again = 0;
    uint64_t allowed = ((uint64_t)pcb->rack_rtt_us + reo_wnd_us(pcb)) * NET_NS_PER_US;
    for (struct tcp_seg *s = pcb->time_head, *next; s; s = next) {
        next = s->tnext;
        if (s->sent_ns > pcb->rack_sent_ns || (s->sent_ns == pcb->rack_sent_ns && seq_ge(s->end, pcb->rack_end)))
            break;
        uint64_t due = s->sent_ns + allowed;
        if (due <= now)
            tcp_seg_mark_lost(pcb, s);
        else
            again = net_max(again, due);
    }
    return again;
}

static void run(struct tcp_pcb *pcb)
{
    uint64_t again = detect(pcb);
    if (again)
        tcp_deadline_set(pcb, TCP_T_REO, again);
    else
        tcp_deadline_clear(pcb, TCP_T_REO);
}

void tcp_rack_on_ack(struct tcp_pcb *pcb, struct tcp_ack_news *news)
{
    if (!pcb->sack_ok || !pcb->rack_valid || !news->delivered)
        return;
    if (net_likely(!pcb->sacked_bytes && pcb->ca_state == CA_OPEN && !pcb->deadlines[TCP_T_REO]))
        return; /* in order so far: nothing older than the newest is missing */
    uint32_t before = pcb->lost_bytes;
    run(pcb);
    news->newly_lost = pcb->lost_bytes > before ? pcb->lost_bytes - before : 0;
}

void tcp_rack_timeout(struct tcp_pcb *pcb)
{
    if (!pcb->rack_valid || !pcb->rtx_head)
        return;
    run(pcb);
    if (pcb->lost_bytes) {
        if (pcb->ca_state < CA_RECOVERY && !(pcb->plp_out && tcp_plp_lost(pcb))) {
            tcp_enter_recovery(pcb);
            pcb->cwnd = tcp_in_flight(pcb) + pcb->mss; /* RFC 6937 3: the fast retransmit; ACKs tell what more may go */
        }
        tcp_mark_dirty(pcb);
    }
}

/* 7.2. False if the probe timer does not apply. */
bool tcp_tlp_arm(struct tcp_pcb *pcb)
{
    if (!pcb->sack_ok || pcb->ca_state != CA_OPEN || pcb->sacked_bytes || pcb->tlp_out || !pcb->srtt_us || pcb->state == TCP_SYN_RCVD ||
        !pcb->snd_wnd || pcb->backoff)
        return false;
    uint64_t pto_us = 2ull * pcb->srtt_us;
    if (tcp_in_flight(pcb) <= pcb->mss)
        pto_us += TCP_DELACK_MAX_US;
    else
        pto_us += 2000;
    uint64_t now = pcb->ns->now_ns, rto_at = now + pcb->rto_us * NET_NS_PER_US;
    if (pto_us >= pcb->rto_us)
        return false;
    pcb->rtx_mode = RTX_TLP;
    tcp_deadline_set(pcb, TCP_T_RTX, net_min(now + pto_us * NET_NS_PER_US, rto_at));
    return true;
}

void tcp_tlp_timeout(struct tcp_pcb *pcb)
{
    pcb->rtx_mode = RTX_NONE;
    if (pcb->rtx_head && !pcb->tlp_out) {
        bool fresh = tcp_unsent(pcb) && pcb->snd_wnd > pcb->snd_nxt - pcb->snd_una;
        uint32_t before = pcb->snd_nxt;
        if (tcp_send_tail_probe(pcb)) {
            pcb->ns->counters.tcp_tlp++;
            pcb->tlp_out = 1;
            pcb->tlp_end = pcb->snd_nxt;
            pcb->tlp_retrans = !(fresh && before != pcb->snd_nxt);
        }
    }
    tcp_rearm_rtx(pcb);
}

/* 7.4.2: if only the probe repaired the loss, congestion control must hear of it. The ACK that ends at the
 * probe may answer either copy; what comes after it tells whether there were two. */
void tcp_tlp_on_ack(struct tcp_pcb *pcb, uint32_t ack, const struct tcp_ack_news *news)
{
    if (!pcb->tlp_out || seq_lt(ack, pcb->tlp_end))
        return;
    if (!pcb->tlp_retrans || news->dsack || (ack == pcb->tlp_end && news->is_dup && !news->newly_sacked)) {
        pcb->tlp_out = 0;
    } else if (seq_gt(ack, pcb->tlp_end)) {
        pcb->tlp_out = 0;
        tcp_enter_cwr(pcb);
    }
}
