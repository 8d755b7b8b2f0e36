/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `net_mesh FIRST-SEED [COUNT]`: several instances of one address behind a NIC
 * that steers by flow group, all listening on one port, and clients beside
 * them. Groups move between instances at random moments, with whatever is in
 * them: established, half-open, not yet accepted, closed by their user,
 * waiting. Every byte must arrive, and nobody may see a reset.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cokernel/net/tcp_group.h"
#include "cokernel/net/tcp_internal.h"
#include "tests/net/sim/sim.h"

#define PORT 7000
#define CONNS 40
#define CLIENTS 2
#define GREETING 100 /* to every fourth port the server speaks first, and closes first: TIME_WAIT is its own */
#define IMAGE_BYTES (64u << 20)
#define LIMIT_NS (4000ull * NET_NS_PER_S)

struct client { struct tcp_pcb *pcb; uint64_t goal, sent, got; bool shut, eof, closed, greeted; int error; };

struct mesh {
    struct sim sim;
    struct sim_port port;
    struct sim_node *servers[4], *clients[CLIENTS];
    unsigned server_count, conn_count, opened;
    struct client conns[CONNS];
    uint64_t moved, moved_items, refused, busy, wrong;
    char why[160];
};

static struct mesh m;
static uint64_t all_moved, all_items, all_kinds[3];

static uint8_t byte_at(unsigned conn, uint64_t n) { return (uint8_t)(n * 29 + (n >> 9) + conn * 7); }

/* A server's queue of what did not fit yet would be state beside the connection; so it reads only what it can send. */
static void echo(struct tcp_pcb *pcb)
{
    uint8_t block[4096];
    for (;;) {
        uint32_t room = tcp_send_room(pcb);
        int64_t n = room ? tcp_read(pcb, block, net_min(room, (uint32_t)sizeof block)) : -1;
        if (!room)
            tcp_write(pcb, block, 1); /* asks to be told */
        if (n <= 0)
            break;
        if (tcp_write(pcb, block, (uint32_t)n) != n)
            m.wrong++;
    }
    if (tcp_at_eof(pcb))
        tcp_close(pcb); /* what is queued still goes: an orphan that may move */
}

static void server_app(struct sim_node *node, struct net_endpoint *ep, unsigned events)
{
    struct tcp_pcb *pcb;
    if (ep->type == NET_EP_TCP_LISTENER) {
        if (sim_chance(&m.sim, 300000)) { /* a slow accepter: connections wait, and move while they wait */
            net_event_post(node->stack, ep, NET_EV_ACCEPT);
            return;
        }
        while ((pcb = tcp_accept((struct tcp_listener *)ep)))
            if (pcb->flow.key.remote_port % 4 == 0) {
                uint8_t greeting[GREETING];
                for (unsigned k = 0; k < GREETING; k++)
                    greeting[k] = (uint8_t)k;
                m.wrong += tcp_write(pcb, greeting, GREETING) != GREETING;
                tcp_close(pcb);
            }
        return;
    }
    pcb = (struct tcp_pcb *)ep;
    if (events & NET_EV_CLOSED)
        tcp_close(pcb);
    else
        echo(pcb);
}

static void client_write(struct client *c, unsigned id)
{
    uint8_t block[2048];
    while (c->sent < c->goal) {
        uint32_t n = (uint32_t)net_min((uint64_t)sizeof block, c->goal - c->sent);
        for (uint32_t k = 0; k < n; k++)
            block[k] = byte_at(id, c->sent + k);
        int64_t took = tcp_write(c->pcb, block, n);
        if (took <= 0)
            return;
        c->sent += (uint64_t)took;
    }
    if (!c->shut && (!c->greeted || c->eof)) {
        c->shut = true;
        tcp_shutdown(c->pcb);
    }
}

static void client_app(struct sim_node *node, struct net_endpoint *ep, unsigned events)
{
    struct client *c = ep->user;
    unsigned id = (unsigned)(c - m.conns);
    uint8_t block[4096];
    int64_t n;
    while ((n = tcp_read(c->pcb, block, sizeof block)) > 0)
        for (int64_t k = 0; k < n; k++, c->got++)
            m.wrong += block[k] != (c->greeted ? (uint8_t)c->got : byte_at(id, c->got));
    if (events & NET_EV_CLOSED) {
        c->error = ep->error;
        c->closed = true;
    } else if (events & (NET_EV_CONNECTED | NET_EV_WRITABLE)) {
        client_write(c, id);
    }
    c->eof |= tcp_at_eof(c->pcb);
    if (c->eof && !c->closed)
        client_write(c, id);
    if (c->closed || (c->eof && c->shut)) {
        tcp_close(c->pcb);
        c->pcb = NULL;
        c->closed = true;
    }
}

