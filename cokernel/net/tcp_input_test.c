/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void a_reset_must_hit_the_next_byte_exactly(void **state) /* RFC 5961 3.2 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 1 });
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_ACK && s.ack == k.snd && s.seq == k.rcv);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 0x40000000 });
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd });
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_ECONNRESET);
    tcp_close(k.pcb);
}

static void a_syn_in_the_window_is_challenged(void **state) /* RFC 5961 4.2 */
{
    struct kit_seg s;
    kit_establish(&k, false, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_SYN, .seq = k.snd, .wnd = 100 });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_ACK && s.ack == k.snd);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
}

static void challenges_are_limited_per_connection(void **state) /* RFC 5961 7 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    for (int i = 0; i < 50; i++)
        kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 5 });
    assert_int_equal(kit_last(&k, &s), 1);
    kit_pass(&k, NET_NS_PER_S);
    kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 5 });
    assert_int_equal(kit_last(&k, &s), 1);
}

static void the_instance_wide_challenge_limit_cannot_be_predicted(void **state)
{
    uint32_t first = 0;
    bool differs = false;
    kit_establish(&k, true, true);
    for (int i = 0; i < 10; i++) {
        kit_pass(&k, 2 * NET_NS_PER_S);
        kit_send(&k, (struct kit_seg){ .flags = TCP_RST, .seq = k.snd + 5 });
        differs |= i && k.ns->challenge_tokens != first;
        first = k.ns->challenge_tokens;
    }
    assert_true(differs);
}

static void data_with_an_ack_from_nowhere_is_dropped(void **state) /* RFC 5961 5.2 */
{
    struct kit_seg s;
    kit_establish(&k, false, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1000, .wnd = 512, .len = 10 });
    assert_int_equal(tcp_readable_bytes(k.pcb), 0);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv - 0x10000000, .wnd = 512, .len = 10 });
    assert_int_equal(tcp_readable_bytes(k.pcb), 0);
    assert_true(kit_last(&k, &s) >= 1);
}

static void an_old_time_stamp_is_refused(void **state) /* RFC 7323 5.3 */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_data(&k, "abc", 3);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .len = 3, .ts = true, .tsval = 5 });
    assert_int_equal(tcp_readable_bytes(k.pcb), 3);
    assert_int_equal(k.ns->counters.tcp_paws, 1);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == k.snd);
}

static void a_bad_checksum_is_dropped_in_silence(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 512, .len = 100, .ts = true, .tsval = k.tsval, .corrupt = true });
    assert_int_equal(k.ns->counters.tcp_bad_cksum, 1);
    assert_int_equal(kit_last(&k, &s), 0);
}

static void a_window_probe_without_data_is_answered(void **state) /* RFC 9293 3.8.4, 3.10.7.4: zero length, one before the window */
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd - 1, .ack = k.rcv, .wnd = 512, .ts = true, .tsval = ++k.tsval });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == k.snd);
}

static void segments_to_nobody_get_a_reset(void **state) /* RFC 9293 3.10.7.1 */
{
    struct kit_seg s;
    kit_send(&k, (struct kit_seg){ .dport = 81, .flags = TCP_SYN, .seq = 100 });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == (TCP_RST | TCP_ACK) && s.ack == 101 && s.seq == 0);
    kit_send(&k, (struct kit_seg){ .dport = 81, .flags = TCP_ACK, .seq = 100, .ack = 777, .len = 5 });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_RST && s.seq == 777);
    kit_send(&k, (struct kit_seg){ .dport = 81, .flags = TCP_RST, .seq = 100 });
    assert_int_equal(kit_last(&k, &s), 0);
}

static void simultaneous_open_connects(void **state) /* RFC 9293 3.5 figure 8 */
{
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    uint32_t iss = s.seq;
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN, .seq = 500, .wnd = 1000, .mss = 1460 });
    assert_int_equal(pcb->state, TCP_SYN_RCVD);
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == (TCP_SYN | TCP_ACK) && s.seq == iss && s.ack == 501);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = iss + 1, .wnd = 1000 });
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
}

