/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netbench STACK SCENARIO OPERATIONS [CONNECTIONS [STEP]]
 *   STACK     ours, ours-tso, lwip, or linux (as root, with tun; the peer's clock is the real one then)
 *   SCENARIO  recv, send (operations: full segments), send-acks (the same, each acknowledged alone), echo (64-byte round trips),
 *             connect (opened and closed), memory (connections, held idle), flood (as recv, and with
 *             each segment a SYN from an address that nobody has), half-open (SYNs alone: memory),
 *             slow (OPERATIONS peers that acknowledge late or nothing, CONNECTIONS: MiB that the stack may use, STEP: ms that it goes on),
 *             share (time of an echo at 100 connections and at CONNECTIONS, in turns, medians; operations: of a round)
 *   STEP      nanoseconds of the link's clock for each step (20000; share: 2000), once all are connected: how soon a connection's turn comes; 0: real time
 * Prints operations done, time and TSC ticks inside the stack, frames each way. tools/netbench/report
 * runs it under callgrind, which counts dut_step()'s instructions.
 */
#include "tools/netbench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/stack.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"
#include "tools/netbench/host.h"

#define QUEUE 65536u
#define SEGMENT 1448u
#define PORTS 50000u
#define SHARE_FEW 100u
#define SHARE_STEP_NS 2000u /* a connection's turn comes before its delayed ACK would go by itself */
#define OPEN_STEP_NS 20000u /* 4 connections each: what an instance takes for no flood */

static const struct bench_dut *dut;
static struct net_stack *peer;
static struct net_nic peer_nic;
static struct pbuf *to_peer[QUEUE];
static unsigned to_peer_head, to_peer_tail;
static uint64_t stack_ns, stack_ticks, frames_in, frames_out, given_bytes, received, closed; /* since the counts began; given: payload to the peer */
static struct tcp_pcb **conns;
static unsigned conn_count, connected;
static uint64_t step_ns = OPEN_STEP_NS;
static bool ack_each;

void dut_step(void);
__attribute__((noinline)) void dut_step(void) { dut->work(); }

static unsigned peer_rx(struct net_nic *n, struct pbuf **out, unsigned max)
{
    unsigned k = 0;
    while (k < (ack_each ? 1 : max) && to_peer_head != to_peer_tail)
        out[k++] = to_peer[to_peer_head++ % QUEUE];
    return k;
}

static unsigned peer_tx(struct net_nic *n, struct pbuf **frames, unsigned count)
{
    static uint8_t flat[2048];
    for (unsigned k = 0; k < count; k++) {
        uint32_t bytes = pbuf_copy_out(frames[k], 0, flat, sizeof flat);
        pbuf_put(frames[k]);
        dut->prepare(flat, bytes);
        frames_in++;
    }
    return count;
}

static const struct net_nic_ops peer_ops = { .rx_burst = peer_rx, .tx_burst = peer_tx };

static void give_peer(const uint8_t *frame, size_t bytes)
{
    struct pbuf *pb = pbuf_alloc_large(net_stack_pools(peer), 0);
    if (!pb)
        abort();
    memcpy(pbuf_extend(pb, (uint32_t)bytes), frame, bytes);
    pb->flags |= PBUF_CSUM_GOOD;
    if (get_be16(frame + 12) == ETH_TYPE_IP4)
        given_bytes += get_be16(frame + 16) - 20u - (frame[46] >> 4) * 4u;
    to_peer[to_peer_tail++ % QUEUE] = pb;
}

/* Cuts what a device with segmentation offload would cut (IPv4, TCP). */
static void take(const uint8_t *frame, size_t bytes)
{
    static uint8_t cut[2048];
    frames_out++;
    if (bench_slow_take(frame, bytes))
        return;
    if (bytes <= 1514) {
        give_peer(frame, bytes);
        return;
    }
    size_t headers = 14 + 20 + (frame[14 + 20 + 12] >> 4) * 4u, at = headers;
    uint32_t seq = get_be32(frame + 38);
    while (at < bytes) {
        size_t n = bytes - at < 1500 - (headers - 14) ? bytes - at : 1500 - (headers - 14);
        memcpy(cut, frame, headers);
        memcpy(cut + headers, frame + at, n);
        put_be16(cut + 16, (uint16_t)(headers - 14 + n));
        put_be32(cut + 38, seq + (uint32_t)(at - headers));
        store16(cut + 24, 0);
        store16(cut + 24, cksum_finish(cksum_add(0, cut + 14, 20)));
        if (at + n < bytes)
            cut[47] &= (uint8_t)~1;
        give_peer(cut, headers + n);
        at += n;
    }
}

static void send_echo(struct tcp_pcb *pcb)
{
    static const uint8_t message[64];
    tcp_write(pcb, message, sizeof message);
}

static void peer_event(struct net_endpoint *ep, unsigned events)
{
    struct tcp_pcb *pcb = (struct tcp_pcb *)ep;
    struct pbuf *pb;
    if (events & NET_EV_CONNECTED) {
        tcp_set(pcb, TCP_OPT_QUICKACK, 0); /* so that the count of ACKs does not depend on a connection's age */
        connected++;
    }
    if (ack_each)
        tcp_set(pcb, TCP_OPT_QUICKACK, 1);
    while ((pb = tcp_recv(pcb))) {
        received += pb->total;
        pbuf_put(pb);
    }
    if (events & NET_EV_CLOSED) {
        closed++;
        for (unsigned k = 0; k < conn_count; k++)
            if (conns[k] == pcb)
                conns[k] = NULL;
        tcp_close(pcb);
    }
}

static void round_trip(void)
{
    struct net_endpoint *ep;
    struct timespec a, b;
    unsigned events;
    bench_now_ns += step_ns;
    if (!step_ns) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        bench_now_ns = (uint64_t)a.tv_sec * 1000000000u + (uint64_t)a.tv_nsec;
    }
    do {
        net_stack_poll(peer);
        if (!ack_each && to_peer_head != to_peer_tail)
            continue; /* one answer to all that has come */
        while ((ep = net_event_next(peer, &events)))
            peer_event(ep, events);
        net_stack_flush(peer);
    } while (to_peer_head != to_peer_tail);
    if (!dut->due())
        return;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    uint64_t ticks = bench_ticks();
    dut_step();
    stack_ticks += bench_ticks() - ticks;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    stack_ns += (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
    dut->collect(take);
}

static struct tcp_pcb *open_one(uint16_t port, unsigned index)
{
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(BENCH_DUT_IP), .remote_port = port };
    /* More connections than an address has ports come from more addresses, then to another port. */
    how.local = net_addr_v4(BENCH_PEER_IP + index / PORTS % IFACE_ADDRS);
    how.local_port = (uint16_t)(10000 + index % PORTS);
    if (index >= PORTS * IFACE_ADDRS)
        how.remote_port = BENCH_DISCARD;
    struct tcp_pcb *pcb = tcp_connect(peer, &how, &err);
    if (!pcb) {
        fprintf(stderr, "netbench: connect: %d\n", err);
        exit(1);
    }
    tcp_set(pcb, TCP_OPT_NODELAY, 1);
    tcp_set(pcb, TCP_OPT_SNDBUF, 1 << 20);
    return pcb;
}

