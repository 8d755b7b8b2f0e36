/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be sent now: retransmissions, new data, FIN, a bare ACK. */
#include "cokernel/net/tcp_internal.h"

static bool may_send(const struct tcp_pcb *pcb)
{
    switch (pcb->state) {
    case TCP_ESTABLISHED:
    case TCP_CLOSE_WAIT:
    case TCP_FIN_WAIT_1:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
        return true;
    case TCP_SYN_RCVD: /* RFC 7413 4.2.2: a good cookie has shown that the peer is who it says */
        return pcb->fo & TCP_FO_PASSIVE;
    }
    return false;
}

static uint16_t seg_flags(const struct tcp_pcb *pcb, const struct tcp_seg *s)
{
    uint16_t flags = TCP_ACK;
    if (s->flags & SEG_SYN) {
        flags = pcb->state == TCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
        if (pcb->state == TCP_SYN_SENT && pcb->opts.ecn && !(s->flags & SEG_RETRANS))
            flags |= TCP_ECE | TCP_CWR; /* RFC 3168 6.1.1; without on retransmission: 6.1.1.1 */
        if (pcb->state != TCP_SYN_SENT && pcb->ecn_ok)
            flags |= TCP_ECE;
    }
    if (s->flags & SEG_FIN)
        flags |= TCP_FIN;
    if (tcp_seg_payload(s) && (s->end == pcb->write_seq || (s->flags & SEG_FIN)))
        flags |= TCP_PSH;
    return flags;
}

bool tcp_retransmit(struct tcp_pcb *pcb, struct tcp_seg *s)
{
    if ((s->flags & SEG_SACKED) || tcp_path(pcb) < 0) /* a SACKED one is on no list by time */
        return false;
    uint32_t most = tcp_send_mss(pcb);
    if (tcp_seg_payload(s) > most && tcp_seg_split(pcb, s, s->seq + most) < 0)
        return false;
    struct tcp_xmit x = { .seq = s->seq, .len = tcp_seg_payload(s), .pb = s->pb, .flags = seg_flags(pcb, s) };
    uint32_t bytes = s->end - s->seq;
    if (tcp_xmit(pcb, &x) < 0)
        return false;
    tcp_seg_sent(pcb, s);
    if (!pcb->retrans_ts)
        pcb->retrans_ts = tcp_ts_now(pcb->ns, pcb->ts_offset) | !tcp_ts_now(pcb->ns, pcb->ts_offset);
    if (pcb->undo_marker)
        pcb->undo_retrans += bytes;
    pcb->prr_out += bytes;
    pcb->total_retrans++;
    pcb->bytes_retrans += x.len;
    pcb->ns->counters.tcp_retransmits++;
    return true;
}

static void retransmit_lost(struct tcp_pcb *pcb)
{
    struct tcp_seg *s = pcb->lost_hint ? pcb->lost_hint : pcb->rtx_head;
    for (; s && pcb->lost_bytes; s = s->next) {
        pcb->lost_hint = s;
        if (!(s->flags & SEG_LOST))
            continue;
        uint32_t flight = tcp_in_flight(pcb);
        if (flight && flight + net_min(tcp_seg_payload(s), pcb->mss) > pcb->cwnd)
            return;
        if (!tcp_retransmit(pcb, s))
            return;
    }
}

static void skip_sent(struct tcp_pcb *pcb)
{
    while (pcb->snd_cursor && seq_le(pcb->snd_cursor->seq + pcb->snd_cursor->len, pcb->snd_nxt))
        pcb->snd_cursor = pcb->snd_cursor->link;
}

/* Sends [snd_nxt, snd_nxt + len) as one segment, or a burst that the device cuts. flags: 0, SEG_FIN or SEG_PROBE. */
static bool send_new(struct tcp_pcb *pcb, uint32_t len, uint16_t flags)
{
    struct net_stack *ns = pcb->ns;
    uint32_t seq = pcb->snd_nxt, fin = flags & SEG_FIN ? 1 : 0;
    struct tcp_seg *s = tcp_seg_new(pcb, seq, seq + len + fin, flags, pcb->snd_cursor);
    if (net_unlikely(!s)) {
        ns->counters.memory_refused++;
        return false;
    }
    struct tcp_xmit x = { .seq = seq, .len = len, .pb = pcb->snd_cursor, .whole = flags & SEG_PROBE };
    x.flags = (uint16_t)(TCP_ACK | fin * TCP_FIN | (len && seq + len == pcb->write_seq ? TCP_PSH : 0));
    if (net_unlikely(tcp_xmit(pcb, &x) < 0)) {
        tcp_seg_free(pcb, s);
        return false;
    }
    if (pcb->rtx_head == s)
        pcb->first_unacked_ns = ns->now_ns;
    uint32_t mss = tcp_send_mss(pcb);
    if (len < mss ? len : len % mss)
        pcb->snd_sml = seq + len;
    pcb->snd_nxt = seq + len + fin;
    if (fin)
        pcb->fin_sent = 1;
    pcb->prr_out += len;
    pcb->bytes_sent += len;
    pcb->last_send_ns = ns->now_ns;
    skip_sent(pcb);
    return true;
}

