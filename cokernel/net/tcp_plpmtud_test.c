/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 4821: a path that swallows large packets without a word. */
#include "tests/net/kit/kit.h"

#include "tests/net/sim/sim.h"

#define PORT 9000
#define BYTES 4000000u

static struct sim sim;
static struct sim_node *client, *server;
static struct tcp_pcb *sender, *receiver;
static uint32_t sent, received, goal;
static bool wrong;

static uint8_t byte_at(uint32_t n) { return (uint8_t)(n * 31 + (n >> 11)); }

static void write_more(void)
{
    uint8_t block[8192];
    while (sent < goal) {
        uint32_t n = net_min((uint32_t)sizeof block, goal - sent);
        for (uint32_t k = 0; k < n; k++)
            block[k] = byte_at(sent + k);
        int64_t took = tcp_write(sender, block, n);
        if (took <= 0)
            return;
        sent += (uint32_t)took;
    }
}

static void app(struct sim_node *node, struct net_endpoint *ep, unsigned events)
{
    uint8_t got[16384];
    int64_t n;
    if (ep->type == NET_EP_TCP_LISTENER) {
        receiver = tcp_accept((struct tcp_listener *)ep);
        return;
    }
    if (node == client && (events & (NET_EV_CONNECTED | NET_EV_WRITABLE)))
        write_more();
    if (node == server)
        while ((n = tcp_read(receiver, got, sizeof got)) > 0)
            for (int64_t k = 0; k < n; k++)
                wrong |= got[k] != byte_at(received++);
}

static void start(bool v6)
{
    int err;
    sim_init(&sim, 7);
    sim.link = (struct sim_link){ .delay_ns = 5 * NET_NS_PER_MS, .rate_bps = 100000000, .queue_bytes = 1 << 20 };
    sent = received = 0;
    wrong = false;
    goal = BYTES;
    client = sim_add(&sim, 1500, NIC_TX_CHAIN, 0);
    server = sim_add(&sim, 1500, NIC_TX_CHAIN, 0);
    client->app = server->app = app;
    struct net_addr any = v6 ? (struct net_addr){ .w = { 0 } } : net_addr_v4(0);
    sim_run(&sim, 5 * NET_NS_PER_S); /* duplicate address detection */
    assert_non_null(tcp_listen(server->stack, &any, PORT, 8, &err));
    struct tcp_connect how = { .remote = v6 ? server->addr6 : server->addr4, .remote_port = PORT };
    sender = tcp_connect(client->stack, &how, &err);
    assert_non_null(sender);
    sim_kick(&sim);
}

static void finish(void)
{
    assert_false(wrong);
    sim_fini(&sim);
}

static void run_for(uint64_t seconds)
{
    uint64_t until = sim.now_ns + seconds * NET_NS_PER_S;
    sim_run(&sim, until);
    sim.now_ns = net_max(sim.now_ns, until); /* it ends early when nothing is left to do */
}

static void send_again(uint32_t bytes)
{
    goal += bytes;
    write_more();
    sim_kick(&sim);
}

static void black_hole(bool v6)
{
    start(v6);
    sim.link.swallow_above = 1400;
    run_for(60);
    assert_int_equal(received, BYTES);
    assert_true(client->stack->counters.tcp_black_holes >= 1);
    /* Found again to within the search's precision, never above what passes. */
    struct tcp_conn_info i;
    tcp_info(sender, &i);
    assert_in_range(i.pmtu, 1400 - 8, 1400);
    /* The search has cost no reduction of the window: only the black hole itself did, by timeouts. */
    assert_int_equal(client->stack->counters.tcp_fast_recovery, 0);
    finish();
}

static void a_black_hole_is_found_and_measured(void **state) { black_hole(false); }
static void a_black_hole_is_found_over_ipv6(void **state) { black_hole(true); }

static void a_path_that_becomes_better_is_used(void **state)
{
    struct tcp_conn_info i;
    start(false);
    sim.link.swallow_above = 1400;
    run_for(60);
    sim.link.swallow_above = 0;
    run_for(700); /* longer than a found value is kept */
    send_again(1000000);
    run_for(30);
    send_again(1000000);
    run_for(30);
    assert_int_equal(received, goal);
    tcp_info(sender, &i);
    assert_int_equal(i.pmtu, 1500);
    assert_int_equal(sender->plp_on, 0);
    finish();
}

static void a_dead_peer_is_no_black_hole_for_ever(void **state)
{
    struct tcp_conn_info i;
    start(false);
    sim.link.swallow_above = 20; /* nothing at all */
    run_for(5);
    sim.link.swallow_above = 0;
    run_for(60);
    assert_int_equal(received, goal);
    send_again(3000000);
    run_for(30);
    assert_int_equal(received, goal);
    tcp_info(sender, &i);
    assert_int_equal(i.pmtu, 1500);
    finish();
}

static void paths_that_swallow_nothing_are_not_probed(void **state)
{
    start(false);
    sim.link.loss_ppm = 10000;
    run_for(60);
    assert_int_equal(received, goal);
    assert_int_equal(client->stack->counters.tcp_mtu_probes, 0);
    finish();
}

static void a_path_that_has_carried_large_ones_is_no_black_hole_so_soon(void **state)
{
    start(false);
    sim.link.loss_ppm = 20000;
    sim_run(&sim, sim.now_ns + 200 * NET_NS_PER_MS);
    assert_true(received && received < goal);
    sim.link.loss_ppm = 1000000;
    run_for(5); /* four timeouts */
    assert_true(client->stack->counters.tcp_rto >= 3);
    sim.link.loss_ppm = 0;
    run_for(60);
    assert_int_equal(received, goal);
    assert_int_equal(client->stack->counters.tcp_black_holes, 0);
    finish();
}

/* Where every fifth packet is lost, six timeouts in a row happen now and then. */
static void heavy_loss_is_no_black_hole(void **state)
{
    unsigned holes = 0, timeouts = 0;
    for (unsigned round = 0; round < 8; round++) {
        start(false);
        sim.rng += round; /* another course of events */
        sim.link.loss_ppm = 200000;
        run_for(1500);
        holes += (unsigned)client->stack->counters.tcp_black_holes;
        timeouts += (unsigned)client->stack->counters.tcp_rto;
        finish();
    }
    assert_true(timeouts > 1000);
    assert_true(holes <= 1);
}

static void small_segments_meet_no_black_hole(void **state)
{
    start(false);
    goal = 0;
    run_for(5);
    sim.link.swallow_above = 20;
    send_again(100);
    run_for(20);
    assert_int_equal(client->stack->counters.tcp_black_holes, 0);
    assert_int_equal(sender->mss, 1448);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_black_hole_is_found_and_measured),
        cmocka_unit_test(a_black_hole_is_found_over_ipv6),
        cmocka_unit_test(a_path_that_becomes_better_is_used),
        cmocka_unit_test(a_dead_peer_is_no_black_hole_for_ever),
        cmocka_unit_test(paths_that_swallow_nothing_are_not_probed),
        cmocka_unit_test(a_path_that_has_carried_large_ones_is_no_black_hole_so_soon),
        cmocka_unit_test(heavy_loss_is_no_black_hole),
        cmocka_unit_test(small_segments_meet_no_black_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
