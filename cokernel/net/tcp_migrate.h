/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's whole state as bytes, so that it can move to another
 * instance (core, partition, device) without its peer noticing. The image is
 * versioned, free of pointers and absolute times, and checked completely
 * before anything is made of it: it may come from another partition.
 */
#ifndef NET_TCP_MIGRATE_H
#define NET_TCP_MIGRATE_H

#include "cokernel/net/tcp.h"

/* Whole flow groups, with half-open and waiting ones: tcp_group.h. Bytes an export takes now; 0 if the state cannot move (handshake, closed, waiting). */
size_t tcp_export_bytes(const struct tcp_pcb *pcb);
/* Writes the image and, if that succeeds, drops the connection here without a
 * word to the peer; the handle is gone. The peer's segments must not reach this
 * instance any more, or it would reset them. Bytes written, -NET_EINVAL if the
 * state cannot move, -NET_ENOSPC. */
int64_t tcp_export(struct tcp_pcb *pcb, void *image, size_t room);
/* NULL with *error -NET_EPROTO (malformed), -NET_EEXIST (such a connection is here), -NET_ENOMEM. */
struct tcp_pcb *tcp_import(struct net_stack *ns, const void *image, size_t bytes, void *user, int *error);

#endif
