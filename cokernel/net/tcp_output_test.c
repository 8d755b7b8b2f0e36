/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void the_first_flight_is_ten_segments(void **state) /* RFC 6928 */
{
    static uint8_t data[40000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 10);
}

static void after_a_lost_syn_it_is_one(void **state) /* RFC 6928 2 */
{
    static uint8_t data[40000];
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    kit_pass(&k, 1100 * NET_NS_PER_MS);
    assert_int_equal(kit_last(&k, &s), 2);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = s.seq + 1, .wnd = 65535, .mss = 1460, .sack_ok = true });
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    kit_last(&k, &s);
    tcp_write(pcb, data, sizeof data);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.len, 1460);
    tcp_abort(pcb);
}

static void nagle_holds_a_small_segment_back(void **state) /* RFC 9293 3.7.4 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, "a", 1);
    kit_run(&k);
    tcp_write(k.pcb, "b", 1);
    kit_run(&k);
    tcp_write(k.pcb, "c", 1);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    kit_ack(&k, k.rcv + 1);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.len == 2 && s.seq == k.rcv + 1);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    tcp_write(k.pcb, "d", 1);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
}

static void retransmissions_back_off_and_end(void **state) /* RFC 6298 5, RFC 9293 3.8.3 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, "hello", 5);
    kit_run(&k);
    kit_last(&k, &s);
    uint64_t last = 0, gap = 0;
    unsigned count = 0;
    while (k.pcb->state == TCP_ESTABLISHED && count < 100) {
        uint64_t before = k.ns->counters.tcp_rto;
        kit_pass(&k, 10 * NET_NS_PER_MS);
        if (k.ns->counters.tcp_rto == before)
            continue;
        if (last && gap && gap < 100 * NET_NS_PER_S)
            assert_true(k.now_ns - last >= gap * 19 / 10);
        if (last)
            gap = k.now_ns - last;
        last = k.now_ns;
        count++;
    }
    assert_int_equal(count, TCP_RETRIES);
    assert_int_equal(k.pcb->ep.error, NET_ETIMEDOUT);
    assert_true(k.now_ns > 1100 * NET_NS_PER_S); /* at least 100 s */
    tcp_close(k.pcb);
}

static void a_user_timeout_ends_it_earlier(void **state) /* RFC 5482 */
{
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_USER_TIMEOUT_MS, 5000);
    tcp_write(k.pcb, "hello", 5);
    kit_run(&k);
    kit_pass(&k, 4 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    kit_pass(&k, 20 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_ETIMEDOUT);
    tcp_close(k.pcb);
}

static void close_window(void)
{
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 0, .ts = k.ts, .tsval = ++k.tsval });
}

static void a_shut_window_is_probed_for_ever_and_reopens(void **state) /* RFC 9293 3.8.6.1, RFC 6429; the lost window update */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    close_window();
    tcp_write(k.pcb, "hello", 5);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 0);
    unsigned probes = 0;
    for (int i = 0; i < 3600; i++) { /* an hour, the peer answers every probe with a window of zero */
        kit_pass(&k, NET_NS_PER_S);
        if (!kit_last(&k, &s))
            continue;
        assert_true(s.seq == k.rcv && s.len == 1);
        probes++;
        close_window();
    }
    assert_in_range(probes, 20, 100);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    kit_ack(&k, k.rcv + 1);
    assert_true(kit_last(&k, &s));
    assert_true(s.len == 4 && s.seq == k.rcv + 1);
}

static void a_peer_that_answers_no_probe_is_given_up(void **state)
{
    kit_establish(&k, true, true);
    close_window();
    tcp_write(k.pcb, "hello", 5);
    kit_run(&k);
    kit_pass(&k, 3600 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_ETIMEDOUT);
    tcp_close(k.pcb);
}

