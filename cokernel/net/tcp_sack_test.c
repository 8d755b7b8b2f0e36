/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static uint8_t data[20 * 1448];
static uint32_t seg; /* bytes a segment */

static void send_ten(bool ts)
{
    struct kit_seg s;
    kit_establish(&k, ts, true);
    kit_pass(&k, NET_NS_PER_MS);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    seg = k.pcb->mss;
    tcp_write(k.pcb, data, 10 * seg);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 10);
    kit_pass(&k, 10 * NET_NS_PER_MS);
    kit_last(&k, &s);
}

static void sack(uint32_t ack, unsigned first, unsigned last)
{
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = ack, .wnd = 512, .ts = k.ts, .tsval = ++k.tsval, .sack_count = 1,
                                   .sacks = { { k.rcv + first * seg, k.rcv + last * seg } } });
}

static void only_the_hole_is_sent_again(void **state) /* RFC 6675, RFC 8985 */
{
    struct kit_seg s;
    send_ten(true);
    sack(k.rcv + 1448, 2, 10); /* the second is missing */
    assert_true(kit_last(&k, &s));
    assert_int_equal(k.ns->counters.tcp_retransmits, 1);
    assert_true(k.pcb->ca_state == CA_RECOVERY);
    kit_ack(&k, k.rcv + 10 * 1448);
    assert_int_equal(k.pcb->ca_state, CA_OPEN);
    assert_int_equal(k.ns->counters.tcp_retransmits, 1);
    assert_null(k.pcb->rtx_head);
}

static void a_little_reordering_is_waited_for(void **state) /* RFC 8985 6.2 */
{
    struct kit_seg s;
    send_ten(true);
    sack(k.rcv, 1, 2);
    assert_int_equal(k.ns->counters.tcp_retransmits, 0);
    kit_ack(&k, k.rcv + 2 * 1448);
    kit_pass(&k, NET_NS_PER_MS);
    kit_last(&k, &s);
    assert_int_equal(k.ns->counters.tcp_retransmits, 0);
    assert_int_equal(k.pcb->ca_state, CA_OPEN);
}

static void a_lost_tail_is_probed_before_the_timeout(void **state) /* RFC 8985 7 */
{
    struct kit_seg s;
    send_ten(true);
    kit_ack(&k, k.rcv + 8 * 1448);
    kit_pass(&k, 150 * NET_NS_PER_MS);
    assert_true(kit_last(&k, &s));
    assert_true(s.seq == k.rcv + 9 * 1448 && s.len == 1448);
    assert_int_equal(k.ns->counters.tcp_tlp, 1);
    assert_int_equal(k.ns->counters.tcp_rto, 0);
}

static void reneging_is_survived(void **state) /* RFC 2018 8 */
{
    struct kit_seg s;
    send_ten(true);
    sack(k.rcv, 1, 10);
    kit_last(&k, &s);
    kit_ack(&k, k.rcv + 1448); /* and forgets the rest: a hole that was SACKed is now the head */
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_true(k.ns->counters.tcp_sack_reneged >= 1);
    uint32_t seen = 0;
    while (kit_next(&k, &s))
        if (s.seq == k.rcv + 1448)
            seen++;
    assert_true(seen >= 1);
}

static void nonsense_blocks_change_nothing(void **state) /* RFC 2018 5, the SACK flood */
{
    struct kit_seg s;
    send_ten(true);
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t a = k.rcv + (uint32_t)(i * 7919), b = a + (uint32_t)(i * 104729) % 70000;
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 3,
                                       .sacks = { { k.rcv + 100000, k.rcv + 200000 }, { b, a }, { k.rcv - 5000, k.rcv - 4000 } } });
        if (i % 100 == 0)
            kit_last(&k, &s);
    }
    assert_int_equal(k.pcb->sacked_bytes, 0);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
}

static void blocks_that_cut_segments_count_whole_segments(void **state)
{
    struct kit_seg s;
    send_ten(true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 2,
                                   .sacks = { { k.rcv + 2000, k.rcv + 2001 }, { k.rcv + 5000, k.rcv + 9000 } } });
    kit_last(&k, &s);
    assert_int_equal(k.pcb->sacked_bytes, 2 * 1448); /* the fifth and the sixth */
    kit_ack(&k, k.rcv + 6000);
    assert_int_equal(k.pcb->sacked_bytes, 6 * 1448 - 6000);
    assert_int_equal(k.ns->tcp_segs.in_use, 6);
}

