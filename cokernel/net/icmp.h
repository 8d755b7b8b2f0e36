/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by icmp4.c and icmp6.c. */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include "cokernel/net/stack.h"

/* pb begins with the ICMP header; the checksum is filled in. src may be the any address. */
void icmp_send(struct net_stack *ns, struct net_iface *only, const struct net_addr *src, const struct net_addr *dst, uint8_t tos,
               uint8_t ttl, struct pbuf *pb);
void icmp6_checksum(struct pbuf *pb, const struct net_addr *src, const struct net_addr *dst);
void icmp_dispatch(struct net_stack *ns, uint8_t proto, struct net_icmp_error *e, const uint8_t *quote);

#endif
