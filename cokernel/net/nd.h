/* SPDX-License-Identifier: BSD-2-Clause */
/* Neighbour discovery (RFC 4861) and stateless autoconfiguration (RFC 4862), for icmp6.c. */
#ifndef NET_ND_H
#define NET_ND_H

#include "cokernel/net/stack.h"

/* pb->data is the ICMPv6 message, its checksum verified. None takes it over. */
void nd_solicit_input(struct net_stack *ns, struct net_rx *rx);
void nd_advert_input(struct net_stack *ns, struct net_rx *rx);
void nd_router_advert_input(struct net_stack *ns, struct net_rx *rx);
void nd_redirect_input(struct net_stack *ns, struct net_rx *rx);
/* Turns on link-local addressing, router solicitation and SLAAC. */
void nd_enable_slaac(struct net_iface *iface);

#endif
