/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static struct kit_seg syn(uint16_t sport, uint32_t seq)
{
    return (struct kit_seg){ .sport = sport, .flags = TCP_SYN, .seq = seq, .wnd = 1000, .mss = 1400, .sack_ok = true, .wscale = 5, .ts = true, .tsval = 77 };
}

static void a_syn_ack_is_repeated_and_given_up(void **state)
{
    struct kit_seg s;
    kit_send(&k, syn(5555, 100));
    assert_int_equal(kit_last(&k, &s), 1);
    kit_pass(&k, 40 * NET_NS_PER_S);
    assert_int_equal(kit_last(&k, &s), 5);
    kit_pass(&k, 60 * NET_NS_PER_S);
    assert_int_equal(k.ns->syn_count, 0);
}

static void a_repeated_syn_gets_the_same_answer(void **state)
{
    struct kit_seg a, b;
    kit_send(&k, syn(5555, 100));
    kit_last(&k, &a);
    kit_pass(&k, 500 * NET_NS_PER_MS);
    kit_send(&k, syn(5555, 100));
    assert_int_equal(kit_last(&k, &b), 1);
    assert_true(a.seq == b.seq && a.ack == b.ack);
    assert_int_equal(k.ns->syn_count, 1);
}

static void a_reset_ends_a_half_open_connection_only_if_exact(void **state)
{
    struct kit_seg s;
    kit_send(&k, syn(5555, 100));
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = 300 });
    assert_int_equal(k.ns->syn_count, 1);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = 101 });
    assert_int_equal(k.ns->syn_count, 0);
}

static void flood(unsigned n)
{
    struct kit_seg s;
    for (unsigned i = 0; i < n; i++) {
        kit_send(&k, syn((uint16_t)(10000 + i), i));
        kit_last(&k, &s);
    }
}

static void a_full_queue_answers_with_cookies_that_keep_the_options(void **state) /* RFC 4987 3.6 */
{
    struct kit_seg s;
    flood(200);
    assert_true(k.ns->syn_count <= 128);
    assert_true(k.ns->counters.tcp_cookies_sent >= 72);
    kit_send(&k, syn(5555, 100));
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.sack_ok && s.ts && s.wscale);
    kit_pass(&k, NET_NS_PER_S);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 1000, .ts = true, .tsval = 78, .tsecr = s.tsval, .len = 4 });
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_non_null(pcb);
    assert_true(pcb->sack_ok && pcb->ts_ok && pcb->snd_wscale == 5);
    assert_int_equal(pcb->peer_mss, 1300);
    assert_int_equal(tcp_readable_bytes(pcb), 4);
}

static void a_forged_cookie_is_refused(void **state)
{
    struct kit_seg s;
    flood(200);
    for (uint32_t i = 0; i < 1000; i++) {
        kit_send(&k, (struct kit_seg){ .sport = 5555, .flags = TCP_ACK, .seq = 101, .ack = i * 2654435761u, .wnd = 1000 });
        assert_true(kit_last(&k, &s) == 1 && (s.flags & TCP_RST));
    }
    assert_null(tcp_accept(k.listener));
    assert_int_equal(k.ns->counters.tcp_cookies_bad, 1000);
}

static void an_old_cookie_is_refused(void **state)
{
    struct kit_seg s;
    flood(200);
    kit_send(&k, syn(5555, 100));
    kit_last(&k, &s);
    kit_pass(&k, 200 * NET_NS_PER_S);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 1000 });
    assert_null(tcp_accept(k.listener));
}

static void a_full_accept_queue_drops_and_recovers(void **state)
{
    struct kit_seg s;
    tcp_listener_close(k.listener);
    struct net_addr any = net_addr_v4(0);
    int err;
    k.listener = tcp_listen(k.ns, &any, KIT_PORT, 1, &err);
    for (uint16_t p = 1; p <= 2; p++) {
        kit_send(&k, syn(p, 100));
        if (p == 2) { /* the queue is full: not even an answer */
            assert_int_equal(kit_last(&k, &s), 0);
            break;
        }
        kit_last(&k, &s);
        kit_send(&k, (struct kit_seg){ .sport = p, .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 1000, .ts = true, .tsval = 78 });
    }
    assert_non_null(tcp_accept(k.listener));
    kit_send(&k, syn(2, 100));
    assert_int_equal(kit_last(&k, &s), 1);
}