static void a_spurious_timeout_is_undone(void **state) /* RFC 5682, RFC 3522 */
{
    struct kit_seg s;
    send_ten(true);
    uint32_t cwnd = k.pcb->cwnd, echo = tcp_ts_now(k.ns, k.pcb->ts_offset) - 10;
    for (int i = 0; i < 1000 && !k.ns->counters.tcp_rto; i++)
        kit_pass(&k, NET_NS_PER_MS); /* the probe, then the timeout */
    assert_int_equal(k.ns->counters.tcp_rto, 1);
    assert_true(k.pcb->cwnd < cwnd);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 5 * 1448, .wnd = 512, .ts = true, .tsval = ++k.tsval, .tsecr = echo });
    assert_true(k.pcb->cwnd >= cwnd);
    assert_int_equal(k.pcb->lost_bytes, 0);
}

static void dsack_undoes_a_spurious_recovery(void **state) /* RFC 2883, RFC 3708 */
{
    struct kit_seg s;
    send_ten(false);
    uint32_t cwnd = k.pcb->cwnd;
    sack(k.rcv, 1, 10);
    assert_int_equal(k.ns->counters.tcp_retransmits, 1);
    assert_true(k.pcb->ssthresh < cwnd);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 9 * seg, .wnd = 512, .sack_count = 1,
                                   .sacks = { { k.rcv, k.rcv + seg } } });
    assert_int_equal(k.ns->counters.tcp_dsack_in, 1);
    assert_true(k.pcb->cwnd >= cwnd);
    kit_last(&k, &s);
}

static void a_head_that_was_sacked_is_probed_like_any_other(void **state) /* RFC 2018 8 with RFC 9293 3.8.6.1 */
{
    struct kit_seg s;
    send_ten(true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 0, .ts = true, .tsval = ++k.tsval, .sack_count = 2,
                                   .sacks = { { k.rcv + 1448, k.rcv + 3 * 1448 }, { k.rcv, k.rcv + 1448 } } });
    kit_pass(&k, 10 * NET_NS_PER_S); /* the window is shut: probes */
    kit_last(&k, &s);
    kit_ack(&k, k.rcv + 10 * 1448);
    assert_null(k.pcb->rtx_head);
    assert_null(k.pcb->time_head);
    assert_int_equal(k.ns->tcp_segs.in_use, 0);
}

static void single_bytes_sacked_cost_no_memory(void **state) /* the SACK flood of our own side */
{
    struct kit_seg s;
    send_ten(true);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t at = k.rcv + 1 + 4 * i;
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 2,
                                       .sacks = { { at, at + 1 }, { at + 2, at + 3 } } });
        if (i % 100 == 0)
            kit_last(&k, &s);
    }
    assert_in_range(k.ns->tcp_segs.in_use, 10, 12);
}

static void a_dsack_above_the_ack_counts(void **state) /* RFC 2883 4.2.2 */
{
    struct kit_seg s;
    send_ten(true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 2,
                                   .sacks = { { k.rcv + 2 * 1448, k.rcv + 3 * 1448 }, { k.rcv + 1448, k.rcv + 4 * 1448 } } });
    kit_last(&k, &s);
    assert_int_equal(k.ns->counters.tcp_dsack_in, 1);
    assert_int_equal(k.pcb->sacked_bytes, 3 * 1448);
}

static void two_in_flight_probed(void)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, data, 2896);
    kit_run(&k);
    for (int i = 0; i < 100 && !k.ns->counters.tcp_tlp; i++)
        kit_pass(&k, NET_NS_PER_MS);
    assert_int_equal(k.ns->counters.tcp_tlp, 1);
    assert_int_equal(kit_last(&k, &s), 3);
}

