/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP (RFC 826) with address probing, announcing and defence (RFC 5227). */
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define ARP_BYTES 28u
#define ARP_REQUEST 1u
#define ARP_REPLY 2u

/* RFC 5227 1.1; the probe interval is the minimum, jittered up to the maximum. */
#define PROBE_NUM 3
#define PROBE_MIN_NS NET_NS_PER_S
#define PROBE_SPREAD_NS NET_NS_PER_S
#define ANNOUNCE_WAIT_NS (2 * NET_NS_PER_S)
#define DEFEND_INTERVAL_NS (10 * NET_NS_PER_S)

static const struct net_mac BROADCAST = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

static void send(struct net_iface *iface, unsigned op, uint32_t sender, const struct net_mac *target_mac, uint32_t target,
                 const struct net_mac *to)
{
    struct pbuf *pb = pbuf_alloc_small(&iface->stack->pools, 64);
    if (!pb)
        return;
    uint8_t *p = pbuf_extend(pb, ARP_BYTES);
    put_be16(p, 1); /* Ethernet */
    put_be16(p + 2, ETH_TYPE_IP4);
    p[4] = 6;
    p[5] = 4;
    put_be16(p + 6, (uint16_t)op);
    net_copy(p + 8, iface->mac.b, 6);
    store32(p + 14, sender);
    net_copy(p + 18, target_mac->b, 6);
    store32(p + 24, target);
    eth_output(iface, to, ETH_TYPE_ARP, pb);
}

void arp_request(struct neigh *n, bool unicast)
{
    static const struct net_mac unknown;
    struct net_iface *iface = n->iface;
    uint32_t sender = 0;
    /* RFC 1122 asks for an address of the target's network, if there is one. */
    for (unsigned k = 0; k < IFACE_ADDRS; k++) {
        struct net_ifaddr *ifa = &iface->addrs[k];
        if (ifa->state != IFADDR_PREFERRED || !net_addr_is_v4(&ifa->addr))
            continue;
        bool near = net_addr_in_prefix(&n->flow.key.remote, &ifa->addr, ifa->prefix_bits);
        if (!sender || near)
            sender = ifa->addr.w[3];
        if (near)
            break;
    }
    send(iface, ARP_REQUEST, sender, &unknown, n->flow.key.remote.w[3], unicast ? &n->mac : &BROADCAST);
}

void arp_announce(struct net_ifaddr *ifa)
{
    static const struct net_mac unknown;
    send(ifa->iface, ARP_REQUEST, ifa->addr.w[3], &unknown, ifa->addr.w[3], &BROADCAST);
}

static void probe_fire(struct net_timer *t)
{
    static const struct net_mac unknown;
    struct net_ifaddr *ifa = net_container_of(t, struct net_ifaddr, timer);
    struct net_stack *ns = ifa->iface->stack;
    if (!ifa->probes_left) {
        net_ifaddr_accept(ifa);
        return;
    }
    ifa->probes_left--;
    send(ifa->iface, ARP_REQUEST, 0, &unknown, ifa->addr.w[3], &BROADCAST);
    uint64_t wait = ifa->probes_left ? PROBE_MIN_NS + net_random(ns) % PROBE_SPREAD_NS : ANNOUNCE_WAIT_NS;
    net_timer_arm(&ns->wheel, t, ns->now_ns + wait);
}

void arp_start_probe(struct net_ifaddr *ifa)
{
    struct net_stack *ns = ifa->iface->stack;
    ifa->probes_left = PROBE_NUM;
    ifa->timer.fire = probe_fire;
    net_timer_arm(&ns->wheel, &ifa->timer, ns->now_ns + net_random(ns) % NET_NS_PER_S); /* PROBE_WAIT */
}

/* RFC 5227 2.1.1 and 2.4. True if the packet claims an address of ours. */
static bool conflict(struct net_iface *iface, uint32_t sender, uint32_t target, const struct net_mac *mac)
{
    struct net_stack *ns = iface->stack;
    struct net_addr s = net_addr_v4_raw(sender), t = net_addr_v4_raw(target);
    if (net_mac_eq(mac, &iface->mac))
        return false;
    struct net_ifaddr *probed = sender ? NULL : net_iface_find_addr(iface, &t);
    if (probed && probed->state == IFADDR_TENTATIVE) { /* somebody probes for the same address */
        ns->counters.arp_conflicts++;
        net_ifaddr_conflict(probed);
        return true;
    }
    struct net_ifaddr *ifa = sender ? net_iface_find_addr(iface, &s) : NULL;
    if (!ifa || ifa->state == IFADDR_DUPLICATE)
        return false;
    ns->counters.arp_conflicts++;
    if (ifa->state == IFADDR_TENTATIVE) {
        net_ifaddr_conflict(ifa);
        return true;
    }
    /* 2.4 (c): a host with connections to keep defends, at most once an interval. */
    if (!ifa->conflict_ns || ns->now_ns - ifa->conflict_ns >= DEFEND_INTERVAL_NS) {
        ifa->conflict_ns = ns->now_ns;
        net_log(ns, NET_LOG_WARN, "another host on the link claims an address of ours; it was defended");
        arp_announce(ifa);
    }
    return true;
}

void arp_input(struct net_iface *iface, struct pbuf *pb)
{
    struct net_stack *ns = iface->stack;
    const uint8_t *p = pb->data;
    struct net_mac mac;
    if (pb->len < ARP_BYTES || get_be16(p) != 1 || get_be16(p + 2) != ETH_TYPE_IP4 || p[4] != 6 || p[5] != 4)
        goto out;
    unsigned op = get_be16(p + 6);
    net_copy(&mac, p + 8, 6);
    uint32_t sender = load32(p + 14), target = load32(p + 24);
    struct net_addr s = net_addr_v4_raw(sender), t = net_addr_v4_raw(target);
    if (net_mac_is_group(&mac) || net_addr_is_multicast(&s) || conflict(iface, sender, target, &mac))
        goto out;
    struct net_ifaddr *ours = net_iface_find_addr(iface, &t);
    bool for_us = ours && (ours->state == IFADDR_PREFERRED || ours->state == IFADDR_DEPRECATED);
    if (sender) /* RFC 826: update what is known; create only if it wants us */
        neigh_learn(ns, iface, &s, &mac, for_us && op == ARP_REQUEST, op == ARP_REPLY && !(pb->flags & PBUF_BROADCAST), true);
    if (op == ARP_REQUEST && for_us)
        send(iface, ARP_REPLY, target, &mac, sender, &mac);
out:
    pbuf_put(pb);
}
