/* SPDX-License-Identifier: BSD-2-Clause */
/* DCTCP (RFC 8257) and pacing, as a peer sees them. CUBIC's curve is in tcp_cubic_test.c. */
#include "tests/net/kit/kit.h"

#define SEGMENT 1448u /* with time stamps */
#define CE 3
#define ECT0 2

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void establish_dctcp(void)
{
    struct kit_seg s = { 0 };
    tcp_listener_set(k.listener, TCP_OPT_ECN, 1);
    tcp_listener_set(k.listener, TCP_OPT_CONGESTION, TCP_CC_DCTCP);
    k.ts = true;
    k.snd = 0xfffffff0;
    kit_send(&k, (struct kit_seg){ .flags = TCP_SYN | TCP_ECE | TCP_CWR, .seq = k.snd++, .wnd = 65535, .mss = 1460, .sack_ok = true, .wscale = 7,
                                   .ts = true, .tsval = k.tsval });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK | TCP_ECE);
    k.rcv = s.seq + 1;
    k.now_ns += 10 * NET_NS_PER_MS;
    kit_ack(&k, k.rcv);
    k.pcb = tcp_accept(k.listener);
    assert_non_null(k.pcb);
    k.pcb->quickacks = 0;
    kit_run(&k);
}

/* From the peer, in order; flags besides ACK. */
static void data_in(uint16_t flags, uint8_t tos)
{
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | flags, .seq = k.snd, .ack = k.rcv, .wnd = 512, .len = 10, .tos = tos, .ts = true, .tsval = ++k.tsval });
    k.snd += 10;
}

static void the_echo_changes_with_the_marks_at_once(void **state) /* RFC 8257 3.2 */
{
    struct kit_seg s;
    establish_dctcp();
    data_in(0, CE);
    assert_int_equal(kit_last(&k, &s), 0);
    data_in(0, ECT0); /* what came before is acknowledged with the mark, by itself */
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true((s.flags & TCP_ECE) && s.ack == k.snd - 10);
    kit_pass(&k, 100 * NET_NS_PER_MS);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(!(s.flags & TCP_ECE) && s.ack == k.snd);
    data_in(0, ECT0);
    data_in(0, CE);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(!(s.flags & TCP_ECE) && s.ack == k.snd - 10);
    tcp_abort(k.pcb);
}

static void the_peers_reduction_does_not_end_the_echo(void **state) /* unlike RFC 3168's: what counts is how much is marked */
{
    struct kit_seg s;
    establish_dctcp();
    data_in(0, CE);
    kit_pass(&k, 100 * NET_NS_PER_MS);
    assert_true(kit_last(&k, &s) == 1 && (s.flags & TCP_ECE));
    data_in(TCP_CWR, CE);
    kit_pass(&k, 100 * NET_NS_PER_MS);
    assert_true(kit_last(&k, &s) == 1 && (s.flags & TCP_ECE));
    data_in(0, CE);
    data_in(TCP_CWR, ECT0); /* the segment in front of it was marked */
    assert_true(kit_last(&k, &s) == 1 && (s.flags & TCP_ECE) && s.ack == k.snd - 10);
    tcp_abort(k.pcb);
}

/* A window's worth is sent and acknowledged; returns the congestion window before the ACK. */
static uint32_t a_window(bool marked)
{
    static uint8_t data[1u << 17];
    struct kit_seg s;
    while (tcp_write(k.pcb, data, sizeof data) > 0)
        ;
    kit_run(&k);
    assert_true(kit_last(&k, &s) > 1);
    uint32_t before = k.pcb->cwnd;
    k.rcv = s.seq + s.len;
    k.now_ns += 10 * NET_NS_PER_MS;
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | (marked ? TCP_ECE : 0), .seq = k.snd, .ack = k.rcv, .wnd = 60000, .ts = true, .tsval = ++k.tsval });
    return before;
}

