/* SPDX-License-Identifier: BSD-2-Clause */
/* What users call: connect, send, receive, close. */
#include "cokernel/net/tcp_internal.h"

struct tcp_pcb *tcp_connect(struct net_stack *ns, const struct tcp_connect *how, int *error)
{
    struct net_flow_key key = { .local = how->local, .remote = how->remote, .local_port = how->local_port, .remote_port = how->remote_port };
    struct net_path path;
    struct tcp_opts opts;
    *error = -NET_EINVAL;
    if (!how->remote_port || net_addr_is_any(&how->remote) || net_addr_is_multicast(&how->remote))
        return NULL;
    if (how->data_bytes > TCP_SNDBUF_DEFAULT)
        return NULL;
    if ((*error = net_path_find(ns, &key.local, &key.remote, how->iface, &path)) < 0)
        return NULL;
    if (net_iface_is_broadcast(path.iface, &how->remote)) {
        *error = -NET_ENETUNREACH;
        return NULL;
    }
    *error = -NET_EADDRINUSE;
    if (key.local_port ? net_flow_find(&ns->flows, &key) != NULL : !tcp_pick_port(ns, &key)) {
        struct net_flow *f = key.local_port ? net_flow_find(&ns->flows, &key) : NULL;
        struct tcp_timewait *tw = f && f->kind == FLOW_TCP_TIMEWAIT ? net_container_of(f, struct tcp_timewait, flow) : NULL;
        if (!tw || !tw->ts_ok || ns->now_ns < tw->ack_ns + NET_NS_PER_S) {
            *error = key.local_port ? -NET_EADDRINUSE : -NET_EADDRNOTAVAIL;
            return NULL;
        }
        tcp_timewait_drop(tw); /* RFC 6191 */
    }
    tcp_opts_default(&opts);
    struct tcp_pcb *pcb = tcp_pcb_new(ns, &key, &opts);
    if (!pcb) {
        *error = -NET_ENOMEM;
        return NULL;
    }
    pcb->ep.user = how->user;
    pcb->path = path;
    pcb->iss = tcp_isn(ns, &key);
    pcb->ts_offset = tcp_ts_offset(ns, &key);
    pcb->snd_una = pcb->iss;
    pcb->snd_nxt = pcb->write_seq = pcb->snd_wl2 = pcb->iss + 1;
    pcb->high_seq = pcb->ecn_high = pcb->reo_round_end = pcb->iss;
    pcb->adv_mss = tcp_advertised_mss(ns, &key.remote, path.mtu, 0);
    pcb->mss = net_addr_is_v4(&key.remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    pcb->rcv_wscale = tcp_choose_wscale(&opts);
    pcb->state = TCP_SYN_SENT;
    tcp_pcb_insert(pcb);
    ns->counters.tcp_opened++;
    pcb->cc = tcp_cc_table[opts.cc];
    pcb->cwnd = pcb->mss;
    if (how->fast_open)
        pcb->fo = TCP_FO_ACTIVE;
    if (how->data_bytes && tcp_write(pcb, how->data, how->data_bytes) != how->data_bytes) {
        tcp_pcb_free(pcb);
        *error = -NET_ENOMEM;
        return NULL;
    }
    tcp_send_syn(pcb);
    if (!pcb->rtx_head) { /* no memory to remember the SYN by: nothing would ever repeat it */
        tcp_pcb_free(pcb);
        *error = -NET_ENOMEM;
        return NULL;
    }
    tcp_rearm_rtx(pcb);
    *error = 0;
    return pcb;
}

static int check_send(struct tcp_pcb *pcb)
{
    if (pcb->state == TCP_CLOSED)
        return pcb->ep.error ? -pcb->ep.error : -NET_EPIPE;
    if (pcb->fin_queued)
        return -NET_EPIPE;
    if (pcb->write_seq - pcb->snd_una >= pcb->opts.sndbuf || pcb->snd_true >= 2 * pcb->opts.sndbuf + 65536 ||
        (pcb->snd_head && net_mem_pressed(&pcb->ns->mem))) {
        pcb->want_write = 1;
        return -NET_EAGAIN;
    }
    if (net_unlikely(net_mem_full(&pcb->ns->mem))) { /* nothing is under way here whose acknowledgement would tell when to go on */
        pcb->ns->counters.memory_refused++;
        return -NET_ENOBUFS;
    }
    return 0;
}

static void enqueue_part(struct tcp_pcb *pcb, struct pbuf *pb)
{
    pb->link = NULL;
    pb->total = pb->len;
    pb->seq = pcb->write_seq;
    pcb->write_seq += pb->len;
    pcb->snd_true += pbuf_true_bytes(pb);
    if (pcb->snd_head)
        pcb->snd_tail->link = pb;
    else
        pcb->snd_head = pb;
    pcb->snd_tail = pb;
    if (!pcb->snd_cursor)
        pcb->snd_cursor = pb;
}

/* The queue needs descriptors of its own; shared parts become views. */
static struct pbuf *own_parts(struct tcp_pcb *pcb, struct pbuf *data)
{
    bool shared = false;
    for (struct pbuf *p = data; p; p = p->next)
        shared |= p->refs > 1;
    if (!shared)
        return data;
    struct pbuf *head = NULL, *tail = NULL;
    for (struct pbuf *p = data; p; p = p->next) {
        struct pbuf *v = pbuf_view(&pcb->ns->pools, p, 0, p->len);
        if (!v) {
            if (head)
                pbuf_put(head);
            return NULL;
        }
        if (tail)
            tail->next = v;
        else
            head = v;
        tail = v;
    }
    pbuf_put(data);
    return head;
}

int tcp_send(struct tcp_pcb *pcb, struct pbuf *data)
{
    int err = check_send(pcb);
    if (err < 0)
        return err;
    data = own_parts(pcb, data);
    if (!data)
        return -NET_ENOBUFS;
    bool pressed = net_mem_pressed(&pcb->ns->mem);
    while (data) {
        struct pbuf *next = data->next;
        data->next = NULL;
        data->total = data->len;
        if (net_unlikely(pressed)) /* whoever lets us wait for an acknowledgement should not hold much */
            data = pbuf_shrink(data);
        data->flags = 0;
        if (data->len)
            enqueue_part(pcb, data);
        else
            pbuf_put(data);
        data = next;
    }
    if (pcb->state != TCP_SYN_SENT && (pcb->state != TCP_SYN_RCVD || pcb->fo))
        tcp_mark_dirty(pcb);
    return 0;
}

uint32_t tcp_send_room(const struct tcp_pcb *pcb)
{
    uint32_t queued = pcb->write_seq - pcb->snd_una;
    return pcb->state == TCP_CLOSED || pcb->fin_queued || queued >= pcb->opts.sndbuf ? 0 : pcb->opts.sndbuf - queued;
}

static struct pbuf *alloc_for(struct tcp_pcb *pcb, uint32_t len)
{
    struct net_stack *ns = pcb->ns;
    if (net_likely(!net_mem_pressed(&ns->mem)) || len > PBUF_MEDIUM_BYTES - PBUF_DESC_BYTES)
        return pbuf_alloc_large(&ns->pools, 0);
    return len <= PBUF_SMALL_BYTES - PBUF_DESC_BYTES ? pbuf_alloc_small(&ns->pools, 0) : pbuf_alloc_medium(&ns->pools, 0);
}

int64_t tcp_write(struct tcp_pcb *pcb, const void *data, uint32_t len)
{
    const uint8_t *from = data;
    int err = check_send(pcb);
    if (err < 0)
        return err;
    uint32_t want = net_min(len, tcp_send_room(pcb)), left = want;
    if (want < len)
        pcb->want_write = 1;
    while (left) {
        struct pbuf *t = pcb->snd_tail;
        if (t && (t->flags & PBUF_APPENDABLE) && pbuf_tailroom(t)) {
            uint32_t n = net_min(left, pbuf_tailroom(t));
            net_copy(pbuf_extend(t, n), from, n);
            pcb->write_seq += n;
            if (!pcb->snd_cursor)
                pcb->snd_cursor = t;
            from += n;
            left -= n;
            continue;
        }
        struct pbuf *pb = alloc_for(pcb, left);
        if (!pb) {
            pcb->want_write = 1;
            break;
        }
        uint32_t n = net_min(left, pbuf_tailroom(pb));
        net_copy(pbuf_extend(pb, n), from, n);
        pb->flags = PBUF_APPENDABLE;
        enqueue_part(pcb, pb);
        from += n;
        left -= n;
    }
    if (left == want && want)
        return -NET_ENOBUFS;
    if (pcb->state != TCP_SYN_SENT && (pcb->state != TCP_SYN_RCVD || pcb->fo))
        tcp_mark_dirty(pcb);
    return want - left;
}

int tcp_send_urgent(struct tcp_pcb *pcb, uint8_t byte)
{
    int64_t n = tcp_write(pcb, &byte, 1);
    if (n < 0)
        return (int)n;
    pcb->urg_sent = 1;
    pcb->snd_up = pcb->write_seq; /* RFC 6093 3.1: as implementations do, past the byte */
    return 0;
}

static struct pbuf *pop(struct tcp_pcb *pcb)
{
    struct pbuf *pb = pcb->rcv_head;
    pcb->rcv_head = pb->link;
    if (!pcb->rcv_head)
        pcb->rcv_tail = NULL;
    pb->link = NULL;
    uint32_t n = pb->total;
    pcb->rcv_bytes -= n;
    /* Parts merged behind each other were counted once, when the first came. */
    pcb->rcv_true -= net_min(pbuf_true_bytes(pb), pcb->rcv_true);
    tcp_window_freed(pcb, n);
    return pb;
}

void tcp_rcv_drop(struct tcp_pcb *pcb, uint32_t n)
{
    while (n) {
        struct pbuf *pb = pcb->rcv_head, *link = pb->link;
        if (n >= pb->total) {
            n -= pb->total;
            pbuf_put(pop(pcb));
            continue;
        }
        uint32_t before = pbuf_true_bytes(pb);
        pb = pbuf_advance(pb, n);
        pb->link = link;
        pcb->rcv_head = pb;
        if (!link)
            pcb->rcv_tail = pb;
        pcb->rcv_true -= net_min(before - pbuf_true_bytes(pb), pcb->rcv_true);
        pcb->rcv_bytes -= n;
        tcp_window_freed(pcb, n);
        return;
    }
}

/* The first n bytes of the packet in front, which is longer, as a packet of its own. */
static struct pbuf *pop_front(struct tcp_pcb *pcb, uint32_t n)
{
    struct pbuf *p = pcb->rcv_head, *head = pbuf_view(&pcb->ns->pools, p, 0, net_min(p->len, n)), *tail = head;
    if (!head)
        return NULL;
    for (uint32_t left = n - head->len; left; left -= tail->len) {
        p = p->next;
        tail->next = pbuf_view(&pcb->ns->pools, p, 0, net_min(p->len, left));
        tail = tail->next;
        if (!tail) {
            pbuf_put(head);
            return NULL;
        }
    }
    head->total = n;
    tcp_rcv_drop(pcb, n);
    return head;
}

static __attribute__((noinline)) struct pbuf *recv_before_urgent(struct tcp_pcb *pcb)
{
    uint32_t stop = tcp_urgent_stop(pcb);
    if (!pcb->rcv_head)
        return NULL;
    return stop < pcb->rcv_head->total ? pop_front(pcb, stop) : pop(pcb);
}

struct pbuf *tcp_recv(struct tcp_pcb *pcb)
{
    if (net_unlikely(pcb->urg_state != TCP_URG_NONE))
        return recv_before_urgent(pcb);
    return pcb->rcv_head ? pop(pcb) : NULL;
}

int64_t tcp_read(struct tcp_pcb *pcb, void *out, uint32_t len)
{
    uint8_t *to = out;
    uint32_t done = 0;
    if (net_unlikely(pcb->urg_state != TCP_URG_NONE) && len)
        len = net_min(len, tcp_urgent_stop(pcb));
    while (done < len && pcb->rcv_head) {
        uint32_t n = pbuf_copy_out(pcb->rcv_head, 0, to + done, len - done);
        done += n;
        tcp_rcv_drop(pcb, n);
    }
    if (done)
        return done;
    if (tcp_at_eof(pcb))
        return 0;
    if (pcb->state == TCP_CLOSED)
        return pcb->ep.error ? -pcb->ep.error : 0;
    return -NET_EAGAIN;
}

bool tcp_at_eof(const struct tcp_pcb *pcb) { return pcb->fin_received && !pcb->rcv_head; }


int tcp_shutdown(struct tcp_pcb *pcb)
{
    if (pcb->fin_queued)
        return pcb->state == TCP_CLOSED ? -NET_ENOTCONN : 0;
    switch (pcb->state) {
    case TCP_ESTABLISHED:
        pcb->state = TCP_FIN_WAIT_1;
        break;
    case TCP_SYN_RCVD: /* RFC 9293 3.10.4: after the handshake */
        break;
    case TCP_CLOSE_WAIT:
        pcb->state = TCP_LAST_ACK;
        break;
    case TCP_SYN_SENT: /* RFC 9293 3.10.4: nothing was ever said */
        tcp_pcb_done(pcb, 0);
        return 0;
    default:
        return -NET_ENOTCONN;
    }
    pcb->fin_queued = 1;
    tcp_mark_dirty(pcb);
    return 0;
}

void tcp_close(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    net_event_forget(ns, &pcb->ep);
    if (pcb->state == TCP_CLOSED) {
        tcp_pcb_free(pcb);
        return;
    }
    if (pcb->rcv_bytes || pcb->opts.linger_s == 0) { /* RFC 2525 2.17; what waits behind a gap could not be read yet */
        tcp_abort(pcb);
        return;
    }
    pcb->user_gone = 1;
    if (pcb->state == TCP_FIN_WAIT_2) {
        tcp_deadline_set(pcb, TCP_T_KEEP, ns->now_ns + pcb->opts.linger2_s * NET_NS_PER_S);
        return;
    }
    if (!pcb->fin_queued)
        tcp_shutdown(pcb); /* may free pcb */
}

void tcp_abort(struct tcp_pcb *pcb)
{
    if (pcb->state != TCP_CLOSED && pcb->state != TCP_SYN_SENT)
        tcp_send_reset(pcb);
    tcp_pcb_free(pcb);
}
