/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/mcast.h"

#include "cokernel/net/stack.h"

#define UNSOLICITED_REPORTS 2                 /* RFC 3376 8.1, RFC 3810 9.1: robustness */
#define UNSOLICITED_INTERVAL_NS NET_NS_PER_S  /* RFC 3376 8.11, RFC 3810 9.11 */

/* 224.0.0.1 and ff02::1 are joined by everybody and never reported. */
static bool is_all_hosts(const struct net_addr *g)
{
    static const struct net_addr all4 = { .w = { 0, 0, NET_ADDR_V4_TAG, 0x010000e0 } };
    static const struct net_addr all6 = { .b = { 0xff, 2, [15] = 1 } };
    return net_addr_eq(g, &all4) || net_addr_eq(g, &all6);
}

static struct net_group *find(const struct net_iface *iface, const struct net_addr *group)
{
    for (unsigned k = 0; k < IFACE_GROUPS; k++)
        if (iface->groups[k].users && net_addr_eq(&iface->groups[k].addr, group))
            return (struct net_group *)&iface->groups[k];
    return NULL;
}

bool mcast_is_member(const struct net_iface *iface, const struct net_addr *group)
{
    return is_all_hosts(group) || find(iface, group) != NULL;
}

static void report(struct net_group *g, enum mcast_report what)
{
    if (!g->iface->nic)
        return;
    if (net_addr_is_v4(&g->addr))
        igmp_send(g->iface, &g->addr, what);
    else
        mld_send(g->iface, &g->addr, what);
}

static void fire(struct net_timer *t)
{
    struct net_group *g = net_container_of(t, struct net_group, timer);
    struct net_stack *ns = g->iface->stack;
    if (!g->reports_left) {
        report(g, MCAST_IS_MEMBER);
        return;
    }
    report(g, g->users ? MCAST_JOINS : MCAST_LEAVES);
    if (--g->reports_left)
        net_timer_arm(&ns->wheel, t, ns->now_ns + net_random(ns) % UNSOLICITED_INTERVAL_NS);
}

int mcast_join(struct net_iface *iface, const struct net_addr *group)
{
    if (!net_addr_is_multicast(group))
        return -NET_EINVAL;
    struct net_group *g = find(iface, group);
    if (g) {
        g->users++;
        return 0;
    }
    for (g = iface->groups; g < iface->groups + IFACE_GROUPS && (g->users || (g->reports_left && !net_addr_eq(&g->addr, group))); g++)
        ;
    if (g == iface->groups + IFACE_GROUPS)
        return -NET_ENOSPC;
    net_timer_cancel(&iface->stack->wheel, &g->timer);
    *g = (struct net_group){ .addr = *group, .users = 1, .iface = iface, .timer.fire = fire };
    if (!is_all_hosts(group)) {
        g->reports_left = UNSOLICITED_REPORTS;
        fire(&g->timer);
    }
    return 0;
}

int mcast_leave(struct net_iface *iface, const struct net_addr *group)
{
    struct net_group *g = find(iface, group);
    if (!g)
        return -NET_EADDRNOTAVAIL;
    if (--g->users)
        return 0;
    net_timer_cancel(&iface->stack->wheel, &g->timer);
    g->reports_left = 0;
    if (!is_all_hosts(group)) {
        g->reports_left = UNSOLICITED_REPORTS;
        fire(&g->timer);
    }
    return 0;
}

static struct net_addr solicited_node(const struct net_addr *a)
{
    /* RFC 4291 2.7.1 */
    struct net_addr g = { .b = { 0xff, 2, [11] = 1, [12] = 0xff, [13] = a->b[13], [14] = a->b[14], [15] = a->b[15] } };
    return g;
}

void mcast_join_solicited_node(struct net_iface *iface, const struct net_addr *addr)
{
    struct net_addr g = solicited_node(addr);
    mcast_join(iface, &g);
}

void mcast_leave_solicited_node(struct net_iface *iface, const struct net_addr *addr)
{
    struct net_addr g = solicited_node(addr);
    mcast_leave(iface, &g);
}

void mcast_query(struct net_iface *iface, const struct net_addr *group, bool v4, uint64_t max_ns)
{
    struct net_stack *ns = iface->stack;
    for (unsigned k = 0; k < IFACE_GROUPS; k++) {
        struct net_group *g = &iface->groups[k];
        if (!g->users || is_all_hosts(&g->addr) || net_addr_is_v4(&g->addr) != v4)
            continue;
        if (!net_addr_is_any(group) && !net_addr_eq(group, &g->addr))
            continue;
        uint64_t at = ns->now_ns + net_random(ns) % net_max(max_ns, 1ull);
        if (!net_timer_armed(&g->timer) || (g->timer.tick << TIMER_TICK_SHIFT) > at)
            net_timer_arm(&ns->wheel, &g->timer, at);
    }
}

void mcast_heard_report(struct net_iface *iface, const struct net_addr *group)
{
    struct net_group *g = find(iface, group);
    if (g && !g->reports_left)
        net_timer_cancel(&iface->stack->wheel, &g->timer);
}
