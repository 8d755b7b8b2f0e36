/* SPDX-License-Identifier: BSD-2-Clause */
/* The same call in both worlds. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/diff/linux.h"
#include "tests/net/diff/worlds.h"

void accept_all(void)
{
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    for (int fd; (fd = accept4(listen_fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK)) >= 0; n = sizeof from) {
        struct script *s = script_of(ntohs(from.sin_port), PORT);
        if (!s || s->fd >= 0) {
            close(fd);
            continue;
        }
        s->fd = fd;
        s->seen[LINUX].accepted = true;
    }
    for (struct tcp_pcb *pcb; (pcb = tcp_accept(own.listener));) {
        struct script *s = script_of(pcb->flow.key.remote_port, PORT);
        if (!s || s->pcb) {
            tcp_abort(pcb);
            continue;
        }
        s->pcb = pcb;
        s->seen[OWN].accepted = true;
    }
}

void connect_both(struct script *s)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) }, from = { .sin_family = AF_INET, .sin_port = htons(s->port) };
    struct tcp_connect how = { .remote = net_addr_v4(0x0a090002), .remote_port = PEER_PORT, .local_port = s->port };
    int err;
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (diff_linux_reno(s->fd) < 0 || bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("a socket");
    s->seen[LINUX].result = connect(s->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS ? -errno : 0;
    s->pcb = tcp_connect(own.ns, &how, &err);
    s->seen[OWN].result = err;
    if (s->pcb)
        tcp_set(s->pcb, TCP_OPT_CONGESTION, TCP_CC_NEWRENO);
}

bool both_open(const struct script *s) { return s->fd >= 0 && s->pcb; }

void write_both(struct script *s, uint32_t n)
{
    uint8_t buf[4096];
    for (uint32_t k = 0; k < n; k++)
        buf[k] = pattern(s->written + k);
    ssize_t a = send(s->fd, buf, n, MSG_NOSIGNAL);
    s->seen[LINUX].result = a < 0 ? -errno : a;
    s->seen[OWN].result = tcp_write(s->pcb, buf, n);
    if (a > 0 && s->seen[OWN].result == a)
        s->written += (uint32_t)a;
}

void read_both(struct script *s, uint32_t n)
{
    uint8_t a[8192], b[8192];
    ssize_t got = recv(s->fd, a, n, 0);
    s->seen[LINUX].result = got < 0 ? -errno : got;
    s->seen[OWN].result = tcp_read(s->pcb, b, n);
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