static void reset_counts(void)
{
    stack_ns = stack_ticks = frames_in = frames_out = given_bytes = 0;
    if (dut->overhead_ticks)
        dut->overhead_ticks();
}

static void open_all(uint16_t port, unsigned count)
{
    uint64_t step = step_ns;
    if (step)
        step_ns = OPEN_STEP_NS;
    conns = calloc(count, sizeof *conns);
    unsigned opened = 0;
    while (connected < count) {
        while (opened < count && opened - connected < 4) { /* 200,000 a second: no flood */
            conns[opened] = open_one(port, opened);
            opened++;
        }
        conn_count = opened;
        round_trip();
    }
    for (int k = 0; k < 10; k++)
        round_trip();
    step_ns = step;
    reset_counts();
    received = 0;
}

static uint64_t run_recv(uint64_t operations, unsigned count)
{
    static uint8_t block[65536];
    open_all(BENCH_DISCARD, count);
    uint64_t sent = 0, goal = operations * SEGMENT;
    while (sent < goal) {
        for (unsigned k = 0; k < count && sent < goal; k++) {
            int64_t n = tcp_write(conns[k], block, (uint32_t)net_min((uint64_t)sizeof block, goal - sent));
            sent += n > 0 ? (uint64_t)n : 0;
        }
        round_trip();
    }
    for (int k = 0; k < 50; k++)
        round_trip();
    return operations;
}

