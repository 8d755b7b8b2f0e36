/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network stack: public interface of an instance.
 *
 * One instance serves one core and shares nothing with another. Its user runs
 * a loop:
 *
 *     for (;;) {
 *         net_stack_poll(ns);                       receive, run timers
 *         while ((ep = net_event_next(ns, &events)))
 *             handle(ep, events);                   read, write, accept, close
 *         net_stack_flush(ns);                      acknowledge, transmit
 *     }
 *
 * and may sleep until a frame arrives or net_stack_next_ns(). Nothing here
 * blocks, and every function runs in the context of that loop. What arrives
 * in one poll is acknowledged together, by the answer if there is one.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "cokernel/net/net_addr.h"
#include "cokernel/net/net_env.h"
#include "cokernel/net/net_errno.h"
#include "cokernel/net/pbuf.h"

struct net_stack;

struct net_config {
    const struct net_env *env; /* must outlive the instance */
    uint64_t memory_bytes;     /* limit of everything the instance holds; 0: 256 MiB */
    /* Instances that share an address: which of them this is, and of how many.
     * Local ports are chosen so that replies hash to this one. 0 of 0 is alone. */
    uint32_t shard, shard_count;
    /* 32 bytes that instances have in common between which flow groups move, so that one answers what another has
     * promised (SYN cookies, time stamps, sequence numbers); NULL: keys of its own. Read once. */
    const uint8_t *shared_key;
};

/* NULL if out of memory. */
struct net_stack *net_stack_create(const struct net_config *config);
/* Drops every connection without a word to the peers. */
void net_stack_destroy(struct net_stack *ns);

/* Takes in what arrived, at most a bounded batch, and fires timers.
 * Returns how much it did; 0 means it may sleep. */
unsigned net_stack_poll(struct net_stack *ns);
/* Sends what polls and calls since the last flush have made ready. */
void net_stack_flush(struct net_stack *ns);
/* When poll must run again even if no frame arrives; UINT64_MAX: never. */
uint64_t net_stack_next_ns(struct net_stack *ns);
struct pbuf_pools *net_stack_pools(struct net_stack *ns);

/* ---- events ---- */

enum net_event {
    NET_EV_ACCEPT = 1,     /* listener: tcp_accept() has something */
    NET_EV_CONNECTED = 2,
    NET_EV_READABLE = 4,   /* data, or the end of the stream */
    NET_EV_WRITABLE = 8,   /* room again after a call that found none */
    NET_EV_ACKED = 16,     /* if asked for: the peer has acknowledged more */
    NET_EV_PEER_FIN = 32,
    NET_EV_CLOSED = 64,    /* over; ep->error says why, 0 if orderly */
    NET_EV_ERROR = 128,    /* soft error in ep->error; the endpoint lives on */
    NET_EV_URGENT = 256,
};

enum net_endpoint_type { NET_EP_TCP, NET_EP_TCP_LISTENER, NET_EP_UDP };

/* What every socket-like object begins with. */
struct net_endpoint {
    struct net_endpoint *ready_next, **ready_pprev; /* on the event list unless pprev is NULL */
    void *user;        /* the user's own */
    uint16_t events;   /* not yet fetched */
    uint8_t type;      /* enum net_endpoint_type */
    uint8_t pad;
    int error;         /* NET_E..., 0: none */
};

/* The next endpoint that something happened to; NULL if none. */
struct net_endpoint *net_event_next(struct net_stack *ns, unsigned *events);

#endif