static void assert_cut(uint32_t before, double alpha)
{
    assert_in_range(k.pcb->ssthresh, (uint32_t)(before * (1 - alpha / 2) * 0.97), (uint32_t)((before + SEGMENT) * (1 - alpha / 2) * 1.03));
}

static void the_window_shrinks_by_the_share_that_was_marked(void **state) /* RFC 8257 3.3 */
{
    double alpha = 1;
    establish_dctcp();
    tcp_set(k.pcb, TCP_OPT_SNDBUF, 4 << 20);
    assert_cut(a_window(true), 1); /* nothing is known yet: as much as any other */
    assert_int_equal(k.ns->counters.tcp_ecn_reduced, 1);
    for (unsigned n = 0; n < 20; n++, alpha *= 15. / 16)
        a_window(false);
    assert_int_equal(k.ns->counters.tcp_ecn_reduced, 1);
    assert_cut(a_window(true), alpha); /* 0.28: a seventh of the window, not half of it */
    assert_int_equal(k.ns->counters.tcp_ecn_reduced, 2);
    for (unsigned n = 0; n < 80; n++)
        a_window(true);
    assert_in_range(k.pcb->cc_data.dctcp.alpha, 980, 1024);
    for (unsigned n = 0; n < 150; n++)
        a_window(false);
    assert_int_equal(k.pcb->cc_data.dctcp.alpha, 0); /* and with nothing marked, nothing is left of it */
    tcp_abort(k.pcb);
}

static void marks_within_one_window_reduce_once(void **state)
{
    static uint8_t data[20 * SEGMENT];
    struct kit_seg s;
    establish_dctcp();
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 10);
    for (unsigned n = 1; n <= 10; n++)
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_ECE, .seq = k.snd, .ack = k.rcv + n * SEGMENT, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(k.ns->counters.tcp_ecn_reduced, 1);
    bool told = false;
    while (kit_next(&k, &s))
        told |= s.flags & TCP_CWR;
    assert_true(told);
    tcp_abort(k.pcb);
}

static void a_rate_that_was_set_is_kept(void **state)
{
    static uint8_t data[100 * SEGMENT];
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_PACING, SEGMENT * 1000); /* a segment a millisecond */
    assert_int_equal(tcp_write(k.pcb, data, sizeof data), sizeof data);
    kit_run(&k);
    unsigned sent = kit_last(&k, &s);
    assert_in_range(sent, 1, 2); /* what the last millisecond would have allowed may go as well */
    for (unsigned ms = 1; ms <= 50; ms++) {
        kit_pass(&k, NET_NS_PER_MS);
        sent += kit_last(&k, &s);
        assert_in_range(sent, ms - ms / 10, ms + 2); /* a deadline is up to two ticks of the wheel late */
        kit_ack(&k, k.rcv + sent * SEGMENT);
        sent += kit_last(&k, &s);
    }
    tcp_set(k.pcb, TCP_OPT_PACING, 0);
    tcp_abort(k.pcb);
}

static void the_automatic_rate_spreads_a_flight_over_the_round_trip(void **state)
{
    static uint8_t data[100 * SEGMENT];
    struct kit_seg s;
    kit_establish(&k, true, true); /* a round trip takes 10 ms */
    tcp_set(k.pcb, TCP_OPT_PACING, 1);
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    unsigned sent = kit_last(&k, &s); /* twice a window a round trip in slow start: a segment each half millisecond, and one ahead */
    assert_in_range(sent, 1, 3);
    kit_pass(&k, 2 * NET_NS_PER_MS);
    sent += kit_last(&k, &s);
    assert_in_range(sent, 4, 7);
    kit_pass(&k, 4 * NET_NS_PER_MS);
    sent += kit_last(&k, &s);
    assert_int_equal(sent, 10); /* the window */
    tcp_abort(k.pcb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_echo_changes_with_the_marks_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_peers_reduction_does_not_end_the_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_shrinks_by_the_share_that_was_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(marks_within_one_window_reduce_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rate_that_was_set_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(the_automatic_rate_spreads_a_flight_over_the_round_trip, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
