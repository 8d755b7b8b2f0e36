/* SPDX-License-Identifier: BSD-2-Clause */
/* The same call in both worlds. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/diff/linux.h"
#include "tests/net/diff/worlds.h"

static void accept_linux(int listener)
{
    struct sockaddr_in6 from; /* of either family: the port is in the same place */
    socklen_t n = sizeof from;
    for (int fd; (fd = accept4(listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK)) >= 0; n = sizeof from) {
        struct script *s = script_of(ntohs(from.sin6_port));
        if (!s || s->fd >= 0 || s->active || s->udp) {
            close(fd);
            continue;
        }
        s->fd = fd;
        s->seen[LINUX].accepted = true;
    }
}

static void accept_own(struct tcp_listener *listener)
{
    for (struct tcp_pcb *pcb; (pcb = tcp_accept(listener));) {
        struct script *s = script_of(pcb->flow.key.remote_port);
        if (!s || s->pcb || s->active || s->udp) {
            tcp_abort(pcb);
            continue;
        }
        s->pcb = pcb;
        s->seen[OWN].accepted = true;
    }
}

void accept_all(void)
{
    for (unsigned k = 0; k < 2; k++) {
        accept_linux(listen_fds[k]);
        accept_own(own.listeners[k]);
    }
}

void connect_both(struct script *s)
{
    struct sockaddr_storage to, from;
    struct tcp_connect how = { .remote = address_of_peer(s), .remote_port = PEER_PORT, .local_port = s->port };
    socklen_t n = diff_sockaddr(&to, &how.remote, PEER_PORT, false);
    struct net_addr us = address_of_us(s);
    int err;
    diff_sockaddr(&from, &us, s->port, false);
    s->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (diff_linux_reno(s->fd) < 0 || bind(s->fd, (struct sockaddr *)&from, n) < 0)
        die("a socket");
    s->seen[LINUX].result = connect(s->fd, (struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS ? -errno : 0;
    s->pcb = tcp_connect(own.ns, &how, &err);
    s->seen[OWN].result = err;
    if (s->pcb)
        tcp_set(s->pcb, TCP_OPT_CONGESTION, TCP_CC_NEWRENO);
}

bool both_open(const struct script *s) { return s->fd >= 0 && s->pcb; }

/* As sockets have it, which stand above: the error that ended a connection is told once, then there is what comes after it. */
static int64_t told_once(struct script *s, int64_t result, int64_t after)
{
    struct tcp_conn_info info;
    if (result >= 0 || !s->pcb->ep.error || result != -s->pcb->ep.error)
        return result;
    tcp_info(s->pcb, &info);
    if (info.state != TCP_CLOSED)
        return result;
    bool again = s->told;
    s->told = true;
    return again ? after : result;
}

void write_both(struct script *s, uint32_t n)
{
    uint8_t buf[4096];
    for (uint32_t k = 0; k < n; k++)
        buf[k] = pattern(s->written + k);
    ssize_t a = send(s->fd, buf, n, MSG_NOSIGNAL);
    s->seen[LINUX].result = a < 0 ? -errno : a;
    s->seen[OWN].result = told_once(s, tcp_write(s->pcb, buf, n), -NET_EPIPE);
    if (a > 0 && s->seen[OWN].result == a)
        s->written += (uint32_t)a;
}

void read_both(struct script *s, uint32_t n)
{
    uint8_t a[8192], b[8192];
    ssize_t got = recv(s->fd, a, n, 0);
    s->seen[LINUX].result = got < 0 ? -errno : got;
    s->seen[OWN].result = told_once(s, tcp_read(s->pcb, b, n), 0);
    if (got > 0 && s->seen[OWN].result == got && memcmp(a, b, (size_t)got) != 0)
        s->seen[OWN].wrong++;
}

void shut_both(struct script *s)
{
    s->seen[LINUX].result = shutdown(s->fd, SHUT_WR) < 0 ? -errno : 0;
    s->seen[OWN].result = tcp_shutdown(s->pcb);
}

void close_both(struct script *s, bool abort)
{
    struct linger l = { 1, 0 };
    if (abort)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(s->fd);
    if (abort)
        tcp_abort(s->pcb);
    else
        tcp_close(s->pcb);
    s->fd = -1;
    s->pcb = NULL;
    s->closed = true;
}

void error_both(struct script *s)
{
    int e = 0;
    socklen_t n = sizeof e;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n);
    s->seen[LINUX].result = e;
    s->seen[OWN].result = s->told ? 0 : s->pcb->ep.error;
    struct tcp_conn_info info;
    tcp_info(s->pcb, &info);
    if (info.state == TCP_CLOSED)
        s->told = s->pcb->ep.error;
    else
        s->pcb->ep.error = 0;
}
