/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/netbench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/stack.h"
#include "cokernel/net/tcp_internal.h"
#include "tools/netbench/host.h"

#define QUEUE 32768u

static struct net_stack *stack;
static struct net_nic nic;
static struct pbuf *rx[QUEUE], *tx[QUEUE];
static unsigned rx_head, rx_tail, tx_count;
static struct net_endpoint *listeners[3];
static uint64_t frames_lost;

static unsigned rx_burst(struct net_nic *n, struct pbuf **out, unsigned max)
{
    unsigned k = 0;
    while (k < max && rx_head != rx_tail)
        out[k++] = rx[rx_head++ % QUEUE];
    return k;
}

/* A ring that is emptied after each step: what does not fit waits in the stack, as behind any device. */
static unsigned tx_burst(struct net_nic *n, struct pbuf **frames, unsigned count)
{
    count = net_min(count, QUEUE - tx_count);
    for (unsigned k = 0; k < count; k++)
        tx[tx_count++] = frames[k];
    return count;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static void init(bool tso)
{
    static const uint16_t ports[] = { BENCH_ECHO, BENCH_DISCARD, BENCH_SOURCE };
    struct net_config c = { .env = &bench_env, .memory_bytes = bench_memory_bytes };
    struct net_addr addr = net_addr_v4(BENCH_DUT_IP), any = net_addr_v4(0);
    int err;
    nic = (struct net_nic){ .ops = &ops, .mtu = 1500, .offloads = NIC_TX_CHAIN | (tso ? NIC_TX_TSO | NIC_TX_CSUM : 0) };
    memcpy(nic.mac.b, bench_dut_mac, 6);
    stack = net_stack_create(&c);
    struct net_iface *i = net_iface_add(stack, &nic, "bench");
    net_iface_add_addr(i, &addr, 8, false);
    struct net_addr gateway = net_addr_v4(BENCH_PEER_IP);
    net_route_add(stack, &any, 0, &gateway, i, 0);
    for (unsigned k = 0; k < 3; k++) {
        struct tcp_listener *l = tcp_listen(stack, &any, ports[k], 1u << 20, &err);
        tcp_listener_set(l, TCP_OPT_NODELAY, 1);
        tcp_listener_set(l, TCP_OPT_SNDBUF, 1 << 20);
        listeners[k] = (struct net_endpoint *)l;
    }
}

static void prepare(const uint8_t *frame, size_t bytes)
{
    struct pbuf *pb = pbuf_alloc_large(net_stack_pools(stack), 0);
    if (!pb) {
        frames_lost++;
        return;
    }
    memcpy(pbuf_extend(pb, (uint32_t)bytes), frame, bytes);
    rx[rx_tail++ % QUEUE] = pb;
}

static void fill(struct tcp_pcb *pcb)
{
    static uint8_t block[65536]; /* foreign memory, as a program's own */
    while (tcp_send_room(pcb)) {
        struct pbuf *pb = pbuf_foreign(net_stack_pools(stack), block, sizeof block, bench_no_release, NULL);
        if (tcp_send(pcb, pb) < 0) {
            pbuf_put(pb);
            return;
        }
    }
    tcp_write(pcb, block, 1); /* asks for NET_EV_WRITABLE */
}

static void accept_all(struct net_endpoint *ep)
{
    struct tcp_pcb *pcb;
    while ((pcb = tcp_accept((struct tcp_listener *)ep))) {
        tcp_endpoint(pcb)->user = ep;
    }
}

static void serve(struct net_endpoint *ep, unsigned events)
{
    struct tcp_pcb *pcb = (struct tcp_pcb *)ep;
    struct pbuf *pb;
    bool got = false;
    while ((pb = tcp_recv(pcb))) {
        got = true;
        if (ep->user != listeners[0] || tcp_send(pcb, pb) < 0)
            pbuf_put(pb);
    }
    if (ep->user == listeners[2] && (got || (events & NET_EV_WRITABLE)))
        fill(pcb);
    if ((events & NET_EV_CLOSED) || tcp_at_eof(pcb))
        tcp_close(pcb);
}

static void work(void)
{
    struct net_endpoint *ep;
    unsigned events;
    do {
        net_stack_poll(stack);
        while ((ep = net_event_next(stack, &events))) {
            if (ep->type == NET_EP_TCP_LISTENER)
                accept_all(ep);
            else
                serve(ep, events);
        }
        net_stack_flush(stack);
    } while (rx_head != rx_tail);
}

static bool due(void) { return rx_head != rx_tail || net_stack_next_ns(stack) <= bench_now_ns; }

static void collect(void (*take)(const uint8_t *, size_t))
{
    static uint8_t flat[66000];
    for (unsigned k = 0; k < tx_count; k++) {
        uint32_t n = pbuf_copy_out(tx[k], 0, flat, sizeof flat);
        pbuf_put(tx[k]);
        take(flat, n);
    }
    tx_count = 0;
}

static uint64_t memory_bytes(void) { return stack->mem.used_bytes; }

static void report(struct bench_report *r)
{
    struct tcp_connect how = { .remote = net_addr_v4(BENCH_PEER_IP), .remote_port = 1 };
    *r = (struct bench_report){ .frames_lost = frames_lost, .live_bytes = net_mem_live_bytes(&stack->mem), .connections = stack->tcp_pcbs.in_use,
                                .accepted = stack->counters.tcp_accepted, .shed = stack->counters.tcp_aborted_memory,
                                .refused = stack->counters.memory_refused };
    struct tcp_pcb *pcb = tcp_connect(stack, &how, &r->connect_error);
    if (pcb)
        tcp_abort(pcb);
}

const struct bench_dut bench_ours = { .name = "outrigger", .init = init, .prepare = prepare, .work = work, .due = due, .collect = collect,
                                      .memory_bytes = memory_bytes, .report = report };