/* A SYN from somewhere behind the gateway, another one each time. */
static void inject_syn(void)
{
    static uint32_t n;
    uint8_t f[74] = { [12] = 8, 0, 0x45, 0, 0, 60, [20] = 0x40, 0, 64, 6, [46] = 0xa0, TCP_SYN, 0xff, 0xff, [54] = 2, 4, 5, 0xb4, 4, 2, 8, 10, [70] = 1, 3, 3, 7 };
    struct net_addr from = net_addr_v4(0xb0000000u | ++n * 2654435761u >> 4), to = net_addr_v4(BENCH_DUT_IP);
    memcpy(f, bench_dut_mac, 6);
    memcpy(f + 6, bench_peer_mac, 6);
    store32(f + 26, from.w[3]);
    store32(f + 30, to.w[3]);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    put_be16(f + 34, (uint16_t)(1024 + n % 60000));
    put_be16(f + 36, BENCH_ECHO);
    put_be32(f + 38, n * 40503u);
    store16(f + 50, cksum_finish(cksum_add(cksum_pseudo(&from, &to, 6, 40), f + 34, 40)));
    dut->prepare(f, sizeof f);
    frames_in++;
}

static uint64_t run_flood(uint64_t operations)
{
    static uint8_t block[65536];
    open_all(BENCH_DISCARD, 1);
    uint64_t sent = 0, goal = operations * SEGMENT, answered = 0;
    while (sent < goal) {
        int64_t n = tcp_write(conns[0], block, (uint32_t)net_min((uint64_t)sizeof block, goal - sent));
        sent += n > 0 ? (uint64_t)n : 0;
        round_trip();
        for (; answered < sent / SEGMENT; answered++)
            inject_syn();
    }
    for (int k = 0; k < 50; k++)
        round_trip();
    return operations;
}

static uint64_t run_half_open(uint64_t operations)
{
    uint64_t before = dut->memory_bytes(), most = 0;
    for (uint64_t k = 0; k < operations; k++) {
        inject_syn();
        if (k % 64 == 63)
            round_trip();
        most = net_max(most, dut->memory_bytes() - before);
    }
    printf("half-open %llu memory_bytes %llu\n", (unsigned long long)operations, (unsigned long long)most);
    return operations;
}

static void give_dut(const uint8_t *frame, size_t bytes)
{
    dut->prepare(frame, bytes);
    frames_in++;
}

/* An ordinary connection beside many slow ones: a message whenever the last was answered. */
struct ordinary { uint64_t sent, asked_ns, worst_ns; };

static void ordinary_step(struct ordinary *o)
{
    if (received == o->sent * 64) {
        o->worst_ns = o->sent ? net_max(o->worst_ns, bench_now_ns - o->asked_ns) : 0;
        o->asked_ns = bench_now_ns;
        o->sent++;
        send_echo(conns[0]);
    }
    round_trip();
}

/* Slow peers come as fast as the stack takes SYNs, then time goes on for `after_ms`. Status 1 if a limit does not hold. */
static int run_slow(unsigned count, uint64_t after_ms)
{
    enum { NEWCOMERS = 20 };
    struct ordinary o = { 0 };
    struct bench_report now, worst = { 0 };
    uint64_t refusals = 0, used = 0, end;
    struct tcp_pcb *newcomers[2 * NEWCOMERS];
    unsigned asked = 0, connected_before, in = 0;
    open_all(BENCH_ECHO, 1);
    connected_before = connected;
    bench_slow_init(count, give_dut);
    for (unsigned k = 0; k < count; k++) {
        bench_slow_open();
        if (k % 4 != 3)
            continue;
        ordinary_step(&o);
        used = net_max(used, dut->memory_bytes());
        if (k / 4 % (count / 4 / NEWCOMERS + 1) == 0) {
            newcomers[asked] = open_one(BENCH_ECHO, 1 + asked);
            asked++;
            dut->report(&now);
            worst.live_bytes = net_max(worst.live_bytes, now.live_bytes);
            worst.connections = net_max(worst.connections, now.connections);
            refusals += now.connect_error == -NET_ENOMEM;
        }
    }
    in = connected - connected_before;
    dut->report(&now);
    printf("slow: %u came: %llu answered, %llu connections of %llu accepted, %llu reset for memory, %llu things refused; %u of %u newcomers in\n", count,
           (unsigned long long)bench_slow.answered, (unsigned long long)now.connections, (unsigned long long)now.accepted, (unsigned long long)now.shed,
           (unsigned long long)now.refused, in, asked);
    step_ns = NET_NS_PER_MS;
    for (end = bench_now_ns + after_ms * NET_NS_PER_MS; bench_now_ns < end;) {
        ordinary_step(&o);
        used = net_max(used, dut->memory_bytes());
    }
    in = connected - connected_before;
    for (unsigned k = 0; k < asked; k++)
        if (newcomers[k]->state == TCP_ESTABLISHED)
            tcp_close(newcomers[k]);
    dut->report(&now);
    bool answered = bench_now_ns - o.asked_ns < NET_NS_PER_S, bounded = used <= bench_memory_bytes;
    printf("slow: after %llu ms more: %llu connections, %llu reset for memory, %llu messages acknowledged late; %u of %u newcomers in, connect() says %d\n",
           (unsigned long long)after_ms, (unsigned long long)now.connections, (unsigned long long)now.shed, (unsigned long long)bench_slow.messages, in, asked,
           now.connect_error);
    printf("slow: limit %llu, most held %llu, most in use %llu by %llu connections, %llu frames found no buffer, connect() refused %llu times; ordinary connection: %llu echoes, "
           "slowest %llu us\n", (unsigned long long)bench_memory_bytes, (unsigned long long)used, (unsigned long long)worst.live_bytes,
           (unsigned long long)worst.connections, (unsigned long long)now.frames_lost, (unsigned long long)refusals, (unsigned long long)o.sent,
           (unsigned long long)(o.worst_ns / 1000));
    return answered && bounded && !now.frames_lost && !now.connect_error ? 0 : 1;
}

