/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/route.h"

#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define PMTU_AGE_NS (600 * NET_NS_PER_S) /* RFC 1191 6.3: about ten minutes */

int net_route_add(struct net_stack *ns, const struct net_addr *prefix, unsigned prefix_bits,
                  const struct net_addr *gateway, struct net_iface *iface, uint32_t metric)
{
    unsigned bits = prefix_bits + (net_addr_is_v4(prefix) ? 96 : 0);
    if (bits > 128)
        return -NET_EINVAL;
    struct net_route *r = net_slab_get(&ns->route_slab);
    if (!r)
        return ns->route_slab.in_use >= ROUTE_LIMIT ? -NET_ENOSPC : -NET_ENOMEM;
    *r = (struct net_route){ .prefix = *prefix, .gateway = *gateway, .iface = iface, .metric = metric,
                             .bits = (uint8_t)bits, .until_ns = UINT64_MAX };
    struct net_route **at = &ns->routes;
    while (*at && ((*at)->bits > bits || ((*at)->bits == bits && (*at)->metric <= metric)))
        at = &(*at)->next;
    r->next = *at;
    *at = r;
    net_paths_changed(ns);
    return 0;
}

int net_route_del(struct net_stack *ns, const struct net_addr *prefix, unsigned prefix_bits, const struct net_addr *gateway)
{
    unsigned bits = prefix_bits + (net_addr_is_v4(prefix) ? 96 : 0);
    for (struct net_route **at = &ns->routes; *at; at = &(*at)->next) {
        struct net_route *r = *at;
        if (r->bits != bits || !net_addr_in_prefix(&r->prefix, prefix, bits) || !net_addr_eq(&r->gateway, gateway))
            continue;
        *at = r->next;
        net_slab_put(&ns->route_slab, r);
        net_paths_changed(ns);
        return 0;
    }
    return -NET_ENETUNREACH;
}

struct net_route *net_route_find(struct net_stack *ns, const struct net_addr *dst, struct net_iface *only)
{
    for (struct net_route *r = ns->routes; r; r = r->next)
        if ((!only || r->iface == only) && r->iface->up && r->until_ns > ns->now_ns && net_addr_in_prefix(dst, &r->prefix, r->bits) &&
            (r->bits >= 96 || !net_addr_is_v4(dst)))
            return r;
    return NULL;
}

static unsigned common_bits(const struct net_addr *a, const struct net_addr *b)
{
    for (unsigned i = 0; i < 16; i++)
        if (a->b[i] != b->b[i])
            return i * 8 + (unsigned)__builtin_clz((unsigned)(a->b[i] ^ b->b[i])) - 24;
    return 128;
}

static int scope6(const struct net_addr *a) { return net_addr_is_link_local6(a) ? 1 : 2; }

/* RFC 6724 5, rules 2 (scope), 3 (deprecated) and 8 (longest prefix). */
static bool choose_source(struct net_iface *iface, const struct net_addr *dst, struct net_addr *src)
{
    bool v4 = net_addr_is_v4(dst);
    int best_score = -1;
    for (unsigned k = 0; k < iface->addr_top; k++) {
        struct net_ifaddr *ifa = &iface->addrs[k];
        if ((ifa->state != IFADDR_PREFERRED && ifa->state != IFADDR_DEPRECATED) || net_addr_is_v4(&ifa->addr) != v4)
            continue;
        int score = (int)common_bits(&ifa->addr, dst);
        if (ifa->state == IFADDR_PREFERRED)
            score += 256;
        if (v4 || scope6(&ifa->addr) >= scope6(dst))
            score += 512;
        if (score > best_score) {
            best_score = score;
            *src = ifa->addr;
        }
    }
    return best_score >= 0;
}

static int find_path(struct net_stack *ns, struct net_addr *src, const struct net_addr *dst, struct net_iface *only, struct net_path *path)
{
    bool v4 = net_addr_is_v4(dst);
    const struct net_addr *hop = dst;
    struct net_iface *iface = only;
    path->neigh = NULL;
    if (net_addr_is_ours(ns, dst) || (v4 && net_addr_is_loopback(dst))) {
        iface = ns->loopback;
        if (net_addr_is_any(src))
            *src = *dst;
    } else if (v4 && dst->w[3] == 0xffffffff) {
        for (struct net_iface *i = ns->ifaces; i && !iface; i = i->next)
            if (i->nic)
                iface = i;
        if (!iface)
            return -NET_ENETUNREACH;
    } else {
        struct net_route *r = net_route_find(ns, dst, only);
        if (!r && net_addr_is_multicast(dst)) {
            for (struct net_iface *i = ns->ifaces; i && !iface; i = i->next)
                if (i->nic)
                    iface = i;
        } else if (r) {
            iface = r->iface;
            if (!net_addr_is_any(&r->gateway))
                hop = &r->gateway;
        } else if (!v4 && net_addr_is_link_local6(dst) && only) {
            iface = only;
        } else {
            return -NET_ENETUNREACH;
        }
        if (!iface)
            return -NET_ENETUNREACH;
    }
    if (net_addr_is_any(src) && !choose_source(iface, dst, src))
        return -NET_EADDRNOTAVAIL;
    if (iface->nic && !net_addr_is_multicast(dst) && !net_iface_is_broadcast(iface, dst)) {
        path->neigh = neigh_lookup(ns, iface, hop);
        if (!path->neigh)
            return -NET_ENOMEM;
    }
    uint32_t learnt = net_pmtu_get(ns, dst);
    path->iface = iface;
    path->mtu = learnt ? net_min(learnt, iface->mtu) : iface->mtu;
    path->generation = ns->path_generation;
    return 0;
}

