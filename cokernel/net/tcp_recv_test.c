/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

#include <string.h>

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void put(uint32_t at, const char *text)
{
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + at, .ack = k.rcv, .wnd = 512, .len = (uint32_t)strlen(text),
                                   .data = (const uint8_t *)text, .ts = k.ts, .tsval = ++k.tsval });
}

static void expect(const char *text)
{
    char got[200] = "";
    int64_t n = tcp_read(k.pcb, got, sizeof got - 1);
    got[n > 0 ? n : 0] = 0;
    assert_string_equal(got, text);
}

static void pieces_in_any_order_with_overlaps_come_out_right(void **state)
{
    kit_establish(&k, true, true);
    put(20, "uvwxyz");
    put(5, "fghij");
    put(7, "hijklmno");
    put(15, "pqrstuvw");
    put(3, "defgh");
    assert_int_equal(tcp_readable_bytes(k.pcb), 0);
    put(0, "abcde");
    expect("abcdefghijklmnopqrstuvwxyz");
    assert_null(k.pcb->islands);
}

static void sack_names_the_newest_run_first(void **state) /* RFC 2018 4 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    put(10, "x");
    put(20, "y");
    put(30, "z");
    put(40, "w");
    put(20, "yy");
    assert_true(kit_last(&k, &s) >= 1);
    assert_int_equal(s.sack_count, 3);
    assert_true(s.sacks[0].start == k.snd + 20 || s.sacks[1].start == k.snd + 20);
    kit_last(&k, &s);
    put(21, "yyy"); /* overlaps and extends the run: D-SACK, then that run */
    assert_true(kit_last(&k, &s) >= 1);
    assert_true(s.sacks[0].start == k.snd + 21 && s.sacks[0].end == k.snd + 22);
    assert_true(s.sacks[1].start == k.snd + 20 && s.sacks[1].end == k.snd + 24);
}

static void a_duplicate_is_reported(void **state) /* RFC 2883 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    put(0, "hello");
    kit_last(&k, &s);
    put(0, "hello");
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.sack_count == 1 && s.sacks[0].start == k.snd && s.sacks[0].end == k.snd + 5 && s.ack == k.snd + 5);
    expect("hello");
}

static void every_second_segment_is_acknowledged_others_soon(void **state) /* RFC 9293 3.8.6.3 */
{
    static uint8_t data[1448];
    struct kit_seg s;
    kit_establish(&k, true, true);
    k.pcb->quickacks = 0;
    kit_data(&k, data, 1448);
    kit_data(&k, data, 1448);
    assert_int_equal(kit_last(&k, &s), 1);
    kit_data(&k, data, 1448);
    assert_int_equal(kit_last(&k, &s), 0);
    kit_pass(&k, 100 * NET_NS_PER_MS);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == k.snd);
    tcp_abort(k.pcb);
}

static void an_answer_leaves_no_timer_for_the_acknowledgement(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    k.pcb->quickacks = 0;
    k.hold = true;
    kit_data(&k, "question", 8);
    net_stack_poll(k.ns);
    assert_int_equal(net_stack_next_ns(k.ns), 0); /* who has polled has to flush */
    assert_int_equal(tcp_write(k.pcb, "answer", 6), 6);
    net_stack_flush(k.ns);
    assert_true(kit_last(&k, &s) == 1 && s.len == 6 && s.ack == k.snd);
    assert_true(k.pcb->timer.tick << TIMER_TICK_SHIFT > k.now_ns + 100 * NET_NS_PER_MS); /* the answer's own timer */
    k.hold = false;
    kit_data(&k, "question", 8);
    kit_pass(&k, 39 * NET_NS_PER_MS);
    assert_true(kit_last(&k, &s) == 0);
    kit_pass(&k, 2 * NET_NS_PER_MS);
    assert_true(kit_last(&k, &s) == 1 && s.ack == k.snd);
    tcp_abort(k.pcb);
}

/* A round trip (10 ms) in which the peer sends count full segments, all of which are read at once; returns the window that was
 * announced last. */
static uint32_t read_for_a_round_trip(uint32_t count)
{
    static uint8_t data[1448], sink[1448];
    struct kit_seg s = { 0 };
    for (uint32_t n = 0; n < count; n++) {
        k.now_ns += 10 * NET_NS_PER_MS / count;
        kit_data(&k, data, sizeof data);
        assert_int_equal(tcp_read(k.pcb, sink, sizeof sink), sizeof sink);
        kit_run(&k);
        kit_last(&k, &s);
    }
    return (uint32_t)s.wnd << k.pcb->rcv_wscale;
}

