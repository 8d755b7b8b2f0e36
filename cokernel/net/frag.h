/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reassembly for IPv4 and IPv6. Hostile input is the normal case: the whole
 * store is limited in bytes, each datagram in fragments, overlaps discard the
 * datagram (RFC 5722, applied to IPv4 as well), and time is bounded.
 */
#ifndef NET_FRAG_H
#define NET_FRAG_H

#include "cokernel/net/net_mem.h"
#include "cokernel/net/pbuf.h"
#include "cokernel/net/timer.h"

struct net_iface;
struct net_stack;

#define FRAG_DATAGRAMS 64u
#define FRAG_PIECES 64u
#define FRAG_STORE_BYTES (1u << 20)
#define FRAG_HEAD_BYTES 128u
#define FRAG_TIMEOUT_NS (30 * NET_NS_PER_S) /* RFC 1122 3.3.2 asks 60 to 120; RFC 8200 4.5: 60; Linux: 30 */

struct frag_key {
    struct net_addr src, dst;
    uint32_t id;
    uint8_t proto;
};

struct frag_datagram {
    struct frag_key key;
    struct net_timer timer;
    struct net_stack *stack;
    struct pbuf_queue pieces;  /* by offset, which is pbuf.seq */
    struct net_iface *iface;   /* of the fragment at offset 0, if head_bytes */
    uint32_t got_bytes, true_bytes;
    uint32_t total_bytes;      /* 0: last fragment not seen */
    uint8_t used, dead;        /* dead: had an overlap, eats its fragments until the timeout */
    uint8_t group;             /* as head_bytes */
    uint8_t head_bytes;        /* 0: the fragment at offset 0 has not come, or has more headers than fit */
    uint8_t head[FRAG_HEAD_BYTES]; /* its IP headers, for ICMP */
};

struct frag_table {
    struct frag_datagram slots[FRAG_DATAGRAMS];
    uint32_t true_bytes;
};

void frag_init(struct net_stack *ns);
void frag_fini(struct net_stack *ns);
struct net_rx;
/* Takes over the fragment's payload, rx->pb. False: there is no packet yet. True: it is whole and in rx->pb; rx->ip is then
 * a copy of the headers of the fragment at offset 0 with room for FRAG_HEAD_BYTES, until the next call; NULL if there is none.
 * It still says that it is a fragment. */
bool frag_add(struct net_stack *ns, const struct frag_key *key, struct net_rx *rx, uint32_t offset, bool more);

#endif