static uint64_t run_send(uint64_t operations, unsigned count)
{
    open_all(BENCH_SOURCE, count);
    for (unsigned k = 0; k < count; k++) /* only now, or the first would send all they can while the last are opened */
        tcp_write(conns[k], "", 1);
    while (received < operations * SEGMENT)
        round_trip();
    return given_bytes / SEGMENT; /* what is still under way was sent as well: with many connections that is half */
}

static void echo_some(uint64_t operations, unsigned count)
{
    static uint64_t sent, next;
    unsigned batch = count < 32 ? count : 32;
    for (uint64_t goal = sent + operations; sent < goal;) {
        for (unsigned k = 0; k < batch && sent < goal; k++, sent++)
            send_echo(conns[next++ % count]);
        round_trip();
        while (received < sent * 64)
            round_trip();
    }
}

static uint64_t run_echo(uint64_t operations, unsigned count)
{
    open_all(BENCH_ECHO, count);
    echo_some(count, count); /* until each has sent one, memory is still being cleared */
    reset_counts();
    echo_some(operations, count);
    return operations;
}

/* An instance in a process of its own that measures whenever a byte comes. Never returns. */
static void share_child(int from, int to, uint64_t operations, unsigned count)
{
    char go;
    open_all(BENCH_ECHO, count);
    echo_some(count, count);
    while (read(from, &go, 1) == 1) {
        echo_some(operations / 4, count); /* whatever ran in between has the caches */
        reset_counts();
        echo_some(operations, count);
        double ns = (double)stack_ns / (double)operations;
        if (write(to, &ns, sizeof ns) != sizeof ns)
            break;
    }
    _exit(0);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Few connections and many in turns, one process at a time, as what else a machine does changes from second to second. */
static int run_share(void (*init)(void), uint64_t operations, unsigned count)
{
    enum { ROUNDS = 7 };
    const unsigned counts[2] = { SHARE_FEW, count };
    int to[2][2], from[2][2];
    pid_t pids[2];
    double ns[2][ROUNDS], share[ROUNDS];
    for (int i = 0; i < 2; i++) {
        if (pipe(to[i]) < 0 || pipe(from[i]) < 0 || (pids[i] = fork()) < 0) {
            perror("netbench: share");
            return 1;
        }
        if (!pids[i]) {
            for (int k = 0; k <= i; k++) { /* so that each ends with its parent */
                close(to[k][1]);
                close(from[k][0]);
            }
            init();
            share_child(to[i][0], from[i][1], operations, counts[i]);
        }
        close(to[i][0]);
        close(from[i][1]);
    }
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < 2; i++)
            if (write(to[i][1], "", 1) != 1 || read(from[i][0], &ns[i][r], sizeof ns[i][r]) != sizeof ns[i][r]) {
                fprintf(stderr, "netbench: share: no answer\n");
                return 1;
            }
        share[r] = 100 * ns[0][r] / ns[1][r];
        printf("round %d: %.0f ns at %u connections, %.0f at %u: %.0f %%\n", r, ns[0][r], counts[0], ns[1][r], counts[1], share[r]);
    }
    for (int i = 0; i < 2; i++) {
        close(to[i][1]);
        waitpid(pids[i], NULL, 0);
        qsort(ns[i], ROUNDS, sizeof ns[i][0], by_size);
    }
    qsort(share, ROUNDS, sizeof share[0], by_size);
    printf("median: %.0f ns at %u connections, %.0f at %u; share %.0f %% (%.0f to %.0f); least: %.0f, %.0f: %.0f %%\n", ns[0][ROUNDS / 2], counts[0],
           ns[1][ROUNDS / 2], counts[1], share[ROUNDS / 2], share[0], share[ROUNDS - 1], ns[0][0], ns[1][0], 100 * ns[0][0] / ns[1][0]);
    return 0;
}

