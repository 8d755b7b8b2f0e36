/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/gro.h"

#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define LOOK_BACK 8u      /* packets kept lately among which a segment's predecessor is sought */
#define MIN_BYTES (PBUF_LARGE_BYTES / 2 + 1) /* payload; smaller segments would pin a buffer each (tcp_recv.c copies them together) */
#define MOST_BYTES 65000u /* of a merged packet: the IP length has 16 bits */
#define IP4_FRAGMENT 0x3fffu

struct seg {
    struct pbuf *pb;         /* NULL: cannot be merged */
    const uint8_t *ip, *tcp; /* tcp NULL: could be of any connection */
    uint32_t ip_bytes, tcp_bytes, len; /* headers, payload */
};

/* Fills in as much of *s as can be said of the frame; everything is checked again later. */
static bool parse(struct pbuf *pb, struct seg *s)
{
    const uint8_t *f = pb->data, *ip = f + ETH_HEADER_BYTES;
    uint32_t total;
    s->pb = NULL;
    s->tcp = NULL;
    if (pb->next || pb->len < ETH_HEADER_BYTES + IP4_HEADER_BYTES + TCP_HEADER_BYTES || (f[0] & 1))
        return false;
    if (load16(f + 12) == net_bswap16(ETH_TYPE_IP4)) {
        if (ip[0] != 0x45 || ip[9] != IP_PROTO_TCP || (load16(ip + 6) & net_bswap16(IP4_FRAGMENT)))
            return false;
        s->ip_bytes = IP4_HEADER_BYTES;
        total = get_be16(ip + 2);
    } else if (load16(f + 12) == net_bswap16(ETH_TYPE_IP6)) {
        if (ip[0] >> 4 != 6 || ip[6] != IP_PROTO_TCP || pb->len < ETH_HEADER_BYTES + IP6_HEADER_BYTES + TCP_HEADER_BYTES)
            return false;
        s->ip_bytes = IP6_HEADER_BYTES;
        total = get_be16(ip + 4) + IP6_HEADER_BYTES;
    } else {
        return false;
    }
    s->ip = ip;
    s->tcp = ip + s->ip_bytes;
    if (total > pb->len - ETH_HEADER_BYTES)
        return false;
    s->tcp_bytes = (s->tcp[12] >> 4) * 4u;
    if (s->tcp_bytes < TCP_HEADER_BYTES || s->ip_bytes + s->tcp_bytes + MIN_BYTES > total || (s->tcp[13] & ~(TCP_PSH | TCP_ACK)) || !(s->tcp[13] & TCP_ACK))
        return false;
    s->len = total - s->ip_bytes - s->tcp_bytes;
    s->pb = pb;
    return true;
}

static bool same_flow(const struct seg *a, const struct seg *b)
{
    uint32_t at = a->ip_bytes == IP4_HEADER_BYTES ? 12 : 8;
    return a->ip_bytes == b->ip_bytes && load32(a->tcp) == load32(b->tcp) && net_same(a->ip + at, b->ip + at, a->ip_bytes - at);
}

/* Whether b says nothing that a does not, but for the bytes that follow a's. */
static bool continues(const struct seg *a, const struct seg *b)
{
    const uint8_t *x = a->ip, *y = b->ip;
    if (get_be32(b->tcp + 4) != get_be32(a->tcp + 4) + a->len || a->tcp_bytes != b->tcp_bytes || (a->tcp[13] & TCP_PSH) ||
        load32(a->tcp + 8) != load32(b->tcp + 8) || load16(a->tcp + 14) != load16(b->tcp + 14) || a->len + b->len > MOST_BYTES ||
        !net_same(a->tcp + TCP_HEADER_BYTES, b->tcp + TCP_HEADER_BYTES, a->tcp_bytes - TCP_HEADER_BYTES) ||
        !net_same(a->pb->data, b->pb->data, ETH_HEADER_BYTES))
        return false;
    if (a->ip_bytes == IP4_HEADER_BYTES) /* kind of service, flags, time to live */
        return x[1] == y[1] && load16(x + 6) == load16(y + 6) && x[8] == y[8];
    return load32(x) == load32(y) && x[7] == y[7];
}

