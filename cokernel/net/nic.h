/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The burst interface between an instance and one queue pair of a NIC (or a
 * TAP device, a simulated wire, another partition). One core calls it; neither
 * side waits.
 */
#ifndef NET_NIC_H
#define NET_NIC_H

#include "cokernel/net/pbuf.h"

#define NET_BURST 64u

enum net_offload {
    NIC_RX_CSUM = 1,    /* marks PBUF_CSUM_GOOD */
    NIC_TX_CSUM = 2,    /* honours PBUF_CSUM_PARTIAL */
    NIC_TX_TSO = 4,     /* honours PBUF_TSO up to 64 KiB */
    NIC_TX_CHAIN = 8,   /* takes packets of several parts */
};

struct net_nic;

struct net_nic_ops {
    /* Up to max whole frames; buffers come from nic->pools. */
    unsigned (*rx_burst)(struct net_nic *nic, struct pbuf **frames, unsigned max);
    /* Takes over the references of the first returned ones. One doorbell a call. */
    unsigned (*tx_burst)(struct net_nic *nic, struct pbuf **frames, unsigned count);
};

struct net_nic {
    const struct net_nic_ops *ops;
    void *priv;
    struct pbuf_pools *pools; /* set by net_iface_add() */
    uint32_t offloads;        /* enum net_offload */
    uint32_t mtu;             /* layer 3 */
    struct net_mac mac;
};

#endif