static void small_windows_do_not_make_small_segments(void **state) /* RFC 9293 3.8.6.2.1 */
{
    static uint8_t data[4000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    close_window();
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 1, .ts = k.ts, .tsval = ++k.tsval }); /* 128 bytes */
    assert_int_equal(kit_last(&k, &s), 0);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 12, .ts = k.ts, .tsval = ++k.tsval });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.len, 1448);
}

static void a_small_window_is_probed_after_an_ack_that_changes_nothing(void **state)
{
    static uint8_t data[4000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, data, 1448);
    kit_run(&k);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1448, .wnd = 2, .ts = k.ts, .tsval = ++k.tsval });
    tcp_write(k.pcb, data, 4000);
    kit_run(&k);
    kit_last(&k, &s);
    /* The update that would open the window is lost; this one says the same again. */
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1448, .wnd = 2, .ts = k.ts, .tsval = ++k.tsval });
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_true(kit_last(&k, &s) >= 1);
    assert_true(s.seq == k.rcv + 1448 && s.len == 256);
}

static void a_shrinking_window_is_survived(void **state) /* RFC 9293 3.8.6 */
{
    static uint8_t data[8000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 6);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1448, .wnd = 4, .ts = k.ts, .tsval = ++k.tsval });
    kit_pass(&k, 2 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    kit_ack(&k, k.rcv + 8000);
    assert_true(k.pcb->snd_una == k.rcv + 8000);
}

static void fin_is_retransmitted(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_shutdown(k.pcb);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_FIN));
    kit_pass(&k, 3 * NET_NS_PER_S);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_FIN) && s.seq == k.rcv);
    kit_ack(&k, k.rcv + 1);
    assert_int_equal(k.pcb->state, TCP_FIN_WAIT_2);
}

static void simultaneous_close_ends_in_time_wait(void **state) /* RFC 9293 3.6 figure 13 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_shutdown(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_FIN | TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(k.pcb->state, TCP_CLOSING);
    k.snd++;
    kit_ack(&k, k.rcv + 1);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.ns->timewait_count, 1);
    tcp_close(k.pcb);
    kit_pass(&k, 61 * NET_NS_PER_S);
    assert_int_equal(k.ns->timewait_count, 0);
}

static void keepalive_finds_a_dead_peer(void **state) /* RFC 9293 3.8.4 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_KEEPIDLE_S, 10);
    tcp_set(k.pcb, TCP_OPT_KEEPINTVL_S, 2);
    tcp_set(k.pcb, TCP_OPT_KEEPCNT, 3);
    tcp_set(k.pcb, TCP_OPT_KEEPALIVE, 1);
    kit_pass(&k, 11 * NET_NS_PER_S);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.len == 0 && s.seq == k.rcv - 1);
    kit_ack(&k, k.rcv);
    kit_pass(&k, 9 * NET_NS_PER_S);
    assert_int_equal(kit_last(&k, &s), 0);
    kit_pass(&k, 10 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_ETIMEDOUT);
    tcp_close(k.pcb);
}

static void a_tiny_mss_is_not_obeyed(void **state)
{
    struct kit_seg s;
    kit_send(&k, (struct kit_seg){ .flags = TCP_SYN, .seq = 100, .wnd = 65535, .mss = 1 });
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 65535 });
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_true(pcb->mss >= TCP_MSS_MIN);
}

static void without_sack_three_duplicates_retransmit(void **state) /* RFC 5681 3.2, RFC 6582 */
{
    static uint8_t data[14480];
    struct kit_seg s;
    kit_establish(&k, true, false);
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 10);
    kit_ack(&k, k.rcv);
    kit_ack(&k, k.rcv);
    assert_int_equal(k.ns->counters.tcp_retransmits, 0);
    kit_ack(&k, k.rcv);
    assert_true(kit_last(&k, &s));
    assert_true(s.seq == k.rcv && s.len == 1448);
    kit_ack(&k, k.rcv + 4 * 1448); /* partial: the next hole at once */
    assert_true(kit_last(&k, &s));
    assert_int_equal(k.ns->counters.tcp_retransmits, 2);
    assert_int_equal(k.ns->counters.tcp_rto, 0);
}

