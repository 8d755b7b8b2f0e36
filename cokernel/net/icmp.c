/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ICMP and ICMPv6 share: the rate limit, errors that we send, and
 * finding the connection that a received error quotes (RFC 5927: an error
 * must quote a flow of ours, and TCP then checks the quoted sequence number).
 */
#include "cokernel/net/icmp.h"

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"

#define REFILL_NS (20 * NET_NS_PER_MS) /* 50 a second in the long run */
#define QUOTE4_BYTES 548u              /* RFC 1812 4.3.2.3: up to 576 with the headers */
#define QUOTE6_BYTES (IP6_MIN_MTU - IP6_HEADER_BYTES - 8) /* RFC 4443 2.4 c */

bool icmp_allowed(struct net_stack *ns)
{
    uint64_t refill = (ns->now_ns - ns->icmp_refill_ns) / REFILL_NS;
    if (refill) {
        ns->icmp_tokens = (uint32_t)net_min((uint64_t)NET_ICMP_BURST, ns->icmp_tokens + refill);
        ns->icmp_refill_ns = ns->now_ns;
    }
    if (!ns->icmp_tokens) {
        ns->counters.icmp_limited++;
        return false;
    }
    ns->icmp_tokens--;
    return true;
}

void icmp_send(struct net_stack *ns, struct net_iface *only, const struct net_addr *src, const struct net_addr *dst, uint8_t tos,
               uint8_t ttl, struct pbuf *pb)
{
    struct net_tx tx = { .src = *src, .dst = *dst, .tos = tos, .ttl = ttl };
    struct net_path path;
    bool v4 = net_addr_is_v4(dst);
    tx.proto = v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6;
    if (net_path_find(ns, &tx.src, dst, only, &path) < 0) {
        pbuf_put(pb);
        return;
    }
    store16(pb->data + 2, 0);
    uint64_t sum = v4 ? 0 : cksum_pseudo(&tx.src, dst, IP_PROTO_ICMP6, pb->total);
    store16(pb->data + 2, cksum_finish(cksum_pbuf(sum, pb, 0, pb->total)));
    ip_output(ns, &path, &tx, pb);
}

/* What lies behind the extension headers that rx->pb begins with, as far as they are in its first part; NULL if it is not there
 * (it may be in another fragment). */
static const uint8_t *behind_extensions(const struct net_rx *rx, uint8_t *proto)
{
    const uint8_t *p = rx->pb->data;
    uint32_t left = rx->pb->len;
    *proto = rx->proto;
    while (*proto == IP_PROTO_HOPOPTS || *proto == IP_PROTO_ROUTING || *proto == IP_PROTO_FRAGMENT || *proto == IP_PROTO_DSTOPTS) {
        uint32_t n = left < 8 ? 8 : *proto == IP_PROTO_FRAGMENT ? 8 : (p[1] + 1u) * 8;
        if (n >= left)
            return NULL;
        bool later = *proto == IP_PROTO_FRAGMENT && (get_be16(p + 2) & 0xfff8);
        *proto = p[0];
        if (later)
            return NULL;
        p += n;
        left -= n;
    }
    return left ? p : NULL;
}

/* RFC 1122 3.2.2, RFC 4443 2.4 e: never about groups, errors, redirects, or what is no single host. */
static bool may_reject(const struct net_rx *rx)
{
    if (!rx->ip || rx->group || net_addr_is_any(&rx->src) || net_addr_is_multicast(&rx->src))
        return false;
    if (net_addr_is_v4(&rx->src))
        return rx->proto != IP_PROTO_ICMP || (rx->pb->len && rx->pb->data[0] == ICMP_ECHO);
    uint8_t proto;
    const uint8_t *p = behind_extensions(rx, &proto);
    return proto != IP_PROTO_ICMP6 || (p && *p >= ICMP6_FIRST_INFO && *p != ND_REDIRECT);
}

void icmp_complain(struct net_stack *ns, const struct net_rx *rx, uint8_t type, uint8_t code, uint32_t word)
{
    if (!may_reject(rx) || !icmp_allowed(ns))
        return;
    struct pbuf *pb = pbuf_alloc_large(&ns->pools, PBUF_HEADROOM);
    if (!pb)
        return;
    uint8_t *h = pbuf_extend(pb, 8);
    h[0] = type;
    h[1] = code;
    put_be32(h + 4, word);
    uint32_t most = net_addr_is_v4(&rx->src) ? QUOTE4_BYTES : (uint32_t)QUOTE6_BYTES;
    uint32_t headers = net_min(rx->ip_bytes, most), rest = net_min(rx->pb->total, most - headers);
    net_copy(pbuf_extend(pb, headers), rx->ip, headers);
    pbuf_copy_out(rx->pb, 0, pbuf_extend(pb, rest), rest);
    icmp_send(ns, rx->iface, &rx->dst, &rx->src, 0, 0, pb);
}

void icmp_reject(struct net_stack *ns, const struct net_rx *rx, enum net_reject why)
{
    bool v4 = net_addr_is_v4(&rx->src);
    if (why == NET_REJECT_FRAG_TIME)
        icmp_complain(ns, rx, v4 ? 11 : 3, 1, 0);
    else if (v4)
        icmp_complain(ns, rx, 3, why == NET_REJECT_PORT ? 3 : 2, 0); /* RFC 792 */
    else if (why == NET_REJECT_PORT)
        icmp_complain(ns, rx, 1, 4, 0); /* RFC 4443 3.1 */
    else /* parameter problem: unrecognized next header */
        icmp_complain(ns, rx, 4, 1, rx->ip_bytes == IP6_HEADER_BYTES ? 6 : rx->ip_bytes);
}

/* quote: the layer-4 header that came back, at least 8 bytes. */
void icmp_dispatch(struct net_stack *ns, uint8_t proto, struct net_icmp_error *e, const uint8_t *quote)
{
    e->flow.local_port = get_be16(quote);
    e->flow.remote_port = get_be16(quote + 2);
    if (e->what == NET_UNREACH_TOO_BIG && e->mtu == 0)
        return;
    if (proto == IP_PROTO_TCP) {
        e->tcp_seq = get_be32(quote + 4);
        tcp_icmp_error(ns, e);
    } else if (proto == IP_PROTO_UDP) {
        udp_icmp_error(ns, e);
    }
}
