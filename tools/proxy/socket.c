/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pairs of sockets that the co-kernel serves itself have a pair of Linux's behind their
 * descriptors, which stays empty until the co-kernel hands over what is in its own
 * (libpoxis/files/socket_push.c): in Linux's own messages, so that as much is counted
 * against the sender as before.
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

long socket_make(struct twin *t, uint64_t flags)
{
	socklen_t bytes = sizeof(int);
	int fd[2], buffer = 0;
	uint32_t least;

	if (socketpair(AF_UNIX, SOCK_STREAM | (int)flags, 0, fd))
		return -errno;
	least = least_charge(fd);
	if (getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &buffer, &bytes) || !least)
		buffer = 0;
	t->shared->arg[1] = buffer > 0 ? (uint32_t)buffer | (uint64_t)least << 32 : 0;
	return (long)((uint64_t)(uint32_t)fd[0] | (uint64_t)(uint32_t)fd[1] << 32);
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

long socket_fill(const uint64_t a[6])
{
	uint64_t end = a[2] + a[3];
	int there = 0;
	long ret;

	if (hide_is_hidden(a[0]) || hide_is_hidden(a[1]) || a[3] > sizeof(message) || end > INT32_MAX)
		return -EINVAL;
	if (ioctl((int)a[1], SIOCINQ, &there))
		return -errno;
	if ((uint64_t)there < a[2] || (uint64_t)there > end)
		return -EIO;
	while ((uint64_t)there < end) {
		ret = raw_syscall(SYS_sendto, a[0], (uintptr_t)message + (uint64_t)there - a[2],
				  end - (uint64_t)there, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
		if (ret <= 0)
			return ret ? ret : -EIO;
		there += (int)ret;
	}
	return 0;
}
