/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's timers. It has several deadlines and one entry in the wheel,
 * which is armed for the earliest and not touched when a deadline moves away:
 * it then fires in vain, once, instead of being moved on every ACK.
 */
#include "cokernel/net/tcp_internal.h"

#define GIVE_WAY_BACKOFF 4u       /* timeouts before this one; some 6 s */
#define GIVE_WAY_BACKOFF_TIGHT 2u /* 1.4 s */

void tcp_timer_arm(struct tcp_pcb *pcb, uint64_t at_ns)
{
    net_timer_arm(&pcb->ns->wheel, &pcb->timer, at_ns);
    pcb->timer_tick = pcb->timer.tick;
}

static uint64_t backed_off_ns(const struct tcp_pcb *pcb)
{
    uint64_t us = (uint64_t)pcb->rto_us << net_min(pcb->backoff, 16);
    return net_min(us, (uint64_t)TCP_RTO_MAX_US) * NET_NS_PER_US;
}

/* RFC 6298 5.5; the cap is in backed_off_ns(). */
static void back_off(struct tcp_pcb *pcb) { pcb->backoff = (uint8_t)net_min(pcb->backoff + 1, 16); }

void tcp_rearm_rtx(struct tcp_pcb *pcb)
{
    uint64_t now = pcb->ns->now_ns;
    bool waiting = tcp_unsent(pcb) || (pcb->fin_queued && !pcb->fin_sent);
    if (pcb->rtx_head) {
        if (net_unlikely(!pcb->snd_wnd && pcb->state != TCP_SYN_SENT && pcb->state != TCP_SYN_RCVD))
            pcb->rtx_mode = RTX_PERSIST;
        else if (tcp_tlp_arm(pcb))
            return;
        else
            pcb->rtx_mode = RTX_RTO;
        tcp_deadline_set(pcb, TCP_T_RTX, now + backed_off_ns(pcb));
    } else if (waiting && !(pcb->opts.cork && pcb->snd_wnd) && pcb->state != TCP_SYN_SENT && pcb->state != TCP_SYN_RCVD) {
        pcb->rtx_mode = RTX_PERSIST;
        tcp_deadline_set(pcb, TCP_T_RTX, now + backed_off_ns(pcb));
    } else {
        pcb->rtx_mode = RTX_NONE;
        tcp_deadline_clear(pcb, TCP_T_RTX);
    }
}

/* RFC 9293 3.8.3 R2, RFC 5482. */
static bool give_up(const struct tcp_pcb *pcb, unsigned tries)
{
    bool syn = pcb->state == TCP_SYN_SENT || pcb->state == TCP_SYN_RCVD;
    if (pcb->opts.user_timeout_ms && !syn)
        return pcb->ns->now_ns - net_max(pcb->first_unacked_ns, pcb->last_rcv_ns) > pcb->opts.user_timeout_ms * NET_NS_PER_MS;
    if (syn)
        return tries >= (pcb->state == TCP_SYN_SENT ? TCP_SYN_RETRIES : TCP_SYNACK_RETRIES);
    return tries >= TCP_RETRIES;
}

/* Memory is short, and this peer lets us wait: timers find nothing acknowledged, or the window shut. */
static bool must_give_way(const struct tcp_pcb *pcb)
{
    const struct net_mem *mem = &pcb->ns->mem;
    return net_unlikely(pcb->backoff >= GIVE_WAY_BACKOFF_TIGHT) && net_mem_pressed(mem) && pcb->state != TCP_SYN_SENT &&
           (pcb->backoff >= GIVE_WAY_BACKOFF || net_mem_tight(mem));
}

static void give_way(struct tcp_pcb *pcb)
{
    pcb->ns->counters.tcp_aborted_memory++;
    tcp_send_reset(pcb);
    tcp_pcb_done(pcb, NET_ENOBUFS);
}

/* These return false once the connection is gone. */
static bool rto(struct tcp_pcb *pcb)
{
    if (!pcb->rtx_head) {
        tcp_rearm_rtx(pcb);
        return true;
    }
    if (must_give_way(pcb)) {
        give_way(pcb);
        return false;
    }
    if (give_up(pcb, pcb->retries)) {
        pcb->ns->counters.tcp_timeouts++;
        if (pcb->state != TCP_SYN_SENT) /* should the peer live, it need not wait for its own timeout */
            tcp_send_reset(pcb);
        tcp_pcb_done(pcb, NET_ETIMEDOUT);
        return false;
    }
    pcb->ns->counters.tcp_rto++;
    pcb->retries++;
    if (pcb->state == TCP_SYN_SENT || pcb->state == TCP_SYN_RCVD) {
        pcb->syn_lost = 1;
    } else {
        tcp_plp_timeout(pcb, pcb->retries);
        tcp_enter_loss(pcb);
    }
    tcp_retransmit(pcb, pcb->rtx_head);
    back_off(pcb);
    pcb->rtx_mode = RTX_RTO;
    tcp_deadline_set(pcb, TCP_T_RTX, pcb->ns->now_ns + backed_off_ns(pcb));
    tcp_mark_dirty(pcb);
    return true;
}

