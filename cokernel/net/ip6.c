/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv6 (RFC 8200). A host: nothing is forwarded, and routing headers with hops left are refused. */
#include "cokernel/net/cksum.h"
#include "cokernel/net/icmp.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/wire.h"

#define EXTENSIONS_MAX 8u /* RFC 8504 5.3 lets a host limit them */

/* Options of a hop-by-hop or destination header (RFC 8200 4.2). 0: go on, else an ICMP code
 * for a parameter problem at *at, or -1: drop in silence. */
static int check_options(const uint8_t *p, uint32_t n, uint32_t *at)
{
    uint32_t i = 2;
    while (i < n) {
        if (p[i] == 0) { /* Pad1 */
            i++;
            continue;
        }
        if (i + 2 > n || i + 2 + p[i + 1] > n)
            return -1;
        if (p[i] != 1 && p[i] != 5) { /* PadN, router alert */
            *at = i;
            if (p[i] >> 6 == 1)
                return -1;
            if (p[i] >> 6 >= 2)
                return 2;
        }
        i += 2u + p[i + 1];
    }
    return 0;
}

static void deliver(struct net_stack *ns, struct net_rx *rx)
{
    switch (rx->proto) {
    case IP_PROTO_TCP:
        tcp_input(ns, rx);
        return;
    case IP_PROTO_UDP:
        udp_input(ns, rx);
        return;
    case IP_PROTO_ICMP6:
        icmp6_input(ns, rx);
        return;
    case IP_PROTO_NONE:
        pbuf_put(rx->pb);
        return;
    }
    ns->counters.ip_no_proto++;
    icmp_reject(ns, rx, NET_REJECT_PROTO);
    pbuf_put(rx->pb);
}

/* The headers that ICMP quotes grow by one. room: UINT32_MAX if rx->ip lies in front of it anyway, else what fits behind. */
static void quote_more(struct net_rx *rx, const uint8_t *header, uint32_t n, uint32_t *room)
{
    if (rx->ip && *room != UINT32_MAX) {
        if (n > *room) {
            rx->ip = NULL;
        } else {
            net_copy(rx->ip + rx->ip_bytes, header, n);
            *room -= n;
        }
    }
    rx->ip_bytes += n;
}

/* False: the packet is gone. */
static bool fragment_header(struct net_stack *ns, struct net_rx *rx, uint32_t *room)
{
    const uint8_t *h = rx->pb->data;
    uint32_t offset = get_be16(h + 2) & 0xfff8u;
    bool more = h[3] & 1;
    uint8_t next = h[0];
    struct frag_key key = { .src = rx->src, .dst = rx->dst, .id = get_be32(h + 4), .proto = next };
    quote_more(rx, h, 8, room);
    pbuf_drop(rx->pb, 8);
    rx->proto = next;
    if (!offset && !more) /* atomic: RFC 6946, on its own */
        return true;
    if (!frag_add(ns, &key, rx, offset, more))
        return false;
    rx->pb = pbuf_pull(rx->pb, net_min(rx->pb->total, 128u));
    if (!rx->pb)
        return false;
    if (rx->ip) { /* as if it had come whole: RFC 8200 4.5 */
        uint32_t next_at = 6, at = IP6_HEADER_BYTES;
        for (uint8_t kind = rx->ip[6]; at + 8 < rx->ip_bytes;) { /* the fragment header is the last */
            uint32_t n = kind == IP_PROTO_FRAGMENT ? 8 : (rx->ip[at + 1] + 1u) * 8;
            kind = rx->ip[at];
            next_at = at;
            at += n;
        }
        rx->ip[next_at] = next;
        rx->ip_bytes -= 8;
        put_be16(rx->ip + 4, (uint16_t)(rx->ip_bytes - IP6_HEADER_BYTES + rx->pb->total));
        *room = FRAG_HEAD_BYTES - rx->ip_bytes;
    }
    return true;
}

static void walk(struct net_stack *ns, struct net_rx *rx)
{
    uint32_t room = UINT32_MAX;
    for (unsigned count = 0;; count++) {
        struct pbuf *pb = rx->pb;
        uint32_t at = 0;
        switch (rx->proto) {
        case IP_PROTO_HOPOPTS:
        case IP_PROTO_DSTOPTS:
        case IP_PROTO_ROUTING: {
            const uint8_t *h = pb->data;
            uint32_t n = pb->len >= 8 ? (h[1] + 1u) * 8 : 0;
            if (count >= EXTENSIONS_MAX || !n || n > pb->len || (rx->proto == IP_PROTO_HOPOPTS && count)) {
                ns->counters.ip_bad_options++;
                pbuf_put(pb);
                return;
            }
            int bad = 0;
            if (rx->proto != IP_PROTO_ROUTING)
                bad = check_options(h, n, &at);
            else if (h[3]) { /* RFC 8200 4.4, RFC 5095 */
                bad = 0x100;
                at = 2;
            }
            if (bad) {
                ns->counters.ip_bad_options++;
                if (bad > 0)
                    icmp_complain(ns, rx, 4, bad == 2 ? 2 : 0, rx->ip_bytes + at);
                pbuf_put(pb);
                return;
            }
            rx->proto = h[0];
            quote_more(rx, h, n, &room);
            pbuf_drop(pb, n);
            break;
        }
        case IP_PROTO_FRAGMENT:
            if (count >= EXTENSIONS_MAX || pb->len < 8) {
                ns->counters.ip_bad_options++;
                pbuf_put(pb);
                return;
            }
            if (!fragment_header(ns, rx, &room))
                return;
            break;
        default:
            deliver(ns, rx);
            return;
        }
    }
}

