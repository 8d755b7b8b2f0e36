/* SPDX-License-Identifier: BSD-2-Clause */
/* What needs Linux's header, whose names the stack has as well. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/net/diff/linux.h"

int diff_linux_state(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_state : 0;
}

int diff_linux_reno(int fd) { return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); }
