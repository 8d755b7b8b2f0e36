/* SPDX-License-Identifier: BSD-2-Clause */
/* Life and death of a connection. */
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define CHUNK_BYTES (64u << 10)

void tcp_init(struct net_stack *ns)
{
    net_slab_init(&ns->tcp_pcbs, &ns->mem, (sizeof(struct tcp_pcb) + 63) & ~63u, CHUNK_BYTES, 0); /* on cache lines of its own */
    net_slab_init(&ns->tcp_segs, &ns->mem, sizeof(struct tcp_seg), CHUNK_BYTES, 0);
    ns->tcp_segs.share = NET_SHARE_HEADERS;
    net_slab_grow(&ns->tcp_segs); /* should memory fill before the first segment goes, none ever would; if it fails, so be it */
    net_slab_init(&ns->tcp_syns, &ns->mem, sizeof(struct tcp_synreq), CHUNK_BYTES, 0);
    net_slab_init(&ns->tcp_timewaits, &ns->mem, sizeof(struct tcp_timewait), CHUNK_BYTES, 0);
    net_slab_init(&ns->tcp_islands, &ns->mem, sizeof(struct tcp_island), CHUNK_BYTES, 0);
}

static void drop_rest(struct net_flow *f, void *ctx)
{
    (void)ctx;
    if (f->kind == FLOW_TCP_SYN)
        tcp_synreq_drop(net_container_of(f, struct tcp_synreq, flow));
    else if (f->kind == FLOW_TCP_TIMEWAIT)
        tcp_timewait_drop(net_container_of(f, struct tcp_timewait, flow));
}

void tcp_fini(struct net_stack *ns)
{
    while (ns->pcbs)
        tcp_pcb_free(ns->pcbs);
    net_flow_each(&ns->flows, drop_rest, NULL);
    for (unsigned k = 0; k < NET_BOUND_BUCKETS; k++)
        while (ns->listeners[k])
            tcp_listener_close(ns->listeners[k]);
    net_slab_fini(&ns->tcp_pcbs);
    net_slab_fini(&ns->tcp_segs);
    net_slab_fini(&ns->tcp_syns);
    net_slab_fini(&ns->tcp_timewaits);
    net_slab_fini(&ns->tcp_islands);
}

void tcp_opts_default(struct tcp_opts *o)
{
    *o = (struct tcp_opts){
        .sndbuf = TCP_SNDBUF_DEFAULT,
        .rcvbuf = TCP_RCVBUF_INITIAL,
        .keep_idle_s = TCP_KEEPIDLE_S,
        .keep_intvl_s = TCP_KEEPINTVL_S,
        .keep_count = TCP_KEEPCNT,
        .linger_s = -1,
        .linger2_s = (uint32_t)(TCP_FIN_WAIT2_NS / NET_NS_PER_S),
        .ttl = IP_DEFAULT_TTL,
        .cc = TCP_CC_CUBIC,
    };
}

struct tcp_pcb *tcp_pcb_new(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_opts *opts)
{
    struct tcp_pcb *pcb = tcp_pcb_room(ns) ? net_slab_get(&ns->tcp_pcbs) : NULL;
    if (!pcb) {
        ns->counters.memory_refused++;
        return NULL;
    }
    net_zero(pcb, sizeof *pcb);
    pcb->ep.type = NET_EP_TCP;
    pcb->ns = ns;
    pcb->flow.kind = FLOW_TCP;
    pcb->flow.key = *key;
    pcb->opts = *opts;
    pcb->state = TCP_CLOSED;
    pcb->timer.fire = tcp_timer_fire;
    pcb->rto_us = TCP_RTO_INITIAL_US;
    pcb->min_rtt_us = UINT32_MAX;
    pcb->ssthresh = UINT32_MAX / 2; /* RFC 5681 3.1: arbitrarily high */
    pcb->reo_mult = 1;
    pcb->last_rcv_ns = pcb->last_send_ns = ns->now_ns;
    pcb->all_next = ns->pcbs;
    pcb->all_pprev = &ns->pcbs;
    if (ns->pcbs)
        ns->pcbs->all_pprev = &pcb->all_next;
    ns->pcbs = pcb;
    return pcb;
}

void tcp_pcb_insert(struct tcp_pcb *pcb)
{
    net_flow_insert(&pcb->ns->flows, &pcb->flow);
    pcb->in_table = 1;
}

void tcp_free_parts(struct pbuf *head)
{
    while (head) {
        struct pbuf *next = head->link;
        pbuf_put(head);
        head = next;
    }
}

void tcp_pcb_release(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    if (pcb->in_table) {
        tcp_flow_remove(ns, &pcb->flow);
        pcb->in_table = 0;
    }
    if (net_unlikely(pcb->fo_listener != NULL))
        tcp_fo_released(pcb);
    if (pcb->dirty)
        tcp_unmark_dirty(pcb);
    net_timer_cancel(&ns->wheel, &pcb->timer);
    pcb->timer_tick = 0;
    while (pcb->rtx_head) {
        struct tcp_seg *s = pcb->rtx_head;
        pcb->rtx_head = s->next;
        net_slab_put(&ns->tcp_segs, s);
    }
    pcb->rtx_tail = pcb->time_head = pcb->time_tail = pcb->lost_hint = pcb->sack_hint = NULL;
    pcb->sacked_bytes = pcb->lost_bytes = pcb->dup_bytes = 0;
    if (pcb->snd_head)
        tcp_free_parts(pcb->snd_head);
    pcb->snd_head = pcb->snd_tail = pcb->snd_cursor = NULL;
    pcb->snd_true = 0;
}