/* Only a segment that is right may lose the header that says so. */
static bool checksums_right(struct seg *s)
{
    struct pbuf *pb = s->pb;
    if (s->ip_bytes == IP4_HEADER_BYTES && cksum_fold(cksum_ip4_header(s->ip)) != 0xffff)
        return false;
    if (pb->flags & PBUF_CSUM_GOOD)
        return true;
    uint32_t bytes = s->tcp_bytes + s->len;
    uint64_t sum = (uint64_t)net_bswap32(bytes) + ((uint32_t)IP_PROTO_TCP << 24);
    uint32_t at = s->ip_bytes == IP4_HEADER_BYTES ? 12 : 8;
    for (; at < s->ip_bytes; at += 4)
        sum += load32(s->ip + at);
    if (cksum_fold(cksum_add(sum, s->tcp, bytes)) != 0xffff)
        return false;
    pb->flags |= PBUF_CSUM_GOOD;
    return true;
}

static void set_length(struct seg *a)
{
    uint8_t *ip = a->pb->data + ETH_HEADER_BYTES;
    uint32_t total = a->ip_bytes + a->tcp_bytes + a->len;
    if (a->ip_bytes == IP6_HEADER_BYTES) {
        put_be16(ip + 4, (uint16_t)(total - IP6_HEADER_BYTES));
        return;
    }
    uint16_t before = load16(ip + 2);
    put_be16(ip + 2, (uint16_t)total);
    store16(ip + 10, cksum_update16(load16(ip + 10), before, load16(ip + 2)));
}

unsigned gro_merge(struct net_iface *iface, struct pbuf **frames, unsigned count)
{
    struct seg segs[NET_BURST]; /* of frames[k] */
    struct pbuf *tails[NET_BURST];
    unsigned kept = 0;
    bool any = false; /* anything to merge with */
    for (unsigned k = 0; k < count; k++) {
        struct seg b;
        if (!any && frames[k]->len < MIN_BYTES) { /* a burst of small ones costs next to nothing */
            segs[kept].pb = NULL;
            segs[kept].tcp = NULL;
            frames[kept++] = frames[k];
            continue;
        }
        unsigned first = kept > LOOK_BACK ? kept - LOOK_BACK : 0, at = kept;
        if (!parse(frames[k], &b)) {
            segs[kept] = b; /* nothing of its connection may overtake it */
            frames[kept++] = frames[k];
            continue;
        }
        while (at > first && segs[at - 1].tcp && !same_flow(&segs[at - 1], &b))
            at--;
        struct seg *a = at > first && segs[at - 1].pb ? &segs[at - 1] : NULL;
        if (!a || !continues(a, &b) || !checksums_right(a) || !checksums_right(&b)) {
            any = true;
            segs[kept] = b;
            tails[kept] = b.pb;
            frames[kept++] = b.pb;
            continue;
        }
        uint32_t headers = ETH_HEADER_BYTES + b.ip_bytes + b.tcp_bytes;
        if (tails[at - 1] == a->pb)
            pbuf_trim(a->pb, headers + a->len); /* an Ethernet trailer */
        a->len += b.len;
        a->pb->data[headers - b.tcp_bytes + 13] |= b.tcp[13] & TCP_PSH;
        iface->counters.rx_frames++;
        iface->counters.rx_bytes += headers;
        iface->stack->counters.tcp_gro_merged++;
        pbuf_drop(b.pb, headers);
        pbuf_trim(b.pb, b.len);
        tails[at - 1]->next = b.pb;
        tails[at - 1] = b.pb;
        a->pb->total += b.len;
        set_length(a);
    }
    return kept;
}
