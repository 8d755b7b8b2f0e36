/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4 (RFC 791, RFC 1122 3). A host, never a router: nothing is forwarded. */
#include "cokernel/net/cksum.h"
#include "cokernel/net/icmp.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define IP4_DF 0x4000u
#define IP4_MF 0x2000u
#define IP4_OFFSET_MASK 0x1fffu
#define IPOPT_END 0u
#define IPOPT_NOP 1u
#define IPOPT_LSRR 131u
#define IPOPT_SSRR 137u

#define OPTIONS_REFUSED (-2)

/* RFC 7126: source routes are refused; everything else is skipped, if well formed. -1, OPTIONS_REFUSED, or the offset of what is wrong. */
static int check_options(const uint8_t *options, uint32_t bytes)
{
    const uint8_t *p = options;
    for (uint32_t n = bytes; n;) {
        if (p[0] == IPOPT_END)
            break;
        if (p[0] == IPOPT_NOP) {
            p++;
            n--;
            continue;
        }
        if (n < 2 || p[1] < 2 || p[1] > n)
            return (int)(p - options);
        if (p[0] == IPOPT_LSRR || p[0] == IPOPT_SSRR)
            return OPTIONS_REFUSED;
        n -= p[1];
        p += p[1];
    }
    return -1;
}

/* 0.0.0.0 is a host that asks for its own. Nobody else on a link is us. */
bool ip4_source_ok(struct net_iface *iface, const struct net_addr *src, uint8_t proto)
{
    uint8_t first = src->b[12];
    if (first == 127)
        return !iface->nic;
    if (first == 0)
        return proto == IP_PROTO_UDP || proto == IP_PROTO_IGMP;
    return first < 224 && !net_iface_is_broadcast(iface, src) && (!iface->nic || !net_addr_is_ours(iface->stack, src));
}

void ip4_input(struct net_iface *iface, struct pbuf *pb)
{
    struct net_stack *ns = iface->stack;
    struct net_rx rx; /* every field is set below */
    uint8_t *h = pb->data;
    uint32_t header = pb->len >= IP4_HEADER_BYTES ? (h[0] & 15u) * 4u : 0;
    if (header < IP4_HEADER_BYTES || h[0] >> 4 != 4 || header > pb->len || get_be16(h + 2) < header || get_be16(h + 2) > pb->total) {
        ns->counters.ip_bad_header++;
        goto drop;
    }
    if (cksum_fold(net_likely(header == IP4_HEADER_BYTES) ? cksum_ip4_header(h) : cksum_add(0, h, header)) != 0xffff) {
        ns->counters.ip_bad_cksum++;
        goto drop;
    }
    pbuf_trim(pb, get_be16(h + 2)); /* Ethernet pads short frames */
    rx.iface = iface;
    rx.pb = pb;
    rx.src = net_addr_v4_raw(load32(h + 12));
    rx.dst = net_addr_v4_raw(load32(h + 16));
    rx.ip = h;
    rx.ip_bytes = header;
    rx.proto = h[9];
    rx.tos = h[1];
    rx.ttl = h[8];
    /* One compare for the usual case: the first address of the interface. */
    if (net_likely(net_addr_eq(&rx.dst, &iface->addrs[0].addr) && iface->addrs[0].state == IFADDR_PREFERRED)) {
        rx.group = 0;
    } else if (net_addr_is_multicast(&rx.dst) || net_iface_is_broadcast(iface, &rx.dst)) {
        rx.group = 1;
        if (net_addr_is_multicast(&rx.dst) && !mcast_is_member(iface, &rx.dst))
            goto not_ours;
    } else if (!net_iface_accepts(iface, &rx.dst)) {
        /* A DHCP client's answer may come to an address that is not ours yet. */
        if (!(rx.proto == IP_PROTO_UDP && iface->unconfigured))
            goto not_ours;
    }
    if (!ip4_source_ok(iface, &rx.src, rx.proto))
        goto not_ours;
    if (net_unlikely(rx.src.b[12] == 0) && !rx.group && !iface->unconfigured) /* who has no address yet cannot know ours */
        goto not_ours;
    if (pb->flags & PBUF_BROADCAST) {
        if (!rx.group) /* RFC 1122 3.3.6 */
            goto not_ours;
    }
    pbuf_drop(pb, header);
    if (net_unlikely(header > IP4_HEADER_BYTES)) {
        int bad = check_options(h + IP4_HEADER_BYTES, header - IP4_HEADER_BYTES);
        if (bad != -1) {
            ns->counters.ip_bad_options++;
            if (bad >= 0 && !(get_be16(h + 6) & IP4_OFFSET_MASK)) /* RFC 1122 3.2.2.5; 3.2.2: only about first fragments */
                icmp_complain(ns, &rx, ICMP_PARAMETER, 0, (IP4_HEADER_BYTES + (uint32_t)bad) << 24);
            goto drop;
        }
    }
    uint16_t frag = get_be16(h + 6);
    if (net_unlikely(frag & (IP4_MF | IP4_OFFSET_MASK))) {
        struct frag_key key = { .src = rx.src, .dst = rx.dst, .id = get_be16(h + 4), .proto = rx.proto };
        if (!frag_add(ns, &key, &rx, (frag & IP4_OFFSET_MASK) * 8u, frag & IP4_MF))
            return;
        rx.pb = pbuf_pull(rx.pb, net_min(rx.pb->total, 128u));
        if (!rx.pb)
            return;
        if (rx.ip) { /* as if it had come whole */
            put_be16(rx.ip + 2, (uint16_t)(rx.ip_bytes + rx.pb->total));
            put_be16(rx.ip + 6, 0);
            store16(rx.ip + 10, 0);
            store16(rx.ip + 10, cksum_finish(cksum_add(0, rx.ip, rx.ip_bytes)));
        }
    }
    ip4_deliver(ns, &rx);
    return;
not_ours:
    ns->counters.ip_not_ours++;
drop:
    pbuf_put(pb);
}

