/* SPDX-License-Identifier: BSD-2-Clause */
/* Fast Open (RFC 7413), both roles. */
#include "tests/net/kit/kit.h"

#include <string.h>

static struct kit k;
static int setup(void **state)
{
    kit_setup(&k);
    tcp_listener_set(k.listener, TCP_OPT_FASTOPEN, 4);
    return 0;
}
static int teardown(void **state) { kit_teardown(&k); return 0; }

/* ---- as server ---- */

static struct kit_seg syn(uint16_t sport, uint32_t seq)
{
    return (struct kit_seg){ .sport = sport, .flags = TCP_SYN, .seq = seq, .wnd = 20000, .mss = 1400, .sack_ok = true, .wscale = 5, .ts = true, .tsval = 77, .fo = true };
}

static struct tcp_fo_cookie ask(uint16_t sport)
{
    struct kit_seg s = { 0 };
    uint32_t before = k.ns->syn_count;
    kit_send(&k, syn(sport, 100));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == (TCP_SYN | TCP_ACK) && s.fo && s.cookie.bytes == 8 && s.ack == 101);
    kit_send(&k, (struct kit_seg){ .sport = sport, .flags = TCP_RST, .seq = 101 });
    assert_int_equal(k.ns->syn_count, before);
    return s.cookie;
}

static struct kit_seg with_data(uint16_t sport, uint32_t seq, struct tcp_fo_cookie cookie, const char *text)
{
    struct kit_seg s = syn(sport, seq);
    s.cookie = cookie;
    s.data = (const uint8_t *)text;
    s.len = (uint32_t)strlen(text);
    return s;
}

static struct kit_seg answer(const struct kit_seg *to, uint32_t seq, uint32_t ack)
{
    return (struct kit_seg){ .sport = to->dport, .flags = TCP_ACK, .seq = seq, .ack = ack, .wnd = 1000, .ts = true, .tsval = 78, .tsecr = to->tsval };
}

static void data_in_the_syn_is_served_before_the_handshake_is_done(void **state)
{
    struct kit_seg s = { 0 };
    char buf[16];
    struct tcp_fo_cookie c = ask(5555);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == (TCP_SYN | TCP_ACK) && s.ack == 1006 && !s.fo);
    assert_int_equal(k.listener->fo_pending, 1);
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_non_null(pcb);
    assert_int_equal(tcp_read(pcb, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(tcp_write(pcb, "world", 5), 5);
    kit_run(&k);
    struct kit_seg d;
    assert_int_equal(kit_last(&k, &d), 1); /* RFC 7413 4.2.2: before the ACK */
    assert_true(d.len == 5 && d.seq == s.seq + 1 && d.flags == (TCP_ACK | TCP_PSH) && d.ack == 1006);
    assert_int_equal(pcb->state, TCP_SYN_RCVD);
    kit_send(&k, answer(&s, 1006, s.seq + 6));
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    assert_int_equal(pcb->snd_una, s.seq + 6);
    assert_true(!pcb->rtx_head);
    assert_int_equal(k.listener->fo_pending, 0);
    struct tcp_conn_info info;
    tcp_info(pcb, &info);
    assert_true(info.opt_syn_data && info.snd_wscale == 5 && info.opt_sack);
    tcp_abort(pcb);
}

static void an_answer_and_a_close_need_no_ack_either(void **state)
{
    struct kit_seg s = { 0 }, d = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    kit_send(&k, with_data(6000, 1000, c, "GET"));
    kit_last(&k, &s);
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    char buf[8];
    assert_int_equal(tcp_read(pcb, buf, sizeof buf), 3);
    tcp_write(pcb, "body", 4);
    tcp_close(pcb);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.len == 4 && (d.flags & TCP_FIN));
    kit_send(&k, answer(&s, 1004, s.seq + 6));
    assert_int_equal(pcb->state, TCP_FIN_WAIT_2);
    struct kit_seg fin = answer(&s, 1004, s.seq + 6);
    fin.flags |= TCP_FIN;
    kit_send(&k, fin);
    assert_int_equal(k.ns->timewait_count, 1);
}

static void without_a_good_cookie_the_data_waits(void **state)
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    c.b[3] ^= 1;
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == 1001 && s.fo && s.cookie.bytes == 8); /* nothing taken, and a good one for the next time */
    assert_null(tcp_accept(k.listener));
    assert_int_equal(k.ns->counters.tcp_fastopen_bad, 1);
    kit_send(&k, answer(&s, 1001, s.seq + 1));
    assert_non_null(tcp_accept(k.listener));
}

