/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection derives from its addresses: ports (RFC 6056), sequence numbers (RFC 6528), time stamps (RFC 7323 5.4). */
#include <string.h>

#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

#define FIRST 32768u
#define COUNT 28232u /* Linux's default range */

static struct tcp_pcb *open_to(uint32_t remote, uint16_t port, int *err)
{
    struct tcp_connect how = { .remote = net_addr_v4(remote), .remote_port = port };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, err);
    k.sent_count = k.sent_read = 0;
    return pcb;
}

static uint16_t port_of(const struct tcp_pcb *pcb) { return pcb->flow.key.local_port; }

static void every_port_is_used_once_before_there_is_none(void **state)
{
    static uint8_t seen[65536];
    int err;
    memset(seen, 0, sizeof seen);
    for (unsigned n = 0; n < COUNT; n++) {
        struct tcp_pcb *pcb = open_to(0x0a000002, 443, &err);
        assert_non_null(pcb);
        assert_in_range(port_of(pcb), FIRST, FIRST + COUNT - 1);
        assert_int_equal(seen[port_of(pcb)]++, 0);
        net_stack_flush(k.ns);
        k.sent_count = k.sent_read = 0;
    }
    assert_null(open_to(0x0a000002, 443, &err));
    assert_int_equal(err, -NET_EADDRNOTAVAIL);
    struct tcp_pcb *other = open_to(0x0a000002, 444, &err); /* the four together must differ, not the port alone */
    assert_non_null(other);
    tcp_abort(k.ns->pcbs->all_next); /* the last of the others: its port is free again */
    assert_non_null(open_to(0x0a000002, 443, &err));
}

/* Who sees the ports of one pair of hosts must not know another's: the offset is keyed by the destination. */
static void destinations_have_sequences_of_their_own(void **state)
{
    int err;
    unsigned close_by = 0;
    for (unsigned n = 0; n < 64; n++) {
        uint16_t a = port_of(open_to(0x0a000002, (uint16_t)(1000 + n), &err)), b = port_of(open_to(0x0a000003, (uint16_t)(1000 + n), &err));
        unsigned apart = (b + COUNT - a) % COUNT;
        close_by += apart < 500 || apart > COUNT - 500;
        net_stack_flush(k.ns);
        k.sent_count = k.sent_read = 0;
    }
    assert_in_range(close_by, 0, 12); /* 2.3 expected by chance */
}

static void ports_of_listeners_are_left_alone(void **state)
{
    struct net_addr any = net_addr_v4(0);
    int err;
    struct tcp_pcb *pcb = open_to(0x0a000002, 443, &err);
    uint16_t next = (uint16_t)(FIRST + (port_of(pcb) - FIRST + 1u) % COUNT);
    assert_non_null(tcp_listen(k.ns, &any, next, 1, &err));
    assert_int_not_equal(port_of(open_to(0x0a000002, 443, &err)), next);
}

static void instances_of_one_address_share_the_ports_out(void **state)
{
    int err;
    k.ns->shard_count = 4;
    for (k.ns->shard = 0; k.ns->shard < 4; k.ns->shard++)
        for (unsigned n = 0; n < 50; n++) {
            struct tcp_pcb *pcb = open_to(0x0a000002, 443, &err);
            assert_int_equal(port_of(pcb) % 4, k.ns->shard);
            net_stack_flush(k.ns);
            k.sent_count = k.sent_read = 0;
        }
}

static void sequence_numbers_move_with_time_and_differ_by_connection(void **state) /* RFC 6528 3 */
{
    struct net_flow_key key = { .local = net_addr_v4(0x0a000001), .remote = net_addr_v4(0x0a000002), .local_port = 40000, .remote_port = 80 };
    uint32_t first = tcp_isn(k.ns, &key);
    k.ns->now_ns += NET_NS_PER_S;
    uint32_t gone = tcp_isn(k.ns, &key) - first;
    assert_in_range(gone, 200000, 300000); /* a tick about every 4 us */
    key.local_port++;
    uint32_t other = tcp_isn(k.ns, &key) - first;
    assert_true(other > 1000000 && other < UINT32_MAX - 1000000); /* by chance once in two thousand keys, and the key is fixed */
}

static void time_stamps_are_one_clock_for_a_pair_of_hosts(void **state)
{
    struct net_flow_key a = { .local = net_addr_v4(0x0a000001), .remote = net_addr_v4(0x0a000002), .local_port = 1, .remote_port = 2 }, b = a, c = a;
    struct net_path path;
    uint32_t before = tcp_ts_offset(k.ns, &a);
    b.local_port = 77;
    c.remote = net_addr_v4(0x0a000003);
    assert_int_equal(tcp_ts_offset(k.ns, &b), before);
    assert_int_not_equal(tcp_ts_offset(k.ns, &c), before);
    assert_int_equal(net_path_find(k.ns, &a.local, &a.remote, NULL, &path), 0); /* now it is remembered with the path */
    assert_int_equal(tcp_ts_offset(k.ns, &a), before);
    assert_int_equal(tcp_ts_offset(k.ns, &b), before);
    b.local = net_addr_v4(0x0a000009);
    assert_int_not_equal(tcp_ts_offset(k.ns, &b), before);
}

static void the_window_scale_is_the_smallest_that_reaches(void **state)
{
    struct tcp_opts o;
    tcp_opts_default(&o);
    o.rcvbuf_locked = 1;
    for (o.rcvbuf = 1024; o.rcvbuf < TCP_RCVBUF_MAX; o.rcvbuf += 997) {
        unsigned s = tcp_choose_wscale(&o);
        assert_true(o.rcvbuf >> s <= 65535 && (!s || o.rcvbuf >> (s - 1) > 65535));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_port_is_used_once_before_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(destinations_have_sequences_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(ports_of_listeners_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(instances_of_one_address_share_the_ports_out, setup, teardown),
        cmocka_unit_test_setup_teardown(sequence_numbers_move_with_time_and_differ_by_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(time_stamps_are_one_clock_for_a_pair_of_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_scale_is_the_smallest_that_reaches, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
