/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Neighbours: one cache and one state machine (RFC 4861 7.3) for ARP and
 * IPv6 neighbour discovery. Unresolved entries are limited, so scanning a
 * prefix cannot exhaust memory (RFC 6583).
 */
#ifndef NET_NEIGH_H
#define NET_NEIGH_H

#include "cokernel/net/flow.h"
#include "cokernel/net/pbuf.h"
#include "cokernel/net/timer.h"

struct net_iface;
struct net_stack;

enum neigh_state { NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_DELAY, NEIGH_PROBE };

#define NEIGH_QUEUE 32u        /* packets kept while resolving (RFC 1122 2.3.2.2, RFC 4861 7.2.2) */
#define NEIGH_QUEUE_PRESSED 3u /* the same while memory is short */
#define NEIGH_LIMIT 4096u
#define NEIGH_INCOMPLETE_LIMIT 512u

struct neigh {
    struct net_flow flow; /* key.local.w[0]: interface index; key.remote: address */
    struct net_iface *iface;
    struct net_timer timer;
    struct pbuf_queue queue;
    uint64_t used_ns;
    struct net_mac mac;
    uint8_t state;
    uint8_t probes;
    uint8_t is_router;
    uint8_t pad[3];
};

struct neigh *neigh_find(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr);
/* Finds or starts an entry; NULL at the limit. */
struct neigh *neigh_lookup(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr);
/* Sends a layer-3 packet by way of the neighbour, which may mean to queue it. */
void neigh_output(struct neigh *n, uint16_t ethertype, struct pbuf *pb);
/* Something the link told us. solicited: answers our question. override: may replace a known address. */
void neigh_learn(struct net_stack *ns, struct net_iface *iface, const struct net_addr *addr, const struct net_mac *mac,
                 bool create, bool solicited, bool override);
/* The upper layer saw progress (RFC 4861 7.3.1). */
void neigh_confirm(struct neigh *n);
void neigh_flush_iface(struct net_stack *ns, struct net_iface *iface);

#endif
