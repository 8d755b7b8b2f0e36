/* SPDX-License-Identifier: BSD-2-Clause */
/* DHCPv4 client (RFC 2131): obtains, probes (and declines), renews, rebinds and gives up one lease for an interface. */
#ifndef NET_DHCP4_H
#define NET_DHCP4_H

#include "cokernel/net/iface.h"

struct dhcp4_lease {
    struct net_addr addr, gateway, server; /* gateway any: none offered */
    struct net_addr dns[3];
    unsigned prefix_bits;
    uint64_t bound_ns, renew_ns, rebind_ns, expire_ns;
};

struct dhcp4;

/* changed(ctx, lease) runs on every new lease, changed(ctx, NULL) when it is lost.
 * Address and default route are set before. NULL if out of memory. */
struct dhcp4 *dhcp4_start(struct net_iface *iface, void (*changed)(void *ctx, const struct dhcp4_lease *lease), void *ctx);

/* For stack.c, after its endpoints are closed. */
void dhcp4_fini(struct net_stack *ns);

#endif
