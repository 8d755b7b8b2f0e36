/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pairs of sockets that the co-kernel serves itself have a pair of Linux's behind their
 * descriptors, which stays empty until the co-kernel hands over what is in its own
 * (libpoxis/files/socket_push.c): in Linux's own messages, so that as much is counted
 * against the sender as before. The module sends them, as one of the ends may not be open here.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

/* What Linux counts for one byte: it is of this kernel, so asked for once. 0: not known. */
static uint32_t least_charge(const int fd[2])
{
	static _Atomic uint32_t known;
	int counted = 0;
	char c = 0;

	if (known)
		return known;
	if (raw_syscall(SYS_sendto, (uint64_t)fd[0], (uintptr_t)&c, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) != 1)
		return 0;
	if (ioctl(fd[0], SIOCOUTQ, &counted))
		counted = 0;
	if (raw_syscall(SYS_recvfrom, (uint64_t)fd[1], (uintptr_t)&c, 1, MSG_DONTWAIT, 0, 0) != 1)
		return 0;
	known = (uint32_t)counted;
	return known;
}

/* One thread at a time fills: it has the co-kernel's mutex of the program's descriptors. */
static char message[OTR_SOCKET_MESSAGE];

long socket_piece(struct proxy *p, const uint64_t a[6])
{
	if (a[1] > OTR_PIPE_PIECE || a[0] > sizeof(message) - a[1])
		return -EINVAL;
	memcpy(message + a[0], p->mailbox->facts.area, a[1]);
	return 0;
}

static long pair_call(const struct proxy *p, struct otr_ioc_pair *r)
{
	r->req.size = sizeof(*r);
	return ioctl(p->o.fd, OTR_IOC_PAIR, r) ? -errno : 0;
}

long socket_fill(struct proxy *p, const uint64_t a[6])
{
	struct otr_ioc_pair r = {
		.op = OTR_PAIR_SEND, .fd = (int)a[0], .side = (uint32_t)a[1], .there = (uint32_t)a[2],
		.bytes = (uint32_t)a[3], .data = (uintptr_t)message,
	};

	return hide_is_hidden(a[0]) || a[3] > sizeof(message) ? -EINVAL : pair_call(p, &r);
}

long socket_let_go(struct proxy *p, const uint64_t a[6])
{
	struct otr_ioc_pair r = { .op = OTR_PAIR_LET_GO, .fd = (int)a[0], .shut = (uint32_t)a[1] };

	return hide_is_hidden(a[0]) ? -EINVAL : pair_call(p, &r);
}

long socket_make(struct twin *t, uint64_t flags)
{
	struct otr_ioc_pair r = { .op = OTR_PAIR_KEEP };
	socklen_t bytes = sizeof(int);
	int fd[2], buffer = 0;
	uint32_t least;

	if (socketpair(AF_UNIX, SOCK_STREAM | (int)flags, 0, fd))
		return -errno;
	least = least_charge(fd);
	r.fd = fd[0];
	r.peer = fd[1];
	if (!least || getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &buffer, &bytes) || pair_call(t->p, &r))
		buffer = 0;
	t->shared->arg[1] = buffer > 0 ? (uint32_t)buffer | (uint64_t)least << 32 : 0;
	return (long)((uint64_t)(uint32_t)fd[0] | (uint64_t)(uint32_t)fd[1] << 32);
}
