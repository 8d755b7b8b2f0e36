/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A deterministic world for the network stack: virtual time, instances as
 * nodes, links that lose, reorder, duplicate, corrupt, delay and limit, all
 * from one seed. The same seed gives the same run, bit for bit.
 */
#ifndef SIM_H
#define SIM_H

#include "cokernel/net/net.h"
#include "cokernel/net/iface.h"
#include "cokernel/net/nic.h"
#include "cokernel/net/rss.h"

#define SIM_NODES 8

struct sim_link {
    uint64_t delay_ns, jitter_ns;
    uint64_t rate_bps;          /* 0: unlimited */
    uint32_t queue_bytes;       /* of the bottleneck; 0: unlimited */
    uint32_t loss_ppm, dup_ppm, corrupt_ppm, reorder_ppm;
    uint32_t burst_loss;        /* frames lost in a row once one is lost */
    uint32_t ecn_mark_ppm;
    uint32_t swallow_above;     /* layer-3 bytes: longer packets vanish without a word; 0: none */
};

struct sim;

struct sim_frame {
    struct sim_frame *next;
    uint64_t at_ns;
    uint64_t order;
    uint32_t len;
    uint8_t bytes[];
};

/* A NIC with receive-side scaling, whose queues are nodes of one address: TCP goes by its group, all else to everyone. */
struct sim_port {
    struct net_rss rss;
    struct sim_node *table[64]; /* by group */
    struct sim_node *first;
};

struct sim_node {
    struct sim *sim;
    struct sim_port *port;      /* NULL: a NIC of its own */
    struct net_env env;
    struct net_nic nic;
    struct net_stack *stack;
    struct net_iface *iface;
    struct net_addr addr4, addr6;
    struct sim_frame *inbox, **inbox_tail;
    uint64_t busy_until_ns;     /* of its outgoing wire */
    uint32_t burst_left;
    int64_t pages;              /* bytes taken from the allocator and not given back */
    bool down;
    void (*app)(struct sim_node *node, struct net_endpoint *ep, unsigned events);
    void *app_ctx;
};

struct sim {
    uint64_t now_ns, rng, order;
    uint64_t wake_ns;           /* the applications want the time stopped there; UINT64_MAX: no */
    struct sim_link link;
    struct sim_node nodes[SIM_NODES];
    unsigned node_count;
    struct sim_frame **heap;
    unsigned heap_count, heap_room;
    uint64_t frames, lost;
    /* Sees every frame before the link treats it; may be NULL. False: drop it. */
    bool (*tap)(struct sim *sim, struct sim_node *from, uint8_t *frame, uint32_t len);
    void *tap_ctx;
    const uint8_t *shared_key;  /* of the nodes that are added from now on; may be NULL */
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_fini(struct sim *sim);
uint64_t sim_random(struct sim *sim);
static inline uint32_t sim_below(struct sim *sim, uint32_t n) { return n ? (uint32_t)(sim_random(sim) % n) : 0; }
static inline bool sim_chance(struct sim *sim, uint32_t ppm) { return ppm && sim_below(sim, 1000000) < ppm; }
/* A node 10.0.0.(n+1) and fd00::(n+1) on the one link. */
struct sim_node *sim_add(struct sim *sim, uint32_t mtu, uint32_t offloads, uint64_t memory_bytes);
/* Another queue of the port, with the addresses of its first node; the first call makes that. It has no group yet. */
struct sim_node *sim_add_queue(struct sim *sim, struct sim_port *port, uint32_t mtu);
/* Does everything up to the next point in time at which something happens.
 * False if nothing ever will. */
bool sim_step(struct sim *sim);
/* Until `until_ns` or nothing is left to do. */
void sim_run(struct sim *sim, uint64_t until_ns);
/* Handles what calls from outside made ready. */
void sim_kick(struct sim *sim);

#endif
