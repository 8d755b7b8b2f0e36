/* SPDX-License-Identifier: BSD-2-Clause */
/* IGMPv2 messages (RFC 2236). */
#include "cokernel/net/cksum.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define IGMP_QUERY 0x11u
#define IGMP_V1_REPORT 0x12u
#define IGMP_V2_REPORT 0x16u
#define IGMP_LEAVE 0x17u

void igmp_send(struct net_iface *iface, const struct net_addr *group, bool leave)
{
    struct net_stack *ns = iface->stack;
    struct net_tx tx = { .dst = *group, .proto = IP_PROTO_IGMP, .tos = 0xc0, .ttl = 1 };
    struct net_path path;
    if (leave)
        tx.dst = net_addr_v4(0xe0000002);
    struct pbuf *pb = pbuf_alloc_small(&ns->pools, 64);
    if (!pb)
        return;
    if (net_path_find(ns, &tx.src, &tx.dst, iface, &path) < 0) {
        pbuf_put(pb);
        return;
    }
    uint8_t *p = pbuf_extend(pb, 8);
    p[0] = leave ? IGMP_LEAVE : IGMP_V2_REPORT;
    p[1] = 0;
    store16(p + 2, 0);
    store32(p + 4, group->w[3]);
    store16(p + 2, cksum_finish(cksum_add(0, p, 8)));
    ip4_output(ns, &path, &tx, pb);
}

void igmp_input(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    const uint8_t *p = pb->data;
    if (pb->len >= 8 && cksum_fold(cksum_pbuf(0, pb, 0, pb->total)) == 0xffff) {
        struct net_addr group = net_addr_v4_raw(load32(p + 4));
        if (p[0] == IGMP_QUERY) {
            uint64_t tenths = p[1] ? p[1] : 100; /* RFC 2236 4: a version 1 querier means 10 s */
            mcast_query(rx->iface, &group, true, tenths * 100 * NET_NS_PER_MS);
        } else if (p[0] == IGMP_V1_REPORT || p[0] == IGMP_V2_REPORT) {
            mcast_heard_report(rx->iface, &group);
        }
    }
    pbuf_put(pb);
}
