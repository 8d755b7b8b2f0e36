/* SPDX-License-Identifier: BSD-2-Clause */
/* What needs Linux's header, whose names the stack has as well. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/net/diff/linux.h"

int diff_linux_state(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_state : 0;
}

int diff_linux_reno(int fd) { return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); }

socklen_t diff_sockaddr(struct sockaddr_storage *out, const struct net_addr *addr, uint16_t port, bool dual)
{
    memset(out, 0, sizeof *out);
    if (net_addr_is_v4(addr) && !dual) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = addr->w[3];
        return sizeof *in;
    }
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)out;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    memcpy(&in->sin6_addr, addr->b, 16);
    return sizeof *in;
}

uint16_t diff_net_addr(const struct sockaddr_storage *name, struct net_addr *out)
{
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)name;
        *out = net_addr_v4_raw(in->sin_addr.s_addr);
        return ntohs(in->sin_port);
    }
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)name;
    *out = net_addr_v6(&in->sin6_addr);
    return ntohs(in->sin6_port);
}

bool diff_linux_dual(int fd, bool only6)
{
    int value = only6;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value) == 0;
}
