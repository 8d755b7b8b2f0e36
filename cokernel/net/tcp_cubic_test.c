/* SPDX-License-Identifier: BSD-2-Clause */
/* The curve itself, against RFC 9438's formulas in floating point. */
#include <math.h>

#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

#define C 0.4

/* A connection that has just lost at a window of `segments`. */
static double begin(unsigned segments, uint32_t rtt_us)
{
    kit_establish(&k, true, true);
    struct tcp_pcb *pcb = k.pcb;
    pcb->srtt_us = rtt_us;
    pcb->cwnd = segments * pcb->mss;
    pcb->cwnd = pcb->ssthresh = pcb->cc->ssthresh(pcb);
    return (double)pcb->cwnd / pcb->mss;
}

/* A round trip in which everything is acknowledged, segment by segment. */
static void round_trip(void)
{
    struct tcp_pcb *pcb = k.pcb;
    uint32_t segments = pcb->cwnd / pcb->mss;
    for (uint32_t n = 0; n < segments; n++) {
        k.ns->now_ns += pcb->srtt_us * NET_NS_PER_US / segments;
        pcb->cc->on_ack(pcb, pcb->mss);
    }
}

static void a_loss_leaves_seven_tenths(void **state) /* 4.6 */
{
    double left = begin(100, 100000);
    assert_true(left > 69.9 && left < 70.1);
    assert_true(k.pcb->cc_data.cubic.w_max == 100 * k.pcb->mss);
}

/* On a long path: concave up to the old maximum, flat there, convex beyond. */
static void the_window_follows_the_cubic(void **state) /* 4.2, eqns. 1 and 2 */
{
    double start = begin(1000, 100000), w_max = 1000, K = cbrt((w_max - start) / C), reached = 0;
    uint64_t epoch = k.ns->now_ns;
    for (unsigned n = 0; n < 180; n++) {
        round_trip();
        double t = (double)(k.ns->now_ns - epoch) / 1e9, is = (double)k.pcb->cwnd / k.pcb->mss;
        /* The window is where the curve will be a round trip later (4.4), a round trip after that was computed. */
        double low = C * pow(t - 0.1 - K, 3) + w_max, high = C * pow(t + 0.1 - K, 3) + w_max;
        if (t < 0.3)
            continue;
        assert_true(is > low - 0.005 * w_max && is < high + 0.005 * w_max);
        if (!reached && is >= w_max)
            reached = t;
    }
    assert_true(K > 9 && reached > K - 1.6 && reached < K + 1.6); /* flat there: a segment takes 1.4 s */
    assert_true(k.pcb->cwnd > 1150 * k.pcb->mss);
}

/* On a short path Reno would be faster: then as Reno with the same average (4.3). */
static void it_is_never_slower_than_reno(void **state)
{
    double start = begin(100, 10000), alpha = 3 * 0.3 / 1.7;
    for (unsigned n = 1; n <= 40; n++) {
        round_trip();
        double is = (double)k.pcb->cwnd / k.pcb->mss;
        assert_true(is > start + alpha * n - 1.5 && is < start + alpha * n + 2.5);
    }
    for (unsigned n = 0; n < 100; n++) /* past the old maximum a segment a round trip */
        round_trip();
    uint32_t before = k.pcb->cwnd;
    for (unsigned n = 0; n < 20; n++)
        round_trip();
    double grown = (double)(k.pcb->cwnd - before) / k.pcb->mss;
    assert_true(grown > 17 && grown < 24);
}

static void a_loss_before_the_maximum_makes_room(void **state) /* 4.7 */
{
    begin(1000, 100000);
    k.pcb->cwnd = 800 * k.pcb->mss;
    k.pcb->cc->ssthresh(k.pcb);
    double w_max = (double)k.pcb->cc_data.cubic.w_max / k.pcb->mss;
    assert_true(w_max > 679 && w_max < 681);
}

static void growth_is_bounded_whatever_the_clock_says(void **state)
{
    begin(1000, 100000);
    round_trip();
    k.ns->now_ns += 3600 * NET_NS_PER_S;
    uint32_t before = k.pcb->cwnd;
    k.pcb->cc->on_ack(k.pcb, k.pcb->mss);
    assert_true(k.pcb->cwnd - before <= k.pcb->mss); /* 4.2: target <= 1.5 cwnd, spread over a window of ACKs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_loss_leaves_seven_tenths, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_follows_the_cubic, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_never_slower_than_reno, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loss_before_the_maximum_makes_room, setup, teardown),
        cmocka_unit_test_setup_teardown(growth_is_bounded_whatever_the_clock_says, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