static bool small_one_is_out(const struct tcp_pcb *pcb) { return seq_gt(pcb->snd_sml, pcb->snd_una) && seq_le(pcb->snd_sml, pcb->snd_nxt); }

/* False: not yet. RFC 9293 3.8.6.2.1 and Nagle (3.7.4), the latter as Minshall has it and Linux does it: one small segment at a
 * time, whatever full ones are under way, so that the end of a long message does not wait for a delayed ACK. */
static bool worth_sending(const struct tcp_pcb *pcb, uint32_t len, uint32_t unsent)
{
    if (len >= tcp_send_mss(pcb))
        return true;
    if (len < unsent) /* the window cuts it short */
        return 2 * len >= pcb->max_wnd && len;
    if (pcb->fin_queued || (pcb->urg_sent && seq_gt(pcb->snd_up, pcb->snd_nxt)))
        return true;
    if (pcb->opts.cork)
        return false;
    return pcb->opts.nodelay || !small_one_is_out(pcb);
}

static bool paced_out(struct tcp_pcb *pcb, uint32_t len)
{
    if (net_likely(!pcb->opts.pacing_rate))
        return false;
    uint64_t now = pcb->ns->now_ns, rate = pcb->opts.pacing_rate;
    if (rate == 1) {
        if (!pcb->srtt_us)
            return false;
        rate = (uint64_t)pcb->cwnd * 1000000 / pcb->srtt_us;
        rate = pcb->cwnd < pcb->ssthresh ? 2 * rate : rate + rate / 5;
        rate = net_max(rate, 1000ull);
    }
    if (now < pcb->pace_next_ns) {
        tcp_deadline_set(pcb, TCP_T_PACE, pcb->pace_next_ns);
        return true;
    }
    pcb->pace_next_ns = net_max(pcb->pace_next_ns, now - net_min(now, NET_NS_PER_MS)) + (uint64_t)len * NET_NS_PER_S / rate;
    return false;
}

static void send_data(struct tcp_pcb *pcb)
{
    while (!pcb->fin_sent) {
        uint32_t unsent = tcp_unsent(pcb);
        if (!unsent && !pcb->fin_queued)
            break;
        uint32_t out = pcb->snd_nxt - pcb->snd_una, flight = tcp_in_flight(pcb);
        uint32_t wnd = pcb->snd_wnd > out ? pcb->snd_wnd - out : 0;
        uint32_t cwnd = pcb->cwnd > flight ? pcb->cwnd - flight : 0;
        uint32_t mss = tcp_send_mss(pcb);
        uint32_t most = pcb->path.iface && (pcb->path.iface->offloads & NIC_TX_TSO) ? TCP_TSO_BYTES / mss * mss : mss;
        uint32_t len = net_min(net_min(unsent, most), wnd);
        if (net_unlikely(pcb->plp_on)) {
            uint32_t probe = tcp_plp_probe(pcb, unsent, wnd, cwnd);
            if (probe) {
                if (probe == TCP_PLP_WAIT || paced_out(pcb, probe) || !send_new(pcb, probe, SEG_PROBE))
                    break;
                tcp_plp_sent(pcb);
                continue;
            }
        }
        if (cwnd < len) {
            if (cwnd >= mss)
                len = cwnd / mss * mss;
            else if (flight)
                break;
        }
        if (unsent && !worth_sending(pcb, len, unsent))
            break;
        if (len > mss && len < unsent)
            len -= len % mss;
        if (paced_out(pcb, len))
            break;
        if (!send_new(pcb, len, pcb->fin_queued && len == unsent ? SEG_FIN : 0))
            break;
    }
}

static void restart_after_idle(struct tcp_pcb *pcb)
{
    /* RFC 5681 4.1 */
    if (pcb->snd_nxt == pcb->snd_una && tcp_unsent(pcb) &&
        pcb->ns->now_ns - pcb->last_send_ns > pcb->rto_us * NET_NS_PER_US)
        pcb->cwnd = net_min(pcb->cwnd, tcp_initial_cwnd(pcb->mss));
}