static void a_cookie_of_somebody_else_is_none(void **state)
{
    struct net_flow_key other = { .local = net_addr_v4(0x0a000001), .remote = net_addr_v4(0x0a000003) };
    struct tcp_fo_cookie c;
    struct kit_seg s;
    tcp_fo_make(k.ns, &other, &c);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    kit_last(&k, &s);
    assert_true(s.ack == 1001);
    for (unsigned n = 4; n <= 16; n += 2) { /* nor is one of another length */
        c = ask(5555);
        c.bytes = (uint8_t)n;
        kit_send(&k, with_data((uint16_t)(7000 + n), 1000, c, "hello"));
        kit_last(&k, &s);
        assert_true(s.ack == (n == 8 ? 1006u : 1001u));
    }
}

static void cookies_age_and_are_renewed(void **state)
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    kit_pass(&k, 3600 * NET_NS_PER_S);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == 1006 && s.fo && memcmp(s.cookie.b, c.b, 8) != 0);
    tcp_abort(tcp_accept(k.listener));
    kit_pass(&k, 3600 * NET_NS_PER_S);
    kit_last(&k, &s);
    kit_send(&k, with_data(6001, 1000, c, "hello"));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.ack, 1001);
}

static void a_listener_that_has_it_off_ignores_the_option(void **state)
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    tcp_listener_set(k.listener, TCP_OPT_FASTOPEN, 0);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == 1001 && !s.fo);
}

static void pending_requests_are_limited(void **state) /* RFC 7413 5.1 */
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    for (uint16_t i = 0; i < 4; i++) {
        kit_send(&k, with_data((uint16_t)(6000 + i), 1000, c, "x"));
        kit_last(&k, &s);
        assert_int_equal(s.ack, 1002);
    }
    kit_send(&k, with_data(6100, 1000, c, "x"));
    kit_last(&k, &s);
    assert_true(s.ack == 1001 && !s.fo && k.ns->counters.tcp_fastopen_limited == 1);
    /* Those whom somebody spoke for reset them. They count on for a while. */
    for (uint16_t i = 0; i < 4; i++)
        kit_send(&k, (struct kit_seg){ .sport = (uint16_t)(6000 + i), .flags = TCP_RST, .seq = 1002 });
    assert_int_equal(k.listener->fo_pending, 0);
    kit_send(&k, with_data(6101, 1000, c, "x"));
    kit_last(&k, &s);
    assert_int_equal(s.ack, 1001);
    kit_pass(&k, 61 * NET_NS_PER_S);
    kit_last(&k, &s);
    kit_send(&k, with_data(6102, 1000, c, "x"));
    kit_last(&k, &s);
    assert_int_equal(s.ack, 1002);
}

static void a_repeated_syn_is_answered_as_before(void **state)
{
    struct kit_seg a = { 0 }, b = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    kit_last(&k, &a);
    kit_pass(&k, 500 * NET_NS_PER_MS);
    kit_last(&k, &b);
    struct kit_seg again = syn(6000, 1000); /* as clients repeat it: without data */
    again.fo = false;
    kit_send(&k, again);
    assert_int_equal(kit_last(&k, &b), 1);
    assert_true(b.flags == (TCP_SYN | TCP_ACK) && b.seq == a.seq && b.ack == 1006);
    kit_send(&k, with_data(6000, 1000, c, "hello")); /* and not without limit */
    assert_int_equal(kit_last(&k, &b), 0);
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_int_equal(tcp_readable_bytes(pcb), 5);
    assert_null(tcp_accept(k.listener));
    tcp_abort(pcb);
}

static void nobody_acknowledges_and_it_ends(void **state)
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    kit_send(&k, with_data(6001, 1000, c, "hello")); /* this one is not even accepted */
    kit_last(&k, &s);
    kit_pass(&k, 120 * NET_NS_PER_S);
    assert_true(pcb->state == TCP_CLOSED && pcb->ep.error == NET_ETIMEDOUT);
    assert_null(tcp_accept(k.listener));
    assert_int_equal(k.listener->fo_pending, 0);
    tcp_close(pcb);
}

static void a_listener_closes_before_the_handshake_is_done(void **state)
{
    struct kit_seg s = { 0 };
    struct tcp_fo_cookie c = ask(5555);
    kit_send(&k, with_data(6000, 1000, c, "hello"));
    kit_send(&k, with_data(6001, 1000, c, "hello"));
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    kit_next(&k, &s);
    tcp_listener_close(k.listener);
    kit_run(&k);
    assert_null(pcb->fo_listener);
    kit_send(&k, answer(&s, 1006, s.seq + 1));
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    tcp_abort(pcb);
}

/* ---- as client ---- */

static const struct tcp_fo_cookie theirs = { 8, { 1, 2, 3, 4, 5, 6, 7, 8 } };

