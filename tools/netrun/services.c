/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers: echo (RFC 862), discard (RFC 863), an endless or bounded source, and a small HTTP. */
#include "tools/netrun/netrun.h"

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/udp.h"

enum service_kind { ECHO, DISCARD, SOURCE, HTTP };

struct listener {
    struct netrun_app app;
    enum service_kind kind;
    struct net_stack *ns;
};

struct conn {
    struct netrun_app app;
    enum service_kind kind;
    struct net_stack *ns;
    struct pbuf *pending;   /* echo: what did not fit yet */
    uint64_t to_send;       /* source, HTTP body */
    uint64_t offset;
    bool closing;           /* after to_send */
    uint32_t request_len;
    char request[2048];
};

static void finish(struct conn *c, struct net_endpoint *ep)
{
    if (c->pending)
        pbuf_put(c->pending);
    tcp_close((struct tcp_pcb *)ep);
    free(c);
}

/* False once the handle is gone. */
static bool echo(struct conn *c, struct tcp_pcb *pcb)
{
    for (;;) {
        struct pbuf *pb = c->pending;
        c->pending = NULL;
        if (!pb && !(pb = tcp_recv(pcb)))
            break;
        int err = tcp_send(pcb, pb);
        if (err == -NET_EAGAIN || err == -NET_ENOBUFS) {
            c->pending = pb;
            return true;
        }
        if (err < 0)
            pbuf_put(pb);
    }
    if (tcp_at_eof(pcb)) {
        finish(c, tcp_endpoint(pcb));
        return false;
    }
    return true;
}

/* Bytes 0, 1, 2, ... so that a receiver can check them. */
static bool source(struct conn *c, struct tcp_pcb *pcb)
{
    uint8_t buf[16384];
    while (c->to_send) {
        uint32_t n = (uint32_t)net_min((uint64_t)sizeof buf, c->to_send);
        n = net_min(n, tcp_send_room(pcb));
        for (uint32_t k = 0; k < n; k++)
            buf[k] = (uint8_t)((c->offset + k) * 167 + ((c->offset + k) >> 8));
        int64_t done = tcp_write(pcb, buf, n ? n : 1);
        if (done <= 0)
            return true;
        c->offset += (uint64_t)done;
        if (c->to_send != UINT64_MAX)
            c->to_send -= (uint64_t)done;
    }
    if (c->closing) {
        finish(c, tcp_endpoint(pcb));
        return false;
    }
    return true;
}

static void respond(struct conn *c, struct tcp_pcb *pcb, const char *head)
{
    char path[256] = "", out[512];
    unsigned long long n = 0;
    const char *body = "";
    int status = 404;
    bool close_after = strstr(head, "Connection: close") || strstr(head, "HTTP/1.0");
    if (sscanf(head, "GET %255s", path) != 1)
        status = 400;
    else if (strcmp(path, "/") == 0)
        status = 200, body = "hello from the other side\n";
    else if (sscanf(path, "/bytes/%llu", &n) == 1)
        status = 200;
    else
        body = "not found\n";
    int len = snprintf(out, sizeof out, "HTTP/1.1 %d %s\r\nContent-Length: %llu\r\nContent-Type: %s\r\n%s\r\n%s", status,
                       status == 200 ? "OK" : "Error", *body ? (unsigned long long)strlen(body) : n,
                       *body ? "text/plain" : "application/octet-stream", close_after ? "Connection: close\r\n" : "", body);
    tcp_write(pcb, out, (uint32_t)len);
    c->offset = 0;
    c->to_send = status == 200 && !*body ? n : 0;
    c->closing = close_after;
}

