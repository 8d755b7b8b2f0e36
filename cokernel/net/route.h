/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes, and the paths that connections cache. A path is valid while the
 * instance's path generation has not moved: any change of routes, addresses
 * or neighbours moves it.
 */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include "cokernel/net/net_addr.h"

#define ROUTE_LIMIT 256u

struct net_iface;
struct net_stack;
struct neigh;

struct net_route {
    struct net_route *next; /* longest prefix first, then lowest metric */
    struct net_addr prefix, gateway; /* gateway any: on link */
    struct net_iface *iface;
    uint64_t until_ns; /* UINT64_MAX unless learnt */
    uint32_t metric;
    uint8_t bits;      /* of the 128 */
    uint8_t learnt;
};

struct net_path {
    struct net_iface *iface;
    struct neigh *neigh;   /* NULL: loopback, broadcast or multicast */
    uint32_t generation;   /* 0 is never valid */
    uint32_t mtu;          /* of the path, layer 3 */
};

/* prefix_bits is the family's own. 0, -NET_ENOMEM, -NET_ENOSPC. */
int net_route_add(struct net_stack *ns, const struct net_addr *prefix, unsigned prefix_bits,
                  const struct net_addr *gateway, struct net_iface *iface, uint32_t metric);
int net_route_del(struct net_stack *ns, const struct net_addr *prefix, unsigned prefix_bits, const struct net_addr *gateway);
/* The route that a packet takes; NULL if none. */
struct net_route *net_route_find(struct net_stack *ns, const struct net_addr *dst, struct net_iface *only);

/* Fills in path to dst. *src is chosen (RFC 6724, much reduced) if it is the any
 * address. only: restrict to one interface, or NULL.
 * 0, -NET_ENETUNREACH, -NET_EADDRNOTAVAIL, -NET_ENOMEM. */
int net_path_find(struct net_stack *ns, struct net_addr *src, const struct net_addr *dst, struct net_iface *only, struct net_path *path);

/* Path MTU learnt for a destination (RFC 1191, RFC 8201); 0 if none. */
uint32_t net_pmtu_get(struct net_stack *ns, const struct net_addr *dst);
void net_pmtu_learn(struct net_stack *ns, const struct net_addr *dst, uint32_t mtu);
/* Makes paths be looked up again at that time, because what they rest on ends then. */
void net_paths_expire_at(struct net_stack *ns, uint64_t at_ns);

#endif
