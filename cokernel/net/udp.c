/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/udp.h"

#include "cokernel/net/cksum.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define RECEIVE_LIMIT_BYTES (212992u) /* Linux's net.core.rmem_default */
#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_COUNT 28232u

static struct udp_pcb **bucket(struct net_stack *ns, uint16_t port) { return &ns->udp_bound[port % NET_BOUND_BUCKETS]; }

struct udp_pcb *udp_open(struct net_stack *ns)
{
    struct udp_pcb *u = net_slab_get(&ns->endpoints);
    if (!u)
        return NULL;
    *u = (struct udp_pcb){ .ep.type = NET_EP_UDP, .stack = ns, .receive_limit_bytes = RECEIVE_LIMIT_BYTES, .mcast_ttl = 1 };
    return u;
}

void udp_close(struct udp_pcb *u)
{
    struct net_stack *ns = u->stack;
    if (u->bound)
        for (struct udp_pcb **at = bucket(ns, u->local_port); *at; at = &(*at)->next)
            if (*at == u) {
                *at = u->next;
                break;
            }
    pbuf_queue_flush(&u->received);
    net_event_forget(ns, &u->ep);
    net_slab_put(&ns->endpoints, u);
}

void udp_fini(struct net_stack *ns)
{
    for (unsigned k = 0; k < NET_BOUND_BUCKETS; k++)
        while (ns->udp_bound[k])
            udp_close(ns->udp_bound[k]);
}

static bool taken(struct net_stack *ns, const struct udp_pcb *u, const struct net_addr *addr, uint16_t port)
{
    for (struct udp_pcb *o = *bucket(ns, port); o; o = o->next) {
        if (o->local_port != port || (o->reuse && u->reuse))
            continue;
        bool clash = net_addr_eq(&o->local, addr) || net_addr_is_any(addr) || net_addr_is_any(&o->local);
        if (clash && (o->iface == u->iface || !o->iface || !u->iface))
            return true;
    }
    return false;
}

int udp_bind(struct udp_pcb *u, const struct net_addr *addr, uint16_t port)
{
    struct net_stack *ns = u->stack;
    if (u->bound)
        return -NET_EINVAL;
    if (!net_addr_is_any(addr) && !net_addr_is_multicast(addr)) {
        bool found = net_addr_is_loopback(addr);
        for (struct net_iface *i = ns->ifaces; i && !found; i = i->next)
            found = net_iface_find_addr(i, addr) != NULL;
        if (!found)
            return -NET_EADDRNOTAVAIL;
    }
    if (port == 0) {
        /* RFC 6056 3.3.1: simple random start, then the next free one. */
        uint32_t start = (uint32_t)net_random(ns);
        uint32_t k = 0;
        while (k < EPHEMERAL_COUNT && taken(ns, u, addr, (uint16_t)(EPHEMERAL_FIRST + (start + k) % EPHEMERAL_COUNT)))
            k++;
        if (k == EPHEMERAL_COUNT)
            return -NET_EADDRINUSE;
        port = (uint16_t)(EPHEMERAL_FIRST + (start + k) % EPHEMERAL_COUNT);
    } else if (taken(ns, u, addr, port)) {
        return -NET_EADDRINUSE;
    }
    u->local = *addr;
    u->local_port = port;
    u->bound = 1;
    u->next = *bucket(ns, port);
    *bucket(ns, port) = u;
    return 0;
}

int udp_connect(struct udp_pcb *u, const struct net_addr *addr, uint16_t port)
{
    struct net_path path;
    struct net_addr src = u->local;
    int err = net_path_find(u->stack, &src, addr, u->iface, &path);
    if (err < 0)
        return err;
    if (!u->bound && (err = udp_bind(u, &src, 0)) < 0)
        return err;
    u->local = src;
    u->remote = *addr;
    u->remote_port = port;
    u->connected = 1;
    return 0;
}

