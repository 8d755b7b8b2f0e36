/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DIFF_LINUX_H
#define DIFF_LINUX_H

#include <sys/socket.h>

#include "cokernel/net/net_addr.h"

/* TCP_INFO's state of a socket, 0 if it has none. */
int diff_linux_state(int fd);
/* NewReno for it and for what it accepts, whatever the machine's default is. 0 or -1 and errno. */
int diff_linux_reno(int fd);
/* Linux's form of an address, for a socket of IPv6 if dual, else of its own family. Returns its bytes. */
socklen_t diff_sockaddr(struct sockaddr_storage *out, const struct net_addr *addr, uint16_t port, bool dual);

/* The other way round; returns the port. */
uint16_t diff_net_addr(const struct sockaddr_storage *name, struct net_addr *out);
/* Whether a socket of IPv6 could be made to take IPv4 as well, or not to. */
bool diff_linux_dual(int fd, bool only6);

#endif
