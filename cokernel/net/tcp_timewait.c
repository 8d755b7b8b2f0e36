/* SPDX-License-Identifier: BSD-2-Clause */
/* TIME-WAIT in a small entry instead of a whole connection (RFC 9293 3.4.3, RFC 1337, RFC 6191). */
#include "cokernel/net/tcp_internal.h"

#define TIMEWAIT_LIMIT (256u << 10)
#define ACK_INTERVAL_NS (500 * NET_NS_PER_MS)

static void expire(struct net_timer *t) { tcp_timewait_drop(net_container_of(t, struct tcp_timewait, timer)); }

void tcp_timewait_new(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    if (ns->timewait_count >= TIMEWAIT_LIMIT || net_mem_pressed(&ns->mem))
        return; /* under attack the wait is what gives */
    struct tcp_timewait *tw = net_slab_get(&ns->tcp_timewaits);
    if (!tw)
        return;
    *tw = (struct tcp_timewait){
        .flow.key = pcb->flow.key,
        .snd_nxt = pcb->snd_nxt, .rcv_nxt = pcb->rcv_nxt, .ts_recent = pcb->ts_recent, .ts_offset = pcb->ts_offset,
        .ts_ok = pcb->ts_ok, .rcv_wnd = pcb->opts.rcvbuf >> pcb->rcv_wscale, .ack_ns = ns->now_ns,
    };
    tcp_timewait_insert(ns, tw, TCP_TIMEWAIT_NS);
}

void tcp_timewait_insert(struct net_stack *ns, struct tcp_timewait *tw, uint64_t left_ns)
{
    tw->flow.kind = FLOW_TCP_TIMEWAIT;
    tw->ns = ns;
    tw->timer.fire = expire;
    net_flow_insert(&ns->flows, &tw->flow);
    net_timer_arm(&ns->wheel, &tw->timer, ns->now_ns + left_ns);
    ns->timewait_count++;
}

void tcp_timewait_drop(struct tcp_timewait *tw)
{
    struct net_stack *ns = tw->ns;
    net_timer_cancel(&ns->wheel, &tw->timer);
    net_flow_remove(&ns->flows, &tw->flow);
    ns->timewait_count--;
    net_slab_put(&ns->tcp_timewaits, tw);
}

static void ack(struct tcp_timewait *tw)
{
    struct net_stack *ns = tw->ns;
    struct tcp_out out = { .seq = tw->snd_nxt, .ack = tw->rcv_nxt, .wnd = net_min(tw->rcv_wnd, 65535u), .flags = TCP_ACK, .ts_ok = tw->ts_ok,
                           .tsval = tcp_ts_now(ns, tw->ts_offset), .tsecr = tw->ts_recent };
    tw->ack_ns = ns->now_ns;
    tw->answered = 1;
    tcp_send_raw(ns, &tw->flow.key, &out);
}

bool tcp_timewait_input(struct tcp_timewait *tw, struct tcp_in *in)
{
    struct net_stack *ns = tw->ns;
    bool newer_ts = tw->ts_ok && in->has_ts && (int32_t)(in->tsval - tw->ts_recent) > 0;
    bool old_ts = tw->ts_ok && in->has_ts && (int32_t)(in->tsval - tw->ts_recent) < 0;
    if (in->flags & TCP_RST)
        return false; /* RFC 1337 3: no assassination */
    if ((in->flags & TCP_SYN) && !(in->flags & TCP_ACK)) {
        /* RFC 6191 2, RFC 1122 4.2.2.13: clearly a new connection, if there is who takes it. */
        if ((newer_ts || (!old_ts && seq_gt(in->seq, tw->rcv_nxt))) && tcp_find_listener(ns, &tw->flow.key, in->hash)) {
            ns->counters.tcp_timewait_reused++;
            tcp_timewait_drop(tw);
            return true;
        }
    }
    if ((in->flags & TCP_FIN) && in->end == tw->rcv_nxt && !old_ts) {
        net_timer_arm(&ns->wheel, &tw->timer, ns->now_ns + TCP_TIMEWAIT_NS);
        ack(tw);
        return false;
    }
    /* Anything else that is not a plain ACK of everything in its place is answered (RFC 9293 3.10.7.4), but not for ever. */
    bool plain = !in->len && !(in->flags & (TCP_SYN | TCP_FIN)) && (in->ack == tw->snd_nxt || !(in->flags & TCP_ACK)) && in->seq == tw->rcv_nxt;
    if (!plain && (!tw->answered || ns->now_ns - tw->ack_ns > ACK_INTERVAL_NS))
        ack(tw);
    return false;
}