static void the_buffer_grows_with_what_a_reader_takes_in_a_round_trip(void **state)
{
    uint32_t wnd = 0, before = 0;
    kit_establish(&k, true, true);
    for (unsigned n = 0; n < 10; n++)
        wnd = read_for_a_round_trip(15); /* a third of the buffer: it is large enough */
    assert_in_range(wnd, 50 << 10, 70 << 10);
    for (unsigned n = 0; n < 3; n++) {
        before = wnd;
        wnd = read_for_a_round_trip(wnd / 1448);
        assert_true(wnd > 2 * before); /* a peer in slow start is never held up */
    }
    for (unsigned n = 0; n < 3; n++)
        wnd = read_for_a_round_trip(wnd / 1448);
    assert_in_range(wnd, 5 << 20, TCP_RCVBUF_MAX + TCP_RCVBUF_MAX / 16); /* and not without bound */
    tcp_abort(k.pcb);
}

static void a_buffer_that_the_user_chose_stays(void **state)
{
    uint32_t wnd = 0;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_RCVBUF, 100000);
    for (unsigned n = 0; n < 6; n++)
        wnd = read_for_a_round_trip(60);
    assert_in_range(wnd, 90000, 107000);
    tcp_abort(k.pcb);
}

static void the_right_edge_never_moves_left(void **state) /* RFC 9293 3.8.6 */
{
    static uint8_t data[1448];
    struct kit_seg s;
    uint32_t edge = 0;
    kit_establish(&k, true, true);
    edge = k.pcb->rcv_adv;
    for (int i = 0; i < 60; i++) { /* nobody reads */
        kit_data(&k, data, 1448);
        while (kit_next(&k, &s)) {
            uint32_t now = s.ack + ((uint32_t)s.wnd << k.pcb->rcv_wscale);
            assert_true(seq_ge(now, edge));
            edge = now;
        }
    }
    /* Rounding the scaled window up adds less than a tenth. */
    assert_true(tcp_readable_bytes(k.pcb) <= TCP_RCVBUF_INITIAL * 11 / 10);
    tcp_abort(k.pcb);
}

static void a_full_buffer_opens_no_small_window(void **state) /* RFC 9293 3.8.6.2.2 */
{
    static uint8_t data[1448], got[3000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    while (k.pcb->rcv_adv - k.pcb->rcv_nxt >= sizeof data)
        kit_data(&k, data, sizeof data);
    uint32_t rest = k.pcb->rcv_adv - k.pcb->rcv_nxt;
    kit_data(&k, data, rest);
    kit_pass(&k, 100 * NET_NS_PER_MS); /* a delayed ACK */
    assert_true(kit_last(&k, &s) && !s.wnd);
    for (unsigned i = 0; i < 20; i++) /* less than a segment, bit by bit */
        assert_int_equal(tcp_read(k.pcb, got, 50), 50);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 0);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd - 1, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval }); /* a probe */
    assert_true(kit_last(&k, &s) == 1 && !s.wnd);
    for (unsigned i = 0; i < 3; i++)
        tcp_read(k.pcb, got, sizeof got);
    kit_run(&k);
    assert_true(kit_last(&k, &s) == 1 && (uint32_t)s.wnd << k.pcb->rcv_wscale >= 2 * sizeof data);
    tcp_abort(k.pcb);
}

static void data_beyond_the_window_is_cut_off(void **state)
{
    static uint8_t data[1448];
    kit_establish(&k, true, true);
    uint32_t window = k.pcb->rcv_adv - k.pcb->rcv_nxt;
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + window - 10, .ack = k.rcv, .wnd = 512, .len = 1448, .data = data, .ts = true, .tsval = ++k.tsval });
    assert_non_null(k.pcb->islands);
    assert_int_equal(k.pcb->islands->end - k.pcb->islands->start, 10);
    tcp_abort(k.pcb);
}

static void many_gaps_are_bounded(void **state)
{
    kit_establish(&k, true, true);
    for (uint32_t i = 1; i < 5000; i++) {
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + 2 * i, .ack = k.rcv, .wnd = 512, .len = 1, .ts = true, .tsval = ++k.tsval });
        k.sent_count = k.sent_read = 0;
    }
    assert_true(k.pcb->island_count <= TCP_ISLANDS);
    assert_true(k.pcb->rcv_true < 300000);
    tcp_abort(k.pcb);
}

static void tiny_segments_do_not_pin_a_buffer_each(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    for (int i = 0; i < 2000; i++) {
        kit_data(&k, "x", 1);
        kit_last(&k, &s);
    }
    assert_int_equal(tcp_readable_bytes(k.pcb), 2000);
    assert_true(k.pcb->rcv_true < 20000);
    tcp_abort(k.pcb);
}

