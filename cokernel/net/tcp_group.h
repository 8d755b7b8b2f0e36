/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving a whole flow group (rss.h) from one instance of an address to another:
 * connections, those that nobody has accepted yet, those that their users have
 * closed, half-open ones and TIME_WAIT. The order of a move: stop the device
 * from delivering the group, let the old instance poll what it has, export,
 * import, point the device's table at the new queue. Instances between which
 * groups move are created with the same net_config.shared_key, and listen on
 * the same ports.
 */
#ifndef NET_TCP_GROUP_H
#define NET_TCP_GROUP_H

#include "cokernel/net/rss.h"
#include "cokernel/net/tcp.h"

struct tcp_group_users {
    void *ctx;
    /* A connection with a user goes; its handle is dead after the call. Returns what travels with it. */
    uint64_t (*leaves)(void *ctx, struct tcp_pcb *pcb);
    /* It has come, and belongs to whom `token` says. */
    void (*arrives)(void *ctx, struct tcp_pcb *pcb, uint64_t token);
};

/* Bytes that an export takes now. -NET_EAGAIN while a connection of the group is being opened by us or by Fast Open: a
 * round trip; a minute if the peer never answers. */
int64_t tcp_group_bytes(struct net_stack *ns, const struct net_rss *rss, uint32_t group);
/* Writes the image and drops the group here without a word to the peers. All or nothing:
 * bytes, -NET_EAGAIN as above, -NET_ENOSPC. */
int64_t tcp_group_export(struct net_stack *ns, const struct net_rss *rss, uint32_t group, void *image, size_t room, const struct tcp_group_users *users);

struct tcp_group_report { uint32_t taken, refused; }; /* refused: malformed, there already, no listener, or no memory */
/* 0 or -NET_EPROTO if nothing of it can be trusted. What is refused alone is forgotten: its peer finds out. */
int tcp_group_import(struct net_stack *ns, const struct net_rss *rss, uint32_t group, const void *image, size_t bytes, const struct tcp_group_users *users,
                     struct tcp_group_report *report);

#endif
