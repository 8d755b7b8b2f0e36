/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/iface.h"

#include "cokernel/net/mcast.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define LOOPBACK_MTU 65535u

static void set_name(struct net_iface *i, const char *name)
{
    for (unsigned k = 0; k + 1 < sizeof i->name && name[k]; k++)
        i->name[k] = name[k];
}

static struct net_iface *add(struct net_stack *ns, struct net_nic *nic, const char *name)
{
    struct net_iface *i = net_mem_alloc(&ns->mem, sizeof *i);
    if (!i)
        return NULL;
    net_zero(i, sizeof *i);
    i->stack = ns;
    i->nic = nic;
    i->up = 1;
    i->index = ++ns->iface_count;
    set_name(i, name);
    i->hop_limit = IP_DEFAULT_TTL;
    if (nic) {
        nic->pools = &ns->pools;
        i->mac = nic->mac;
        i->mtu = nic->mtu;
        i->offloads = nic->offloads;
    } else {
        i->mtu = LOOPBACK_MTU;
        i->offloads = NIC_TX_CSUM | NIC_TX_CHAIN | NIC_RX_CSUM;
    }
    i->next = ns->ifaces;
    ns->ifaces = i;
    return i;
}

struct net_iface *net_iface_add(struct net_stack *ns, struct net_nic *nic, const char *name)
{
    struct net_iface *i = add(ns, nic, name);
    if (i && nic) {
        i->next_nic = ns->nics;
        ns->nics = i;
    }
    return i;
}

struct net_iface *net_iface_add_vlan(struct net_iface *parent, uint16_t vlan_id, const char *name)
{
    if (vlan_id == 0 || vlan_id >= 0xfff) /* IEEE 802.1Q table 9-2: reserved */
        return NULL;
    struct net_iface *i = add(parent->stack, parent->nic, name);
    if (!i)
        return NULL;
    i->parent = parent;
    i->vlan_id = vlan_id;
    i->offloads &= ~(uint32_t)(NIC_TX_TSO | NIC_TX_CSUM);
    return i;
}

struct net_ifaddr *net_iface_find_addr(struct net_iface *i, const struct net_addr *addr)
{
    for (unsigned k = 0; k < i->addr_top; k++)
        if (i->addrs[k].state != IFADDR_FREE && net_addr_eq(&i->addrs[k].addr, addr))
            return &i->addrs[k];
    return NULL;
}

bool net_addr_is_ours(const struct net_stack *ns, const struct net_addr *addr)
{
    for (struct net_iface *i = ns->ifaces; i; i = i->next) {
        const struct net_ifaddr *ifa = net_iface_find_addr(i, addr);
        if (ifa && ifa->state != IFADDR_DUPLICATE && ifa->state != IFADDR_TENTATIVE)
            return true;
    }
    return false;
}

static void list_broadcasts(struct net_iface *i)
{
    i->broadcast_count = 0;
    for (unsigned k = 0; k < IFACE_ADDRS; k++) {
        struct net_ifaddr *ifa = &i->addrs[k];
        if (ifa->state == IFADDR_FREE || !net_addr_is_v4(&ifa->addr) || ifa->prefix_bits >= 127) /* RFC 3021: none on /31 */
            continue;
        uint32_t host_bits = (uint32_t)((1ull << (128 - ifa->prefix_bits)) - 1);
        i->broadcasts[i->broadcast_count++] = ifa->addr.w[3] | net_bswap32(host_bits);
    }
}

static void expire(struct net_timer *t)
{
    struct net_ifaddr *ifa = net_container_of(t, struct net_ifaddr, timer);
    struct net_stack *ns = ifa->iface->stack;
    if (ifa->valid_until_ns <= ns->now_ns) {
        struct net_addr addr = ifa->addr;
        net_iface_del_addr(ifa->iface, &addr);
        return;
    }
    if (ifa->preferred_until_ns <= ns->now_ns && ifa->state == IFADDR_PREFERRED)
        ifa->state = IFADDR_DEPRECATED;
    uint64_t next = ifa->state == IFADDR_PREFERRED ? ifa->preferred_until_ns : ifa->valid_until_ns;
    if (next != UINT64_MAX)
        net_timer_arm(&ns->wheel, t, next);
}

static void tell(struct net_ifaddr *ifa, bool ours)
{
    void (*settled)(void *, bool) = ifa->settled;
    ifa->settled = NULL;
    if (settled)
        settled(ifa->settled_ctx, ours);
}

void net_ifaddr_accept(struct net_ifaddr *ifa)
{
    struct net_iface *i = ifa->iface;
    struct net_addr none = { 0 };
    unsigned family_bits = net_addr_is_v4(&ifa->addr) ? 96 : 0;
    ifa->state = IFADDR_PREFERRED;
    ifa->timer.fire = expire;
    if (ifa->valid_until_ns != UINT64_MAX)
        net_timer_arm(&i->stack->wheel, &ifa->timer, net_min(ifa->preferred_until_ns, ifa->valid_until_ns));
    if (i->nic) /* RFC 4862: an autoconfigured prefix is on link only if its own flag says so */
        if (!ifa->autoconf)
            net_route_add(i->stack, &ifa->addr, ifa->prefix_bits - family_bits, &none, i, 0);
    net_paths_changed(i->stack);
    if (i->nic && net_addr_is_v4(&ifa->addr))
        arp_announce(ifa);
    tell(ifa, true);
}

