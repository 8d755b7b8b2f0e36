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

struct net_stack;

#define FRAG_DATAGRAMS 64u
#define FRAG_PIECES 64u
#define FRAG_STORE_BYTES (1u << 20)
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
    struct pbuf *first;        /* header of the fragment at offset 0, for ICMP */
    uint32_t got_bytes, true_bytes;
    uint32_t total_bytes;      /* 0: last fragment not seen */
    uint16_t max_piece;        /* largest fragment seen, headers included */
    uint8_t used, tos, dead;   /* dead: had an overlap, eats its fragments until the timeout */
};

struct frag_table {
    struct frag_datagram slots[FRAG_DATAGRAMS];
    uint32_t true_bytes;
};

void frag_init(struct net_stack *ns);
void frag_fini(struct net_stack *ns);
/* Takes over the fragment's payload. Returns the whole payload once complete, else NULL. */
struct pbuf *frag_add(struct net_stack *ns, const struct frag_key *key, struct pbuf *payload, uint32_t offset, bool more);

#endif