static struct kit_seg into_time_wait(void)
{
    struct kit_seg s = { 0 };
    kit_establish(&k, true, true);
    tcp_close(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_FIN | TCP_ACK, .seq = k.snd, .ack = k.rcv + 1, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(k.ns->timewait_count, 1);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == k.snd + 1);
    return s;
}

static void time_wait_answers_a_repeated_fin_and_ignores_resets(void **state) /* RFC 9293 3.10.7.4, RFC 1337 */
{
    struct kit_seg s;
    into_time_wait();
    kit_pass(&k, 40 * NET_NS_PER_S);
    kit_send(&k, (struct kit_seg){ .flags = TCP_FIN | TCP_ACK, .seq = k.snd, .ack = k.rcv + 1, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_ACK && s.ack == k.snd + 1);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 1 });
    assert_int_equal(k.ns->timewait_count, 1);
    kit_pass(&k, 40 * NET_NS_PER_S); /* the repeated FIN began the wait anew */
    assert_int_equal(k.ns->timewait_count, 1);
    kit_pass(&k, 30 * NET_NS_PER_S);
    assert_int_equal(k.ns->timewait_count, 0);
}

static void time_wait_answers_what_does_not_fit_at_a_limited_rate(void **state) /* RFC 9293 3.10.7.4 */
{
    struct kit_seg s, probe = { .flags = TCP_ACK, .seq = 0, .wnd = 512, .ts = true };
    into_time_wait();
    probe.seq = k.snd; /* the FIN's place */
    probe.ack = k.rcv + 1;
    probe.tsval = ++k.tsval;
    k.sent_read = k.sent_count;
    for (unsigned i = 0; i < 10; i++)
        kit_send(&k, probe);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_ACK && s.ack == k.snd + 1);
    kit_pass(&k, NET_NS_PER_S);
    kit_send(&k, probe);
    assert_int_equal(kit_last(&k, &s), 1);
    kit_pass(&k, NET_NS_PER_S);
    probe.seq++; /* nothing but an ACK of everything */
    kit_send(&k, probe);
    probe.flags = probe.ack = 0; /* nothing at all */
    kit_send(&k, probe);
    assert_int_equal(kit_last(&k, &s), 0);
}

static void time_wait_gives_way_to_a_newer_connection(void **state) /* RFC 6191 */
{
    struct kit_seg s;
    into_time_wait();
    struct kit_seg old = syn(KIT_PEER_PORT, k.snd + 1000);
    old.tsval = 1; /* older than what was seen: a stray duplicate */
    kit_send(&k, old);
    kit_last(&k, &s);
    assert_int_equal(k.ns->timewait_count, 1);
    struct kit_seg fresh = syn(KIT_PEER_PORT, k.snd - 5000);
    fresh.tsval = k.tsval + 1000;
    kit_send(&k, fresh);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(k.ns->timewait_count, 0);
}

static void time_wait_gives_way_to_nothing_where_nobody_listens(void **state) /* RFC 6191 2 */
{
    struct kit_seg s;
    into_time_wait();
    tcp_listener_close(k.listener);
    struct kit_seg fresh = syn(KIT_PEER_PORT, k.snd + 5000);
    fresh.tsval = k.tsval + 1000;
    k.sent_read = k.sent_count;
    kit_send(&k, fresh);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_ACK);
    assert_int_equal(k.ns->timewait_count, 1);
}

static void what_nobody_accepted_has_no_events(void **state)
{
    struct kit_seg s;
    struct net_endpoint *ep;
    unsigned events = 0, seen = 0;
    kit_send(&k, syn(5555, 100));
    kit_last(&k, &s);
    struct kit_seg data = { .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 1000, .ts = true, .tsval = 78, .len = 4 };
    kit_send(&k, data);
    data.seq += 4;
    kit_send(&k, data);
    assert_int_equal(k.events_of_strangers, 0);
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_non_null(pcb);
    while ((ep = net_event_next(k.ns, &events)))
        if (ep == tcp_endpoint(pcb))
            seen |= events;
    assert_int_equal(seen, NET_EV_READABLE);
    assert_int_equal(tcp_readable_bytes(pcb), 8);
    tcp_abort(pcb);
}

