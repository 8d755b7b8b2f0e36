/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netrun: the co-kernel's network stack in an ordinary process over a TAP
 * device or a packet socket, so that it can be tried against Linux. Parts: the
 * environment (malloc, clock), the TAP or packet socket as a NIC, a shim that impairs a NIC, a pcap-ng
 * writer that watches one, services, clients, and state listings.
 */
#ifndef NETRUN_H
#define NETRUN_H

#include <stdbool.h>
#include <stdio.h>

#include "cokernel/net/iface.h"
#include "cokernel/net/net.h"
#include "cokernel/net/nic.h"
#include "cokernel/net/tcp.h"

/* env.c */
extern const struct net_env netrun_env;
uint64_t netrun_now_ns(void);

/* tap.c */
struct netrun_tap {
    struct net_nic nic;
    int fd;
    uint64_t rx_frames, tx_frames, tx_full;
    bool vnet;
};
/* 0, or -errno after a message. offload: checksums and TSO by way of virtio_net_hdr. */
int netrun_tap_open(struct netrun_tap *tap, const char *name, uint32_t mtu, bool offload);

extern const struct net_nic_ops netrun_fd_ops; /* frames by read and write of a descriptor */
/* packet.c: a network interface of Linux by a packet socket, instead of a TAP. 0, or -errno after a message. */
int netrun_packet_open(struct netrun_tap *tap, const char *name, uint32_t mtu, bool offload);

/* impair.c: both directions of the NIC below */
struct netrun_impairment {
    uint64_t seed;
    uint64_t delay_us, jitter_us, rate_kbit;
    double loss, duplicate, corrupt, reorder; /* probabilities */
    uint32_t burst;
};
struct net_nic *netrun_impair(struct net_nic *below, const struct netrun_impairment *how);
/* When it wants to be polled again; UINT64_MAX: no need. */
uint64_t netrun_impair_next_ns(struct net_nic *nic);
/* Reads "loss=1%,delay=10ms,jitter=2ms,rate=10mbit,dup=1%,reorder=5%,corrupt=0.1%,burst=3,seed=7". */
bool netrun_impair_parse(const char *text, struct netrun_impairment *out);

/* pcapng.c */
struct net_nic *netrun_capture(struct net_nic *below, FILE *out);

/* services.c: echo 7, discard 9, source 19, HTTP 80 */
void netrun_serve(struct net_stack *ns);

/* clients.c */
/* Joins stdin and stdout to a connection; remote NULL: accepts one on port. */
int netrun_pipe_start(struct net_stack *ns, const struct net_addr *remote, uint16_t port);
struct netrun_get {
    struct net_addr remote;
    uint16_t port;
    const char *path;
    unsigned times;      /* one after the other */
    bool fast_open;      /* the request goes with the SYN once the server has given a cookie */
};
int netrun_http_get(struct net_stack *ns, const struct netrun_get *get);
/* Runs after every round; fills *fd with a descriptor to wait for or -1.
 * False when the client is done, with its exit status in *status. */
bool netrun_client_tick(struct net_stack *ns, int *fd, int *status);

/* Every endpoint's user pointer points to one of these. */
struct netrun_app {
    void (*event)(struct netrun_app *app, struct net_endpoint *ep, unsigned events);
};

/* state.c */
unsigned netrun_open_connections(struct net_stack *ns);
void netrun_state_text(struct net_stack *ns, FILE *out);
void netrun_state_json(struct net_stack *ns, FILE *out);

#endif