int net_path_find(struct net_stack *ns, struct net_addr *src, const struct net_addr *dst, struct net_iface *only, struct net_path *path)
{
    const struct net_path_memo *m = only ? NULL : net_path_known(ns, src, dst);
    if (net_likely(m != NULL)) {
        *src = m->src;
        *path = m->path;
        return 0;
    }
    struct net_addr asked = *src;
    int err = find_path(ns, src, dst, only, path);
    if (!only && err == 0)
        *net_path_memo(ns->paths, dst) = (struct net_path_memo){ .dst = *dst, .asked = asked, .src = *src, .path = *path };
    return err;
}

struct pmtu {
    struct net_flow flow;
    uint32_t mtu;
    uint64_t until_ns;
};

uint32_t net_pmtu_get(struct net_stack *ns, const struct net_addr *dst)
{
    if (!ns->pmtus.count)
        return 0;
    struct net_flow_key k = { .remote = *dst };
    struct net_flow *f = net_flow_find(&ns->pmtus, &k);
    if (!f)
        return 0;
    struct pmtu *p = net_container_of(f, struct pmtu, flow);
    if (p->until_ns > ns->now_ns)
        return p->mtu;
    net_flow_remove(&ns->pmtus, f);
    net_slab_put(&ns->pmtu_slab, p);
    return 0;
}

static void evict_one(struct net_flow *f, void *ctx)
{
    struct net_stack *ns = ctx;
    struct pmtu *p = net_container_of(f, struct pmtu, flow);
    if (ns->pmtu_slab.in_use < ns->pmtu_slab.limit && p->until_ns > ns->now_ns)
        return;
    net_flow_remove(&ns->pmtus, f);
    net_slab_put(&ns->pmtu_slab, p);
}

void net_pmtu_learn(struct net_stack *ns, const struct net_addr *dst, uint32_t mtu)
{
    uint32_t floor = net_addr_is_v4(dst) ? 552 : IP6_MIN_MTU; /* Linux's min_pmtu; RFC 8201 4 */
    mtu = net_max(mtu, floor);
    struct net_flow_key k = { .remote = *dst };
    struct net_flow *f = net_flow_find(&ns->pmtus, &k);
    struct pmtu *p = f ? net_container_of(f, struct pmtu, flow) : NULL;
    if (!p) {
        if (ns->pmtu_slab.limit && ns->pmtu_slab.in_use >= ns->pmtu_slab.limit)
            net_flow_each(&ns->pmtus, evict_one, ns);
        p = net_slab_get(&ns->pmtu_slab);
        if (!p)
            return;
        *p = (struct pmtu){ .flow.key = k, .mtu = UINT32_MAX };
        net_flow_insert(&ns->pmtus, &p->flow);
    }
    if (mtu < p->mtu) {
        p->mtu = mtu;
        net_paths_changed(ns);
    }
    p->until_ns = ns->now_ns + PMTU_AGE_NS;
    net_paths_expire_at(ns, p->until_ns);
}

static void earliest_pmtu(struct net_flow *f, void *ctx)
{
    uint64_t *at = ctx;
    *at = net_min(*at, net_container_of(f, struct pmtu, flow)->until_ns);
}

static void drop_old_pmtu(struct net_flow *f, void *ctx)
{
    struct net_stack *ns = ctx;
    struct pmtu *p = net_container_of(f, struct pmtu, flow);
    if (p->until_ns > ns->now_ns)
        return;
    net_flow_remove(&ns->pmtus, f);
    net_slab_put(&ns->pmtu_slab, p);
}

static void expire_paths(struct net_timer *t)
{
    struct net_stack *ns = net_container_of(t, struct net_stack, path_timer);
    uint64_t next = UINT64_MAX;
    net_flow_each(&ns->pmtus, drop_old_pmtu, ns);
    net_flow_each(&ns->pmtus, earliest_pmtu, &next);
    for (struct net_route **at = &ns->routes, *r; (r = *at);) {
        if (r->until_ns > ns->now_ns) {
            next = net_min(next, r->until_ns);
            at = &r->next;
            continue;
        }
        *at = r->next;
        net_slab_put(&ns->route_slab, r);
    }
    net_paths_changed(ns);
    if (next != UINT64_MAX)
        net_timer_arm(&ns->wheel, t, next);
}

void net_paths_expire_at(struct net_stack *ns, uint64_t at_ns)
{
    struct net_timer *t = &ns->path_timer;
    t->fire = expire_paths;
    if (at_ns != UINT64_MAX && (!net_timer_armed(t) || (at_ns >> TIMER_TICK_SHIFT) + 1 < t->tick))
        net_timer_arm(&ns->wheel, t, at_ns);
}
