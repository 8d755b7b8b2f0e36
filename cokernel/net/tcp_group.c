/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/tcp_group.h"

#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/tcp_migrate.h"

#define GROUP_MAGIC 0x6e636767u /* "ggcn" */
#define GROUP_VERSION 1u

enum item_kind { ITEM_CONN, ITEM_HALF_OPEN, ITEM_TIME_WAIT };
enum item_flag { ITEM_ORPHAN = 1, ITEM_PENDING = 2 }; /* of a connection: its user has closed it; nobody has accepted it */

struct group_header {
    uint32_t magic, version;
    uint64_t bytes;          /* everything, this included */
    uint32_t group, items;
    uint64_t cookie_left_ns; /* cookies sent for it may yet come back */
};

struct item_header {
    uint32_t kind, flags;
    uint64_t token;          /* the user's */
    uint64_t bytes;          /* of what follows */
};

/* Half-open or TIME_WAIT. */
struct small_item {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
    uint32_t ts_now;         /* our time stamp clock */
    uint64_t age_ns, left_ns; /* since the last answer; until the timer fires */
    uint32_t iss, irs, ts_recent, wnd, rtt_us; /* TIME_WAIT: snd_nxt, rcv_nxt, ts_recent, rcv_wnd */
    uint16_t mss;
    uint8_t ts_ok, sack_ok, ws_ok, ecn_ok, snd_wscale, rcv_wscale, retransmitted, retries;
    uint8_t pad[2];
};
_Static_assert(sizeof(struct small_item) == 88, "no padding but what is named");

struct walk {
    struct net_stack *ns;
    const struct net_rss *rss;
    const struct tcp_group_users *users;
    uint8_t *out;
    uint64_t bytes;
    uint32_t group, items;
    bool busy;
};

static bool is_open(const struct tcp_pcb *pcb) { return pcb->state != TCP_SYN_SENT && pcb->state != TCP_SYN_RCVD; }

static void measure(struct net_flow *f, void *ctx)
{
    struct walk *w = ctx;
    if (f->kind == FLOW_UDP || net_rss_group(w->rss, &f->key) != w->group)
        return;
    w->bytes += sizeof(struct item_header);
    if (f->kind == FLOW_TCP) {
        const struct tcp_pcb *pcb = net_container_of(f, struct tcp_pcb, flow);
        w->busy |= !is_open(pcb);
        w->bytes += tcp_image_bytes(pcb);
    } else {
        w->bytes += sizeof(struct small_item);
    }
}

int64_t tcp_group_bytes(struct net_stack *ns, const struct net_rss *rss, uint32_t group)
{
    struct walk w = { .ns = ns, .rss = rss, .group = group, .bytes = sizeof(struct group_header) };
    net_flow_each(&ns->flows, measure, &w);
    return w.busy ? -NET_EAGAIN : (int64_t)w.bytes;
}

static void put(struct walk *w, const void *data, size_t bytes)
{
    net_copy(w->out + w->bytes, data, bytes);
    w->bytes += bytes;
}

static uint64_t until(uint64_t at, uint64_t now) { return at > now ? at - now : 0; }

static void save_key(struct small_item *s, const struct net_flow_key *k)
{
    net_copy(s->local, k->local.b, 16);
    net_copy(s->remote, k->remote.b, 16);
    s->local_port = k->local_port;
    s->remote_port = k->remote_port;
}

static void save_conn(struct walk *w, struct tcp_pcb *pcb)
{
    struct item_header h = { .kind = ITEM_CONN, .bytes = tcp_image_bytes(pcb) };
    if (pcb->user_gone)
        h.flags = ITEM_ORPHAN;
    else if (pcb->listener)
        h.flags = ITEM_PENDING;
    else if (w->users->leaves)
        h.token = w->users->leaves(w->users->ctx, pcb);
    put(w, &h, sizeof h);
    tcp_image_write(pcb, w->out + w->bytes);
    w->bytes += h.bytes;
    w->ns->counters.tcp_exported++;
    tcp_pcb_free(pcb);
}