static void closing_with_unread_data_resets(void **state) /* RFC 2525 2.17 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_data(&k, "unread", 6);
    kit_last(&k, &s);
    tcp_close(k.pcb);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_RST));
}

static void data_after_close_resets(void **state) /* RFC 9293 3.10.4 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_close(k.pcb);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_FIN));
    kit_data(&k, "late", 4);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_RST));
    assert_int_equal(k.ns->tcp_pcbs.in_use, 0);
}

static void a_fin_behind_a_gap_after_close_resets(void **state) /* there is data in the gap */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_close(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_FIN, .seq = k.snd + 5, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_true(kit_last(&k, &s) && (s.flags & TCP_RST) && s.seq == k.rcv);
    assert_int_equal(k.ns->tcp_pcbs.in_use, 0);
}

static void linger_zero_resets(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_LINGER_S, 0);
    tcp_close(k.pcb);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_RST));
}

static void the_end_of_the_stream_is_seen_after_the_data(void **state)
{
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_FIN, .seq = k.snd + 5, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_false(tcp_at_eof(k.pcb));
    put(0, "hello");
    assert_int_equal(k.pcb->state, TCP_CLOSE_WAIT);
    expect("hello");
    assert_true(tcp_at_eof(k.pcb));
    char c;
    assert_int_equal(tcp_read(k.pcb, &c, 1), 0);
}

static void urgent(uint32_t at, const char *text, uint16_t pointer)
{
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_URG, .seq = k.snd + at, .ack = k.rcv, .wnd = 512, .len = (uint32_t)strlen(text),
                                   .data = (const uint8_t *)text, .urgent = pointer, .ts = k.ts, .tsval = ++k.tsval });
}

static void an_urgent_byte_is_read_apart_and_the_stream_stops_at_it(void **state) /* RFC 6093, MSG_OOB and SIOCATMARK of Linux */
{
    uint8_t byte = 0;
    kit_establish(&k, true, true);
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), -NET_EINVAL);
    urgent(0, "ab!cd", 3);
    assert_int_equal(tcp_readable_bytes(k.pcb), 2);
    assert_false(tcp_at_mark(k.pcb));
    expect("ab");
    assert_true(tcp_at_mark(k.pcb));
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, true), 1);
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), 1);
    assert_int_equal(byte, '!');
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), -NET_EINVAL);
    expect("cd");
    assert_false(tcp_at_mark(k.pcb));
    assert_int_equal(tcp_readable_bytes(k.pcb), 0);
}

static void an_urgent_byte_stays_in_line_if_asked_to(void **state)
{
    uint8_t byte;
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_OOBINLINE, 1);
    urgent(0, "ab!cd", 3);
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), -NET_EINVAL);
    expect("ab");
    assert_true(tcp_at_mark(k.pcb));
    expect("!cd");
    assert_false(tcp_at_mark(k.pcb));
}

static void an_urgent_byte_may_be_announced_before_it_comes(void **state)
{
    uint8_t byte;
    kit_establish(&k, true, true);
    urgent(0, "ab", 5);
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), -NET_EAGAIN);
    put(4, "!z"); /* out of order: the byte is known, the stream is not */
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), 1);
    assert_int_equal(byte, '!');
    put(2, "cd");
    expect("abcd");
    struct pbuf *pb = tcp_recv(k.pcb);
    assert_non_null(pb);
    assert_true(pb->total == 1 && pb->data[0] == 'z');
    pbuf_put(pb);
}

static void buffers_stop_at_an_urgent_byte_as_well(void **state)
{
    kit_establish(&k, true, true);
    urgent(0, "ab!cd", 3);
    struct pbuf *pb = tcp_recv(k.pcb);
    assert_true(pb->total == 2 && pb->len == 2 && pb->data[1] == 'b');
    pbuf_put(pb);
    pb = tcp_recv(k.pcb);
    assert_true(pb->total == 2 && pb->data[0] == 'c');
    pbuf_put(pb);
    assert_null(tcp_recv(k.pcb));
}

static void a_newer_urgent_byte_takes_the_place_of_the_older(void **state)
{
    uint8_t byte;
    kit_establish(&k, true, true);
    urgent(0, "ab!", 3);
    urgent(3, "cd?", 3);
    assert_int_equal(tcp_read_urgent(k.pcb, &byte, false), 1);
    assert_int_equal(byte, '?');
    expect("ab!cd"); /* nobody stops at the older any more, so it is data, as in Linux */
}

static void segments_of_any_size_inside_the_window_are_kept(void **state)
{
    static const uint32_t sizes[] = { 100, 300, 513, 536, 700, 929, 1000, 1200 };
    static uint8_t bytes[1448];
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct kit_seg s;
        kit_establish(&k, true, true);
        k.pcb->quickacks = 0;
        uint32_t edge = k.pcb->rcv_adv;
        while (seq_le(k.snd + sizes[i], edge)) {
            kit_data(&k, bytes, sizes[i]);
            if (kit_last(&k, &s))
                edge = s.ack + ((uint32_t)s.wnd << k.pcb->rcv_wscale);
        }
        assert_int_equal(tcp_readable_bytes(k.pcb), k.snd - 0xfffffff1u);
        assert_in_range(tcp_readable_bytes(k.pcb), TCP_RCVBUF_INITIAL * 9 / 10, TCP_RCVBUF_INITIAL * 11 / 10);
        assert_int_equal(k.ns->counters.memory_refused, 0);
        tcp_abort(k.pcb);
        kit_run(&k);
        kit_last(&k, &s);
    }
}