static struct tcp_pcb *open_with(const void *data, uint32_t bytes)
{
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = 443, .data = data, .data_bytes = bytes, .fast_open = true };
    int err;
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    assert_non_null(pcb);
    kit_run(&k);
    return pcb;
}

static struct kit_seg syn_ack(const struct kit_seg *to, uint32_t ack)
{
    return (struct kit_seg){ .sport = to->dport, .dport = to->sport, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = ack, .wnd = 30000, .mss = 1000,
                             .sack_ok = true, .wscale = 3, .ts = true, .tsval = 1, .tsecr = to->tsval };
}

/* A first connection, by which a cookie comes. */
static void get_cookie(void)
{
    struct kit_seg s = { 0 }, a;
    struct tcp_pcb *pcb = open_with("first", 5);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_SYN && s.fo && !s.cookie.bytes && !s.len);
    a = syn_ack(&s, s.seq + 1);
    a.fo = true;
    a.cookie = theirs;
    kit_send(&k, a);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.len == 5 && s.ack == 501); /* what had to wait */
    tcp_abort(pcb);
    kit_run(&k);
    kit_last(&k, &s);
}

static void data_goes_with_the_syn_once_a_cookie_is_known(void **state)
{
    struct kit_seg s = { 0 }, d;
    get_cookie();
    struct tcp_pcb *pcb = open_with("hello", 5);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true((s.flags & TCP_SYN) && s.fo && s.cookie.bytes == 8 && memcmp(s.cookie.b, theirs.b, 8) == 0);
    assert_true(s.len == 5 && memcmp(s.data, "hello", 5) == 0);
    kit_send(&k, syn_ack(&s, s.seq + 6));
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.flags == TCP_ACK && d.seq == s.seq + 6 && !d.len);
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    struct tcp_conn_info info;
    tcp_info(pcb, &info);
    assert_true(info.opt_syn_data && !pcb->rtx_head && !pcb->snd_head && info.bytes_acked == 5);
    assert_int_equal(k.ns->counters.tcp_fastopen_out, 1);
    tcp_abort(pcb);
}

static void no_more_than_a_segment_goes_and_the_rest_follows(void **state)
{
    static uint8_t text[968 + 2 * 988]; /* three full segments */
    struct kit_seg s = { 0 }, d;
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    get_cookie();
    struct tcp_pcb *pcb = open_with(text, sizeof text);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.len, 1000 - 32); /* MSS less options */
    assert_memory_equal(s.data, text, s.len);
    kit_send(&k, syn_ack(&s, s.seq + 1 + s.len));
    uint32_t at = s.len;
    while (kit_next(&k, &d)) {
        assert_true(d.seq == s.seq + 1 + at && !memcmp(d.data, text + at, d.len));
        at += d.len;
    }
    assert_int_equal(at, sizeof text);
    tcp_abort(pcb);
}

static void data_that_was_not_taken_goes_again_at_once(void **state) /* RFC 7413 4.2.2 */
{
    struct kit_seg s = { 0 }, d;
    get_cookie();
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    kit_send(&k, syn_ack(&s, s.seq + 1));
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.len == 5 && d.seq == s.seq + 1 && !memcmp(d.data, "hello", 5));
    kit_send(&k, (struct kit_seg){ .sport = s.dport, .dport = s.sport, .flags = TCP_ACK, .seq = 501, .ack = s.seq + 6, .wnd = 1000, .ts = true, .tsval = 2 });
    assert_true(!pcb->rtx_head && !pcb->lost_bytes);
    assert_int_equal(k.ns->counters.tcp_fastopen_lost, 0); /* the server did not want it: no black hole */
    tcp_abort(pcb);
}

static void a_part_that_was_taken_is_not_sent_again(void **state)
{
    struct kit_seg s = { 0 }, d;
    get_cookie();
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    kit_send(&k, syn_ack(&s, s.seq + 3));
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.len == 3 && d.seq == s.seq + 3 && !memcmp(d.data, "llo", 3));
    tcp_abort(pcb);
}

/* The SYN with data vanishes; an ordinary one comes through. */
static void lose_one(void)
{
    struct kit_seg s = { 0 }, d;
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    assert_int_equal(s.len, 5);
    kit_pass(&k, 1100 * NET_NS_PER_MS);
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.flags == TCP_SYN && d.seq == s.seq && !d.fo && !d.len);
    kit_send(&k, syn_ack(&s, s.seq + 1));
    assert_int_equal(kit_last(&k, &d), 1);
    assert_true(d.len == 5);
    tcp_abort(pcb);
    kit_last(&k, &d);
}

static void plain_syn_now(void)
{
    struct kit_seg s = { 0 };
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    assert_true(s.flags == TCP_SYN && !s.fo && !s.len);
    tcp_abort(pcb);
}

