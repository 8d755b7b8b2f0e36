/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/sim/traffic.h"

#include "cokernel/net/tcp_internal.h"

#include <stdio.h>

#define RETRY_NS (10 * NET_NS_PER_MS)

static uint8_t stream_byte(uint32_t id, uint64_t at)
{
    uint64_t z = (at + 1) * 0x9e3779b97f4a7c15ull + id * 0xd6e8feb86659fd93ull;
    return (uint8_t)((z ^ z >> 29) * 0xbf58476d1ce4e5b9ull >> 56);
}

static void fail(struct traffic *t, const struct traffic_side *s, const char *why)
{
    if (t->failed)
        return;
    t->failed = true;
    snprintf(t->why, sizeof t->why, "conn %u %s: %s (sent %llu/%llu, received %llu/%llu, error %d)", s->id / 2, s->client ? "client" : "server", why,
             (unsigned long long)s->sent, (unsigned long long)s->to_send, (unsigned long long)s->received,
             (unsigned long long)s->to_receive, s->error);
}

static void finish(struct traffic_side *s)
{
    if (!s->pcb)
        return;
    tcp_close(s->pcb);
    s->pcb = NULL;
}

static void abort_now(struct traffic_side *s)
{
    tcp_abort(s->pcb);
    s->pcb = NULL;
    s->aborted = true;
}

static void send_more(struct traffic_side *s)
{
    struct traffic *t = s->traffic;
    uint8_t buf[8192];
    while (s->pcb && s->sent < s->to_send) {
        uint32_t n = (uint32_t)net_min((uint64_t)s->write_step, s->to_send - s->sent);
        int64_t done;
        for (uint32_t k = 0; k < n; k++)
            buf[k] = stream_byte(s->id, s->sent + k);
        if (s->zero_copy) {
            struct sim_node *node = s->client ? t->client : t->server;
            struct pbuf *pb = pbuf_copy_in(net_stack_pools(node->stack), buf, n, 0);
            s->refused = !pb;
            if (!pb)
                return;
            done = tcp_send(s->pcb, pb);
            if (done < 0)
                pbuf_put(pb);
            else
                done = n;
        } else {
            done = tcp_write(s->pcb, buf, n);
        }
        s->refused = done == -NET_ENOBUFS;
        if (done < 0)
            return;
        s->sent += (uint64_t)done;
        if (s->end == TRAFFIC_ABORT && s->sent >= s->abort_after) {
            abort_now(s);
            return;
        }
    }
    if (s->pcb && s->sent == s->to_send && !s->shut) {
        s->shut = true;
        if (s->end == TRAFFIC_CLOSE && s->received == s->to_receive && s->eof)
            finish(s);
        else
            tcp_shutdown(s->pcb);
    }
}

static void check(struct traffic_side *s, const uint8_t *p, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (p[k] != stream_byte(s->id ^ 1, s->received + k)) {
            fail(s->traffic, s, "wrong byte");
            return;
        }
    s->received += n;
    if (s->received > s->to_receive)
        fail(s->traffic, s, "too many bytes");
}

static void receive_more(struct traffic_side *s)
{
    struct sim *sim = s->traffic->sim;
    uint8_t buf[4096];
    while (s->pcb) {
        if (s->read_pause_ns && sim->now_ns < s->read_after_ns)
            return;
        if (s->zero_copy) {
            struct pbuf *pb = tcp_recv(s->pcb);
            if (!pb)
                break;
            for (struct pbuf *p = pb; p; p = p->next)
                check(s, p->data, p->len);
            pbuf_put(pb);
        } else {
            int64_t n = tcp_read(s->pcb, buf, net_min(s->read_step, (uint32_t)sizeof buf));
            if (n <= 0)
                break;
            check(s, buf, (uint32_t)n);
        }
        if (s->read_pause_ns)
            s->read_after_ns = sim->now_ns + s->read_pause_ns;
    }
    if (s->pcb && tcp_at_eof(s->pcb) && !s->eof) {
        s->eof = true;
        if (s->received != s->to_receive)
            fail(s->traffic, s, "FIN before the last byte");
    }
}

