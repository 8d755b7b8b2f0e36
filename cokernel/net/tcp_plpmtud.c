/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packetization-layer path MTU discovery (RFC 4821): for paths that swallow
 * large packets and the ICMP messages about them. As long as nothing is
 * swallowed it does nothing, because the interface's and ICMP's MTU is then
 * right. Timeouts in a row on a large segment raise a doubt: its front is sent
 * alone. If that passes and the next large one meets timeouts again, it is a
 * black hole (7.7): segments shrink, and probes, which are ordinary data in larger
 * segments, find the way up again. A lost probe is no sign of congestion (7.6).
 */
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define TIMEOUTS 3u                        /* in a row; Linux: tcp_retries1 */
#define TIMEOUTS_PROVEN 6u                 /* where segments as large have come through: then it is loss, or a new path */
#define TIMEOUTS_AGAIN 3u                  /* of a large segment, after small ones alone have passed */
#define BASE_MTU4 1024u                    /* RFC 4821 7.2 */
#define FLOOR_MTU4 552u                    /* as for what ICMP says */
#define PRECISION_BYTES 8u                 /* of the search */
#define SACK_BYTES 28u                     /* at most, beside a time stamp */
#define AGAIN_NS (600 * NET_NS_PER_S)      /* 7.3: the path may have become better */
#define INCONCLUSIVE_NS (10 * NET_NS_PER_S)
#define BEHIND 3u                          /* full segments that follow a probe and tell of its loss (7.4) */

static uint32_t floor_mtu(const struct tcp_pcb *pcb) { return net_addr_is_v4(&pcb->flow.key.remote) ? FLOOR_MTU4 : IP6_MIN_MTU; }

/* Headers of a data segment without SACK blocks. */
static uint32_t overhead(const struct tcp_pcb *pcb)
{
    return TCP_HEADER_BYTES + (net_addr_is_v4(&pcb->flow.key.remote) ? IP4_HEADER_BYTES : IP6_HEADER_BYTES) + (pcb->ts_ok ? TCP_TS_OPTION_BYTES : 0);
}

/* Whether something has passed since the doubt came up, but nothing as large as what was doubted. */
static bool only_small_ones_pass(const struct tcp_pcb *pcb) { return pcb->plp_doubt && pcb->delivered != pcb->plp_mark; }

void tcp_plp_timeout(struct tcp_pcb *pcb, unsigned tries)
{
    uint32_t mtu = tcp_path_mtu(pcb), floor = floor_mtu(pcb), next = net_max(BASE_MTU4, floor);
    uint32_t payload = tcp_seg_payload(pcb->rtx_head), size = payload + overhead(pcb) + pcb->mss - tcp_send_mss(pcb);
    unsigned from = only_small_ones_pass(pcb) ? TIMEOUTS_AGAIN : pcb->plp_seen >= payload ? TIMEOUTS_PROVEN : TIMEOUTS;
    if (tries < from || (tries - from) % 2)
        return;
    if (mtu <= next || size <= next)
        next = net_max(net_min(mtu, size) / 2, floor);
    if (next >= mtu || size <= next)
        return;
    if (!only_small_ones_pass(pcb)) {
        /* What answers nothing may be gone, or unlucky. The front is what is sent now; the rest follows it. */
        if (!pcb->plp_doubt) {
            pcb->plp_doubt = payload;
            pcb->plp_mark = pcb->delivered;
        }
        if (!(pcb->rtx_head->flags & SEG_SACKED))
            tcp_seg_split(pcb, pcb->rtx_head, pcb->rtx_head->seq + (next - overhead(pcb) - SACK_BYTES));
        return;
    }
    pcb->plp_doubt = 0;
    pcb->ns->counters.tcp_black_holes++;
    pcb->plp_on = 1;
    pcb->plp_mtu = (uint16_t)next;
    pcb->plp_high = (uint16_t)pcb->path.mtu;
    pcb->plp_next_ns = 0;
    pcb->plp_seen = 0;
    tcp_set_mss(pcb, 0);
}

void tcp_plp_inconclusive(struct tcp_pcb *pcb)
{
    pcb->plp_out = 0;
    pcb->plp_next_ns = pcb->ns->now_ns + INCONCLUSIVE_NS;
}

uint32_t tcp_plp_probe(struct tcp_pcb *pcb, uint32_t unsent, uint32_t wnd, uint32_t cwnd)
{
    if (pcb->plp_out || !pcb->sack_ok || pcb->ca_state != CA_OPEN || pcb->sacked_bytes || pcb->lost_bytes || pcb->islands ||
        pcb->ns->now_ns < pcb->plp_next_ns)
        return 0;
    uint32_t high = net_min((uint32_t)pcb->plp_high, pcb->path.mtu), peer = pcb->peer_mss ? pcb->peer_mss + overhead(pcb) - (pcb->ts_ok ? TCP_TS_OPTION_BYTES : 0) : high;
    high = net_min(high, peer);
    if (high < pcb->plp_mtu + PRECISION_BYTES) { /* found; from the top again in a while */
        if (pcb->plp_high >= pcb->path.mtu || pcb->plp_mtu + PRECISION_BYTES > peer) {
            pcb->plp_on = 0;
            pcb->plp_mtu = 0;
            tcp_set_mss(pcb, 0);
            return 0;
        }
        pcb->plp_high = (uint16_t)pcb->path.mtu;
        pcb->plp_next_ns = pcb->ns->now_ns + AGAIN_NS;
        return 0;
    }
    uint32_t size = high == pcb->path.mtu && high - pcb->plp_mtu < 8 * PRECISION_BYTES ? high : (high + pcb->plp_mtu + 1) / 2, len = size - overhead(pcb);
    uint32_t need = len + BEHIND * pcb->mss;
    if (unsent < need || wnd < need || pcb->cwnd < need)
        return 0;
    if (cwnd < len)
        return TCP_PLP_WAIT;
    pcb->plp_size = (uint16_t)size;
    return len;
}

void tcp_plp_sent(struct tcp_pcb *pcb)
{
    pcb->plp_out = 1;
    pcb->ns->counters.tcp_mtu_probes++;
}

void tcp_plp_delivered(struct tcp_pcb *pcb)
{
    if (!pcb->plp_out)
        return;
    pcb->plp_out = 0;
    pcb->plp_mtu = net_max(pcb->plp_mtu, pcb->plp_size);
    if (pcb->plp_mtu >= pcb->path.mtu) {
        pcb->plp_on = 0;
        pcb->plp_mtu = 0;
    }
    tcp_set_mss(pcb, 0);
}

bool tcp_plp_lost(struct tcp_pcb *pcb)
{
    struct tcp_seg *s = pcb->lost_hint ? pcb->lost_hint : pcb->rtx_head;
    while (s && !(s->flags & SEG_LOST))
        s = s->next;
    if (!s || !(s->flags & SEG_PROBE) || s->end - s->seq != pcb->lost_bytes)
        return false;
    pcb->plp_out = 0;
    pcb->plp_high = (uint16_t)(pcb->plp_size - 1);
    /* Now, so that the next ACK finds nothing lost. Each part that a retransmission cuts off follows it in the list. */
    for (; s && pcb->lost_bytes; s = s->next)
        if ((s->flags & SEG_LOST) && !tcp_retransmit(pcb, s))
            return false;
    return true;
}