static void without_an_mss_option_segments_have_536_bytes(void **state) /* RFC 9293 3.7.1 */
{
    static const uint8_t data[3000];
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 1);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = s.seq + 1, .wnd = 10000 });
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    kit_last(&k, &s);
    tcp_write(pcb, data, sizeof data);
    kit_run(&k);
    for (unsigned i = 0; i < 5; i++)
        assert_true(kit_next(&k, &s) && s.len == 536);
    tcp_abort(pcb);
}

static void without_an_mss_option_segments_over_ipv6_have_1220_bytes(void **state) /* RFC 9293 3.7.1 */
{
    static const uint8_t data[3000];
    const struct net_addr own = { .b = { 0xfd, [15] = 1 } }, peer = { .b = { 0xfd, [15] = 2 } };
    struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
    uint8_t f[ETH_HEADER_BYTES + IP6_HEADER_BYTES + TCP_HEADER_BYTES] = { 0 }, *ip = f + ETH_HEADER_BYTES, *t = ip + IP6_HEADER_BYTES;
    int err;
    net_iface_add_addr(k.iface, &own, 64, false);
    neigh_learn(k.ns, k.iface, &peer, &mac, true, true, true);
    struct tcp_connect how = { .local = own, .remote = peer, .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    assert_non_null(pcb);
    memcpy(f, k.iface->mac.b, 6);
    memcpy(f + 6, mac.b, 6);
    put_be16(f + 12, ETH_TYPE_IP6);
    ip[0] = 0x60;
    put_be16(ip + 4, TCP_HEADER_BYTES);
    ip[6] = IP_PROTO_TCP;
    ip[7] = 64;
    memcpy(ip + 8, peer.b, 16);
    memcpy(ip + 24, own.b, 16);
    put_be16(t, KIT_PEER_PORT);
    put_be16(t + 2, 1234);
    put_be32(t + 4, 500);
    put_be32(t + 8, pcb->iss + 1);
    put_be16(t + 12, 0x5000 | TCP_SYN | TCP_ACK);
    put_be16(t + 14, 10000);
    store16(t + 16, cksum_finish(cksum_add(cksum_pseudo(&peer, &own, IP_PROTO_TCP, TCP_HEADER_BYTES), t, TCP_HEADER_BYTES)));
    kit_frame(&k, f, sizeof f);
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    unsigned before = k.sent_count, full = 0;
    tcp_write(pcb, data, sizeof data);
    kit_run(&k);
    for (unsigned i = before; i < k.sent_count; i++) {
        const uint8_t *sent = k.sent[i].bytes + ETH_HEADER_BYTES;
        assert_true(sent[6] == IP_PROTO_TCP);
        full += get_be16(sent + 4) == TCP_HEADER_BYTES + 1220;
    }
    assert_int_equal(full, 2);
    tcp_abort(pcb);
}

static void a_syn_that_nobody_answers_is_given_up_after_two_minutes(void **state) /* RFC 9293 3.8.3: R2 */
{
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    kit_run(&k);
    kit_pass(&k, 126 * NET_NS_PER_S);
    assert_int_equal(pcb->state, TCP_SYN_SENT);
    assert_int_equal(kit_last(&k, &s), 7); /* at once and after 1, 3, 7, 15, 31 and 63 s */
    assert_int_equal(s.flags & (TCP_SYN | TCP_ACK), TCP_SYN);
    kit_pass(&k, 2 * NET_NS_PER_S);
    assert_int_equal(pcb->state, TCP_CLOSED);
    assert_int_equal(pcb->ep.error, NET_ETIMEDOUT);
    assert_int_equal(kit_last(&k, &s), 0); /* to somebody who was never there */
}

static void a_half_open_peer_is_reset(void **state) /* RFC 9293 3.5.1 */
{
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = 1234 };
    tcp_connect(k.ns, &how, &err);
    kit_run(&k);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_ACK, .seq = 300, .ack = 100, .wnd = 1000 }); /* it believes in the old connection */
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.flags == TCP_RST && s.seq == 100);
}