static void open_one(void)
{
    int err;
    struct client *c = &m.conns[m.opened];
    struct sim_node *from = m.clients[m.opened % CLIENTS];
    bool v6 = sim_chance(&m.sim, 300000);
    struct tcp_connect how = { .remote = v6 ? m.port.first->addr6 : m.port.first->addr4, .remote_port = PORT, .user = c };
    c->goal = sim_below(&m.sim, 1u << sim_below(&m.sim, 18));
    from->stack->now_ns = m.sim.now_ns;
    c->pcb = tcp_connect(from->stack, &how, &err);
    if (!c->pcb)
        abort();
    c->greeted = c->pcb->flow.key.local_port % 4 == 0;
    c->goal = c->greeted ? 0 : c->goal;
    m.opened++;
}

static uint64_t leaves(void *ctx, struct tcp_pcb *pcb) { return (uint64_t)(uintptr_t)tcp_endpoint(pcb)->user ^ 0x5a5a; }
static void arrives(void *ctx, struct tcp_pcb *pcb, uint64_t token) { tcp_endpoint(pcb)->user = (void *)(uintptr_t)(token ^ 0x5a5a); }

static bool move_one(void)
{
    static uint8_t *image;
    static const struct tcp_group_users users = { .leaves = leaves, .arrives = arrives };
    uint32_t group = sim_below(&m.sim, m.port.rss.groups);
    struct sim_node *from = m.port.table[group], *to = m.servers[sim_below(&m.sim, m.server_count)];
    struct tcp_group_report report;
    if (from == to)
        return true;
    if (!image)
        image = malloc(IMAGE_BYTES);
    while (from->inbox)
        net_stack_poll(from->stack); /* what its queue holds still; what is said to it flushes later */
    from->stack->now_ns = to->stack->now_ns = m.sim.now_ns;
    unsigned half = from->stack->syn_count, waiting = from->stack->timewait_count;
    int64_t bytes = tcp_group_export(from->stack, &m.port.rss, group, image, IMAGE_BYTES, &users);
    if (bytes == -NET_EAGAIN) {
        m.busy++;
        return true;
    }
    all_kinds[1] += half - from->stack->syn_count;
    all_kinds[2] += waiting - from->stack->timewait_count;
    net_stack_flush(from->stack);
    if (bytes < 0 || tcp_group_import(to->stack, &m.port.rss, group, image, (size_t)bytes, &users, &report) < 0 || report.refused) {
        snprintf(m.why, sizeof m.why, "group %u: export %lld, %u refused", group, (long long)bytes, bytes > 0 ? report.refused : 0);
        return false;
    }
    m.port.table[group] = to;
    m.moved++;
    m.moved_items += report.taken;
    return true;
}

static void random_world(uint64_t seed)
{
    static uint8_t shared[32];
    int err;
    memset(&m, 0, sizeof m);
    sim_init(&m.sim, seed);
    struct sim_link *l = &m.sim.link;
    l->delay_ns = 1000 + sim_below(&m.sim, 1u << sim_below(&m.sim, 25));
    l->jitter_ns = sim_chance(&m.sim, 300000) ? sim_below(&m.sim, (uint32_t)l->delay_ns) : 0;
    l->loss_ppm = sim_chance(&m.sim, 500000) ? sim_below(&m.sim, 50000) : 0;
    l->dup_ppm = sim_chance(&m.sim, 300000) ? sim_below(&m.sim, 20000) : 0;
    l->reorder_ppm = sim_chance(&m.sim, 300000) ? sim_below(&m.sim, 50000) : 0;
    for (unsigned k = 0; k < sizeof shared; k++)
        shared[k] = (uint8_t)sim_random(&m.sim);
    for (unsigned k = 0; k < NET_RSS_KEY_BYTES; k++)
        m.port.rss.key[k] = (uint8_t)sim_random(&m.sim);
    m.port.rss.groups = 1u << sim_below(&m.sim, 7);
    m.server_count = 2 + sim_below(&m.sim, 3);
    m.sim.shared_key = shared;
    for (unsigned k = 0; k < m.server_count; k++) {
        struct net_addr any = { .w = { 0 } };
        m.servers[k] = sim_add_queue(&m.sim, &m.port, 1500);
        m.servers[k]->app = server_app;
        struct tcp_listener *l1 = tcp_listen(m.servers[k]->stack, &any, PORT, sim_chance(&m.sim, 200000) ? 2 : 128, &err);
        if (!l1)
            abort();
    }
    m.sim.shared_key = NULL;
    for (unsigned g = 0; g < m.port.rss.groups; g++)
        m.port.table[g] = m.servers[g % m.server_count];
    for (unsigned k = 0; k < CLIENTS; k++) {
        m.clients[k] = sim_add(&m.sim, 1500, 0, 0);
        m.clients[k]->app = client_app;
    }
    m.conn_count = 1 + sim_below(&m.sim, CONNS);
}

