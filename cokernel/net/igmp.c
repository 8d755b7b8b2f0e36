/* SPDX-License-Identifier: BSD-2-Clause */
/* IGMPv3 messages (RFC 3376), and those of older versions for older queriers (RFC 2236, RFC 1112). */
#include "cokernel/net/cksum.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define IGMP_QUERY 0x11u
#define IGMP_V1_REPORT 0x12u
#define IGMP_V2_REPORT 0x16u
#define IGMP_LEAVE 0x17u
#define IGMP_V3_REPORT 0x22u

static unsigned version(const struct net_iface *iface)
{
    uint64_t now = iface->stack->now_ns;
    return now < iface->igmp_v1_until_ns ? 1 : now < iface->igmp_v2_until_ns ? 2 : 3;
}

/* Fills in a message but for its checksum; returns its bytes, 0: this version has none for that. */
static uint32_t message(uint8_t *p, unsigned v, const struct net_addr *group, enum mcast_report what)
{
    net_zero(p, 16);
    if (v == 3) {
        p[0] = IGMP_V3_REPORT;
        put_be16(p + 6, 1); /* one record, no sources */
        p[8] = (uint8_t)what;
        store32(p + 12, group->w[3]);
        return 16;
    }
    if (what == MCAST_LEAVES && v == 1)
        return 0;
    p[0] = what == MCAST_LEAVES ? IGMP_LEAVE : v == 1 ? IGMP_V1_REPORT : IGMP_V2_REPORT;
    store32(p + 4, group->w[3]);
    return 8;
}

void igmp_send(struct net_iface *iface, const struct net_addr *group, enum mcast_report what)
{
    struct net_stack *ns = iface->stack;
    struct net_tx tx = { .dst = *group, .proto = IP_PROTO_IGMP, .tos = 0xc0, .ttl = 1, .router_alert = 1 };
    struct net_path path;
    unsigned v = version(iface);
    if (v == 3)
        tx.dst = net_addr_v4(0xe0000016); /* RFC 3376 4.2.14 */
    else if (what == MCAST_LEAVES)
        tx.dst = net_addr_v4(0xe0000002);
    struct pbuf *pb = pbuf_alloc_small(&ns->pools, 64);
    if (!pb)
        return;
    if (net_path_find(ns, &tx.src, &tx.dst, iface, &path) < 0) {
        tx.src = net_addr_v4(0); /* RFC 3376 4.2.13: before it has an address */
        path = (struct net_path){ .iface = iface, .mtu = iface->mtu };
    }
    uint32_t bytes = message(pb->data, v, group, what);
    if (!bytes) {
        pbuf_put(pb);
        return;
    }
    uint8_t *p = pbuf_extend(pb, bytes);
    store16(p + 2, cksum_finish(cksum_add(0, p, bytes)));
    ip4_output(ns, &path, &tx, pb);
}

static void query(struct net_iface *iface, const uint8_t *p, uint32_t bytes)
{
    uint64_t now = iface->stack->now_ns, tenths = p[1];
    struct net_addr group = net_addr_v4_raw(load32(p + 4));
    if (bytes < 12 && !p[1]) {
        iface->igmp_v1_until_ns = now + MCAST_OLD_QUERIER_NS;
        tenths = 100; /* RFC 2236 4 */
    } else if (bytes < 12) {
        iface->igmp_v2_until_ns = now + MCAST_OLD_QUERIER_NS;
    } else if (tenths >= 128) { /* RFC 3376 4.1.1 */
        tenths = ((tenths & 15u) | 16u) << ((tenths >> 4 & 7u) + 3);
    }
    mcast_query(iface, &group, true, tenths * 100 * NET_NS_PER_MS);
}

void igmp_input(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    const uint8_t *p = pb->data;
    if (pb->len >= 8 && cksum_fold(cksum_pbuf(0, pb, 0, pb->total)) == 0xffff) {
        struct net_addr group = net_addr_v4_raw(load32(p + 4));
        if (p[0] == IGMP_QUERY)
            query(rx->iface, p, pb->total);
        else if ((p[0] == IGMP_V1_REPORT || p[0] == IGMP_V2_REPORT) && version(rx->iface) < 3) /* version 3 suppresses nothing */
            mcast_heard_report(rx->iface, &group);
    }
    pbuf_put(pb);
}
