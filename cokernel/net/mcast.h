/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Group membership: IGMPv2 (RFC 2236) and MLDv1 (RFC 2710) reports, which
 * every newer querier understands, on one state machine.
 */
#ifndef NET_MCAST_H
#define NET_MCAST_H

#include "cokernel/net/iface.h"

/* 0, -NET_ENOSPC, -NET_EINVAL. Joins count; leave as often. */
int mcast_join(struct net_iface *iface, const struct net_addr *group);
int mcast_leave(struct net_iface *iface, const struct net_addr *group);
bool mcast_is_member(const struct net_iface *iface, const struct net_addr *group);
void mcast_join_solicited_node(struct net_iface *iface, const struct net_addr *addr);
void mcast_leave_solicited_node(struct net_iface *iface, const struct net_addr *addr);
/* A querier asks for group (any: all of them), to be answered within max_ns. */
void mcast_query(struct net_iface *iface, const struct net_addr *group, bool v4, uint64_t max_ns);
/* Another member answered, so we need not. */
void mcast_heard_report(struct net_iface *iface, const struct net_addr *group);

void igmp_send(struct net_iface *iface, const struct net_addr *group, bool leave);
void mld_send(struct net_iface *iface, const struct net_addr *group, bool leave);

#endif
