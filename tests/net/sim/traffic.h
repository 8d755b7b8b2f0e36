/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Applications for the simulator: pairs of endpoints that send each other
 * known bytes at random paces and close in random orders, checking every byte.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "cokernel/net/tcp.h"
#include "tests/net/sim/sim.h"

#define TRAFFIC_CONNS 64
#define TRAFFIC_PORT 7000

enum traffic_end { TRAFFIC_HALF_CLOSE, TRAFFIC_CLOSE, TRAFFIC_ABORT };

struct traffic_side {
    struct traffic *traffic;
    struct tcp_pcb *pcb;
    uint32_t id;            /* seeds the byte stream */
    bool client;
    uint64_t to_send, sent, to_receive, received;
    uint32_t write_step, read_step;
    uint64_t read_after_ns; /* a slow reader's next read */
    uint64_t read_pause_ns;
    enum traffic_end end;
    uint64_t abort_after;
    bool zero_copy, accepted, shut, eof, closed, aborted;
    bool refused;           /* what it wanted to send, for want of memory */
    uint64_t retry_ns;
    int error;
};

struct traffic {
    struct sim *sim;
    struct traffic_side sides[2 * TRAFFIC_CONNS];
    unsigned count;         /* connections */
    unsigned accepted;
    struct tcp_listener *listener;
    struct sim_node *client, *server;
    bool failed;
    char why[200];
};

/* Random connections between two nodes. v6: over IPv6. */
void traffic_start(struct traffic *t, struct sim *sim, struct sim_node *client, struct sim_node *server, unsigned count,
                   uint64_t max_bytes, bool v6);
/* Lets slow readers read, and who was refused try again; returns when one of them next will, or UINT64_MAX. */
uint64_t traffic_tick(struct traffic *t);
bool traffic_done(const struct traffic *t);
void traffic_app(struct sim_node *node, struct net_endpoint *ep, unsigned events);

#endif