static void a_flood_beyond_what_is_bearable_is_shed(void **state)
{
    struct kit_seg s;
    k.now_ns += NET_NS_PER_S;
    kit_run(&k);
    flood(3000); /* at one moment */
    assert_true(k.ns->counters.tcp_syn_dropped >= 3000 - 1024);
    kit_send(&k, syn(5555, 100));
    assert_int_equal(kit_last(&k, &s), 0);
    kit_pass(&k, 10 * NET_NS_PER_MS);
    kit_last(&k, &s);
    kit_send(&k, syn(5555, 100)); /* and then it is over */
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK);
}

static void data_that_begins_below_the_window_finishes_the_handshake_too(void **state) /* RFC 9293 3.4: any part of it */
{
    struct kit_seg s;
    kit_send(&k, syn(5555, 100));
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 99, .ack = s.seq + 1, .wnd = 1000, .ts = true, .tsval = 78, .len = 10 });
    struct tcp_pcb *pcb = tcp_accept(k.listener);
    assert_non_null(pcb);
    assert_int_equal(tcp_readable_bytes(pcb), 8);
    tcp_abort(pcb);
}

static void listeners_side_by_side_share_connections_out(void **state)
{
    struct net_addr any = net_addr_v4(0), own = net_addr_v4(0x0a000001);
    struct tcp_listener *l[3], *closer[2];
    struct kit_seg s;
    unsigned got[3] = { 0 };
    int err;
    assert_null(tcp_listen_beside(k.ns, &any, KIT_PORT, 64, &err)); /* the one that is there shares with nobody */
    assert_int_equal(err, -NET_EADDRINUSE);
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(l[i] = tcp_listen_beside(k.ns, &any, 81, 200, &err));
    assert_null(tcp_listen(k.ns, &any, 81, 64, &err)); /* nor does a newcomer that would not */
    for (uint16_t port = 2000; port < 2090; port++) {
        struct kit_seg out = syn(port, 100);
        out.dport = 81;
        kit_send(&k, out);
        assert_int_equal(kit_last(&k, &s), 1);
        kit_send(&k, (struct kit_seg){ .sport = port, .dport = 81, .flags = TCP_ACK, .seq = 101, .ack = s.seq + 1, .wnd = 1000, .ts = true, .tsval = 78 });
    }
    for (unsigned i = 0; i < 3; i++)
        for (struct tcp_pcb *pcb; (pcb = tcp_accept(l[i])); got[i]++)
            tcp_abort(pcb);
    assert_int_equal(got[0] + got[1] + got[2], 90);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(got[i], 12, 60);

    /* Who names the address comes first, and shares with his like only. */
    for (unsigned i = 0; i < 2; i++)
        assert_non_null(closer[i] = tcp_listen_beside(k.ns, &own, 81, 200, &err));
    kit_last(&k, &s);
    for (uint16_t port = 3000; port < 3040; port++) {
        struct kit_seg out = syn(port, 100);
        out.dport = 81;
        kit_send(&k, out);
    }
    assert_int_equal(closer[0]->syn_count + closer[1]->syn_count, 40);
    assert_true(closer[0]->syn_count && closer[1]->syn_count);

    /* One leaves: its half-open ones go with it, the others stay and take what comes. */
    uint32_t others = closer[1]->syn_count;
    tcp_listener_close(closer[0]);
    assert_int_equal(k.ns->syn_count, others);
    struct kit_seg late = syn(4000, 100);
    late.dport = 81;
    kit_send(&k, late);
    assert_int_equal(closer[1]->syn_count, others + 1);
    tcp_listener_close(closer[1]);
    for (unsigned i = 0; i < 3; i++)
        tcp_listener_close(l[i]);
    assert_int_equal(k.ns->syn_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_syn_ack_is_repeated_and_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_repeated_syn_gets_the_same_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_ends_a_half_open_connection_only_if_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_answers_with_cookies_that_keep_the_options, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forged_cookie_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_cookie_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_accept_queue_drops_and_recovers, setup, teardown),
        cmocka_unit_test_setup_teardown(time_wait_answers_a_repeated_fin_and_ignores_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(time_wait_answers_what_does_not_fit_at_a_limited_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(time_wait_gives_way_to_a_newer_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(time_wait_gives_way_to_nothing_where_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_accepted_has_no_events, setup, teardown),
        cmocka_unit_test_setup_teardown(data_that_begins_below_the_window_finishes_the_handshake_too, setup, teardown),
        cmocka_unit_test_setup_teardown(listeners_side_by_side_share_connections_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_beyond_what_is_bearable_is_shed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
