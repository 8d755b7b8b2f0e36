/* SPDX-License-Identifier: BSD-2-Clause */
/* Passive opens: listeners, half-open connections, the accept queue. */
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define SYNREQ_LIMIT (256u << 10) /* half-open entries an instance; beyond, cookies */
#define SYNREQ_MIN 128u

static struct tcp_listener **bucket(struct net_stack *ns, uint16_t port) { return &ns->listeners[port % NET_BOUND_BUCKETS]; }

static struct tcp_listener *listen_on(struct net_stack *ns, const struct net_addr *addr, uint16_t port, uint32_t backlog, bool shares, int *error)
{
    for (struct tcp_listener *l = *bucket(ns, port); l; l = l->next)
        if (l->port == port && !(shares && l->shares) && (net_addr_eq(&l->addr, addr) || net_addr_is_any(&l->addr) || net_addr_is_any(addr)) &&
            net_addr_is_v4(&l->addr) == net_addr_is_v4(addr)) {
            *error = -NET_EADDRINUSE;
            return NULL;
        }
    if (!port) {
        *error = -NET_EINVAL;
        return NULL;
    }
    struct tcp_listener *l = net_slab_get(&ns->endpoints);
    if (!l) {
        *error = -NET_ENOMEM;
        return NULL;
    }
    *l = (struct tcp_listener){ .ep.type = NET_EP_TCP_LISTENER, .ns = ns, .addr = *addr, .port = port, .shares = shares,
                                .backlog = net_max(backlog, 1u) };
    tcp_opts_default(&l->opts);
    l->next = *bucket(ns, port);
    *bucket(ns, port) = l;
    *error = 0;
    return l;
}

struct tcp_listener *tcp_listen(struct net_stack *ns, const struct net_addr *addr, uint16_t port, uint32_t backlog, int *error)
{
    return listen_on(ns, addr, port, backlog, false, error);
}

struct tcp_listener *tcp_listen_beside(struct net_stack *ns, const struct net_addr *addr, uint16_t port, uint32_t backlog, int *error)
{
    return listen_on(ns, addr, port, backlog, true, error);
}

/* How closely l fits; 0: not at all. */
static inline unsigned fit(const struct tcp_listener *l, const struct net_flow_key *key, bool v4)
{
    if (l->port != key->local_port)
        return 0;
    if (net_addr_eq(&l->addr, &key->local))
        return 3;
    if (!net_addr_is_any(&l->addr))
        return 0;
    return net_addr_is_v4(&l->addr) == v4 ? 2 : v4 && !l->v6only ? 1 : 0;
}

struct tcp_listener *tcp_find_listener(struct net_stack *ns, const struct net_flow_key *key, uint32_t hash)
{
    struct tcp_listener *best = NULL, *l = *bucket(ns, key->local_port);
    unsigned best_fit = 0, count = 0;
    bool v4 = net_addr_is_v4(&key->local);
    if (net_likely(l && !l->next))
        return fit(l, key, v4) ? l : NULL;
    for (; l; l = l->next) {
        unsigned f = fit(l, key, v4);
        if (f > best_fit) {
            best = l;
            best_fit = f;
            count = 0;
        }
        count += f && f == best_fit;
    }
    if (net_likely(count <= 1))
        return best;
    uint32_t nth = (uint32_t)((uint64_t)hash * count >> 32);
    for (l = best; nth; nth -= fit(l, key, v4) == best_fit)
        l = l->next;
    return l;
}

struct tcp_pcb *tcp_accept(struct tcp_listener *l)
{
    struct tcp_pcb *pcb = l->accept_head;
    if (!pcb)
        return NULL;
    l->accept_head = pcb->accept_next;
    l->accept_count--;
    pcb->listener = NULL;
    pcb->unaccepted = 0;
    /* What happened while it waited is news to whoever takes it. */
    unsigned events = 0;
    if (pcb->state != TCP_ESTABLISHED || pcb->rcv_bytes || pcb->urg_state != TCP_URG_NONE)
        events = (pcb->rcv_bytes || pcb->fin_received ? NET_EV_READABLE : 0) | (pcb->fin_received ? NET_EV_PEER_FIN : 0) |
                 (pcb->state == TCP_CLOSED ? NET_EV_CLOSED : 0) | (pcb->urg_state != TCP_URG_NONE ? NET_EV_URGENT : 0);
    net_event_forget(l->ns, &pcb->ep);
    if (events)
        net_event_post(l->ns, &pcb->ep, events);
    if (l->accept_head)
        net_event_post(l->ns, &l->ep, NET_EV_ACCEPT);
    return pcb;
}