static void serve(struct traffic_side *s, unsigned events)
{
    receive_more(s);
    if (s->pcb)
        send_more(s);
    if (s->pcb && s->eof && s->shut && s->sent == s->to_send && s->end == TRAFFIC_CLOSE) {
        finish(s);
        return;
    }
    if (s->pcb && (events & NET_EV_CLOSED)) {
        s->closed = true;
        s->error = tcp_endpoint(s->pcb)->error;
        if (!tcp_readable_bytes(s->pcb))
            finish(s);
    } else if (s->pcb && s->closed && !tcp_readable_bytes(s->pcb)) {
        finish(s);
    }
}

void traffic_app(struct sim_node *node, struct net_endpoint *ep, unsigned events)
{
    struct traffic *t = node->app_ctx;
    if (ep->type == NET_EP_TCP_LISTENER) {
        struct tcp_pcb *pcb;
        while ((pcb = tcp_accept((struct tcp_listener *)ep))) {
            struct tcp_conn_info i;
            tcp_info(pcb, &i);
            struct traffic_side *s = NULL;
            for (unsigned k = 0; k < t->count; k++) {
                struct traffic_side *c = &t->sides[2 * k];
                struct tcp_conn_info ci;
                if (c->pcb && (tcp_info(c->pcb, &ci), ci.local_port == i.remote_port))
                    s = &t->sides[2 * k + 1];
            }
            if (!s || s->accepted) { /* its client gave up meanwhile, or its SYN with data came twice (RFC 7413 2.1) */
                tcp_abort(pcb);
                continue;
            }
            s->pcb = pcb;
            s->accepted = true;
            tcp_endpoint(pcb)->user = s;
            t->accepted++;
            serve(s, 0);
        }
        return;
    }
    if (ep->user)
        serve(ep->user, events);
}

static void fill_side(struct traffic *t, struct traffic_side *s, uint32_t id, uint64_t send, uint64_t receive)
{
    struct sim *sim = t->sim;
    *s = (struct traffic_side){ .traffic = t, .id = id, .client = !(id & 1), .to_send = send, .to_receive = receive };
    s->write_step = 1 + sim_below(sim, sim_chance(sim, 300000) ? 100 : 8192);
    s->read_step = 1 + sim_below(sim, 4096);
    s->zero_copy = sim_chance(sim, 500000);
    s->accepted = s->client;
    s->end = sim_chance(sim, 50000) ? TRAFFIC_ABORT : sim_chance(sim, 500000) ? TRAFFIC_CLOSE : TRAFFIC_HALF_CLOSE;
    s->abort_after = send ? sim_random(sim) % send : 0;
    if (sim_chance(sim, 150000))
        s->read_pause_ns = (uint64_t)sim_below(sim, 50) * 1000000;
}

static uint64_t random_bytes(struct sim *sim, uint64_t most)
{
    uint64_t n = most >> sim_below(sim, 10);
    if (n)
        n = sim_random(sim) % n;
    return n ? n : sim_below(sim, 3);
}

/* The client knows a cookie of the server, which may be a wrong one. */
static void give_cookie(struct traffic *t, const struct net_addr *client, const struct net_addr *server)
{
    struct net_flow_key at_server = { .local = *server, .remote = *client }, at_client = { .local = *client, .remote = *server };
    struct tcp_fo_cookie cookie;
    tcp_fo_make(t->server->stack, &at_server, &cookie);
    cookie.b[0] ^= (uint8_t)sim_chance(t->sim, 100000);
    tcp_fo_learn(t->client->stack, &at_client, &cookie, (uint16_t)(200 + sim_below(t->sim, 1300)));
}

