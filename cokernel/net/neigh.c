/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/neigh.h"

#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

/* RFC 4861 10 */
#define RETRANS_NS NET_NS_PER_S
#define REACHABLE_NS (30 * NET_NS_PER_S)
#define DELAY_FIRST_PROBE_NS (5 * NET_NS_PER_S)
#define MAX_MULTICAST_SOLICIT 3
#define MAX_UNICAST_SOLICIT 3
#define GC_STALE_NS (60 * NET_NS_PER_S)

static struct net_flow_key key_of(struct net_iface *iface, const struct net_addr *addr)
{
    return (struct net_flow_key){ .local.w = { iface->index }, .remote = *addr };
}

struct neigh *neigh_find(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr)
{
    struct net_flow_key k = key_of(iface, addr);
    struct net_flow *f = net_flow_find(&ns->neighs, &k);
    return f ? net_container_of(f, struct neigh, flow) : NULL;
}

static void solicit(struct neigh *n, bool unicast)
{
    if (net_addr_is_v4(&n->flow.key.remote))
        arp_request(n, unicast);
    else
        nd_solicit(n, unicast);
}

static void drop(struct neigh *n)
{
    struct net_stack *ns = n->iface->stack;
    if (n->state == NEIGH_INCOMPLETE)
        ns->neigh_incomplete--;
    pbuf_queue_flush(&n->queue);
    net_timer_cancel(&ns->wheel, &n->timer);
    net_flow_remove(&ns->neighs, &n->flow);
    net_slab_put(&ns->neigh_slab, n);
    net_paths_changed(ns);
}

/* Packets that cannot go out tell their connections so (RFC 4861 7.2.2, RFC 1122 2.3.2.1). */
static void fail(struct neigh *n)
{
    n->iface->stack->counters.neigh_failed++;
    drop(n);
}

static void fire(struct net_timer *t)
{
    struct neigh *n = net_container_of(t, struct neigh, timer);
    struct net_stack *ns = n->iface->stack;
    uint64_t now = ns->now_ns;
    switch (n->state) {
    case NEIGH_INCOMPLETE:
        if (n->probes >= MAX_MULTICAST_SOLICIT) {
            fail(n);
            return;
        }
        n->probes++;
        solicit(n, false);
        net_timer_arm(&ns->wheel, t, now + RETRANS_NS);
        return;
    case NEIGH_REACHABLE:
        n->state = NEIGH_STALE;
        net_timer_arm(&ns->wheel, t, now + GC_STALE_NS);
        return;
    case NEIGH_STALE:
        if (now - n->used_ns >= GC_STALE_NS)
            drop(n);
        else
            net_timer_arm(&ns->wheel, t, n->used_ns + GC_STALE_NS);
        return;
    case NEIGH_DELAY:
        n->state = NEIGH_PROBE;
        n->probes = 0;
        /* fall through */
    default:
        if (n->probes >= MAX_UNICAST_SOLICIT) {
            fail(n);
            return;
        }
        n->probes++;
        solicit(n, true);
        net_timer_arm(&ns->wheel, t, now + RETRANS_NS);
    }
}

static void find_victim(struct net_flow *f, void *ctx)
{
    struct neigh *n = net_container_of(f, struct neigh, flow), **oldest = ctx;
    if (n->state == NEIGH_STALE && (!*oldest || n->used_ns < (*oldest)->used_ns))
        *oldest = n;
}

static struct neigh *create(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr)
{
    if (ns->neigh_slab.in_use >= NEIGH_LIMIT) {
        struct neigh *oldest = NULL;
        net_flow_each(&ns->neighs, find_victim, &oldest);
        if (oldest)
            drop(oldest);
    }
    struct neigh *n = net_slab_get(&ns->neigh_slab);
    if (!n) {
        ns->counters.neigh_limit++;
        return NULL;
    }
    *n = (struct neigh){ .flow.key = key_of(iface, addr), .iface = iface, .used_ns = ns->now_ns, .timer.fire = fire };
    net_flow_insert(&ns->neighs, &n->flow);
    return n;
}

