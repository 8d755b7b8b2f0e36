/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients: stdin and stdout joined to a connection, and an HTTP GET. One at a time. */
#include "tools/netrun/netrun.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct client {
    struct netrun_app app;
    struct tcp_pcb *pcb;
    bool http, in_body, input_done, connected, over;
    int status;
    struct net_stack *ns;
    struct netrun_get get;
    char head[4096];
    uint32_t head_len, pending, pending_at;
    uint8_t buffer[65536];
} client;

static int get_once(void);

static void done(int status)
{
    if (client.pcb)
        tcp_close(client.pcb);
    client.pcb = NULL;
    client.status = status;
    if (status == 0 && client.http && --client.get.times && get_once() == 0)
        return;
    client.over = true;
}

static void write_all(const uint8_t *p, uint32_t n)
{
    while (n) {
        ssize_t w = write(STDOUT_FILENO, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            done(1);
            return;
        }
        p += w;
        n -= (uint32_t)w;
    }
}

static void http_bytes(const uint8_t *p, uint32_t n)
{
    while (n && !client.in_body && client.head_len + 1 < sizeof client.head) {
        client.head[client.head_len++] = (char)*p++;
        client.head[client.head_len] = 0;
        n--;
        client.in_body = strstr(client.head, "\r\n\r\n") != NULL;
    }
    write_all(p, n);
}

static void pump_out(void)
{
    uint8_t buf[65536];
    while (client.pcb) {
        int64_t n = tcp_read(client.pcb, buf, sizeof buf);
        if (n > 0) {
            if (client.http)
                http_bytes(buf, (uint32_t)n);
            else
                write_all(buf, (uint32_t)n);
            continue;
        }
        if (n == -NET_EAGAIN)
            return;
        if (n < 0) {
            fprintf(stderr, "netrun: connection ended: %s\n", strerror((int)-n));
            done(2);
        } else if (client.input_done || client.http) {
            done(0);
        }
        return;
    }
}

static void pump_in(void)
{
    while (client.pcb && client.connected && !client.input_done) {
        if (!client.pending) {
            ssize_t n = read(STDIN_FILENO, client.buffer, sizeof client.buffer);
            if (n < 0)
                return;
            if (n == 0) {
                client.input_done = true;
                tcp_shutdown(client.pcb);
                return;
            }
            client.pending = (uint32_t)n;
            client.pending_at = 0;
        }
        int64_t n = tcp_write(client.pcb, client.buffer + client.pending_at, client.pending);
        if (n < 0)
            return;
        client.pending -= (uint32_t)n;
        client.pending_at += (uint32_t)n;
        if (client.pending)
            return;
    }
}

static void event(struct netrun_app *app, struct net_endpoint *ep, unsigned events)
{
    if (ep->type == NET_EP_TCP_LISTENER) {
        struct tcp_pcb *pcb = tcp_accept((struct tcp_listener *)ep);
        if (!pcb)
            return;
        if (client.pcb) {
            tcp_abort(pcb);
            return;
        }
        client.pcb = pcb;
        client.connected = true;
        tcp_endpoint(pcb)->user = &client.app;
    }
    if (!client.pcb)
        return;
    if (events & NET_EV_CONNECTED) {
        client.connected = true;
    }
    pump_out();
    if (client.pcb && (events & NET_EV_CLOSED)) {
        int error = tcp_endpoint(client.pcb)->error;
        if (error)
            fprintf(stderr, "netrun: connection ended: %s\n", strerror(error));
        done(error ? 2 : 0);
    }
}

int netrun_pipe_start(struct net_stack *ns, const struct net_addr *remote, uint16_t port)
{
    int err;
    client.app.event = event;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    if (remote) {
        struct tcp_connect how = { .remote = *remote, .remote_port = port, .user = &client.app };
        client.pcb = tcp_connect(ns, &how, &err);
        return client.pcb ? 0 : err;
    }
    struct net_addr any = { 0 };
    struct tcp_listener *l = tcp_listen(ns, &any, port, 1, &err);
    if (l)
        ((struct net_endpoint *)l)->user = &client.app;
    return err;
}

static int get_once(void)
{
    const struct netrun_get *g = &client.get;
    char text[46], request[4096];
    int err;
    net_addr_format(&g->remote, text);
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", g->path, text);
    if (len >= (int)sizeof request)
        return -NET_EINVAL;
    struct tcp_connect how = { .remote = g->remote, .remote_port = g->port, .user = &client.app, .data = request, .data_bytes = (uint32_t)len,
                               .fast_open = g->fast_open };
    client.head_len = 0;
    client.head[0] = 0;
    client.connected = client.in_body = false;
    client.pcb = tcp_connect(client.ns, &how, &err);
    return client.pcb ? 0 : err;
}

int netrun_http_get(struct net_stack *ns, const struct netrun_get *get)
{
    client.app.event = event;
    client.http = client.input_done = true;
    client.ns = ns;
    client.get = *get;
    return get_once();
}

bool netrun_client_tick(struct net_stack *ns, int *fd, int *status)
{
    *fd = -1;
    if (client.app.event && !client.http && !client.over)
        pump_in();
    if (client.pcb && client.connected && !client.http && !client.input_done && !client.pending && tcp_send_room(client.pcb))
        *fd = STDIN_FILENO;
    *status = client.status;
    return !client.over;
}