static void drop_requests(struct net_flow *f, void *ctx)
{
    struct tcp_synreq *req = net_container_of(f, struct tcp_synreq, flow);
    if (f->kind == FLOW_TCP_SYN && req->listener == ctx)
        tcp_synreq_drop(req);
}

void tcp_listener_close(struct tcp_listener *l)
{
    struct net_stack *ns = l->ns;
    struct tcp_pcb *pcb;
    for (struct tcp_listener **at = bucket(ns, l->port); *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    while ((pcb = l->accept_head)) {
        if (pcb->state != TCP_CLOSED)
            tcp_send_reset(pcb);
        tcp_pcb_free(pcb);
    }
    tcp_fo_listener_closed(l);
    if (l->syn_count)
        net_flow_each(&ns->flows, drop_requests, l);
    net_event_forget(ns, &l->ep);
    net_slab_put(&ns->endpoints, l);
}

uint32_t tcp_initial_window(const struct tcp_opts *opts) { return opts->rcvbuf; }

/* It is out of the flow table already. */
static void release(struct tcp_synreq *req)
{
    struct net_stack *ns = req->ns;
    if (net_likely(req->queued))
        net_timer_queue_remove(&ns->syn_wait, &req->timer);
    else
        net_timer_cancel(&ns->wheel, &req->timer);
    req->listener->syn_count--;
    ns->syn_count--;
    net_slab_put(&ns->tcp_syns, req);
}

void tcp_synreq_drop(struct tcp_synreq *req)
{
    tcp_flow_remove(req->ns, &req->flow);
    release(req);
}

static void synack_timeout(struct net_timer *t)
{
    struct tcp_synreq *req = net_container_of(t, struct tcp_synreq, timer);
    req->queued = 0;
    if (req->retries >= TCP_SYNACK_RETRIES) {
        tcp_synreq_drop(req);
        return;
    }
    req->retries++;
    req->hs.retransmitted = 1;
    tcp_synack(req->ns, &req->hs, &req->listener->opts, &req->path);
    net_timer_arm(&req->ns->wheel, t, req->ns->now_ns + ((uint64_t)TCP_RTO_INITIAL_US << req->retries) * NET_NS_PER_US);
}

void tcp_synreq_insert(struct net_stack *ns, struct tcp_synreq *req, uint64_t left_ns)
{
    req->flow.kind = FLOW_TCP_SYN;
    req->ns = ns;
    req->timer.fire = synack_timeout;
    req->hs.hash = req->flow.hash = net_flow_hash(&ns->flows.key, &req->flow.key);
    net_flow_insert_hashed(&ns->flows, &req->flow);
    req->listener->syn_count++;
    ns->syn_count++;
    net_timer_arm(&ns->wheel, &req->timer, ns->now_ns + left_ns);
}

void tcp_listener_append(struct tcp_listener *l, struct tcp_pcb *pcb)
{
    pcb->listener = l;
    pcb->unaccepted = 1;
    pcb->accept_next = NULL;
    if (l->accept_head)
        l->accept_tail->accept_next = pcb;
    else
        l->accept_head = pcb;
    l->accept_tail = pcb;
    l->accept_count++;
    net_event_post(l->ns, &l->ep, NET_EV_ACCEPT);
}

/* path: the one that the answer takes if it is known already, else no good one. */
static void fill_handshake(struct tcp_listener *l, const struct tcp_in *in, const struct net_flow_key *key, struct tcp_handshake *hs,
                           struct net_path *path)
{
    struct net_stack *ns = l->ns;
    hs->key = *key; /* all of it, one by one: clearing it first is a part of what a SYN costs */
    hs->hash = in->hash;
    hs->irs = in->seq;
    hs->iss = tcp_isn(ns, key);
    hs->ts_recent = in->has_ts ? in->tsval : 0;
    hs->wnd = in->wnd;
    hs->rtt_us = 0;
    hs->mss = in->has_mss ? in->mss : net_addr_is_v4(&key->remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    hs->ts_ok = in->has_ts;
    hs->sack_ok = in->sack_ok;
    hs->ws_ok = in->has_wscale;
    hs->snd_wscale = in->has_wscale ? in->wscale : 0;
    hs->retransmitted = hs->fo_cookie = hs->fast_open = 0;
    const struct net_path_memo *m = net_path_known(ns, &key->local, &key->remote);
    if (net_likely(m && m->ts_known)) {
        hs->ts_offset = m->ts_offset;
        *path = m->path;
    } else {
        hs->ts_offset = tcp_ts_offset(ns, key);
        path->generation = 0;
    }
    hs->rcv_wscale = hs->ws_ok ? tcp_choose_wscale(&l->opts) : 0;
    hs->ecn_ok = l->opts.ecn && (in->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

void tcp_listen_input(struct tcp_listener *l, struct tcp_in *in, const struct net_flow_key *key)
{
    struct net_stack *ns = l->ns;
    if (in->flags & TCP_RST)
        return;
    if (in->flags & TCP_ACK) {
        struct tcp_handshake hs;
        struct tcp_pcb *pcb;
        if (!(in->flags & TCP_SYN) && tcp_cookie_check(ns, in, key, &hs)) {
            hs.rcv_wscale = hs.ws_ok ? tcp_choose_wscale(&l->opts) : 0;
            pcb = tcp_listener_spawn(l, &hs, NULL);
            if (pcb)
                tcp_segment_input(pcb, in);
            return;
        }
        tcp_reset_for(ns, key, in);
        return;
    }
    if (!(in->flags & TCP_SYN) || (in->flags & TCP_FIN))
        return;
    if (l->accept_count >= l->backlog) {
        ns->counters.tcp_listen_overflow++;
        return; /* the peer's retransmission asks again */
    }
    if (net_unlikely(!tcp_pcb_room(ns))) { /* as well: nothing would come of the handshake */
        ns->counters.memory_refused++;
        return;
    }
    bool fo_cookie = false;
    if (net_unlikely(in->has_fo) && l->opts.fastopen) {
        struct tcp_handshake hs;
        struct net_path path;
        fill_handshake(l, in, key, &hs, &path);
        if (tcp_fo_listen(l, in, &hs))
            return;
        fo_cookie = hs.fo_cookie;
    }
    struct tcp_synreq *req = NULL;
    if (l->syn_count < net_max(l->backlog, SYNREQ_MIN) && ns->syn_count < SYNREQ_LIMIT && !net_mem_pressed(&ns->mem))
        req = net_slab_get(&ns->tcp_syns);
    if (!req) {
        tcp_cookie_send(l, in, key);
        return;
    }
    req->flow.kind = FLOW_TCP_SYN; /* field by field: hs is most of it, and filled in anyway */
    req->flow.key = *key;
    req->flow.hash = in->hash;
    req->timer.fire = synack_timeout;
    req->ns = ns;
    req->listener = l;
    req->sent_ns = ns->now_ns;
    req->retries = 0;
    fill_handshake(l, in, key, &req->hs, &req->path);
    req->hs.fo_cookie = fo_cookie;
    net_flow_insert_hashed(&ns->flows, &req->flow);
    ns->last_flow = &req->flow;
    l->syn_count++;
    ns->syn_count++;
    req->queued = 1;
    net_timer_queue_add(&ns->syn_wait, &req->timer, ns->now_ns + TCP_RTO_INITIAL_US * NET_NS_PER_US);
    tcp_synack(ns, &req->hs, &l->opts, &req->path);
}

void tcp_synreq_input(struct tcp_synreq *req, struct tcp_in *in)
{
    struct net_stack *ns = req->ns;
    struct tcp_handshake *hs = &req->hs;
    struct tcp_listener *l = req->listener;
    uint32_t rcv_nxt = hs->irs + 1, window = net_min(tcp_initial_window(&l->opts), 65535u);
    bool in_window = seq_lt(in->seq, rcv_nxt + window) && (seq_ge(in->seq, rcv_nxt) || seq_gt(in->end, rcv_nxt)); /* any part: RFC 9293 3.4 */
    if (in->flags & TCP_RST) {
        if (in->seq == rcv_nxt) {
            ns->counters.tcp_rst_in++;
            tcp_synreq_drop(req);
        }
        return;
    }
    if (in->flags & TCP_SYN) {
        /* The same SYN again, or something old: the same answer, at most one in a while. */
        if (in->seq == hs->irs && ns->now_ns - req->sent_ns > 100 * NET_NS_PER_MS) {
            req->sent_ns = ns->now_ns;
            hs->retransmitted = 1;
            tcp_synack(ns, hs, &l->opts, &req->path);
        }
        return;
    }
    if (!(in->flags & TCP_ACK))
        return;
    if (in->ack != hs->iss + 1) {
        tcp_reset_for(ns, &hs->key, in);
        return;
    }
    if (hs->ts_ok && in->has_ts && (int32_t)(in->tsval - hs->ts_recent) < 0)
        return; /* PAWS */
    if (!in_window) {
        tcp_synack(ns, hs, &l->opts, &req->path);
        return;
    }
    if (!hs->retransmitted)
        hs->rtt_us = tcp_elapsed_us(ns->now_ns, req->sent_ns);
    if (l->accept_count >= l->backlog) {
        ns->counters.tcp_listen_overflow++;
        return; /* the SYN-ACK will be retransmitted and answered again */
    }
    uint8_t wscale = hs->snd_wscale;
    struct tcp_pcb *pcb = tcp_listener_spawn(l, hs, req);
    if (!pcb)
        return;
    if (net_likely(seq_ge(in->seq, pcb->irs))) {
        pcb->snd_wnd = in->wnd << wscale; /* newer than the SYN's, which was not scaled */
        pcb->max_wnd = net_max(pcb->max_wnd, pcb->snd_wnd);
        pcb->snd_wl1 = in->seq;
    }
    if (in->len || in->seq != pcb->rcv_nxt || in->flags != TCP_ACK) {
        tcp_segment_input(pcb, in);
        return;
    }
    pcb->segs_in = 1;
    if (in->has_ts && pcb->ts_ok)
        pcb->ts_recent = in->tsval;
}

struct tcp_pcb *tcp_listener_spawn(struct tcp_listener *l, const struct tcp_handshake *hs, struct tcp_synreq *from)
{
    struct net_stack *ns = l->ns;
    struct tcp_pcb *pcb = NULL;
    if (l->accept_count >= l->backlog)
        ns->counters.tcp_listen_overflow++;
    else
        pcb = tcp_pcb_new(ns, &hs->key, &l->opts);
    if (net_unlikely(!pcb)) {
        if (from)
            tcp_synreq_drop(from);
        return NULL;
    }
    pcb->iss = hs->iss;
    pcb->irs = hs->irs;
    pcb->snd_una = pcb->snd_nxt = pcb->write_seq = pcb->snd_wl2 = hs->iss + 1;
    pcb->high_seq = pcb->ecn_high = pcb->reo_round_end = pcb->snd_sml = pcb->snd_una;
    pcb->snd_wl1 = hs->irs;
    pcb->snd_wnd = pcb->max_wnd = hs->wnd;
    pcb->rcv_nxt = pcb->rcv_wup = hs->irs + 1;
    pcb->rcv_adv = pcb->rcv_nxt + net_min(tcp_initial_window(&l->opts), 65535u);
    pcb->ts_ok = hs->ts_ok;
    pcb->sack_ok = hs->sack_ok;
    pcb->ws_ok = hs->ws_ok;
    pcb->ecn_ok = hs->ecn_ok;
    pcb->snd_wscale = hs->snd_wscale;
    pcb->rcv_wscale = hs->rcv_wscale;
    pcb->ts_recent = hs->ts_recent;
    pcb->ts_recent_ns = ns->now_ns;
    pcb->ts_offset = hs->ts_offset;
    pcb->syn_lost = hs->retransmitted;
    if (from)
        pcb->path = from->path;
    tcp_path(pcb);
    pcb->adv_mss = tcp_set_mss(pcb, hs->mss);
    tcp_rcv_init(pcb);
    if (hs->rtt_us)
        tcp_rtt_sample(pcb, hs->rtt_us);
    if (net_likely(from != NULL)) {
        net_flow_replace(&ns->flows, &from->flow, &pcb->flow);
    } else {
        pcb->flow.hash = hs->hash;
        net_flow_insert_hashed(&ns->flows, &pcb->flow);
    }
    ns->last_flow = &pcb->flow; /* its first data often comes next */
    pcb->in_table = 1;
    ns->counters.tcp_accepted++;
    tcp_listener_append(l, pcb);
    if (net_likely(!hs->fast_open)) {
        if (from)
            release(from);
        tcp_established(pcb);
        return pcb;
    }
    pcb->state = TCP_SYN_RCVD; /* our SYN-ACK is yet to be sent */
    pcb->snd_una = pcb->snd_nxt = hs->iss;
    pcb->high_seq = pcb->ecn_high = pcb->reo_round_end = hs->iss;
    pcb->rcv_space = pcb->opts.rcvbuf / 2;
    pcb->rcv_space_ns = ns->now_ns;
    tcp_cc_init(pcb);
    return pcb;
}