int udp_send(struct udp_pcb *u, struct pbuf *pb, const struct net_addr *addr, uint16_t port)
{
    struct net_stack *ns = u->stack;
    struct net_path path;
    bool to_peer = !addr;
    int err;
    if (to_peer) {
        addr = &u->remote;
        port = u->remote_port;
    }
    if (!port || net_addr_is_any(addr)) {
        err = to_peer ? -NET_EDESTADDRREQ : -NET_EINVAL;
        goto drop;
    }
    if (!u->bound) {
        struct net_addr any = net_addr_is_v4(addr) ? net_addr_v4(0) : (struct net_addr){ 0 };
        if ((err = udp_bind(u, &any, 0)) < 0)
            goto drop;
    }
    struct net_tx tx = { .src = u->local, .dst = *addr, .proto = IP_PROTO_UDP, .tos = u->tos, .ttl = u->ttl };
    if (net_addr_is_any(&tx.src) || net_addr_is_multicast(&tx.src))
        tx.src = net_addr_is_v4(addr) ? net_addr_v4(0) : (struct net_addr){ 0 };
    if (net_addr_is_multicast(addr))
        tx.ttl = u->mcast_ttl;
    if (u->unconfigured && u->iface) {
        path = (struct net_path){ .iface = u->iface, .mtu = u->iface->mtu };
    } else if ((err = net_path_find(ns, &tx.src, addr, u->iface, &path)) < 0) {
        goto drop;
    }
    if (net_iface_is_broadcast(path.iface, addr) && !u->broadcast) {
        err = -NET_EACCES;
        goto drop;
    }
    if (pb->total > 65535 - UDP_HEADER_BYTES - (net_addr_is_v4(addr) ? IP4_HEADER_BYTES : 0)) {
        err = -NET_EMSGSIZE;
        goto drop;
    }
    if (!pbuf_exclusive(pb) || pbuf_headroom(pb) < UDP_HEADER_BYTES + IP6_HEADER_BYTES + ETH_HEADER_BYTES + 4) {
        struct pbuf *head = pbuf_alloc_small(&ns->pools, PBUF_SMALL_BYTES - PBUF_DESC_BYTES);
        if (!head) {
            err = -NET_ENOBUFS;
            goto drop;
        }
        head->next = pb;
        head->total = pb->total;
        pb = head;
    }
    uint8_t *h = pbuf_push(pb, UDP_HEADER_BYTES);
    put_be16(h, u->local_port);
    put_be16(h + 2, port);
    put_be16(h + 4, (uint16_t)pb->total);
    store16(h + 6, 0);
    uint64_t sum = cksum_pseudo(&tx.src, &tx.dst, IP_PROTO_UDP, pb->total);
    pb->flags = 0;
    if ((path.iface->offloads & NIC_TX_CSUM) && pb->total + IP6_HEADER_BYTES <= path.mtu) {
        store16(h + 6, cksum_fold(sum));
        pb->flags |= PBUF_CSUM_PARTIAL;
        pb->csum_start = 0;
        pb->csum_offset = 6;
    } else {
        uint16_t c = cksum_finish(cksum_pbuf(sum, pb, 0, pb->total));
        store16(h + 6, c ? c : 0xffff); /* RFC 768: zero means none */
    }
    ns->counters.udp_out++;
    return ip_output(ns, &path, &tx, pb);
drop:
    pbuf_put(pb);
    return err;
}

struct pbuf *udp_recv(struct udp_pcb *u)
{
    struct pbuf *pb = pbuf_queue_pop(&u->received);
    if (pb)
        u->received_bytes -= pbuf_true_bytes(pb);
    return pb;
}

/* -1: not for this endpoint; else the higher the closer. */
static int score(const struct udp_pcb *u, const struct net_rx *rx, uint16_t from, uint16_t to)
{
    if (u->local_port != to || (u->iface && u->iface != rx->iface))
        return -1;
    int s = 0;
    bool v4 = net_addr_is_v4(&rx->dst);
    if (!net_addr_is_any(&u->local)) {
        if (!net_addr_eq(&u->local, &rx->dst) && !u->unconfigured)
            return -1;
        s += 2;
    } else if (v4 != net_addr_is_v4(&u->local)) {
        if (!v4 || u->v6only) /* :: takes IPv4 as well, 0.0.0.0 never IPv6 */
            return -1;
    }
    if (u->connected) {
        if (u->remote_port != from || !net_addr_eq(&u->remote, &rx->src))
            return -1;
        s += 4;
    }
    return s;
}

