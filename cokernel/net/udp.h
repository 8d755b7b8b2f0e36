/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP endpoints (RFC 768, RFC 1122 4.1). */
#ifndef NET_UDP_H
#define NET_UDP_H

#include "cokernel/net/net.h"

struct net_iface;

struct udp_pcb {
    struct net_endpoint ep;
    struct net_stack *stack;
    struct udp_pcb *next;         /* of the same port's bucket */
    struct net_addr local, remote;
    struct net_iface *iface;      /* only this one, or NULL */
    struct pbuf_queue received;
    uint32_t received_bytes, receive_limit_bytes; /* true bytes */
    uint16_t local_port, remote_port;
    uint8_t bound, connected;
    uint8_t reuse;                /* several endpoints may bind; groups reach all of them */
    uint8_t broadcast;            /* sending to a broadcast address is allowed */
    uint8_t v6only;
    uint8_t ttl, tos, mcast_ttl;
    uint8_t soft_errors;          /* NET_EV_ERROR for what may pass by itself, too (on Linux IP_RECVERR) */
    uint8_t unconfigured;         /* DHCP: may send from and receive at no address */
    uint64_t drops;
    /* Set by clients inside the stack: runs instead of posting an event. */
    void (*handler)(struct udp_pcb *u);
    void *handler_ctx;
};

struct udp_pcb *udp_open(struct net_stack *ns);
void udp_close(struct udp_pcb *u);
/* port 0: any free one. 0, -NET_EADDRINUSE, -NET_EADDRNOTAVAIL, -NET_EINVAL. */
int udp_bind(struct udp_pcb *u, const struct net_addr *addr, uint16_t port);
int udp_connect(struct udp_pcb *u, const struct net_addr *addr, uint16_t port);
/* Takes over the datagram. addr NULL: to the connected peer.
 * 0 or -NET_EMSGSIZE, -NET_ENETUNREACH, -NET_EDESTADDRREQ (no peer), -NET_EINVAL (port 0), -NET_EACCES (broadcast), ... */
int udp_send(struct udp_pcb *u, struct pbuf *pb, const struct net_addr *addr, uint16_t port);
/* The next datagram, sender in addr and port; NULL if none. */
struct pbuf *udp_recv(struct udp_pcb *u);

/* For stack.c. */
void udp_fini(struct net_stack *ns);

#endif