static bool persist(struct tcp_pcb *pcb)
{
    if (must_give_way(pcb)) {
        give_way(pcb);
        return false;
    }
    if (pcb->user_gone && pcb->backoff >= TCP_ORPHAN_PROBES) {
        pcb->ns->counters.tcp_timeouts++;
        tcp_send_reset(pcb);
        tcp_pcb_done(pcb, NET_ETIMEDOUT);
        return false;
    }
    if (give_up(pcb, pcb->persist_probes)) { /* only a peer that answers nothing: RFC 6429, RFC 9293 3.8.6.1 */
        pcb->ns->counters.tcp_timeouts++;
        tcp_pcb_done(pcb, NET_ETIMEDOUT);
        return false;
    }
    pcb->persist_probes++;
    if (pcb->rtx_head)
        tcp_plp_timeout(pcb, pcb->persist_probes);
    tcp_persist_probe(pcb);
    back_off(pcb);
    tcp_rearm_rtx(pcb);
    return true;
}

void tcp_keepalive_start(struct tcp_pcb *pcb)
{
    tcp_deadline_set(pcb, TCP_T_KEEP, pcb->ns->now_ns + pcb->opts.keep_idle_s * NET_NS_PER_S);
}

static bool keep(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    if (pcb->state == TCP_FIN_WAIT_2 && pcb->user_gone) {
        tcp_pcb_done(pcb, 0); /* a FIN that comes yet is reset, which ends its sender's wait as well */
        return false;
    }
    if (!pcb->opts.keepalive || pcb->state == TCP_CLOSED || pcb->state == TCP_SYN_SENT || pcb->state == TCP_SYN_RCVD)
        return true;
    uint64_t idle = ns->now_ns - pcb->last_rcv_ns, want = pcb->opts.keep_idle_s * NET_NS_PER_S;
    if (idle < want && !pcb->keep_probes) {
        tcp_deadline_set(pcb, TCP_T_KEEP, pcb->last_rcv_ns + want);
        return true;
    }
    if (pcb->rtx_head) { /* the retransmission timer watches already */
        tcp_keepalive_start(pcb);
        return true;
    }
    bool too_long = pcb->opts.user_timeout_ms ? idle > pcb->opts.user_timeout_ms * NET_NS_PER_MS && pcb->keep_probes
                                              : pcb->keep_probes >= pcb->opts.keep_count;
    if (too_long) {
        ns->counters.tcp_timeouts++;
        tcp_send_reset(pcb);
        tcp_pcb_done(pcb, NET_ETIMEDOUT);
        return false;
    }
    pcb->keep_probes++;
    ns->counters.tcp_keepalives++;
    tcp_send_ack_at(pcb, pcb->snd_una - 1); /* RFC 9293 3.8.4 */
    tcp_deadline_set(pcb, TCP_T_KEEP, ns->now_ns + pcb->opts.keep_intvl_s * NET_NS_PER_S);
    return true;
}

static bool rtx(struct tcp_pcb *pcb)
{
    switch (pcb->rtx_mode) {
    case RTX_TLP:
        tcp_tlp_timeout(pcb);
        return true;
    case RTX_PERSIST:
        return persist(pcb);
    case RTX_RTO:
        return rto(pcb);
    }
    return true;
}

void tcp_timer_fire(struct net_timer *t)
{
    struct tcp_pcb *pcb = net_container_of(t, struct tcp_pcb, timer);
    uint64_t now = pcb->ns->now_ns, next = UINT64_MAX;
    pcb->timer_tick = 0;
    for (unsigned k = 0; k < TCP_T_COUNT; k++) {
        if (!pcb->deadlines[k] || pcb->deadlines[k] > now)
            continue;
        pcb->deadlines[k] = 0;
        switch (k) {
        case TCP_T_RTX:
            if (!rtx(pcb))
                return;
            break;
        case TCP_T_REO:
            tcp_rack_timeout(pcb);
            break;
        case TCP_T_DELACK:
            pcb->ack_now = 1;
            tcp_mark_dirty(pcb);
            break;
        case TCP_T_KEEP:
            if (!keep(pcb))
                return;
            break;
        case TCP_T_PACE:
            tcp_mark_dirty(pcb);
            break;
        }
    }
    for (unsigned k = 0; k < TCP_T_COUNT; k++)
        if (pcb->deadlines[k])
            next = net_min(next, pcb->deadlines[k]);
    if (next != UINT64_MAX)
        tcp_timer_arm(pcb, next);
}