void net_ifaddr_conflict(struct net_ifaddr *ifa)
{
    ifa->state = IFADDR_DUPLICATE;
    net_timer_cancel(&ifa->iface->stack->wheel, &ifa->timer);
    net_paths_changed(ifa->iface->stack);
    net_log(ifa->iface->stack, NET_LOG_ERROR, "address conflict: another host on the link holds an address of ours; it stays unused");
    tell(ifa, false);
}

int net_iface_add_addr(struct net_iface *i, const struct net_addr *addr, unsigned prefix_bits, bool probe)
{
    bool v4 = net_addr_is_v4(addr);
    if (prefix_bits > (v4 ? 32u : 128u) || net_addr_is_multicast(addr))
        return -NET_EINVAL;
    if (net_iface_find_addr(i, addr))
        return -NET_EEXIST;
    struct net_ifaddr *ifa = i->addrs;
    while (ifa < i->addrs + IFACE_ADDRS && ifa->state != IFADDR_FREE)
        ifa++;
    if (ifa == i->addrs + IFACE_ADDRS)
        return -NET_ENOSPC;
    *ifa = (struct net_ifaddr){
        .addr = *addr, .iface = i, .prefix_bits = (uint8_t)(prefix_bits + (v4 ? 96 : 0)), .state = IFADDR_TENTATIVE,
        .preferred_until_ns = UINT64_MAX, .valid_until_ns = UINT64_MAX,
    };
    i->addr_top = net_max(i->addr_top, (unsigned)(ifa - i->addrs) + 1);
    list_broadcasts(i);
    if (!v4 && i->nic)
        mcast_join_solicited_node(i, addr);
    if (!probe || !i->nic)
        net_ifaddr_accept(ifa);
    else if (v4)
        arp_start_probe(ifa);
    else
        nd_start_dad(ifa);
    return 0;
}

int net_iface_del_addr(struct net_iface *i, const struct net_addr *addr)
{
    struct net_ifaddr *ifa = net_iface_find_addr(i, addr);
    struct net_addr none = { 0 };
    if (!ifa)
        return -NET_EADDRNOTAVAIL;
    bool v4 = net_addr_is_v4(addr);
    net_timer_cancel(&i->stack->wheel, &ifa->timer);
    if (i->nic && !ifa->autoconf)
        net_route_del(i->stack, addr, ifa->prefix_bits - (v4 ? 96u : 0u), &none);
    if (!v4 && i->nic)
        mcast_leave_solicited_node(i, addr);
    *ifa = (struct net_ifaddr){ .state = IFADDR_FREE };
    while (i->addr_top && i->addrs[i->addr_top - 1].state == IFADDR_FREE)
        i->addr_top--;
    list_broadcasts(i);
    net_paths_changed(i->stack);
    return 0;
}

bool net_iface_accepts(struct net_iface *i, const struct net_addr *addr)
{
    if (net_addr_is_multicast(addr))
        return mcast_is_member(i, addr);
    /* The weak host model, as Linux has it: any interface's address will do, loopback's only from loopback. */
    for (struct net_iface *j = i->stack->ifaces; j; j = j->next) {
        if (!j->nic && i->nic)
            continue;
        struct net_ifaddr *ifa = net_iface_find_addr(j, addr);
        if (ifa && (ifa->state == IFADDR_PREFERRED || ifa->state == IFADDR_DEPRECATED))
            return true;
    }
    return !i->nic && net_addr_is_loopback(addr);
}

void net_iface_flush(struct net_iface *i)
{
    if (!i->nic)
        return;
    while (i->backlog.head) {
        struct pbuf *batch[NET_BURST];
        unsigned n = 0, sent;
        while (n < NET_BURST && i->backlog.head)
            batch[n++] = pbuf_queue_pop(&i->backlog);
        sent = i->nic->ops->tx_burst(i->nic, batch, n);
        for (unsigned k = n; k > sent; k--)
            pbuf_queue_push_front(&i->backlog, batch[k - 1]);
        if (sent < n)
            break;
    }
    if (!i->tx_count)
        return;
    unsigned n = i->tx_count, sent = 0;
    i->tx_count = 0;
    if (!i->backlog.head)
        sent = i->nic->ops->tx_burst(i->nic, i->tx, n);
    for (unsigned k = sent; k < n; k++) {
        if (i->backlog.count >= IFACE_TX_BACKLOG) {
            i->counters.tx_drops++;
            pbuf_put(i->tx[k]);
            continue;
        }
        pbuf_queue_push(&i->backlog, i->tx[k]);
    }
}

void net_iface_tx_loopback(struct net_iface *i, struct pbuf *frame)
{
    if (i->stack->loop_queue.count >= IFACE_TX_BACKLOG) {
        i->counters.tx_drops++;
        pbuf_put(frame);
        return;
    }
    frame->flags |= PBUF_CSUM_GOOD;
    pbuf_queue_push(&i->stack->loop_queue, frame);
}
