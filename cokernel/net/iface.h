/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interfaces and their addresses. An interface is a NIC queue pair, or one
 * VLAN of it, or the loopback.
 */
#ifndef NET_IFACE_H
#define NET_IFACE_H

#include "cokernel/net/nic.h"
#include "cokernel/net/timer.h"

#define IFACE_ADDRS 16u
#define IFACE_GROUPS 32u
#define IFACE_TX_BACKLOG 1024u

struct net_stack;

enum net_ifaddr_state {
    IFADDR_FREE,
    IFADDR_TENTATIVE,  /* RFC 5227 probing, RFC 4862 5.4 duplicate detection */
    IFADDR_PREFERRED,
    IFADDR_DEPRECATED, /* RFC 4862 5.5.4: no new connections from it */
    IFADDR_DUPLICATE,  /* somebody else has it; never used again */
};

struct net_ifaddr {
    struct net_addr addr;
    struct net_iface *iface;
    struct net_timer timer;     /* probes, then lifetimes */
    uint64_t preferred_until_ns, valid_until_ns; /* UINT64_MAX is for ever */
    uint64_t conflict_ns;       /* last time somebody else claimed it */
    uint8_t prefix_bits;        /* of the 128 */
    uint8_t state;
    uint8_t probes_left;
    uint8_t autoconf;           /* made by SLAAC */
    /* May be NULL: tells whoever probes it, once, whether the address is ours. It may be deleted meanwhile. */
    void (*settled)(void *ctx, bool ours);
    void *settled_ctx;
};

struct net_group {
    struct net_addr addr;
    uint32_t users;           /* 0 while reports_left: it was left, and that is still being said */
    uint8_t reports_left;     /* of the change */
    struct net_timer timer;
    struct net_iface *iface;
};

struct net_iface_counters {
    uint64_t rx_frames, rx_bytes, rx_drops, rx_errors;
    uint64_t tx_frames, tx_bytes, tx_drops;
};

struct net_iface {
    struct net_iface *next;
    struct net_iface *next_nic; /* of those that have a device to themselves */
    struct net_stack *stack;
    struct net_nic *nic;      /* NULL for the loopback */
    struct net_iface *parent; /* of a VLAN */
    struct net_mac mac;
    uint16_t vlan_id;         /* 0: untagged */
    uint8_t up, slaac;
    uint8_t unconfigured;     /* a DHCP client waits for answers to an address that is not ours yet */
    uint32_t index;
    uint32_t mtu;
    uint32_t offloads;
    char name[16];
    unsigned tx_count;
    struct pbuf *tx[NET_BURST]; /* this round's, handed over in one burst */
    struct pbuf_queue backlog;  /* what the device did not take */
    struct net_iface_counters counters;
    uint32_t broadcasts[IFACE_ADDRS]; /* of the IPv4 addresses, network order */
    unsigned broadcast_count;
    unsigned addr_top;        /* no address is at or beyond it */
    struct net_ifaddr addrs[IFACE_ADDRS];
    struct net_group groups[IFACE_GROUPS];
    /* IPv6 router discovery */
    struct net_timer rs_timer;
    uint8_t rs_left, hop_limit;
    /* Until then a querier of an older version is believed to be there (RFC 3376 7.2.1, RFC 3810 8.2.1). */
    uint64_t igmp_v1_until_ns, igmp_v2_until_ns, mld_v1_until_ns;
};

/* The NIC must outlive the instance. NULL if out of memory. */
struct net_iface *net_iface_add(struct net_stack *ns, struct net_nic *nic, const char *name);
/* vlan_id 1 to 4094, else NULL. */
struct net_iface *net_iface_add_vlan(struct net_iface *parent, uint16_t vlan_id, const char *name);

/* probe: take the address only after nobody on the link answered for it.
 * 0, -NET_EEXIST, -NET_ENOSPC. prefix_bits is the family's own (24, 64). */
int net_iface_add_addr(struct net_iface *iface, const struct net_addr *addr, unsigned prefix_bits, bool probe);
int net_iface_del_addr(struct net_iface *iface, const struct net_addr *addr);
struct net_ifaddr *net_iface_find_addr(struct net_iface *iface, const struct net_addr *addr);
/* Whether some interface may use it (not: is still asking for it). */
bool net_addr_is_ours(const struct net_stack *ns, const struct net_addr *addr);
/* Called when probing ended well. */
void net_ifaddr_accept(struct net_ifaddr *ifa);
/* Called when somebody else holds it. */
void net_ifaddr_conflict(struct net_ifaddr *ifa);

/* Whether a packet to addr is for us: an own address, broadcast or joined group. */
bool net_iface_accepts(struct net_iface *iface, const struct net_addr *addr);
/* RFC 1122 3.2.1.3 */
static inline bool net_iface_is_broadcast(const struct net_iface *iface, const struct net_addr *addr)
{
    if (!net_addr_is_v4(addr))
        return false;
    bool found = addr->w[3] == 0xffffffff;
    for (unsigned k = 0; k < iface->broadcast_count; k++)
        found |= iface->broadcasts[k] == addr->w[3];
    return found;
}

void net_iface_flush(struct net_iface *iface);
void net_iface_tx_loopback(struct net_iface *iface, struct pbuf *frame);
/* Takes over the frame, link-layer header included. */
static inline void net_iface_tx(struct net_iface *iface, struct pbuf *frame)
{
    iface->counters.tx_frames++;
    iface->counters.tx_bytes += frame->total;
    if (net_unlikely(!iface->nic)) {
        net_iface_tx_loopback(iface, frame);
        return;
    }
    iface->tx[iface->tx_count++] = frame;
    if (iface->tx_count == NET_BURST)
        net_iface_flush(iface);
}
/* Frames that could be queued now without loss. */
static inline bool net_iface_tx_room(const struct net_iface *iface) { return iface->backlog.count < IFACE_TX_BACKLOG / 2; }

#endif