static bool http(struct conn *c, struct tcp_pcb *pcb)
{
    for (;;) {
        if (!source(c, pcb))
            return false;
        if (c->to_send)
            return true; /* one answer after the other */
        char *end = strstr(c->request, "\r\n\r\n");
        if (end) {
            end[2] = 0;
            respond(c, pcb, c->request);
            uint32_t used = (uint32_t)(end + 4 - c->request);
            c->request_len -= used;
            memmove(c->request, end + 4, c->request_len + 1);
            continue;
        }
        int64_t n = tcp_read(pcb, c->request + c->request_len, (uint32_t)sizeof c->request - 1 - c->request_len);
        if (n <= 0) {
            if (n != -NET_EAGAIN || c->request_len == sizeof c->request - 1) {
                finish(c, tcp_endpoint(pcb));
                return false;
            }
            return true;
        }
        c->request_len += (uint32_t)n;
        c->request[c->request_len] = 0;
    }
}

static void conn_event(struct netrun_app *app, struct net_endpoint *ep, unsigned events)
{
    struct conn *c = (struct conn *)app;
    struct tcp_pcb *pcb = (struct tcp_pcb *)ep;
    struct pbuf *pb;
    bool alive = true;
    if (events & NET_EV_CLOSED) {
        finish(c, ep);
        return;
    }
    switch (c->kind) {
    case ECHO:
        alive = echo(c, pcb);
        break;
    case HTTP:
        alive = http(c, pcb);
        break;
    case SOURCE:
        while ((pb = tcp_recv(pcb)))
            pbuf_put(pb);
        alive = source(c, pcb);
        break;
    case DISCARD:
        while ((pb = tcp_recv(pcb)))
            pbuf_put(pb);
        break;
    }
    if (alive && c->kind != ECHO && c->kind != HTTP && tcp_at_eof(pcb))
        finish(c, ep);
}

static void listener_event(struct netrun_app *app, struct net_endpoint *ep, unsigned events)
{
    struct listener *l = (struct listener *)app;
    struct tcp_pcb *pcb;
    while ((pcb = tcp_accept((struct tcp_listener *)ep))) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c) {
            tcp_abort(pcb);
            continue;
        }
        *c = (struct conn){ .app.event = conn_event, .kind = l->kind, .ns = l->ns, .to_send = l->kind == SOURCE ? UINT64_MAX : 0 };
        tcp_endpoint(pcb)->user = &c->app;
        conn_event(&c->app, tcp_endpoint(pcb), 0);
    }
}

static void udp_echo_event(struct netrun_app *app, struct net_endpoint *ep, unsigned events)
{
    struct udp_pcb *u = (struct udp_pcb *)ep;
    struct pbuf *pb;
    while ((pb = udp_recv(u))) {
        struct net_addr from = pb->addr;
        udp_send(u, pb, &from, pb->port);
    }
}

void netrun_serve(struct net_stack *ns)
{
    static const struct { uint16_t port; enum service_kind kind; } services[] = { { 7, ECHO }, { 9, DISCARD }, { 19, SOURCE }, { 80, HTTP } };
    static struct listener listeners[sizeof services / sizeof *services];
    static struct netrun_app udp_echo = { .event = udp_echo_event };
    struct net_addr any = { 0 };
    int err;
    for (unsigned k = 0; k < sizeof services / sizeof *services; k++) {
        listeners[k] = (struct listener){ .app.event = listener_event, .kind = services[k].kind, .ns = ns };
        struct tcp_listener *l = tcp_listen(ns, &any, services[k].port, 1024, &err);
        if (l) {
            ((struct net_endpoint *)l)->user = &listeners[k].app;
            tcp_listener_set(l, TCP_OPT_NODELAY, 1);
            tcp_listener_set(l, TCP_OPT_ECN, 1);
            tcp_listener_set(l, TCP_OPT_SNDBUF, 2 << 20);
            tcp_listener_set(l, TCP_OPT_FASTOPEN, 256);
        }
    }
    struct udp_pcb *u = udp_open(ns);
    if (u && udp_bind(u, &any, 7) == 0)
        u->ep.user = &udp_echo;
}