void traffic_start(struct traffic *t, struct sim *sim, struct sim_node *client, struct sim_node *server, unsigned count,
                   uint64_t max_bytes, bool v6)
{
    int err;
    *t = (struct traffic){ .sim = sim, .count = count, .client = client, .server = server };
    client->app = server->app = traffic_app;
    client->app_ctx = server->app_ctx = t;
    struct net_addr any = { 0 };
    t->listener = tcp_listen(server->stack, &any, TRAFFIC_PORT, 128, &err);
    static const enum tcp_option flags[] = { TCP_OPT_NODELAY, TCP_OPT_ECN };
    for (unsigned f = 0; f < 2; f++)
        if (sim_chance(sim, 500000))
            tcp_listener_set(t->listener, flags[f], 1);
    if (sim_chance(sim, 200000))
        tcp_listener_set(t->listener, TCP_OPT_RCVBUF, 1024 + sim_below(sim, 65536));
    tcp_listener_set(t->listener, TCP_OPT_CONGESTION, sim_below(sim, TCP_CC_COUNT));
    bool fast_open = sim_chance(sim, 250000);
    if (fast_open) {
        tcp_listener_set(t->listener, TCP_OPT_FASTOPEN, 1 + sim_below(sim, 32));
        if (sim_chance(sim, 800000))
            give_cookie(t, v6 ? &client->addr6 : &client->addr4, v6 ? &server->addr6 : &server->addr4);
    }
    for (unsigned k = 0; k < count; k++) {
        uint8_t first[4096];
        uint64_t up = random_bytes(sim, max_bytes);
        uint64_t down = random_bytes(sim, max_bytes);
        fill_side(t, &t->sides[2 * k], 2 * k, up, down);
        fill_side(t, &t->sides[2 * k + 1], 2 * k + 1, down, up);
        struct tcp_connect how = { .remote = v6 ? server->addr6 : server->addr4, .remote_port = TRAFFIC_PORT, .user = &t->sides[2 * k] };
        if (fast_open) {
            how.fast_open = true;
            how.data = first;
            how.data_bytes = (uint32_t)net_min(up, (uint64_t)sim_below(sim, sizeof first));
            for (uint32_t n = 0; n < how.data_bytes; n++)
                first[n] = stream_byte(2 * k, n);
            t->sides[2 * k].sent = how.data_bytes;
        }
        t->sides[2 * k].pcb = tcp_connect(client->stack, &how, &err);
        struct tcp_pcb *pcb = t->sides[2 * k].pcb;
        if (!pcb) {
            fail(t, &t->sides[2 * k], "connect");
            return;
        }
        tcp_set(pcb, TCP_OPT_NODELAY, sim_chance(sim, 500000));
        tcp_set(pcb, TCP_OPT_ECN, sim_chance(sim, 500000));
        tcp_set(pcb, TCP_OPT_CONGESTION, sim_below(sim, TCP_CC_COUNT));
        if (sim_chance(sim, 100000))
            tcp_set(pcb, TCP_OPT_PACING, 1);
        if (sim_chance(sim, 200000))
            tcp_set(pcb, TCP_OPT_SNDBUF, 2048 + sim_below(sim, 65536));
    }
    sim_kick(sim);
}

uint64_t traffic_tick(struct traffic *t)
{
    uint64_t next = UINT64_MAX;
    for (unsigned k = 0; k < 2 * t->count; k++) {
        struct traffic_side *s = &t->sides[k];
        if (s->pcb && s->refused) { /* for want of memory: no event tells when there is some */
            if (s->retry_ns <= t->sim->now_ns) {
                serve(s, 0);
                s->retry_ns = t->sim->now_ns + RETRY_NS;
            }
            next = net_min(next, s->retry_ns);
        }
        if (!s->pcb || !s->read_pause_ns || !tcp_readable_bytes(s->pcb))
            continue;
        if (s->read_after_ns <= t->sim->now_ns) {
            serve(s, 0);
            if (!s->pcb || !tcp_readable_bytes(s->pcb))
                continue;
        }
        next = net_min(next, s->read_after_ns);
    }
    return next;
}

bool traffic_done(const struct traffic *t)
{
    for (unsigned k = 0; k < 2 * t->count; k++)
        if (t->sides[k].pcb)
            return false;
    return true;
}