void tcp_output(struct tcp_pcb *pcb)
{
    if (!may_send(pcb)) {
        if (pcb->ack_now && pcb->state != TCP_CLOSED && pcb->state != TCP_SYN_SENT)
            tcp_send_ack(pcb);
        return;
    }
    uint32_t before = pcb->snd_nxt;
    if (tcp_path(pcb) == 0) {
        if (pcb->lost_bytes && !pcb->frto_new)
            retransmit_lost(pcb);
        if (pcb->write_seq == pcb->snd_nxt && pcb->fin_queued && !pcb->fin_sent && !pcb->rtx_head && !pcb->opts.pacing_rate) {
            send_new(pcb, 0, SEG_FIN); /* all there is to say: no window has to be asked */
        } else {
            restart_after_idle(pcb);
            send_data(pcb);
        }
    }
    if (pcb->ack_now && pcb->state != TCP_SYN_RCVD) /* there the SYN-ACK has said it, or will */
        tcp_send_ack(pcb);
    if (pcb->snd_nxt != before) {
        if (pcb->rtx_mode == RTX_NONE || pcb->rtx_mode == RTX_TLP || before == pcb->snd_una)
            tcp_rearm_rtx(pcb);
    } else if (pcb->rtx_mode == RTX_NONE) {
        tcp_rearm_rtx(pcb); /* queued data that cannot go: persist */
    }
}

void tcp_send_syn(struct tcp_pcb *pcb)
{
    if (pcb->rtx_head) {
        tcp_retransmit(pcb, pcb->rtx_head);
        return;
    }
    struct tcp_seg *s = tcp_seg_new(pcb, pcb->iss, pcb->iss + 1, SEG_SYN, NULL);
    if (!s)
        return;
    struct tcp_xmit x = { .seq = pcb->iss, .flags = seg_flags(pcb, s), .whole = true };
    if (pcb->fo & TCP_FO_ACTIVE) {
        /* A segment of its own on the scoreboard: only the SYN is repeated, and what was not taken follows it. */
        uint32_t len = tcp_fo_syn_bytes(pcb);
        if (len && tcp_seg_new(pcb, pcb->iss + 1, pcb->iss + 1 + len, 0, pcb->snd_head)) {
            x.len = len;
            x.pb = pcb->snd_head;
            x.flags |= TCP_PSH;
            pcb->bytes_sent += len;
        }
    }
    pcb->snd_sml = pcb->iss;
    pcb->retrans_high = pcb->iss + 1;
    pcb->snd_nxt = pcb->iss + 1 + x.len;
    pcb->retrans_out = 1;
    pcb->first_unacked_ns = pcb->last_send_ns = pcb->ns->now_ns;
    tcp_xmit(pcb, &x); /* if it fails, the timer tries again */
    skip_sent(pcb);
}

void tcp_persist_probe(struct tcp_pcb *pcb)
{
    uint32_t unsent = tcp_unsent(pcb);
    pcb->ns->counters.tcp_persist_probes++;
    /* RFC 9293 3.8.6.1: at least one octet of new data, whatever the window says; 3.8.6.2.1 (4): the override. */
    if (pcb->rtx_head && (pcb->rtx_head->flags & SEG_SACKED))
        tcp_sack_forget(pcb); /* it acknowledges nothing that it said it has: reneged */
    if (pcb->rtx_head)
        tcp_retransmit(pcb, pcb->rtx_head);
    else if (unsent)
        send_new(pcb, net_min(net_min(unsent, tcp_send_mss(pcb)), net_max(pcb->snd_wnd, 1u)), 0);
    else if (pcb->fin_queued && !pcb->fin_sent)
        send_new(pcb, 0, SEG_FIN);
}

bool tcp_send_tail_probe(struct tcp_pcb *pcb)
{
    uint32_t unsent = tcp_unsent(pcb), out = pcb->snd_nxt - pcb->snd_una;
    if (unsent && pcb->snd_wnd > out) {
        uint32_t len = net_min(net_min(unsent, tcp_send_mss(pcb)), pcb->snd_wnd - out);
        return send_new(pcb, len, 0);
    }
    struct tcp_seg *s = pcb->rtx_tail;
    if (!s)
        return false;
    uint32_t n = tcp_seg_payload(s);
    if (n > tcp_send_mss(pcb)) {
        if (tcp_seg_split(pcb, s, s->seq + (n - 1) / tcp_send_mss(pcb) * tcp_send_mss(pcb)) < 0)
            return false;
        s = s->next;
    }
    return tcp_retransmit(pcb, s);
}
