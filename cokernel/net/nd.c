/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/nd.h"

#include "cokernel/net/icmp.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/wire.h"

#define LEARNT_ROUTES 64u /* however many a router, or who says it is one, announces */
#define ND_RS 133u
#define ND_NS 135u
#define ND_NA 136u
#define OPT_SOURCE_MAC 1u
#define OPT_TARGET_MAC 2u
#define OPT_PREFIX 3u
#define OPT_MTU 5u
#define NA_ROUTER 0x80u
#define NA_SOLICITED 0x40u
#define NA_OVERRIDE 0x20u

/* RFC 4861 10, RFC 4862 5.1 */
#define RS_COUNT 3
#define RS_INTERVAL_NS (4 * NET_NS_PER_S)
#define RETRANS_NS NET_NS_PER_S
#define DAD_TRANSMITS 1
#define TWO_HOURS_NS (7200 * NET_NS_PER_S)

static const struct net_addr ALL_NODES = { .b = { 0xff, 2, [15] = 1 } };
static const struct net_addr ALL_ROUTERS = { .b = { 0xff, 2, [15] = 2 } };

static struct net_addr solicited_node(const struct net_addr *a)
{
    return (struct net_addr){ .b = { 0xff, 2, [11] = 1, [12] = 0xff, [13] = a->b[13], [14] = a->b[14], [15] = a->b[15] } };
}

static uint8_t *begin(struct net_iface *iface, uint8_t type, uint32_t bytes, struct pbuf **out)
{
    struct pbuf *pb = pbuf_alloc_small(&iface->stack->pools, ETH_HEADER_BYTES + 4 + IP6_HEADER_BYTES);
    *out = pb;
    if (!pb)
        return NULL;
    uint8_t *p = pbuf_extend(pb, bytes);
    net_zero(p, bytes);
    p[0] = type;
    return p;
}

static void put_mac(uint8_t *p, uint8_t option, const struct net_iface *iface)
{
    p[0] = option;
    p[1] = 1;
    net_copy(p + 2, iface->mac.b, 6);
}

/* Sends with hop limit 255, which no router can forge (RFC 4861 3.1). Never asks for a neighbour
 * itself unless the destination is one that is known. */
static void send(struct net_iface *iface, const struct net_addr *src, const struct net_addr *dst, struct pbuf *pb)
{
    icmp_send(iface->stack, iface, src, dst, 0, 255, pb);
}

/* A source of the link for talking to target; false if there is none yet. */
static bool own_source(struct net_iface *iface, const struct net_addr *target, struct net_addr *src)
{
    bool found = false;
    for (unsigned k = 0; k < IFACE_ADDRS; k++) {
        const struct net_ifaddr *ifa = &iface->addrs[k];
        if ((ifa->state != IFADDR_PREFERRED && ifa->state != IFADDR_DEPRECATED) || net_addr_is_v4(&ifa->addr))
            continue;
        bool same_kind = net_addr_is_link_local6(&ifa->addr) == net_addr_is_link_local6(target);
        if (!found || same_kind)
            *src = ifa->addr;
        found = true;
        if (same_kind)
            break;
    }
    return found;
}

void nd_solicit(struct neigh *n, bool unicast)
{
    struct net_iface *iface = n->iface;
    struct net_addr src, dst = unicast ? n->flow.key.remote : solicited_node(&n->flow.key.remote);
    struct pbuf *pb;
    if (!own_source(iface, &n->flow.key.remote, &src))
        return;
    uint8_t *p = begin(iface, ND_NS, 32, &pb);
    if (!p)
        return;
    net_copy(p + 8, n->flow.key.remote.b, 16);
    put_mac(p + 24, OPT_SOURCE_MAC, iface);
    send(iface, &src, &dst, pb);
}

/* RFC 4862 5.4.2: from the unspecified address, to the target's group. */
static void send_dad(struct net_ifaddr *ifa)
{
    struct net_iface *iface = ifa->iface;
    struct net_tx tx = { .dst = solicited_node(&ifa->addr), .proto = IP_PROTO_ICMP6, .ttl = 255 };
    struct net_path path = { .iface = iface, .mtu = iface->mtu };
    struct pbuf *pb;
    uint8_t *p = begin(iface, ND_NS, 24, &pb);
    if (!p)
        return;
    net_copy(p + 8, ifa->addr.b, 16);
    icmp6_checksum(pb, &tx.src, &tx.dst);
    ip6_output(iface->stack, &path, &tx, pb);
}

