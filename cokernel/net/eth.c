/* SPDX-License-Identifier: BSD-2-Clause */
/* Ethernet II and 802.1Q. */
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

/* Headers of every layer lie in the first part from here on. */
#define HEADERS_BYTES 256u

static struct net_iface *find_vlan(struct net_iface *parent, uint16_t vlan_id)
{
    for (struct net_iface *i = parent->stack->ifaces; i; i = i->next)
        if (i->parent == parent && i->vlan_id == vlan_id)
            return i;
    return NULL;
}

void eth_input(struct net_iface *iface, struct pbuf *pb)
{
    struct net_stack *ns = iface->stack;
    iface->counters.rx_frames++;
    iface->counters.rx_bytes += pb->total;
    pb = pbuf_pull(pb, net_min(pb->total, HEADERS_BYTES));
    if (!pb || pb->len < ETH_HEADER_BYTES) {
        iface->counters.rx_errors++;
        if (pb)
            pbuf_put(pb);
        return;
    }
    uint8_t *h = pb->data;
    uint16_t type = get_be16(h + 12);
    pbuf_drop(pb, ETH_HEADER_BYTES);
    if (net_unlikely(type == ETH_TYPE_VLAN)) {
        uint16_t vlan_id = pb->len >= 4 ? get_be16(pb->data) & 0xfff : 0xfff;
        /* VLAN 0 carries only a priority: the frame is untagged (IEEE 802.1Q 9.6). */
        struct net_iface *sub = vlan_id ? find_vlan(iface, vlan_id) : iface;
        if (!sub) {
            ns->counters.vlan_unknown++;
            pbuf_put(pb);
            return;
        }
        type = get_be16(pb->data + 2);
        pbuf_drop(pb, 4);
        iface = sub;
    }
    if (net_unlikely(h[0] & 1)) {
        pb->flags |= PBUF_BROADCAST;
    } else if (!net_same(h, iface->mac.b, 6)) {
        iface->counters.rx_drops++;
        pbuf_put(pb);
        return;
    }
    pb->iface = iface;
    switch (type) {
    case ETH_TYPE_IP4:
        ip4_input(iface, pb);
        return;
    case ETH_TYPE_IP6:
        ip6_input(iface, pb);
        return;
    case ETH_TYPE_ARP:
        arp_input(iface, pb);
        return;
    }
    ns->counters.eth_unknown++;
    pbuf_put(pb);
}

/* The device must see one part if it cannot take several. */
static struct pbuf *linearize(struct net_iface *iface, struct pbuf *pb)
{
    struct pbuf *flat = pb->total <= PBUF_LARGE_BYTES - PBUF_DESC_BYTES ? pbuf_alloc_large(&iface->stack->pools, 0) : NULL;
    if (flat) {
        uint32_t n = pb->total;
        pbuf_copy_out(pb, 0, pbuf_extend(flat, n), n);
        flat->flags = pb->flags;
        flat->csum_start = pb->csum_start;
        flat->csum_offset = pb->csum_offset;
        flat->rss_bucket = pb->rss_bucket;
    } else {
        iface->counters.tx_drops++;
    }
    pbuf_put(pb);
    return flat;
}

void eth_output(struct net_iface *iface, const struct net_mac *dst, uint16_t type, struct pbuf *pb)
{
    if (net_unlikely(iface->vlan_id)) {
        uint8_t *tag = pbuf_push(pb, 4);
        put_be16(tag, iface->vlan_id);
        put_be16(tag + 2, type);
        type = ETH_TYPE_VLAN;
    }
    uint8_t *h = pbuf_push(pb, ETH_HEADER_BYTES);
    net_copy(h, dst, 6);
    net_copy(h + 6, iface->mac.b, 6);
    put_be16(h + 12, type);
    if (pb->flags & PBUF_CSUM_PARTIAL)
        pb->csum_start = (uint16_t)(pb->csum_start + ETH_HEADER_BYTES);
    if (net_unlikely(pb->next && !(iface->offloads & NIC_TX_CHAIN)))
        if (!(pb = linearize(iface, pb)))
            return;
    net_iface_tx(iface->parent ? iface->parent : iface, pb);
}