struct neigh *neigh_lookup(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr)
{
    struct neigh *n = neigh_find(ns, iface, addr);
    if (n)
        return n;
    if (ns->neigh_incomplete >= NEIGH_INCOMPLETE_LIMIT) {
        ns->counters.neigh_limit++;
        return NULL;
    }
    n = create(ns, iface, addr);
    if (!n)
        return NULL;
    n->state = NEIGH_INCOMPLETE;
    n->probes = 1;
    ns->neigh_incomplete++;
    net_timer_arm(&ns->wheel, &n->timer, ns->now_ns + RETRANS_NS);
    solicit(n, false);
    return n;
}

void neigh_output(struct neigh *n, uint16_t type, struct pbuf *pb)
{
    struct net_stack *ns = n->iface->stack;
    if (net_likely(n->state == NEIGH_REACHABLE)) {
        eth_output(n->iface, &n->mac, type, pb);
        return;
    }
    n->used_ns = ns->now_ns;
    if (n->state == NEIGH_INCOMPLETE) {
        while (n->queue.count >= (net_mem_pressed(&ns->mem) ? NEIGH_QUEUE_PRESSED : NEIGH_QUEUE))
            pbuf_put(pbuf_queue_pop(&n->queue));
        pb->port = type;
        pbuf_queue_push(&n->queue, pb);
        return;
    }
    if (n->state == NEIGH_STALE) {
        n->state = NEIGH_DELAY;
        net_timer_arm(&ns->wheel, &n->timer, ns->now_ns + DELAY_FIRST_PROBE_NS);
    }
    eth_output(n->iface, &n->mac, type, pb);
}

static void set_reachable(struct neigh *n)
{
    n->state = NEIGH_REACHABLE;
    n->probes = 0;
    net_timer_arm(&n->iface->stack->wheel, &n->timer, n->iface->stack->now_ns + REACHABLE_NS);
}

void neigh_confirm(struct neigh *n)
{
    if (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_REACHABLE)
        set_reachable(n);
}

void neigh_learn(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr, const struct net_mac *mac,
                 bool may_create, bool solicited, bool override)
{
    struct neigh *n = neigh_find(ns, iface, addr);
    struct pbuf *pb;
    if (!n) {
        if (!may_create || !(n = create(ns, iface, addr)))
            return;
        n->mac = *mac;
        n->state = NEIGH_STALE;
        net_timer_arm(&ns->wheel, &n->timer, ns->now_ns + GC_STALE_NS);
        return;
    }
    bool changed = n->state != NEIGH_INCOMPLETE && !net_mac_eq(&n->mac, mac);
    if (changed && !override) { /* RFC 4861 7.2.5 I */
        if (n->state == NEIGH_REACHABLE)
            n->state = NEIGH_STALE;
        return;
    }
    bool was_incomplete = n->state == NEIGH_INCOMPLETE;
    n->mac = *mac;
    if (solicited) {
        if (was_incomplete)
            ns->neigh_incomplete--;
        set_reachable(n);
    } else if (was_incomplete || changed) {
        if (was_incomplete)
            ns->neigh_incomplete--;
        n->state = NEIGH_STALE;
        net_timer_arm(&ns->wheel, &n->timer, ns->now_ns + GC_STALE_NS);
    }
    if (was_incomplete)
        while ((pb = pbuf_queue_pop(&n->queue)))
            neigh_output(n, pb->port, pb);
}

struct flush_ctx { struct net_iface *iface; };

static void flush_one(struct net_flow *f, void *ctx)
{
    struct neigh *n = net_container_of(f, struct neigh, flow);
    struct flush_ctx *c = ctx;
    if (n->iface == c->iface)
        drop(n);
}

void neigh_flush_iface(struct net_stack *ns, struct net_iface *iface)
{
    struct flush_ctx c = { iface };
    net_flow_each(&ns->neighs, flush_one, &c);
}