static void icmp_errors_must_quote_what_is_in_flight(void **state) /* RFC 5927 4.1, RFC 1191 */
{
    kit_establish(&k, true, true);
    tcp_write(k.pcb, (uint8_t[1000]){ 1 }, 1000);
    kit_run(&k);
    struct net_icmp_error e = { .flow = k.pcb->flow.key, .what = NET_UNREACH_TOO_BIG, .mtu = 800, .tcp_seq = k.rcv - 5 };
    tcp_icmp_error(k.ns, &e);
    assert_int_equal(k.pcb->mss, 1448);
    e.tcp_seq = k.rcv;
    tcp_icmp_error(k.ns, &e);
    assert_int_equal(k.pcb->mss, 800 - 52);
    struct kit_seg s;
    kit_run(&k);
    assert_true(kit_last(&k, &s) >= 2); /* sent again at once, in smaller pieces */
    assert_true(s.len <= 748);
    e.what = NET_UNREACH_HARD; /* hard errors do not kill an established connection: RFC 5927 5.2 */
    e.error = NET_ECONNREFUSED;
    tcp_icmp_error(k.ns, &e);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
}

static void congestion_marks_are_echoed_until_cwr(void **state) /* RFC 3168 6.1.3 */
{
    struct kit_seg s;
    tcp_listener_set(k.listener, TCP_OPT_ECN, 1);
    kit_send(&k, (struct kit_seg){ .flags = TCP_SYN | TCP_ECE | TCP_CWR, .seq = 100, .wnd = 1000, .mss = 1460 });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK | TCP_ECE);
    uint32_t iss = s.seq;
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 101, .ack = iss + 1, .wnd = 1000 });
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 101, .ack = iss + 1, .wnd = 1000, .len = 10, .tos = 3 });
    assert_true(kit_last(&k, &s) && (s.flags & TCP_ECE));
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = 111, .ack = iss + 1, .wnd = 1000, .len = 10, .tos = 2 });
    assert_true(kit_last(&k, &s) && (s.flags & TCP_ECE));
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK | TCP_CWR, .seq = 121, .ack = iss + 1, .wnd = 1000, .len = 10, .tos = 2 });
    assert_true(kit_last(&k, &s) && !(s.flags & TCP_ECE));
}

static void a_stray_segment_does_not_set_the_time_stamp(void **state) /* RFC 7323 4.3 with RFC 5961 5.2 */
{
    kit_establish(&k, true, true);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv + 1000000, .wnd = 512, .len = 1, .ts = true, .tsval = k.tsval + 0x70000000 });
    kit_data(&k, "abc", 3);
    assert_int_equal(tcp_readable_bytes(k.pcb), 3);
    assert_int_equal(k.ns->counters.tcp_paws, 0);
}

static struct tcp_pcb *connect_from(uint16_t port, uint32_t *iss)
{
    struct kit_seg s;
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT, .local_port = port };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    assert_non_null(pcb);
    kit_run(&k);
    kit_last(&k, &s);
    *iss = s.seq;
    return pcb;
}

static void the_window_of_a_syn_ack_is_not_scaled(void **state) /* RFC 7323 2.2 */
{
    struct kit_seg s;
    uint32_t iss, sent = 0;
    struct tcp_pcb *pcb = connect_from(1234, &iss);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = iss + 1, .wnd = 1000, .wscale = 7, .mss = 1460 });
    assert_int_equal(pcb->state, TCP_ESTABLISHED);
    assert_int_equal(pcb->snd_wnd, 1000);
    tcp_set(pcb, TCP_OPT_NODELAY, 1);
    tcp_write(pcb, (uint8_t[5000]){ 1 }, 5000);
    kit_run(&k);
    while (kit_next(&k, &s))
        sent += s.len;
    assert_in_range(sent, 1, 1000);
}