void ip6_input(struct net_iface *iface, struct pbuf *pb)
{
    struct net_stack *ns = iface->stack;
    struct net_rx rx = { .iface = iface, .pb = pb };
    uint8_t *h = pb->data;
    if (pb->len < IP6_HEADER_BYTES || h[0] >> 4 != 6 || get_be16(h + 4) + IP6_HEADER_BYTES > pb->total) {
        ns->counters.ip_bad_header++;
        pbuf_put(pb);
        return;
    }
    pbuf_trim(pb, get_be16(h + 4) + IP6_HEADER_BYTES);
    rx.src = net_addr_v6(h + 8);
    rx.dst = net_addr_v6(h + 24);
    rx.ip = h;
    rx.ip_bytes = IP6_HEADER_BYTES;
    rx.proto = h[6];
    rx.tos = (uint8_t)(h[0] << 4 | h[1] >> 4);
    rx.ttl = h[7];
    rx.group = net_addr_is_multicast(&rx.dst);
    bool bad_source = net_addr_is_multicast(&rx.src) || (iface->nic && net_addr_is_loopback(&rx.src)) || net_addr_is_v4(&rx.src);
    if (net_addr_is_any(&rx.src) && rx.proto != IP_PROTO_ICMP6 && rx.proto != IP_PROTO_HOPOPTS)
        bad_source = true; /* RFC 4291 2.5.2: only who has no address yet, which is discovery */
    bool tentative = false;
    if (!rx.group) { /* solicitations for a tentative address matter: RFC 4862 5.4.3 */
        struct net_ifaddr *ifa = net_iface_find_addr(iface, &rx.dst);
        tentative = ifa && ifa->state == IFADDR_TENTATIVE && rx.proto == IP_PROTO_ICMP6;
    }
    if (bad_source || net_addr_is_v4(&rx.dst) || (!tentative && !net_iface_accepts(iface, &rx.dst))) {
        ns->counters.ip_not_ours++;
        pbuf_put(pb);
        return;
    }
    pbuf_drop(pb, IP6_HEADER_BYTES);
    walk(ns, &rx);
}

static void write_header(uint8_t *h, const struct net_tx *tx, uint8_t proto, uint32_t payload, uint8_t hop_limit)
{
    put_be32(h, 6u << 28 | (uint32_t)tx->tos << 20);
    put_be16(h + 4, (uint16_t)payload);
    h[6] = proto;
    h[7] = hop_limit;
    net_copy(h + 8, tx->src.b, 16);
    net_copy(h + 24, tx->dst.b, 16);
}

static void to_link(struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    if (net_likely(path->neigh != NULL)) {
        neigh_output(path->neigh, ETH_TYPE_IP6, pb);
    } else if (!path->iface->nic) {
        net_iface_tx(path->iface, pb);
    } else { /* RFC 2464 7 */
        const uint8_t *d = tx->dst.b;
        struct net_mac mac = { { 0x33, 0x33, d[12], d[13], d[14], d[15] } };
        eth_output(path->iface, &mac, ETH_TYPE_IP6, pb);
    }
}

/* Only the source fragments (RFC 8200 4.5). */
static int fragment(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb, uint8_t hop_limit)
{
    uint32_t room = (net_min(path->mtu, PBUF_LARGE_BYTES - PBUF_DESC_BYTES - PBUF_HEADROOM) - IP6_HEADER_BYTES - 8) & ~7u;
    uint32_t total = pb->total, id = (uint32_t)net_random(ns);
    int err = 0;
    for (uint32_t offset = 0; offset < total; offset += room) {
        uint32_t n = net_min(room, total - offset);
        struct pbuf *f = pbuf_alloc_large(&ns->pools, PBUF_HEADROOM);
        if (!f) {
            err = -NET_ENOBUFS;
            break;
        }
        pbuf_copy_out(pb, offset, pbuf_extend(f, n), n);
        uint8_t *h = pbuf_push(f, 8);
        h[0] = tx->proto;
        h[1] = 0;
        put_be16(h + 2, (uint16_t)(offset | (offset + n < total)));
        put_be32(h + 4, id);
        write_header(pbuf_push(f, IP6_HEADER_BYTES), tx, IP_PROTO_FRAGMENT, n + 8, hop_limit);
        to_link(path, tx, f);
        ns->counters.frag_out++;
    }
    pbuf_put(pb);
    return err;
}

int ip6_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb)
{
    uint8_t hop_limit = tx->ttl ? tx->ttl : path->iface->hop_limit;
    if (net_unlikely(pb->total + IP6_HEADER_BYTES > path->mtu) && !(pb->flags & PBUF_TSO)) {
        if (tx->dont_fragment || pb->total > 65535) {
            pbuf_put(pb);
            return -NET_EMSGSIZE;
        }
        if (pb->flags & PBUF_CSUM_PARTIAL) {
            uint8_t *field = pb->data + pb->csum_start + pb->csum_offset;
            store16(field, cksum_finish(cksum_pbuf(0, pb, pb->csum_start, pb->total - pb->csum_start)));
            pb->flags &= (uint8_t)~PBUF_CSUM_PARTIAL;
        }
        return fragment(ns, path, tx, pb, hop_limit);
    }
    uint32_t payload = pb->total;
    write_header(pbuf_push(pb, IP6_HEADER_BYTES), tx, tx->proto, payload, hop_limit);
    if (pb->flags & PBUF_CSUM_PARTIAL)
        pb->csum_start = (uint16_t)(pb->csum_start + IP6_HEADER_BYTES);
    to_link(path, tx, pb);
    return 0;
}
