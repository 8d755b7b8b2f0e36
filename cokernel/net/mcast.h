/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Group membership: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) on one state
 * machine, or what an older querier on the link understands (IGMPv1 and v2,
 * MLDv1). Groups are joined for any source: a filter has no source list.
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

/* Values of the record types of IGMPv3 and MLDv2. */
enum mcast_report { MCAST_IS_MEMBER = 2, MCAST_LEAVES = 3, MCAST_JOINS = 4 };
#define MCAST_OLD_QUERIER_NS (260 * NET_NS_PER_S) /* RFC 3376 8.12, RFC 3810 9.12: 2 * 125 s + 10 s */

void igmp_send(struct net_iface *iface, const struct net_addr *group, enum mcast_report what);
void mld_send(struct net_iface *iface, const struct net_addr *group, enum mcast_report what);

#endif
