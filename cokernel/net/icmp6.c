/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMPv6 (RFC 4443) and the messages of MLD (RFC 3810, RFC 2710). */
#include "cokernel/net/cksum.h"
#include "cokernel/net/icmp.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/nd.h"
#include "cokernel/net/wire.h"

#define ICMP6_UNREACHABLE 1u
#define ICMP6_TOO_BIG 2u
#define ICMP6_TIME_EXCEEDED 3u
#define ICMP6_PARAMETER 4u
#define ICMP6_ECHO 128u
#define ICMP6_ECHO_REPLY 129u
#define MLD_QUERY 130u
#define MLD_REPORT 131u
#define MLD_DONE 132u
#define MLD_V2_REPORT 143u
#define ND_RA 134u
#define ND_NS 135u
#define ND_NA 136u

void icmp6_checksum(struct pbuf *pb, const struct net_addr *src, const struct net_addr *dst)
{
    store16(pb->data + 2, 0);
    store16(pb->data + 2, cksum_finish(cksum_pbuf(cksum_pseudo(src, dst, IP_PROTO_ICMP6, pb->total), pb, 0, pb->total)));
}

static bool mld_is_v1(const struct net_iface *iface) { return iface->stack->now_ns < iface->mld_v1_until_ns; }

/* Hop limit 1 and a router alert, which ends up in a hop-by-hop header (RFC 2710 3, RFC 3810 5). */
void mld_send(struct net_iface *iface, const struct net_addr *group, enum mcast_report what)
{
    static const struct net_addr all_routers = { .b = { 0xff, 2, [15] = 2 } }, v2_routers = { .b = { 0xff, 2, [15] = 0x16 } };
    static const uint8_t hop_by_hop[8] = { IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0 };
    struct net_stack *ns = iface->stack;
    bool v1 = mld_is_v1(iface), leave = what == MCAST_LEAVES;
    struct net_tx tx = { .dst = !v1 ? v2_routers : leave ? all_routers : *group, .proto = IP_PROTO_HOPOPTS, .ttl = 1 };
    struct net_path path = { .iface = iface, .mtu = iface->mtu };
    for (unsigned k = 0; k < IFACE_ADDRS; k++) /* from a link-local address, or none yet: RFC 3590 */
        if (iface->addrs[k].state == IFADDR_PREFERRED && net_addr_is_link_local6(&iface->addrs[k].addr))
            tx.src = iface->addrs[k].addr;
    struct pbuf *pb = pbuf_alloc_small(&ns->pools, ETH_HEADER_BYTES + 4 + IP6_HEADER_BYTES + 8);
    if (!pb)
        return;
    uint32_t bytes = v1 ? 24 : 28;
    uint8_t *p = pbuf_extend(pb, bytes);
    net_zero(p, bytes);
    if (v1) {
        p[0] = leave ? MLD_DONE : MLD_REPORT;
        net_copy(p + 8, group->b, 16);
    } else { /* one record, no sources: RFC 3810 5.2 */
        p[0] = MLD_V2_REPORT;
        put_be16(p + 6, 1);
        p[8] = (uint8_t)what;
        net_copy(p + 12, group->b, 16);
    }
    icmp6_checksum(pb, &tx.src, &tx.dst);
    net_copy(pbuf_push(pb, 8), hop_by_hop, 8);
    ip6_output(ns, &path, &tx, pb);
}

static void mld_input(struct net_rx *rx)
{
    const uint8_t *p = rx->pb->data;
    struct net_iface *iface = rx->iface;
    if (rx->pb->len < 24 || rx->ttl != 1 || !net_addr_is_link_local6(&rx->src))
        return;
    struct net_addr group = net_addr_v6(p + 8);
    if (p[0] == MLD_REPORT) {
        if (mld_is_v1(iface)) /* version 2 suppresses nothing */
            mcast_heard_report(iface, &group);
        return;
    }
    uint64_t ms = get_be16(p + 4);
    if (rx->pb->total == 24)
        iface->mld_v1_until_ns = iface->stack->now_ns + MCAST_OLD_QUERIER_NS;
    else if (rx->pb->total < 28) /* RFC 3810 8.1: neither version */
        return;
    else if (ms >= 0x8000) /* 5.1.3 */
        ms = ((ms & 0xfff) | 0x1000) << ((ms >> 12 & 7) + 3);
    mcast_query(iface, &group, false, ms * NET_NS_PER_MS);
}