static void a_shutdown_during_a_simultaneous_open_waits_for_its_end(void **state)
{
    struct kit_seg s;
    char got[8] = "";
    uint32_t iss;
    struct tcp_pcb *pcb = connect_from(1234, &iss);
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN, .seq = 500, .wnd = 1000, .mss = 1460 });
    assert_int_equal(tcp_shutdown(pcb), 0);
    kit_run(&k);
    assert_true(kit_last(&k, &s) && !(s.flags & TCP_FIN));
    kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_SYN | TCP_ACK, .seq = 500, .ack = iss + 1, .wnd = 1000 });
    assert_int_equal(pcb->state, TCP_FIN_WAIT_1);
    assert_true(kit_last(&k, &s) && (s.flags & TCP_FIN) && s.seq == iss + 1);
    for (uint32_t i = 0; i < 5; i++) {
        kit_send(&k, (struct kit_seg){ .dport = 1234, .flags = TCP_ACK, .seq = 501 + 5 * i, .ack = iss + 2, .wnd = 1000, .len = 5, .data = (const uint8_t *)"hello" });
        assert_int_equal(tcp_read(pcb, got, 5), 5);
        assert_string_equal(got, "hello");
        kit_pass(&k, NET_NS_PER_S);
    }
    assert_int_equal(pcb->state, TCP_FIN_WAIT_2);
}

static void a_connect_without_memory_for_its_syn_fails(void **state)
{
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = KIT_PEER_PORT };
    static void *taken[20000];
    unsigned n = 0;
    int err;
    tcp_abort(tcp_connect(k.ns, &how, &err));
    k.ns->mem.limit_bytes = k.ns->mem.used_bytes;
    while ((taken[n] = net_slab_get(&k.ns->tcp_segs)))
        n++;
    assert_null(tcp_connect(k.ns, &how, &err));
    assert_int_equal(err, -NET_ENOMEM);
    assert_int_equal(k.ns->tcp_pcbs.in_use, 0);
    while (n)
        net_slab_put(&k.ns->tcp_segs, taken[--n]);
}

static void a_smaller_path_mtu_is_forgotten_after_a_while(void **state) /* RFC 1191 6.3 */
{
    kit_establish(&k, true, true);
    tcp_write(k.pcb, (uint8_t[1000]){ 1 }, 1000);
    kit_run(&k);
    struct net_icmp_error e = { .flow = k.pcb->flow.key, .what = NET_UNREACH_TOO_BIG, .mtu = 800, .tcp_seq = k.rcv };
    tcp_icmp_error(k.ns, &e);
    assert_int_equal(k.pcb->mss, 800 - 52);
    kit_run(&k);
    kit_ack(&k, k.rcv + 1000);
    kit_pass(&k, 590 * NET_NS_PER_S);
    tcp_write(k.pcb, (uint8_t[1]){ 1 }, 1);
    kit_run(&k);
    kit_ack(&k, k.rcv + 1001);
    assert_int_equal(k.pcb->mss, 800 - 52);
    kit_pass(&k, 20 * NET_NS_PER_S);
    tcp_write(k.pcb, (uint8_t[1]){ 1 }, 1);
    kit_run(&k);
    assert_int_equal(k.pcb->mss, 1448);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reset_must_hit_the_next_byte_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(a_syn_in_the_window_is_challenged, setup, teardown),
        cmocka_unit_test_setup_teardown(challenges_are_limited_per_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(the_instance_wide_challenge_limit_cannot_be_predicted, setup, teardown),
        cmocka_unit_test_setup_teardown(data_with_an_ack_from_nowhere_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_time_stamp_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_checksum_is_dropped_in_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_window_probe_without_data_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_to_nobody_get_a_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(simultaneous_open_connects, setup, teardown),
        cmocka_unit_test_setup_teardown(without_an_mss_option_segments_have_536_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(without_an_mss_option_segments_over_ipv6_have_1220_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_syn_that_nobody_answers_is_given_up_after_two_minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_half_open_peer_is_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(icmp_errors_must_quote_what_is_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(congestion_marks_are_echoed_until_cwr, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stray_segment_does_not_set_the_time_stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_of_a_syn_ack_is_not_scaled, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shutdown_during_a_simultaneous_open_waits_for_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connect_without_memory_for_its_syn_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_smaller_path_mtu_is_forgotten_after_a_while, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