void ip4_deliver(struct net_stack *ns, struct net_rx *rx)
{
    switch (rx->proto) {
    case IP_PROTO_TCP:
        tcp_input(ns, rx);
        return;
    case IP_PROTO_UDP:
        udp_input(ns, rx);
        return;
    case IP_PROTO_ICMP:
        icmp4_input(ns, rx);
        return;
    case IP_PROTO_IGMP:
        igmp_input(ns, rx);
        return;
    }
    ns->counters.ip_no_proto++;
    icmp_reject(ns, rx, NET_REJECT_PROTO);
    pbuf_put(rx->pb);
}

static uint32_t header_bytes(const struct net_tx *tx) { return IP4_HEADER_BYTES + (tx->router_alert ? 4 : 0); }

static void write_header(uint8_t *h, const struct net_tx *tx, uint32_t total, uint16_t id, uint16_t frag)
{
    uint32_t header = header_bytes(tx);
    h[0] = (uint8_t)(0x40 | header / 4);
    h[1] = tx->tos;
    put_be16(h + 2, (uint16_t)total);
    put_be16(h + 4, id);
    put_be16(h + 6, frag);
    h[8] = tx->ttl ? tx->ttl : IP_DEFAULT_TTL;
    h[9] = tx->proto;
    store16(h + 10, 0);
    store32(h + 12, tx->src.w[3]);
    store32(h + 16, tx->dst.w[3]);
    if (net_unlikely(tx->router_alert)) {
        put_be32(h + IP4_HEADER_BYTES, 0x94040000); /* RFC 2113 */
        store16(h + 10, cksum_finish(cksum_add(0, h, header)));
        return;
    }
    store16(h + 10, cksum_finish(cksum_ip4_header(h)));
}

static void to_link(struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    if (net_likely(path->neigh != NULL)) {
        neigh_output(path->neigh, ETH_TYPE_IP4, pb);
    } else if (!path->iface->nic) {
        net_iface_tx(path->iface, pb);
    } else {
        struct net_mac mac = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
        if (net_addr_is_multicast(&tx->dst)) /* RFC 1112 6.4 */
            mac = (struct net_mac){ { 1, 0, 0x5e, tx->dst.b[13] & 0x7f, tx->dst.b[14], tx->dst.b[15] } };
        eth_output(path->iface, &mac, ETH_TYPE_IP4, pb);
    }
}

static int fragment(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    uint32_t room = (path->mtu - IP4_HEADER_BYTES) & ~7u, total = pb->total, offset = 0;
    uint16_t id = (uint16_t)net_random(ns);
    int err = 0;
    while (offset < total) {
        uint32_t n = net_min(room, total - offset);
        struct pbuf *f = pbuf_alloc_large(&ns->pools, PBUF_HEADROOM);
        if (!f) {
            err = -NET_ENOBUFS;
            break;
        }
        if (n <= pbuf_tailroom(f)) {
            pbuf_copy_out(pb, offset, pbuf_extend(f, n), n);
        } else {
            uint32_t left = n, at = offset;
            struct pbuf *chain;
            uint32_t first = pbuf_tailroom(f);
            pbuf_copy_out(pb, at, pbuf_extend(f, first), first);
            for (left -= first, at += first; left; ) {
                uint32_t k = net_min(left, PBUF_LARGE_BYTES - PBUF_DESC_BYTES);
                if (!(chain = pbuf_alloc_large(&ns->pools, 0)))
                    break;
                pbuf_copy_out(pb, at, pbuf_extend(chain, k), k);
                pbuf_append(f, chain);
                left -= k;
                at += k;
            }
            if (left) {
                pbuf_put(f);
                err = -NET_ENOBUFS;
                break;
            }
        }
        uint16_t field = (uint16_t)(offset / 8 | (offset + n < total ? IP4_MF : 0));
        write_header(pbuf_push(f, IP4_HEADER_BYTES), tx, n + IP4_HEADER_BYTES, id, field);
        to_link(path, tx, f);
        ns->counters.frag_out++;
        offset += n;
    }
    pbuf_put(pb);
    return err;
}