static void a_black_hole_is_avoided_for_longer_each_time(void **state)
{
    get_cookie();
    lose_one();
    plain_syn_now();
    kit_pass(&k, 121 * NET_NS_PER_S);
    lose_one();
    kit_pass(&k, 121 * NET_NS_PER_S);
    plain_syn_now();
    kit_pass(&k, 120 * NET_NS_PER_S);
    struct kit_seg s = { 0 };
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    assert_int_equal(s.len, 5);
    kit_send(&k, syn_ack(&s, s.seq + 6)); /* it works again: forgotten */
    tcp_abort(pcb);
    kit_last(&k, &s);
    lose_one();
    kit_pass(&k, 121 * NET_NS_PER_S);
    lose_one();
}

static void three_in_a_row_turn_it_off_everywhere(void **state)
{
    get_cookie();
    lose_one();
    kit_pass(&k, 121 * NET_NS_PER_S);
    lose_one();
    kit_pass(&k, 241 * NET_NS_PER_S);
    lose_one();
    kit_pass(&k, 481 * NET_NS_PER_S);
    plain_syn_now();
    kit_pass(&k, 3600 * NET_NS_PER_S);
    lose_one();
}

static void an_answer_to_the_plain_syn_that_takes_the_data_is_no_loss(void **state)
{
    struct kit_seg s = { 0 };
    get_cookie();
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    kit_pass(&k, 1100 * NET_NS_PER_MS);
    kit_send(&k, syn_ack(&s, s.seq + 6)); /* only its first SYN-ACK was lost */
    assert_int_equal(k.ns->counters.tcp_fastopen_lost, 0);
    assert_true(!pcb->rtx_head);
    tcp_abort(pcb);
}

static void a_reset_after_data_makes_the_next_one_plain(void **state)
{
    struct kit_seg s = { 0 };
    get_cookie();
    struct tcp_pcb *pcb = open_with("hello", 5);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .sport = s.dport, .dport = s.sport, .flags = TCP_RST | TCP_ACK, .ack = s.seq + 6 });
    assert_true(pcb->state == TCP_CLOSED && pcb->ep.error == NET_ECONNREFUSED);
    tcp_close(pcb);
    plain_syn_now();
}

static void cookies_of_many_peers_take_bounded_memory(void **state)
{
    for (uint32_t i = 0; i < 3000; i++) {
        struct net_flow_key key = { .local = net_addr_v4(0x0a000001), .remote = net_addr_v4(0x0b000000 + i) };
        k.ns->now_ns++;
        tcp_fo_learn(k.ns, &key, &theirs, 1000);
    }
    assert_int_equal(k.ns->fo_table.count, 1024);
    assert_int_equal(k.ns->fo_peers.in_use, 1024);
}

static void malformed_options_are_no_option(void **state)
{
    struct tcp_in in = { .flags = TCP_SYN };
    uint8_t h[60] = { 0 };
    for (unsigned n = 2; n <= 40; n++) {
        h[20] = 34;
        h[21] = (uint8_t)n;
        in.has_fo = 0;
        assert_true(tcp_parse_options(&in, h, 60));
        assert_int_equal(in.has_fo, n == 2 || (n % 2 == 0 && n >= 6 && n <= 18));
    }
    in.flags = TCP_ACK;
    in.has_fo = 0;
    h[21] = 10;
    assert_true(tcp_parse_options(&in, h, 60) && !in.has_fo);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_in_the_syn_is_served_before_the_handshake_is_done),
        TEST(an_answer_and_a_close_need_no_ack_either),
        TEST(without_a_good_cookie_the_data_waits),
        TEST(a_cookie_of_somebody_else_is_none),
        TEST(cookies_age_and_are_renewed),
        TEST(a_listener_that_has_it_off_ignores_the_option),
        TEST(pending_requests_are_limited),
        TEST(a_repeated_syn_is_answered_as_before),
        TEST(nobody_acknowledges_and_it_ends),
        TEST(a_listener_closes_before_the_handshake_is_done),
        TEST(data_goes_with_the_syn_once_a_cookie_is_known),
        TEST(no_more_than_a_segment_goes_and_the_rest_follows),
        TEST(data_that_was_not_taken_goes_again_at_once),
        TEST(a_part_that_was_taken_is_not_sent_again),
        TEST(a_black_hole_is_avoided_for_longer_each_time),
        TEST(three_in_a_row_turn_it_off_everywhere),
        TEST(an_answer_to_the_plain_syn_that_takes_the_data_is_no_loss),
        TEST(a_reset_after_data_makes_the_next_one_plain),
        TEST(cookies_of_many_peers_take_bounded_memory),
        TEST(malformed_options_are_no_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
