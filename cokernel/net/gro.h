/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receive offload in software: segments of one connection that lie behind each
 * other in a burst become one packet before anything looks at them, so that
 * headers, flow and window are dealt with once.
 */
#ifndef NET_GRO_H
#define NET_GRO_H

#include "cokernel/net/iface.h"

/* Merges within a burst of whole frames, count <= NET_BURST; returns how many packets remain, in order within each
 * connection. What is not plainly mergeable stays as it was, wrong checksums included. */
unsigned gro_merge(struct net_iface *iface, struct pbuf **frames, unsigned count);

#endif