/* By code of an unreachable: RFC 4443 3.1; the numbers are Linux's. */
static const struct { enum net_unreach what; int error; } codes[] = {
    { NET_UNREACH_SOFT, NET_ENETUNREACH },
    { NET_UNREACH_HARD, NET_EACCES },
    { NET_UNREACH_SOFT, NET_EHOSTUNREACH },
    { NET_UNREACH_SOFT, NET_EHOSTUNREACH },
    { NET_UNREACH_HARD, NET_ECONNREFUSED },
    { NET_UNREACH_HARD, NET_EACCES },
    { NET_UNREACH_HARD, NET_EACCES },
};

static void error_input(struct net_stack *ns, const struct pbuf *pb)
{
    const uint8_t *icmp = pb->data, *ip = icmp + 8;
    if (pb->len < 8 + IP6_HEADER_BYTES + 8) {
        ns->counters.icmp_bad++;
        return;
    }
    struct net_icmp_error e = { .what = NET_UNREACH_SOFT, .error = NET_EHOSTUNREACH };
    e.flow.local = net_addr_v6(ip + 8);
    e.flow.remote = net_addr_v6(ip + 24);
    uint8_t proto = ip[6];
    const uint8_t *l4 = ip + IP6_HEADER_BYTES;
    if (proto == IP_PROTO_FRAGMENT && pb->len >= 8 + IP6_HEADER_BYTES + 16 && !(get_be16(l4 + 2) & 0xfff8)) {
        proto = l4[0];
        l4 += 8;
    }
    if (icmp[0] == ICMP6_TOO_BIG) {
        e.what = NET_UNREACH_TOO_BIG;
        e.error = NET_EMSGSIZE;
        e.mtu = get_be32(icmp + 4);
    } else if (icmp[0] == ICMP6_UNREACHABLE && icmp[1] < sizeof codes / sizeof *codes) {
        e.what = codes[icmp[1]].what;
        e.error = codes[icmp[1]].error;
    } else if (icmp[0] != ICMP6_TIME_EXCEEDED) { /* nothing known: RFC 4443 2.4 a passes it on all the same */
        e.what = icmp[0] == ICMP6_UNREACHABLE || icmp[0] == ICMP6_PARAMETER ? NET_UNREACH_HARD : NET_UNREACH_SOFT;
        e.error = NET_EPROTO;
    }
    icmp_dispatch(ns, proto, &e, l4);
}

static void echo(struct net_stack *ns, struct net_rx *rx)
{
    struct net_addr src = rx->group ? (struct net_addr){ 0 } : rx->dst;
    ns->counters.icmp_echo++;
    if (!icmp_allowed(ns))
        return;
    struct pbuf *copy = pbuf_alloc_large(&ns->pools, PBUF_HEADROOM);
    if (!copy)
        return;
    uint32_t first = net_min(rx->pb->total, pbuf_tailroom(copy)), rest = rx->pb->total - first;
    pbuf_copy_out(rx->pb, 0, pbuf_extend(copy, first), first);
    while (rest) {
        struct pbuf *more = pbuf_alloc_large(&ns->pools, 0);
        if (!more) {
            pbuf_put(copy);
            return;
        }
        uint32_t n = net_min(rest, pbuf_tailroom(more));
        pbuf_copy_out(rx->pb, rx->pb->total - rest, pbuf_extend(more, n), n);
        pbuf_append(copy, more);
        rest -= n;
    }
    copy->data[0] = ICMP6_ECHO_REPLY;
    icmp_send(ns, rx->iface->nic ? rx->iface : NULL, &src, &rx->src, rx->tos, 0, copy);
}

void icmp6_input(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    ns->counters.icmp_in++;
    if (pb->len < 8 || cksum_fold(cksum_pbuf(cksum_pseudo(&rx->src, &rx->dst, IP_PROTO_ICMP6, pb->total), pb, 0, pb->total)) != 0xffff) {
        ns->counters.icmp_bad++;
        pbuf_put(pb);
        return;
    }
    switch (pb->data[0]) {
    case ICMP6_UNREACHABLE:
    case ICMP6_TOO_BIG:
    case ICMP6_TIME_EXCEEDED:
    case ICMP6_PARAMETER:
        error_input(ns, pb);
        break;
    case ICMP6_ECHO:
        echo(ns, rx);
        break;
    case MLD_QUERY:
    case MLD_REPORT:
        mld_input(rx);
        break;
    case ND_RA:
        nd_router_advert_input(ns, rx);
        break;
    case ND_NS:
        nd_solicit_input(ns, rx);
        break;
    case ND_NA:
        nd_advert_input(ns, rx);
        break;
    case ND_REDIRECT:
        nd_redirect_input(ns, rx);
        break;
    default:
        if (pb->data[0] < ICMP6_FIRST_INFO)
            error_input(ns, pb);
        break;
    }
    pbuf_put(pb);
}