static void a_closed_connection_does_not_serve_a_shut_window_for_ever(void **state) /* RFC 6429 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    close_window();
    tcp_write(k.pcb, "hello", 5);
    tcp_close(k.pcb);
    kit_run(&k);
    for (int i = 0; i < 1800 && k.ns->tcp_pcbs.in_use; i++) {
        kit_pass(&k, NET_NS_PER_S);
        if (kit_last(&k, &s) && !(s.flags & TCP_RST))
            close_window();
    }
    assert_int_equal(k.ns->tcp_pcbs.in_use, 0);
    assert_true(s.flags & TCP_RST);
}

static void keepalive_goes_on_after_a_shutdown(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_KEEPIDLE_S, 10);
    tcp_set(k.pcb, TCP_OPT_KEEPINTVL_S, 2);
    tcp_set(k.pcb, TCP_OPT_KEEPCNT, 3);
    tcp_set(k.pcb, TCP_OPT_KEEPALIVE, 1);
    tcp_shutdown(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_ack(&k, k.rcv + 1);
    assert_int_equal(k.pcb->state, TCP_FIN_WAIT_2);
    kit_pass(&k, 30 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_ETIMEDOUT);
    tcp_close(k.pcb);
}

static void a_fin_after_the_wait_for_it_is_reset(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_close(k.pcb);
    kit_run(&k);
    kit_ack(&k, k.rcv + 1);
    kit_last(&k, &s);
    kit_pass(&k, 61 * NET_NS_PER_S);
    assert_int_equal(k.ns->tcp_pcbs.in_use + k.ns->timewait_count, 0);
    kit_send(&k, (struct kit_seg){ .flags = TCP_FIN | TCP_ACK, .seq = k.snd, .ack = k.rcv + 1, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_true(kit_last(&k, &s) == 1 && (s.flags & TCP_RST));
}

static void urgent_data_is_marked_until_it_is_acknowledged(void **state) /* RFC 9293 3.8.5 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    tcp_write(k.pcb, "ab", 2);
    assert_int_equal(tcp_send_urgent(k.pcb, '!'), 0);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true((s.flags & TCP_URG) && s.urgent == 3 && s.len == 3);
    kit_pass(&k, NET_NS_PER_S);
    assert_true(kit_last(&k, &s));
    assert_true((s.flags & TCP_URG) && s.urgent == 3 && s.seq == k.rcv);
    kit_ack(&k, k.rcv + 3);
    assert_int_equal(k.pcb->urg_sent, 0);
    tcp_write(k.pcb, "cd", 2);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && !(s.flags & TCP_URG));
}

static void the_end_of_a_long_message_does_not_wait(void **state) /* Minshall's Nagle */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_last(&k, &s);
    tcp_write(k.pcb, (uint8_t[3000]){ 0 }, 3000);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 3);
    assert_int_equal(s.len, 3000 - 2 * 1448);
    tcp_write(k.pcb, "abc", 3); /* but a second small one does */
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 0);
    kit_ack(&k, k.rcv + 3000);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_flight_is_ten_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_lost_syn_it_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(nagle_holds_a_small_segment_back, setup, teardown),
        cmocka_unit_test_setup_teardown(retransmissions_back_off_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_user_timeout_ends_it_earlier, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shut_window_is_probed_for_ever_and_reopens, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_answers_no_probe_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(small_windows_do_not_make_small_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_window_is_probed_after_an_ack_that_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shrinking_window_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(fin_is_retransmitted, setup, teardown),
        cmocka_unit_test_setup_teardown(simultaneous_close_ends_in_time_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(keepalive_finds_a_dead_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tiny_mss_is_not_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(without_sack_three_duplicates_retransmit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_connection_does_not_serve_a_shut_window_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(keepalive_goes_on_after_a_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fin_after_the_wait_for_it_is_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(urgent_data_is_marked_until_it_is_acknowledged, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_long_message_does_not_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