static void rounding_does_not_let_the_window_creep(void **state) /* RFC 7323 2.4 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    uint32_t edge = k.pcb->rcv_adv;
    for (int i = 0; i < 20000 && seq_le(k.snd + 65, edge); i++) {
        k.pcb->quickacks = 16;
        kit_data(&k, (uint8_t[65]){ 0 }, 65);
        if (kit_last(&k, &s))
            edge = s.ack + ((uint32_t)s.wnd << k.pcb->rcv_wscale);
    }
    assert_in_range(tcp_readable_bytes(k.pcb), TCP_RCVBUF_INITIAL * 9 / 10, TCP_RCVBUF_INITIAL * 11 / 10);
}

static void nothing_follows_a_fin(void **state) /* whichever of both comes first */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    struct kit_seg behind = { .flags = TCP_ACK, .seq = k.snd + 50, .ack = k.rcv, .wnd = 512, .len = 100, .ts = true, .tsval = ++k.tsval };
    kit_send(&k, behind);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_FIN, .seq = k.snd, .ack = k.rcv, .wnd = 512, .len = 100, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(k.pcb->state, TCP_CLOSE_WAIT);
    assert_int_equal(tcp_readable_bytes(k.pcb), 100);
    kit_last(&k, &s);
    assert_true(s.ack == k.snd + 101);
    tcp_abort(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_FIN, .seq = k.snd + 20, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    behind.seq = k.snd + 10;
    behind.ack = k.rcv;
    behind.tsval = ++k.tsval;
    kit_send(&k, behind);
    kit_data(&k, NULL, 10);
    assert_int_equal(k.pcb->state, TCP_CLOSE_WAIT);
    assert_int_equal(tcp_readable_bytes(k.pcb), 20);
}

static void data_behind_a_gap_is_no_unread_data(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + 50, .ack = k.rcv, .wnd = 512, .len = 100, .ts = true, .tsval = ++k.tsval });
    kit_last(&k, &s);
    tcp_close(k.pcb);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true((s.flags & TCP_FIN) && !(s.flags & TCP_RST));
    kit_data(&k, NULL, 50); /* what comes now nobody can read; the peer waits for k.rcv, our FIN is not there yet */
    kit_last(&k, &s);
    assert_true((s.flags & TCP_RST) && s.seq == k.rcv);
}

static void shutting_down_what_is_closed_fails(void **state)
{
    kit_establish(&k, true, true);
    assert_int_equal(tcp_shutdown(k.pcb), 0);
    assert_int_equal(tcp_shutdown(k.pcb), 0);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd });
    assert_int_equal(tcp_shutdown(k.pcb), -NET_ENOTCONN);
    tcp_close(k.pcb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_in_any_order_with_overlaps_come_out_right, setup, teardown),
        cmocka_unit_test_setup_teardown(sack_names_the_newest_run_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_duplicate_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(every_second_segment_is_acknowledged_others_soon, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_leaves_no_timer_for_the_acknowledgement, setup, teardown),
        cmocka_unit_test_setup_teardown(the_buffer_grows_with_what_a_reader_takes_in_a_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(a_buffer_that_the_user_chose_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(the_right_edge_never_moves_left, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_buffer_opens_no_small_window, setup, teardown),
        cmocka_unit_test_setup_teardown(data_beyond_the_window_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(many_gaps_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(tiny_segments_do_not_pin_a_buffer_each, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_with_unread_data_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(data_after_close_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fin_behind_a_gap_after_close_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(linger_zero_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_the_stream_is_seen_after_the_data, setup, teardown),
        cmocka_unit_test_setup_teardown(an_urgent_byte_is_read_apart_and_the_stream_stops_at_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_urgent_byte_stays_in_line_if_asked_to, setup, teardown),
        cmocka_unit_test_setup_teardown(an_urgent_byte_may_be_announced_before_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(buffers_stop_at_an_urgent_byte_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_urgent_byte_takes_the_place_of_the_older, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_of_any_size_inside_the_window_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(rounding_does_not_let_the_window_creep, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_follows_a_fin, setup, teardown),
        cmocka_unit_test_setup_teardown(data_behind_a_gap_is_no_unread_data, setup, teardown),
        cmocka_unit_test_setup_teardown(shutting_down_what_is_closed_fails, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