static void save_half_open(struct walk *w, struct tcp_synreq *req)
{
    const struct tcp_handshake *hs = &req->hs;
    uint64_t now = w->ns->now_ns;
    struct item_header h = { .kind = ITEM_HALF_OPEN, .bytes = sizeof(struct small_item) };
    struct small_item s = {
        .ts_now = tcp_ts_now(w->ns, hs->ts_offset), .age_ns = now - req->sent_ns, .left_ns = until(req->timer.tick << TIMER_TICK_SHIFT, now),
        .iss = hs->iss, .irs = hs->irs, .ts_recent = hs->ts_recent, .wnd = hs->wnd, .rtt_us = hs->rtt_us, .mss = hs->mss, .ts_ok = hs->ts_ok,
        .sack_ok = hs->sack_ok, .ws_ok = hs->ws_ok, .ecn_ok = hs->ecn_ok, .snd_wscale = hs->snd_wscale, .rcv_wscale = hs->rcv_wscale,
        .retransmitted = hs->retransmitted, .retries = req->retries,
    };
    save_key(&s, &req->flow.key);
    put(w, &h, sizeof h);
    put(w, &s, sizeof s);
    tcp_synreq_drop(req);
}

static void save_waiting(struct walk *w, struct tcp_timewait *tw)
{
    uint64_t now = w->ns->now_ns;
    struct item_header h = { .kind = ITEM_TIME_WAIT, .bytes = sizeof(struct small_item) };
    struct small_item s = { .ts_now = tcp_ts_now(w->ns, tw->ts_offset), .age_ns = now - tw->ack_ns, .left_ns = until(tw->timer.tick << TIMER_TICK_SHIFT, now),
                            .iss = tw->snd_nxt, .irs = tw->rcv_nxt, .ts_recent = tw->ts_recent, .wnd = tw->rcv_wnd, .ts_ok = tw->ts_ok };
    save_key(&s, &tw->flow.key);
    put(w, &h, sizeof h);
    put(w, &s, sizeof s);
    tcp_timewait_drop(tw);
}

static void save(struct net_flow *f, void *ctx)
{
    struct walk *w = ctx;
    if (f->kind == FLOW_UDP || net_rss_group(w->rss, &f->key) != w->group)
        return;
    w->items++;
    if (f->kind == FLOW_TCP)
        save_conn(w, net_container_of(f, struct tcp_pcb, flow));
    else if (f->kind == FLOW_TCP_SYN)
        save_half_open(w, net_container_of(f, struct tcp_synreq, flow));
    else
        save_waiting(w, net_container_of(f, struct tcp_timewait, flow));
}

int64_t tcp_group_export(struct net_stack *ns, const struct net_rss *rss, uint32_t group, void *image, size_t room, const struct tcp_group_users *users)
{
    int64_t bytes = tcp_group_bytes(ns, rss, group);
    if (bytes < 0)
        return bytes;
    if ((uint64_t)bytes > room)
        return -NET_ENOSPC;
    struct walk w = { .ns = ns, .rss = rss, .users = users, .group = group, .out = image, .bytes = sizeof(struct group_header) };
    net_flow_each(&ns->flows, save, &w);
    struct group_header h = { .magic = GROUP_MAGIC, .version = GROUP_VERSION, .bytes = w.bytes, .group = group, .items = w.items,
                              .cookie_left_ns = until(ns->cookie_until_ns, ns->now_ns) };
    net_copy(image, &h, sizeof h);
    return (int64_t)w.bytes;
}

static bool take_conn(struct net_stack *ns, const struct item_header *h, const uint8_t *p, const struct tcp_group_users *users)
{
    int error;
    if (h->flags > ITEM_PENDING)
        return false;
    struct tcp_pcb *pcb = tcp_import(ns, p, h->bytes, NULL, &error);
    if (!pcb)
        return false;
    if (!h->flags) {
        if (users->arrives)
            users->arrives(users->ctx, pcb, h->token);
        return true;
    }
    net_event_forget(ns, &pcb->ep); /* no handle, no events */
    if (h->flags == ITEM_ORPHAN) {
        if (pcb->state == TCP_ESTABLISHED || pcb->state == TCP_CLOSE_WAIT) { /* closed means that it has sent or queued its FIN */
            tcp_pcb_free(pcb);
            return false;
        }
        pcb->user_gone = 1;
        if (pcb->state == TCP_FIN_WAIT_2 && !pcb->deadlines[TCP_T_KEEP])
            tcp_deadline_set(pcb, TCP_T_KEEP, ns->now_ns + pcb->opts.linger2_s * NET_NS_PER_S);
        return true;
    }
    struct tcp_listener *l = tcp_find_listener(ns, &pcb->flow.key, net_flow_hash(&ns->flows.key, &pcb->flow.key));
    if (!l) {
        tcp_send_reset(pcb);
        tcp_pcb_free(pcb);
        return false;
    }
    tcp_listener_append(l, pcb);
    return true;
}