struct head { uint32_t src, dst; uint8_t proto, tos, ttl; };

/* Both headers of what must not be fragmented, to a neighbour that is known. The checksum is that of the fields as they are put. */
static inline void to_neighbour(struct neigh *n, struct head head, struct pbuf *pb, uint32_t total)
{
    uint8_t *f = pbuf_push(pb, ETH_HEADER_BYTES + IP4_HEADER_BYTES), *h = f + ETH_HEADER_BYTES;
    uint8_t ttl = head.ttl ? head.ttl : IP_DEFAULT_TTL;
    uint32_t first = 0x45000000u | (uint32_t)head.tos << 16 | total, third = (uint32_t)ttl << 24 | (uint32_t)head.proto << 16;
    uint64_t sum = (uint64_t)net_bswap32(first) + net_bswap32(IP4_DF) + net_bswap32(third) + head.src + head.dst;
    net_copy(f, n->mac.b, 6);
    net_copy(f + 6, n->iface->mac.b, 6);
    put_be16(f + 12, ETH_TYPE_IP4);
    put_be32(h, first);
    put_be32(h + 4, IP4_DF);
    store32(h + 8, net_bswap32(third) | (uint32_t)cksum_finish(sum) << 16);
    store32(h + 12, head.src);
    store32(h + 16, head.dst);
    if (pb->flags & PBUF_CSUM_PARTIAL)
        pb->csum_start = (uint16_t)(pb->csum_start + ETH_HEADER_BYTES + IP4_HEADER_BYTES);
    net_iface_tx(n->iface, pb);
}

/* Whether that is all there is to do. */
static inline bool is_plain(const struct net_path *path, const struct pbuf *pb, uint32_t total)
{
    const struct neigh *n = path->neigh;
    return n && n->state == NEIGH_REACHABLE && (total <= path->mtu || (pb->flags & PBUF_TSO)) && !n->iface->vlan_id &&
           (!pb->next || (n->iface->offloads & NIC_TX_CHAIN));
}

int ip_output_tcp(struct net_path *path, const struct net_flow_key *k, uint8_t tos, uint8_t ttl, struct pbuf *pb)
{
    uint32_t total = pb->total + IP4_HEADER_BYTES;
    if (net_likely(net_addr_is_v4(&k->remote) && is_plain(path, pb, total))) {
        to_neighbour(path->neigh, (struct head){ .src = k->local.w[3], .dst = k->remote.w[3], .proto = IP_PROTO_TCP, .tos = tos, .ttl = ttl }, pb,
                     total);
        return 0;
    }
    struct net_tx tx = { .src = k->local, .dst = k->remote, .proto = IP_PROTO_TCP, .tos = tos, .ttl = ttl, .dont_fragment = 1 };
    return ip_output(path->iface->stack, path, &tx, pb);
}

int ip4_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    uint32_t header = header_bytes(tx), total = pb->total + header;
    if (net_likely(tx->dont_fragment && !tx->router_alert && is_plain(path, pb, total))) {
        to_neighbour(path->neigh, (struct head){ .src = tx->src.w[3], .dst = tx->dst.w[3], .proto = tx->proto, .tos = tx->tos, .ttl = tx->ttl },
                     pb, total);
        return 0;
    }
    if (net_unlikely(total > path->mtu) && !(pb->flags & PBUF_TSO)) {
        if (tx->dont_fragment || total > 65535) {
            pbuf_put(pb);
            return -NET_EMSGSIZE;
        }
        if (pb->flags & PBUF_CSUM_PARTIAL) { /* a fragment cannot be checksummed by the device */
            uint8_t *field = pb->data + pb->csum_start + pb->csum_offset;
            store16(field, cksum_finish(cksum_pbuf(0, pb, pb->csum_start, pb->total - pb->csum_start)));
            pb->flags &= (uint8_t)~PBUF_CSUM_PARTIAL;
        }
        return fragment(ns, path, tx, pb);
    }
    /* RFC 6864 4.1: an atomic datagram's id has no meaning; others get unpredictable ones. */
    uint16_t id = tx->dont_fragment ? 0 : (uint16_t)net_random(ns);
    write_header(pbuf_push(pb, header), tx, total, id, tx->dont_fragment ? IP4_DF : 0);
    if (pb->flags & PBUF_CSUM_PARTIAL)
        pb->csum_start = (uint16_t)(pb->csum_start + header);
    to_link(path, tx, pb);
    return 0;
}

int ip_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    return net_addr_is_v4(&tx->dst) ? ip4_output(ns, path, tx, pb) : ip6_output(ns, path, tx, pb);
}
