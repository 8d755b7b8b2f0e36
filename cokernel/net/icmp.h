/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by icmp4.c and icmp6.c. */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include "cokernel/net/stack.h"

#define ICMP_ECHO 8u
#define ICMP_PARAMETER 12u
#define ICMP6_FIRST_INFO 128u /* errors are below (RFC 4443 2.1) */
#define ND_REDIRECT 137u

/* pb begins with the ICMP header; the checksum is filled in. src may be the any address. */
void icmp_send(struct net_stack *ns, struct net_iface *only, const struct net_addr *src, const struct net_addr *dst, uint8_t tos,
               uint8_t ttl, struct pbuf *pb);
/* An error about rx, which it quotes, within the rate limit and unless it must not be answered; pb is what follows ip.
 * word: the message's second, host order. Does not take rx over. */
void icmp_complain(struct net_stack *ns, const struct net_rx *rx, uint8_t type, uint8_t code, uint32_t word);
void icmp6_checksum(struct pbuf *pb, const struct net_addr *src, const struct net_addr *dst);
void icmp_dispatch(struct net_stack *ns, uint8_t proto, struct net_icmp_error *e, const uint8_t *quote);

#endif
