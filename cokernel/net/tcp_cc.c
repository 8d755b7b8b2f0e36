/* SPDX-License-Identifier: BSD-2-Clause */
/* Slow start, NewReno (RFC 5681) and DCTCP (RFC 8257). CUBIC is in tcp_cubic.c. */
#include "cokernel/net/tcp_internal.h"

#define CWND_MAX (1u << 30)

uint32_t tcp_initial_cwnd(uint32_t mss) { return net_min(10 * mss, net_max(2 * mss, 14600u)); /* RFC 6928 2 */ }

void tcp_cc_init(struct tcp_pcb *pcb)
{
    pcb->cc = tcp_cc_table[pcb->opts.cc];
    pcb->cwnd = pcb->syn_lost ? pcb->mss : tcp_initial_cwnd(pcb->mss); /* RFC 6928 2: one segment if the SYN was lost */
    pcb->cc->init(pcb);
}

/* RFC 3465 with L = unlimited below ssthresh, as Linux: ACKs may cover a whole GRO burst. */
void tcp_cc_slow_start(struct tcp_pcb *pcb, uint32_t acked)
{
    if (pcb->cwnd < pcb->ssthresh)
        pcb->cwnd = net_min(net_min(pcb->cwnd + acked, pcb->ssthresh), CWND_MAX);
}

static void reno_init(struct tcp_pcb *pcb) { pcb->cwnd_used = 0; }

static void reno_on_ack(struct tcp_pcb *pcb, uint32_t acked)
{
    if (pcb->cwnd < pcb->ssthresh) {
        tcp_cc_slow_start(pcb, acked);
        return;
    }
    pcb->cwnd_used += acked; /* RFC 5681 3.1: one segment a window, by byte counting */
    if (pcb->cwnd_used >= pcb->cwnd) {
        pcb->cwnd_used -= pcb->cwnd;
        pcb->cwnd = net_min(pcb->cwnd + pcb->mss, CWND_MAX);
    }
}

static uint32_t reno_ssthresh(struct tcp_pcb *pcb)
{
    return net_max(net_min(pcb->cwnd, tcp_in_flight(pcb) + pcb->lost_bytes + pcb->sacked_bytes) / 2, 2 * pcb->mss); /* RFC 5681 eqn. 4 */
}

static const struct tcp_cc_ops newreno = {
    .name = "reno", .init = reno_init, .on_ack = reno_on_ack, .ssthresh = reno_ssthresh,
};

static void dctcp_init(struct tcp_pcb *pcb)
{
    pcb->cwnd_used = 0;
    pcb->cc_data.dctcp = (struct tcp_dctcp){ .alpha = 1024, .window_end = pcb->snd_nxt }; /* RFC 8257 3.3: alpha starts at 1 */
}

static uint32_t dctcp_ssthresh(struct tcp_pcb *pcb)
{
    uint32_t cut = (uint32_t)((uint64_t)pcb->cwnd * pcb->cc_data.dctcp.alpha / 2048);
    return net_max(pcb->cwnd - cut, 2 * pcb->mss);
}

static void dctcp_on_ecn(struct tcp_pcb *pcb, uint32_t acked, bool ece)
{
    struct tcp_dctcp *d = &pcb->cc_data.dctcp;
    d->acked += acked;
    if (ece)
        d->marked += acked;
    if (ece && pcb->ca_state < CA_CWR && seq_ge(pcb->snd_una, pcb->ecn_high)) {
        pcb->ns->counters.tcp_ecn_reduced++;
        tcp_enter_cwr(pcb);
        pcb->ecn_high = pcb->snd_nxt;
        pcb->ecn_cwr_due = 1;
    }
    if (seq_lt(pcb->snd_una, d->window_end) || !d->acked)
        return;
    uint32_t fraction = (uint32_t)((uint64_t)d->marked * 1024 / d->acked);
    d->alpha = d->alpha - (d->alpha + 15) / 16 + fraction / 16; /* g = 1/16; rounded up, so that it comes to 0 */
    d->acked = d->marked = 0;
    d->window_end = pcb->snd_nxt;
}

static const struct tcp_cc_ops dctcp = {
    .name = "dctcp", .init = dctcp_init, .on_ack = reno_on_ack, .ssthresh = dctcp_ssthresh, .on_ecn = dctcp_on_ecn,
};

const struct tcp_cc_ops *const tcp_cc_table[TCP_CC_COUNT] = {
    [TCP_CC_CUBIC] = &tcp_cc_cubic,
    [TCP_CC_NEWRENO] = &newreno,
    [TCP_CC_DCTCP] = &dctcp,
};