static uint64_t run_connect(uint64_t operations)
{
    conns = calloc(1, sizeof *conns);
    conn_count = 1;
    for (uint64_t k = 0; k < operations; k++) {
        unsigned before = connected;
        conns[0] = open_one(BENCH_DISCARD, (unsigned)(k % 200000));
        while (connected == before)
            round_trip();
        tcp_shutdown(conns[0]);
        while (conns[0])
            round_trip();
        round_trip();
    }
    return operations;
}

static bool with_tso;

static void init_both(void)
{
    struct net_config c = { .env = &bench_env, .memory_bytes = 16ull << 30 };
    peer_nic = (struct net_nic){ .ops = &peer_ops, .mtu = 1500, .offloads = NIC_TX_CHAIN };
    memcpy(peer_nic.mac.b, bench_peer_mac, 6);
    peer = net_stack_create(&c);
    struct net_iface *i = net_iface_add(peer, &peer_nic, "peer");
    for (unsigned k = 0; k < IFACE_ADDRS; k++) {
        struct net_addr addr = net_addr_v4(BENCH_PEER_IP + k);
        net_iface_add_addr(i, &addr, 8, false);
    }
    dut->init(with_tso);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: netbench ours|ours-tso|lwip|linux recv|send|send-acks|echo|connect|memory|flood|half-open|slow|share OPERATIONS [CONNECTIONS [STEP]]\n");
        return 1;
    }
    uint64_t operations = strtoull(argv[3], NULL, 0), done;
    unsigned count = argc > 4 ? (unsigned)atoi(argv[4]) : 1;
    bool share = strcmp(argv[2], "share") == 0;
    step_ns = argc > 5 ? strtoull(argv[5], NULL, 0) : share ? SHARE_STEP_NS : step_ns;
    with_tso = strcmp(argv[1], "ours-tso") == 0;
    dut = strcmp(argv[1], "lwip") == 0 ? &bench_lwip : strcmp(argv[1], "linux") == 0 ? &bench_linux : &bench_ours;
    if (dut == &bench_linux)
        step_ns = 0;
    if (!step_ns) { /* a clock that runs backwards would stop every timer */
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        bench_now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    if (share)
        return run_share(init_both, operations, count);
    if (strcmp(argv[2], "slow") == 0) {
        uint64_t after_ms = argc > 5 ? step_ns : 30000;
        bench_memory_bytes = (argc > 4 ? count : 1024ull) << 20;
        step_ns = OPEN_STEP_NS;
        init_both();
        return run_slow((unsigned)operations, after_ms);
    }
    init_both();
    if (strcmp(argv[2], "memory") == 0) {
        uint64_t before = dut->memory_bytes();
        open_all(BENCH_ECHO, (unsigned)operations);
        printf("%s memory connections %llu bytes_each %llu\n", argv[1], (unsigned long long)operations,
               (unsigned long long)((dut->memory_bytes() - before) / operations));
        return 0;
    }
    ack_each = strcmp(argv[2], "send-acks") == 0;
    if (strcmp(argv[2], "recv") == 0)
        done = run_recv(operations, count);
    else if (strcmp(argv[2], "flood") == 0)
        done = run_flood(operations);
    else if (strcmp(argv[2], "half-open") == 0)
        done = run_half_open(operations);
    else if (strncmp(argv[2], "send", 4) == 0)
        done = run_send(operations, count);
    else if (strcmp(argv[2], "echo") == 0)
        done = run_echo(operations, count);
    else
        done = run_connect(operations);
    uint64_t overhead = dut->overhead_ticks ? dut->overhead_ticks() : 0;
    done = done ? done : 1;
    printf("%s %s operations %llu connections %u ns_each %llu ticks_each %llu overhead_each %llu frames_in %llu frames_out %llu\n", argv[1], argv[2],
           (unsigned long long)done, count, (unsigned long long)(stack_ns / done), (unsigned long long)(stack_ticks / done),
           (unsigned long long)(overhead / done), (unsigned long long)frames_in, (unsigned long long)frames_out);
    return 0;
}