static void dad_fire(struct net_timer *t)
{
    struct net_ifaddr *ifa = net_container_of(t, struct net_ifaddr, timer);
    struct net_stack *ns = ifa->iface->stack;
    if (!ifa->probes_left) {
        net_ifaddr_accept(ifa);
        return;
    }
    ifa->probes_left--;
    send_dad(ifa);
    net_timer_arm(&ns->wheel, t, ns->now_ns + RETRANS_NS);
}

void nd_start_dad(struct net_ifaddr *ifa)
{
    struct net_stack *ns = ifa->iface->stack;
    ifa->probes_left = DAD_TRANSMITS;
    ifa->timer.fire = dad_fire;
    net_timer_arm(&ns->wheel, &ifa->timer, ns->now_ns + net_random(ns) % NET_NS_PER_S);
}

static void advertise(struct net_iface *iface, const struct net_addr *target, const struct net_addr *to, bool solicited)
{
    struct pbuf *pb;
    uint8_t *p = begin(iface, ND_NA, 32, &pb);
    if (!p)
        return;
    p[4] = NA_OVERRIDE | (solicited ? NA_SOLICITED : 0);
    net_copy(p + 8, target->b, 16);
    put_mac(p + 24, OPT_TARGET_MAC, iface);
    send(iface, target, to, pb);
}

/* An option of the message, NULL if absent. *ok false if the options are malformed (RFC 4861 4.6). */
static const uint8_t *option(const struct pbuf *pb, uint32_t from, uint8_t type, bool *ok)
{
    const uint8_t *found = NULL;
    uint32_t i = from;
    while (i + 2 <= pb->len) {
        uint32_t n = pb->data[i + 1] * 8u;
        if (!n || i + n > pb->len) {
            *ok = false;
            return NULL;
        }
        if (pb->data[i] == type && !found)
            found = pb->data + i;
        i += n;
    }
    return found;
}

static bool genuine(const struct net_rx *rx, uint32_t least) { return rx->ttl == 255 && rx->pb->data[1] == 0 && rx->pb->len >= least; }

void nd_solicit_input(struct net_stack *ns, struct net_rx *rx)
{
    struct net_iface *iface = rx->iface;
    bool ok = true;
    if (!genuine(rx, 24))
        return;
    struct net_addr target = net_addr_v6(rx->pb->data + 8);
    const uint8_t *mac = option(rx->pb, 24, OPT_SOURCE_MAC, &ok);
    bool dad = net_addr_is_any(&rx->src);
    if (!ok || net_addr_is_multicast(&target) || (dad && (mac || !rx->group)))
        return;
    struct net_ifaddr *ifa = net_iface_find_addr(iface, &target);
    if (!ifa)
        return;
    if (ifa->state == IFADDR_TENTATIVE) {
        if (dad) { /* RFC 4862 5.4.3: somebody probes for it as well */
            ns->counters.arp_conflicts++;
            net_ifaddr_conflict(ifa);
        }
        return;
    }
    if (ifa->state == IFADDR_DUPLICATE)
        return;
    if (!dad && mac) {
        struct net_mac m;
        net_copy(&m, mac + 2, 6);
        neigh_learn(ns, iface, &rx->src, &m, true, false, true);
    }
    advertise(iface, &target, dad ? &ALL_NODES : &rx->src, !dad);
}

void nd_advert_input(struct net_stack *ns, struct net_rx *rx)
{
    bool ok = true;
    if (!genuine(rx, 24))
        return;
    uint8_t flags = rx->pb->data[4];
    struct net_addr target = net_addr_v6(rx->pb->data + 8);
    const uint8_t *mac = option(rx->pb, 24, OPT_TARGET_MAC, &ok);
    if (!ok || net_addr_is_multicast(&target) || ((flags & NA_SOLICITED) && rx->group))
        return;
    struct net_ifaddr *ifa = net_iface_find_addr(rx->iface, &target);
    if (ifa) {
        ns->counters.arp_conflicts++;
        if (ifa->state == IFADDR_TENTATIVE)
            net_ifaddr_conflict(ifa);
        return;
    }
    struct neigh *n = neigh_find(ns, rx->iface, &target);
    if (!n)
        return; /* RFC 4861 7.2.5: nothing asked for it */
    struct net_mac m = n->mac;
    if (mac)
        net_copy(&m, mac + 2, 6);
    else if (n->state == NEIGH_INCOMPLETE)
        return;
    neigh_learn(ns, rx->iface, &target, &m, false, flags & NA_SOLICITED, flags & NA_OVERRIDE);
    if ((n = neigh_find(ns, rx->iface, &target)))
        n->is_router = (flags & NA_ROUTER) != 0;
}

