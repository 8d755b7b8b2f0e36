/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP (RFC 792, RFC 1122 3.2.2). */
#include "cokernel/net/cksum.h"
#include "cokernel/net/icmp.h"
#include "cokernel/net/wire.h"

#define ICMP_ECHO_REPLY 0u
#define ICMP_UNREACHABLE 3u
#define ICMP_TIME_EXCEEDED 11u

/* RFC 1191 7.1: plateaus for routers that do not say their MTU. */
static uint32_t plateau_below(uint32_t bytes)
{
    static const uint16_t plateaus[] = { 65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68 };
    for (unsigned i = 0; i < sizeof plateaus / sizeof *plateaus; i++)
        if (plateaus[i] < bytes)
            return plateaus[i];
    return IP4_MIN_MTU;
}

/* By code: RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1; the numbers are Linux's. */
static const struct { enum net_unreach what; int error; } codes[] = {
    { NET_UNREACH_SOFT, NET_ENETUNREACH },
    { NET_UNREACH_SOFT, NET_EHOSTUNREACH },
    { NET_UNREACH_HARD, NET_ENOPROTOOPT },
    { NET_UNREACH_HARD, NET_ECONNREFUSED },
    { NET_UNREACH_TOO_BIG, NET_EMSGSIZE },
    { NET_UNREACH_SOFT, NET_EOPNOTSUPP },   /* source route failed */
    { NET_UNREACH_HARD, NET_ENETUNREACH },  /* network unknown */
    { NET_UNREACH_HARD, NET_EHOSTDOWN },    /* host unknown */
    { NET_UNREACH_HARD, NET_ENONET },       /* we are isolated */
    { NET_UNREACH_HARD, NET_ENETUNREACH },  /* prohibited */
    { NET_UNREACH_HARD, NET_EHOSTUNREACH }, /* prohibited */
    { NET_UNREACH_SOFT, NET_ENETUNREACH },  /* for this type of service */
    { NET_UNREACH_SOFT, NET_EHOSTUNREACH },
    { NET_UNREACH_HARD, NET_EHOSTUNREACH }, /* filtered */
    { NET_UNREACH_HARD, NET_EHOSTUNREACH }, /* precedence */
    { NET_UNREACH_HARD, NET_EHOSTUNREACH },
};

static void unreachable(struct net_stack *ns, const uint8_t *icmp, uint32_t n)
{
    const uint8_t *ip = icmp + 8;
    uint32_t header = n >= 8 + IP4_HEADER_BYTES ? (ip[0] & 15u) * 4u : 0;
    if (header < IP4_HEADER_BYTES || n < 8 + header + 8 || (get_be16(ip + 6) & 0x1fff)) {
        ns->counters.icmp_bad++;
        return;
    }
    struct net_icmp_error e = { .what = NET_UNREACH_SOFT, .error = NET_EHOSTUNREACH };
    e.flow.local = net_addr_v4_raw(load32(ip + 12));
    e.flow.remote = net_addr_v4_raw(load32(ip + 16));
    if (icmp[0] == ICMP_PARAMETER) {
        e.what = NET_UNREACH_HARD;
        e.error = NET_EPROTO;
    } else if (icmp[0] == ICMP_UNREACHABLE) {
        if (icmp[1] >= sizeof codes / sizeof *codes)
            return; /* RFC 1122 3.2.2: of no known kind */
        e.what = codes[icmp[1]].what;
        e.error = codes[icmp[1]].error;
        if (e.what == NET_UNREACH_TOO_BIG) {
            e.mtu = get_be16(icmp + 6);
            if (!e.mtu)
                e.mtu = plateau_below(get_be16(ip + 2));
        }
    }
    icmp_dispatch(ns, ip[9], &e, ip + header);
}

static void echo(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    ns->counters.icmp_echo++;
    if (rx->group || !icmp_allowed(ns)) { /* RFC 1122 3.2.2.6 leaves group echo to us: no amplifier */
        pbuf_put(pb);
        return;
    }
    /* The answer is the question with another type, in the same buffers behind a new head. */
    struct pbuf *head = pbuf_alloc_small(&ns->pools, PBUF_SMALL_BYTES - PBUF_DESC_BYTES - 8);
    if (!head || !pbuf_exclusive(pb)) {
        if (head)
            pbuf_put(head);
        pbuf_put(pb);
        return;
    }
    net_copy(pbuf_extend(head, 8), pb->data, 8);
    pbuf_drop(pb, 8);
    head->next = pb;
    head->total += pb->total;
    pb = head;
    pb->flags = 0;
    pb->data[0] = ICMP_ECHO_REPLY;
    icmp_send(ns, rx->iface->nic ? rx->iface : NULL, &rx->dst, &rx->src, rx->tos, 0, pb);
}

void icmp4_input(struct net_stack *ns, struct net_rx *rx)
{
    struct pbuf *pb = rx->pb;
    ns->counters.icmp_in++;
    if (pb->len < 8 || cksum_fold(cksum_pbuf(0, pb, 0, pb->total)) != 0xffff) {
        ns->counters.icmp_bad++;
        pbuf_put(pb);
        return;
    }
    switch (pb->data[0]) {
    case ICMP_ECHO:
        echo(ns, rx);
        return;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER:
        unreachable(ns, pb->data, pb->len);
        break;
    }
    pbuf_put(pb); /* source quench is ignored: RFC 6633 */
}