static void deliver(struct udp_pcb *u, const struct net_rx *rx, struct pbuf *pb, uint16_t from)
{
    uint32_t bytes = pbuf_true_bytes(pb);
    if (u->received_bytes + bytes > u->receive_limit_bytes) {
        u->drops++;
        u->stack->counters.udp_full++;
        pbuf_put(pb);
        return;
    }
    pb->addr = rx->src;
    pb->port = from;
    pb->iface = rx->iface;
    pb->tos = rx->tos;
    pb->ttl = rx->ttl;
    u->received_bytes += bytes;
    pbuf_queue_push(&u->received, pb);
    if (u->handler) {
        u->handler(u);
        return;
    }
    net_event_post(u->stack, &u->ep, NET_EV_READABLE);
}

void udp_input(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    const uint8_t *h = pb->data;
    if (pb->len < UDP_HEADER_BYTES || get_be16(h + 4) < UDP_HEADER_BYTES || get_be16(h + 4) > pb->total)
        goto bad;
    pbuf_trim(pb, get_be16(h + 4));
    bool v4 = net_addr_is_v4(&rx->src);
    if (load16(h + 6) == 0) {
        if (!v4) /* RFC 8200 8.1 */
            goto bad;
    } else if (!(pb->flags & PBUF_CSUM_GOOD) &&
               cksum_fold(cksum_pbuf(cksum_pseudo(&rx->src, &rx->dst, IP_PROTO_UDP, pb->total), pb, 0, pb->total)) != 0xffff) {
        goto bad;
    }
    ns->counters.udp_in++;
    uint16_t from = get_be16(h), to = get_be16(h + 2);
    struct udp_pcb *best = NULL;
    int best_score = -1;
    if (rx->group) {
        pbuf_drop(pb, UDP_HEADER_BYTES);
        for (struct udp_pcb *u = *bucket(ns, to); u; u = u->next) {
            if (score(u, rx, from, to) < 0)
                continue;
            if (best) { /* every one but the last gets a copy */
                struct pbuf *copy = pbuf_view(&ns->pools, pb, 0, pb->len);
                if (copy && !pb->next)
                    deliver(best, rx, copy, from);
                else if (copy)
                    pbuf_put(copy);
            }
            best = u;
        }
        if (best)
            deliver(best, rx, pb, from);
        else
            pbuf_put(pb);
        return;
    }
    for (struct udp_pcb *u = *bucket(ns, to); u; u = u->next) {
        int s = score(u, rx, from, to);
        if (s > best_score) {
            best_score = s;
            best = u;
        }
    }
    if (!best) {
        ns->counters.udp_no_port++;
        icmp_reject(ns, rx, NET_REJECT_PORT);
        pbuf_put(pb);
        return;
    }
    pbuf_drop(pb, UDP_HEADER_BYTES);
    deliver(best, rx, pb, from);
    return;
bad:
    ns->counters.udp_bad_cksum++;
    pbuf_put(pb);
}

/* The endpoint that may have sent what an error quotes; NULL: none. */
static struct udp_pcb *sender_of(struct net_stack *ns, const struct net_flow_key *k)
{
    struct udp_pcb *best = NULL;
    for (struct udp_pcb *u = *bucket(ns, k->local_port); u; u = u->next) {
        if (u->local_port != k->local_port || (!net_addr_is_any(&u->local) && !net_addr_eq(&u->local, &k->local)))
            continue;
        if (u->connected && (u->remote_port != k->remote_port || !net_addr_eq(&u->remote, &k->remote)))
            continue;
        if (!best || u->connected)
            best = u;
    }
    return best;
}

void udp_icmp_error(struct net_stack *ns, const struct net_icmp_error *e)
{
    struct udp_pcb *u = sender_of(ns, &e->flow);
    if (!u)
        return;
    if (e->what == NET_UNREACH_TOO_BIG)
        net_pmtu_learn(ns, &e->flow.remote, e->mtu);
    /* RFC 1122 4.1.3.3. An endpoint without a peer could not tell whom it is about. */
    if (u->connected && (e->what != NET_UNREACH_SOFT || u->soft_errors)) {
        u->ep.error = e->error;
        net_event_post(ns, &u->ep, NET_EV_ERROR);
    }
}