void nd_redirect_input(struct net_stack *ns, struct net_rx *rx)
{
    bool ok = true;
    if (!genuine(rx, 40) || !net_addr_is_link_local6(&rx->src))
        return;
    struct net_addr target = net_addr_v6(rx->pb->data + 8), dst = net_addr_v6(rx->pb->data + 24);
    struct net_route *r = net_route_find(ns, &dst, rx->iface);
    const uint8_t *mac = option(rx->pb, 40, OPT_TARGET_MAC, &ok);
    /* RFC 4861 8.1: only from the current first hop, to a link-local router or the host itself. */
    if (!ok || !r || !net_addr_eq(&r->gateway, &rx->src) || net_addr_is_multicast(&dst) ||
        !(net_addr_is_link_local6(&target) || net_addr_eq(&target, &dst)))
        return;
    if (mac) {
        struct net_mac m;
        net_copy(&m, mac + 2, 6);
        neigh_learn(ns, rx->iface, &target, &m, true, false, true);
    }
    struct net_addr none = { 0 };
    net_route_add(ns, &dst, 128, net_addr_eq(&target, &dst) ? &none : &target, rx->iface, 0);
}

static void rs_fire(struct net_timer *t)
{
    struct net_iface *iface = net_container_of(t, struct net_iface, rs_timer);
    struct net_stack *ns = iface->stack;
    struct net_addr src;
    struct pbuf *pb;
    if (!iface->rs_left)
        return;
    if (own_source(iface, &(struct net_addr){ .b = { 0xfe, 0x80 } }, &src)) {
        iface->rs_left--;
        uint8_t *p = begin(iface, ND_RS, 16, &pb);
        if (p) {
            put_mac(p + 8, OPT_SOURCE_MAC, iface);
            send(iface, &src, &ALL_ROUTERS, pb);
        }
    }
    net_timer_arm(&ns->wheel, t, ns->now_ns + RS_INTERVAL_NS);
}

void nd_start_router_solicit(struct net_iface *iface)
{
    iface->rs_left = RS_COUNT;
    iface->rs_timer.fire = rs_fire;
    net_timer_arm(&iface->stack->wheel, &iface->rs_timer, iface->stack->now_ns + net_random(iface->stack) % NET_NS_PER_S);
}

/* RFC 4291 appendix A: modified EUI-64. */
static void put_interface_id(uint8_t *p, const struct net_mac *m)
{
    const uint8_t id[8] = { m->b[0] ^ 2, m->b[1], m->b[2], 0xff, 0xfe, m->b[3], m->b[4], m->b[5] };
    net_copy(p, id, 8);
}

void nd_enable_slaac(struct net_iface *iface)
{
    struct net_addr link_local = { .b = { 0xfe, 0x80 } };
    put_interface_id(link_local.b + 8, &iface->mac);
    iface->slaac = 1;
    net_iface_add_addr(iface, &link_local, 64, true);
    nd_start_router_solicit(iface);
}

static uint64_t lifetime_ns(const struct net_stack *ns, uint32_t seconds)
{
    return seconds == UINT32_MAX ? UINT64_MAX : ns->now_ns + seconds * NET_NS_PER_S;
}

/* A route that a router announced: renewed, made or withdrawn. */
static void learn_route(struct net_iface *iface, const struct net_addr *prefix, unsigned bits, const struct net_addr *gateway, uint32_t seconds)
{
    struct net_stack *ns = iface->stack;
    unsigned learnt = 0;
    for (struct net_route *r = ns->routes; r; r = r->next) {
        learnt += r->learnt;
        if (r->iface == iface && r->bits == bits && net_addr_in_prefix(prefix, &r->prefix, bits) && net_addr_eq(&r->gateway, gateway)) {
            if (!r->learnt)
                return;
            net_paths_expire_at(ns, r->until_ns = lifetime_ns(ns, seconds));
            net_paths_changed(ns);
            return;
        }
    }
    if (!seconds || learnt >= LEARNT_ROUTES || net_route_add(ns, prefix, bits, gateway, iface, 1024) < 0)
        return;
    for (struct net_route *r = ns->routes; r; r = r->next)
        if (r->iface == iface && r->bits == bits && net_addr_eq(&r->prefix, prefix) && net_addr_eq(&r->gateway, gateway)) {
            r->learnt = 1;
            net_paths_expire_at(ns, r->until_ns = lifetime_ns(ns, seconds));
        }
}