static bool all_closed(void)
{
    for (unsigned k = 0; k < m.opened; k++)
        if (!m.conns[k].closed)
            return false;
    return m.opened == m.conn_count;
}

static bool run(uint64_t seed)
{
    random_world(seed);
    uint32_t move_ppm = 2000u << sim_below(&m.sim, 7);
    uint64_t end = m.sim.now_ns + LIMIT_NS, next_open = 0, resets = 0;
    bool ok = true;
    while (ok && !all_closed() && m.sim.now_ns < end) {
        if (m.opened < m.conn_count && m.sim.now_ns >= next_open) {
            open_one();
            next_open = m.sim.now_ns + sim_below(&m.sim, 1u << sim_below(&m.sim, 26));
            sim_kick(&m.sim);
        }
        m.sim.wake_ns = m.opened < m.conn_count ? next_open : UINT64_MAX;
        if (!sim_step(&m.sim))
            break;
        m.sim.wake_ns = UINT64_MAX;
        if (sim_chance(&m.sim, move_ppm)) {
            ok = move_one();
            sim_kick(&m.sim);
        }
    }
    for (unsigned k = 0; ok && k < m.conn_count; k++) {
        struct client *c = &m.conns[k];
        if (!c->closed || c->error || c->got != (c->greeted ? GREETING : c->goal)) {
            ok = false;
            snprintf(m.why, sizeof m.why, "connection %u: %s, error %d, %llu sent, %llu of %llu back", k, c->closed ? "closed" : "stands still", c->error,
                     (unsigned long long)c->sent, (unsigned long long)c->got, (unsigned long long)c->goal);
        }
    }
    sim_run(&m.sim, m.sim.now_ns + 400 * NET_NS_PER_S); /* orphans and TIME_WAIT end */
    for (unsigned k = 0; k < m.server_count; k++) {
        struct net_stack *ns = m.servers[k]->stack;
        if (ok && (ns->tcp_pcbs.in_use || ns->tcp_segs.in_use || ns->tcp_syns.in_use || ns->tcp_timewaits.in_use || ns->tcp_islands.in_use ||
                   ns->pools.small.in_use || ns->pools.large.in_use)) {
            ok = false;
            snprintf(m.why, sizeof m.why, "server %u keeps %u connections, %u half-open, %u waiting, %u buffers", k, ns->tcp_pcbs.in_use, ns->tcp_syns.in_use,
                     ns->tcp_timewaits.in_use, ns->pools.large.in_use);
        }
    }
    for (unsigned k = 0; k < CLIENTS; k++) /* what comes for a connection that is over may be reset; what lives may not */
        resets += m.clients[k]->stack->counters.tcp_rst_in;
    if (ok && (m.wrong || resets)) {
        ok = false;
        snprintf(m.why, sizeof m.why, "%llu wrong bytes, %llu resets", (unsigned long long)m.wrong, (unsigned long long)resets);
    }
    for (unsigned k = 0; k < m.conn_count; k++)
        if (m.conns[k].pcb)
            tcp_abort(m.conns[k].pcb);
    all_moved += m.moved;
    all_items += m.moved_items;
    if (!ok)
        printf("seed %llu FAILED: %s (%u servers, %u groups, loss %u, %llu moves)\n", (unsigned long long)seed, m.why, m.server_count, m.port.rss.groups,
               m.sim.link.loss_ppm, (unsigned long long)m.moved);
    sim_fini(&m.sim);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 0) : 60, failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 20; seed++)
        failed += !run(seed);
    printf("mesh: %llu seeds from %llu, %llu groups moved with %llu connections, of which %llu half-open, %llu waiting; %llu failed\n", (unsigned long long)count,
           (unsigned long long)first, (unsigned long long)all_moved, (unsigned long long)all_items, (unsigned long long)all_kinds[1],
           (unsigned long long)all_kinds[2], (unsigned long long)failed);
    return failed != 0;
}
