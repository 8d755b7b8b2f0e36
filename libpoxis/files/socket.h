/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socketpair of AF_UNIX and SOCK_STREAM, as Linux's net/unix/af_unix.c has it: what was
 * sent counts against the sender's buffer as it would there, message by message, until it
 * has been read to its last byte. Without names and ancillary data, which are Linux's.
 *
 * A socket of Linux's can be written to by its peer only, and cannot be opened again. So the
 * host module keeps both, and puts in what is here for a process that has one end only; an end
 * that is open nowhere any more is closed there when the pair is Linux's (socket_push.c).
 */
#ifndef LIBPOXIS_FILES_SOCKET_H
#define LIBPOXIS_FILES_SOCKET_H

#include "cokernel/lib/list.h"
#include "cokernel/lib/types.h"
#include "libpoxis/files/local.h"

/* linux/socket.h */
enum {
	MSG_PEEK = 2, MSG_DONTWAIT = 0x40, MSG_EOR = 0x80, MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000,
	MSG_MORE = 0x8000, MSG_CMSG_CLOEXEC = 0x40000000,
};

/* What a socket no longer does: sk_shutdown of Linux's. */
enum { SOCKET_SHUT_RECEIVE = 1, SOCKET_SHUT_SEND = 2 };

struct socket {
	struct local_end end;
	/* local.lock */
	uint8_t shut;               /* SOCKET_SHUT_* */
	bool reset;                 /* the peer was closed with bytes unread; told once */
	struct list queue;          /* struct part: to be received here */
	uint32_t queued_bytes;
	uint32_t charged;           /* for what it sent, until that is read: bytes of Linux's memory */
	uint32_t reserved;          /* of the partition's memory for it */
	struct part *spare;         /* a small one, kept */
	struct list receivers, senders;     /* struct local_waiter */
	uint32_t moved_bytes;       /* that it sent and Linux has; of the thread at the move */
};

struct socket_pair {
	struct local local;
	struct socket side[2];
	uint32_t buffer;            /* SO_SNDBUF of Linux's: bytes charged, above which a sender waits */
	uint32_t least_head;        /* of Linux's memory for the smallest message, without sk_buff */
	bool handed_over;           /* Linux has all, and may have been told so; of the thread at the move */
};

/* A message lies in parts of at most a page. */
struct part {
	struct list link;
	uint32_t offset, bytes;     /* that are left */
	uint32_t charge;            /* for the whole message; only its last part has one */
	bool small;                 /* can be a socket's spare one */
	char data[];
};

extern const struct local_ops socket_ops;

static inline bool is_socket(const struct local *o)
{
	return o->ops == &socket_ops;
}
static inline struct socket_pair *to_pair(const struct local *o)
{
	return container_of(o, struct socket_pair, local);
}

/* With both ends, a reference each; NULL: memory is out. least_charge: what Linux counts for
 * a message of one byte. */
struct socket_pair *socket_pair_create(uint32_t buffer, uint32_t least_charge, bool nonblock);
/* flags: MSG_*. As the read and write of local_ops, with ECONNRESET besides; *broken: and
 * nothing was sent. Of no bytes, too: that waits, or tells of the peer. */
int64_t socket_receive(struct local_end *e, struct user_memory *to, uint32_t flags);
int64_t socket_send(struct local_end *e, struct user_memory *from, uint32_t flags, bool *broken);
/* how: 0, 1, 2 as shutdown() has it; 0, -EINVAL, LOCAL_REMOTE. */
int64_t socket_shutdown(struct local_end *e, uint32_t how);
/* What FIONREAD and TIOCOUTQ answer, LOCAL_REMOTE. */
int64_t socket_bytes(struct local_end *e, bool sent);

/* socket_push.c */
int64_t socket_push(struct thread *t, struct local *o, int fd, bool writes);

#endif