static bool take_small(struct net_stack *ns, uint32_t kind, const struct small_item *s)
{
    struct net_flow_key key = { .local = net_addr_v6(s->local), .remote = net_addr_v6(s->remote), .local_port = s->local_port, .remote_port = s->remote_port };
    uint64_t now = ns->now_ns, age = net_min(s->age_ns, now), left = net_min(s->left_ns, (uint64_t)TCP_TIMEWAIT_NS);
    uint32_t ts_offset = s->ts_now - (uint32_t)(now / NET_NS_PER_MS);
    if (!tcp_key_plausible(&key) || net_flow_find(&ns->flows, &key) || (s->ts_ok | s->sack_ok | s->ws_ok | s->ecn_ok | s->retransmitted) > 1)
        return false;
    if (kind == ITEM_TIME_WAIT) {
        struct tcp_timewait *tw = net_slab_get(&ns->tcp_timewaits);
        if (!tw)
            return false;
        *tw = (struct tcp_timewait){ .flow.key = key, .snd_nxt = s->iss, .rcv_nxt = s->irs, .ts_recent = s->ts_recent, .ts_offset = ts_offset,
                                     .rcv_wnd = s->wnd, .ts_ok = s->ts_ok, .ack_ns = now - age };
        tcp_timewait_insert(ns, tw, left);
        return true;
    }
    struct tcp_listener *l = tcp_find_listener(ns, &key, net_flow_hash(&ns->flows.key, &key));
    if (!l || s->mss < TCP_MSS_MIN || s->snd_wscale > TCP_WSCALE_MAX || s->rcv_wscale > TCP_WSCALE_MAX || s->wnd > 65535)
        return false;
    struct tcp_synreq *req = net_slab_get(&ns->tcp_syns);
    if (!req)
        return false;
    *req = (struct tcp_synreq){
        .flow.key = key, .listener = l, .sent_ns = now - age, .retries = s->retries,
        .hs = { .key = key, .iss = s->iss, .irs = s->irs, .ts_recent = s->ts_recent, .ts_offset = ts_offset, .wnd = s->wnd, .rtt_us = s->rtt_us, .mss = s->mss,
                .ts_ok = s->ts_ok, .sack_ok = s->sack_ok, .ws_ok = s->ws_ok, .ecn_ok = s->ecn_ok, .snd_wscale = s->snd_wscale,
                .rcv_wscale = s->rcv_wscale, .retransmitted = s->retransmitted },
    };
    tcp_synreq_insert(ns, req, left);
    return true;
}

/* Where the flow of an item hashes to; false if it is too short to say. */
static bool in_group(const struct net_rss *rss, uint32_t group, const struct item_header *h, const uint8_t *p)
{
    struct net_flow_key key;
    if (h->kind == ITEM_CONN) {
        if (!tcp_image_key(p, h->bytes, &key))
            return false;
    } else {
        struct small_item s;
        if (h->kind > ITEM_TIME_WAIT || h->bytes != sizeof s)
            return false;
        net_copy(&s, p, sizeof s);
        key = (struct net_flow_key){ .local = net_addr_v6(s.local), .remote = net_addr_v6(s.remote), .local_port = s.local_port, .remote_port = s.remote_port };
    }
    return net_rss_group(rss, &key) == group;
}

int tcp_group_import(struct net_stack *ns, const struct net_rss *rss, uint32_t group, const void *image, size_t bytes, const struct tcp_group_users *users,
                     struct tcp_group_report *report)
{
    const uint8_t *p = image;
    struct group_header g;
    *report = (struct tcp_group_report){ 0 };
    if (bytes < sizeof g)
        return -NET_EPROTO;
    net_copy(&g, p, sizeof g); /* copied once, then checked */
    if (g.magic != GROUP_MAGIC || g.version != GROUP_VERSION || g.bytes != bytes || g.group != group)
        return -NET_EPROTO;
    ns->cookie_until_ns = net_max(ns->cookie_until_ns, ns->now_ns + net_min(g.cookie_left_ns, TCP_COOKIE_NS));
    size_t at = sizeof g;
    for (uint32_t k = 0; k < g.items; k++) {
        struct item_header h;
        if (bytes - at < sizeof h)
            return -NET_EPROTO;
        net_copy(&h, p + at, sizeof h);
        at += sizeof h;
        if (h.bytes > bytes - at)
            return -NET_EPROTO;
        bool taken = in_group(rss, group, &h, p + at);
        if (taken && h.kind == ITEM_CONN) {
            taken = take_conn(ns, &h, p + at, users);
        } else if (taken) {
            struct small_item s;
            net_copy(&s, p + at, sizeof s);
            taken = take_small(ns, h.kind, &s);
        }
        report->taken += taken;
        report->refused += !taken;
        at += h.bytes;
    }
    return 0;
}
