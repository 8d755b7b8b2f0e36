/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Urgent data, read as Linux has it: the byte before the urgent pointer (RFC
 * 6093) is announced, and handed out of line unless TCP_OPT_OOBINLINE is set.
 * A read stops at it once. One byte is kept; a newer one takes its place.
 */
#include "cokernel/net/tcp_internal.h"

static void note(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    uint32_t at = in->seq + in->urgent - 1, next = tcp_read_seq(pcb);
    if (!in->urgent || seq_lt(at, next) || seq_lt(at, pcb->rcv_nxt) || (pcb->urg_state != TCP_URG_NONE && seq_le(at, pcb->urg_seq)))
        return; /* read already, or no news */
    if (pcb->urg_state != TCP_URG_NONE && pcb->urg_seq == next && !pcb->opts.oobinline && pcb->rcv_bytes)
        tcp_rcv_drop(pcb, 1); /* the older byte was never in line, and nobody stops at it any more */
    pcb->urg_state = TCP_URG_AHEAD;
    pcb->urg_seq = at;
    tcp_post(pcb, NET_EV_URGENT);
}

void tcp_urgent_input(struct tcp_pcb *pcb, const struct tcp_in *in)
{
    if (in->flags & TCP_URG)
        note(pcb, in);
    uint32_t offset = pcb->urg_seq - in->seq;
    if (pcb->urg_state != TCP_URG_AHEAD || offset >= in->len)
        return;
    pbuf_copy_out(in->pb, offset, &pcb->urg_byte, 1);
    pcb->urg_state = TCP_URG_HERE;
    tcp_post(pcb, NET_EV_URGENT);
}

uint32_t tcp_urgent_stop(struct tcp_pcb *pcb)
{
    uint32_t next = tcp_read_seq(pcb), ahead = pcb->urg_seq - next;
    if (seq_gt(next, pcb->urg_seq)) {
        pcb->urg_state = TCP_URG_NONE; /* read past it */
        return UINT32_MAX;
    }
    if (ahead)
        return ahead;
    if (pcb->rcv_bytes) {
        if (!pcb->opts.oobinline)
            tcp_rcv_drop(pcb, 1);
        pcb->urg_state = TCP_URG_NONE;
    }
    return UINT32_MAX;
}

int tcp_read_urgent(struct tcp_pcb *pcb, uint8_t *byte, bool peek)
{
    if (pcb->opts.oobinline || pcb->urg_state == TCP_URG_NONE || pcb->urg_state == TCP_URG_READ)
        return -NET_EINVAL;
    if (pcb->urg_state == TCP_URG_HERE) {
        *byte = pcb->urg_byte;
        if (!peek)
            pcb->urg_state = TCP_URG_READ;
        return 1;
    }
    return pcb->state == TCP_CLOSED || pcb->fin_received ? 0 : -NET_EAGAIN;
}

bool tcp_at_mark(const struct tcp_pcb *pcb) { return pcb->urg_state != TCP_URG_NONE && pcb->urg_seq == tcp_read_seq(pcb); }

uint32_t tcp_readable_bytes(const struct tcp_pcb *pcb)
{
    uint32_t ahead = pcb->urg_seq - tcp_read_seq(pcb);
    bool stops = pcb->urg_state != TCP_URG_NONE && !pcb->opts.oobinline && ahead < pcb->rcv_bytes;
    return stops ? ahead : pcb->rcv_bytes;
}