/* RFC 4862 5.5.3 */
static void autoconfigure(struct net_iface *iface, const struct net_addr *prefix, uint32_t valid, uint32_t preferred)
{
    struct net_stack *ns = iface->stack;
    struct net_addr addr = *prefix;
    put_interface_id(addr.b + 8, &iface->mac);
    struct net_ifaddr *ifa = net_iface_find_addr(iface, &addr);
    if (!ifa) {
        if (!valid || net_iface_add_addr(iface, &addr, 64, true) < 0)
            return;
        ifa = net_iface_find_addr(iface, &addr);
        ifa->autoconf = 1;
        ifa->valid_until_ns = lifetime_ns(ns, valid);
        ifa->preferred_until_ns = lifetime_ns(ns, preferred);
        return;
    }
    if (!ifa->autoconf || ifa->state == IFADDR_DUPLICATE)
        return;
    /* e: an unauthenticated announcement cannot cut the rest below two hours. */
    uint64_t until = lifetime_ns(ns, valid), left = ifa->valid_until_ns == UINT64_MAX ? UINT64_MAX : ifa->valid_until_ns - ns->now_ns;
    if (valid > 7200 || until > ifa->valid_until_ns)
        ifa->valid_until_ns = until;
    else if (left > TWO_HOURS_NS)
        ifa->valid_until_ns = ns->now_ns + TWO_HOURS_NS;
    ifa->preferred_until_ns = net_min(lifetime_ns(ns, preferred), ifa->valid_until_ns);
    if (ifa->state != IFADDR_TENTATIVE) {
        ifa->state = preferred ? IFADDR_PREFERRED : IFADDR_DEPRECATED;
        if (ifa->valid_until_ns != UINT64_MAX)
            net_timer_arm(&ns->wheel, &ifa->timer, preferred ? ifa->preferred_until_ns : ifa->valid_until_ns);
    }
}

static void prefix_option(struct net_iface *iface, const uint8_t *o)
{
    struct net_addr prefix = net_addr_v6(o + 16), none = { 0 };
    uint32_t valid = get_be32(o + 4), preferred = get_be32(o + 8);
    unsigned bits = o[2];
    if (bits > 128 || net_addr_is_link_local6(&prefix) || net_addr_is_multicast(&prefix))
        return;
    for (unsigned b = bits; b < 128; b++)
        prefix.b[b / 8] &= (uint8_t)~(0x80 >> b % 8);
    if (o[3] & 0x80)
        learn_route(iface, &prefix, bits, &none, valid);
    if ((o[3] & 0x40) && bits == 64 && preferred <= valid)
        autoconfigure(iface, &prefix, valid, preferred);
}

void nd_router_advert_input(struct net_stack *ns, struct net_rx *rx)
{
    struct net_iface *iface = rx->iface;
    const struct pbuf *pb = rx->pb;
    bool ok = true;
    if (!iface->slaac || !genuine(rx, 16) || !net_addr_is_link_local6(&rx->src))
        return;
    const uint8_t *mac = option(pb, 16, OPT_SOURCE_MAC, &ok), *mtu = option(pb, 16, OPT_MTU, &ok);
    if (!ok)
        return;
    iface->rs_left = 0;
    net_timer_cancel(&ns->wheel, &iface->rs_timer);
    if (pb->data[4])
        iface->hop_limit = pb->data[4];
    if (mac) {
        struct net_mac m;
        net_copy(&m, mac + 2, 6);
        neigh_learn(ns, iface, &rx->src, &m, true, false, true);
    }
    if (mtu && get_be32(mtu + 4) >= IP6_MIN_MTU && get_be32(mtu + 4) < iface->mtu) {
        iface->mtu = get_be32(mtu + 4);
        net_paths_changed(ns);
    }
    struct net_addr any = { 0 };
    learn_route(iface, &any, 0, &rx->src, get_be16(pb->data + 6));
    for (uint32_t i = 16; i + 32 <= pb->len; i += pb->data[i + 1] * 8u)
        if (pb->data[i] == OPT_PREFIX && pb->data[i + 1] == 4)
            prefix_option(iface, pb->data + i);
}