static void a_probe_that_was_not_needed_slows_nothing(void **state) /* RFC 8985 7.4.2 case 1 */
{
    struct kit_seg s;
    two_in_flight_probed();
    uint32_t cwnd = k.pcb->cwnd, ssthresh = k.pcb->ssthresh;
    kit_ack(&k, k.rcv + 2896); /* of the first copies, late */
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 2896, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 1,
                                   .sacks = { { k.rcv + 1448, k.rcv + 2896 } } });
    tcp_write(k.pcb, data, 1000);
    kit_run(&k);
    kit_ack(&k, k.rcv + 3896);
    assert_true(k.pcb->cwnd >= cwnd);
    assert_int_equal(k.pcb->ssthresh, ssthresh);
    kit_last(&k, &s);
}

static void a_loss_that_only_a_probe_repaired_is_heard(void **state) /* RFC 8985 7.4.2 */
{
    struct kit_seg s;
    two_in_flight_probed();
    uint32_t ssthresh = k.pcb->ssthresh;
    kit_ack(&k, k.rcv + 2896);
    tcp_write(k.pcb, data, 1000);
    kit_run(&k);
    kit_ack(&k, k.rcv + 3896); /* and no word of a second copy */
    assert_true(k.pcb->ssthresh < ssthresh);
    kit_last(&k, &s);
}

static void an_echo_in_answer_to_a_duplicate_is_no_round_trip(void **state)
{
    struct kit_seg s, first;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, (uint8_t[1000]){ 0 }, 1000);
    kit_run(&k);
    kit_last(&k, &first);
    uint32_t srtt = k.pcb->srtt_us, rto = k.pcb->rto_us;
    kit_pass(&k, 3 * NET_NS_PER_S); /* it arrived, but its ACKs are lost */
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1000, .wnd = 512, .ts = true, .tsval = ++k.tsval, .tsecr = first.tsval,
                                   .sack_count = 1, .sacks = { { k.rcv, k.rcv + 1000 } } });
    assert_null(k.pcb->rtx_head);
    assert_true(k.pcb->srtt_us == srtt && k.pcb->rto_us == rto);
}

/* Twenty segments in flight, and more to send. */
static void fly_twenty(void)
{
    static uint8_t bytes[60 * 1448];
    struct kit_seg s;
    kit_establish(&k, true, true);
    k.pcb->cwnd = 20 * 1448;
    tcp_write(k.pcb, bytes, sizeof bytes);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 20);
    k.now_ns += 10 * NET_NS_PER_MS;
}

static unsigned sack_until(uint32_t from, uint32_t to)
{
    struct kit_seg s;
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval, .sack_count = 1,
                                   .sacks = { { k.rcv + from * 1448, k.rcv + to * 1448 } } });
    return kit_last(&k, &s);
}

static void recovery_sends_in_proportion_to_what_arrives(void **state) /* RFC 6937 3 */
{
    unsigned sent = 0, most = 0;
    fly_twenty();
    for (uint32_t n = 2; n <= 20; n++) {
        unsigned now = sack_until(1, n);
        sent += now;
        most = net_max(most, now);
    }
    assert_int_equal(k.pcb->ssthresh, 14 * 1448); /* CUBIC: seven tenths */
    assert_in_range(sent, 12, 15);                /* of 19 that arrived */
    assert_in_range(most, 1, 2);                  /* and not all at the end */
    tcp_abort(k.pcb);
}

static void much_loss_is_repaired_without_a_burst(void **state) /* RFC 6937 3: what flies is less than half of the new window */
{
    struct kit_seg s;
    fly_twenty();
    unsigned sent = sack_until(19, 20);
    kit_pass(&k, 5 * NET_NS_PER_MS); /* longer than reordering is thought to last */
    sent += kit_last(&k, &s);
    assert_int_equal(k.pcb->ca_state, CA_RECOVERY);
    assert_in_range(sent, 1, 2);
    tcp_abort(k.pcb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_hole_is_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_little_reordering_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_tail_is_probed_before_the_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(reneging_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_blocks_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_that_cut_segments_count_whole_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(a_spurious_timeout_is_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(dsack_undoes_a_spurious_recovery, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_that_was_sacked_is_probed_like_any_other, setup, teardown),
        cmocka_unit_test_setup_teardown(single_bytes_sacked_cost_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dsack_above_the_ack_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_probe_that_was_not_needed_slows_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loss_that_only_a_probe_repaired_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(an_echo_in_answer_to_a_duplicate_is_no_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(recovery_sends_in_proportion_to_what_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(much_loss_is_repaired_without_a_burst, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