void tcp_pcb_free(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    tcp_pcb_release(pcb);
    if (net_unlikely(pcb->islands || pcb->rcv_head))
        tcp_rcv_free(pcb);
    net_event_forget(ns, &pcb->ep);
    if (pcb->listener) { /* on an accept queue */
        struct tcp_listener *l = pcb->listener;
        struct tcp_pcb **at = &l->accept_head, *before = NULL;
        while (*at && *at != pcb) {
            before = *at;
            at = &(*at)->accept_next;
        }
        if (*at) {
            *at = pcb->accept_next;
            if (l->accept_tail == pcb)
                l->accept_tail = before;
            l->accept_count--;
        }
    }
    *pcb->all_pprev = pcb->all_next;
    if (pcb->all_next)
        pcb->all_next->all_pprev = pcb->all_pprev;
    ns->counters.tcp_closed++;
    net_slab_put(&ns->tcp_pcbs, pcb);
}

void tcp_pcb_done(struct tcp_pcb *pcb, int error)
{
    if (net_unlikely(pcb->fo) && error)
        tcp_fo_failed(pcb, error);
    if (error == NET_ETIMEDOUT && pcb->ep.error)
        error = pcb->ep.error; /* what ICMP has said all the while: RFC 1122 4.2.3.9 */
    pcb->state = TCP_CLOSED;
    if (pcb->user_gone || (pcb->listener && error)) {
        tcp_pcb_free(pcb);
        return;
    }
    tcp_pcb_release(pcb);
    pcb->ep.error = error;
    if (!pcb->closed_posted) {
        pcb->closed_posted = 1;
        tcp_post(pcb, NET_EV_CLOSED | NET_EV_READABLE | NET_EV_WRITABLE);
    }
}

void tcp_set_state(struct tcp_pcb *pcb, enum tcp_state state) { pcb->state = (uint8_t)state; }

/* Options that a connection settles on when the handshake is done. */
void tcp_established(struct tcp_pcb *pcb)
{
    pcb->state = pcb->fin_queued ? TCP_FIN_WAIT_1 : TCP_ESTABLISHED; /* shut down before the handshake was done */
    pcb->quickacks = 16; /* slow start of the peer wants ACKs (as Linux's quick-ack mode) */
    pcb->rcv_space = pcb->opts.rcvbuf / 2;
    pcb->rcv_space_ns = pcb->ns->now_ns;
    bool under_way = pcb->fo & TCP_FO_PASSIVE; /* its congestion window has been in use since the SYN-ACK */
    if (net_unlikely(under_way))
        tcp_fo_established(pcb);
    if (!under_way || pcb->syn_lost)
        tcp_cc_init(pcb);
    if (pcb->opts.keepalive)
        tcp_keepalive_start(pcb);
}

void tcp_mark_dirty(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    if (pcb->dirty)
        return;
    pcb->dirty = 1;
    pcb->dirty_next = NULL;
    pcb->dirty_pprev = ns->dirty_tail;
    *ns->dirty_tail = pcb;
    ns->dirty_tail = &pcb->dirty_next;
}

void tcp_unmark_dirty(struct tcp_pcb *pcb)
{
    if (!pcb->dirty)
        return;
    pcb->dirty = 0;
    *pcb->dirty_pprev = pcb->dirty_next;
    if (pcb->dirty_next)
        pcb->dirty_next->dirty_pprev = pcb->dirty_pprev;
    else
        pcb->ns->dirty_tail = pcb->dirty_pprev;
}

void tcp_flush(struct net_stack *ns)
{
    struct tcp_pcb *last = ns->dirty_head ? net_container_of(ns->dirty_tail, struct tcp_pcb, dirty_next) : NULL, *pcb;
    while (last && (pcb = ns->dirty_head)) {
        bool stop = pcb == last;
        if (pcb->path.iface && !net_iface_tx_room(pcb->path.iface)) {
            net_iface_flush(pcb->path.iface);
            if (!net_iface_tx_room(pcb->path.iface))
                return; /* the device is behind; the next flush goes on here */
        }
        tcp_unmark_dirty(pcb);
        tcp_output(pcb);
        if (net_unlikely(pcb->deadlines[TCP_T_DELACK] != 0))
            tcp_deadline_set(pcb, TCP_T_DELACK, pcb->deadlines[TCP_T_DELACK]);
        if (stop)
            return;
    }
}

void tcp_enter_timewait(struct tcp_pcb *pcb)
{
    if (pcb->ack_now)
        tcp_send_ack(pcb);
    struct net_stack *ns = pcb->ns;
    if (pcb->in_table) {
        tcp_flow_remove(ns, &pcb->flow);
        pcb->in_table = 0;
    }
    tcp_timewait_new(pcb);
    tcp_pcb_done(pcb, 0);
}
