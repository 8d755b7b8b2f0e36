/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/udp.h"
#include "cokernel/net/wire.h"

static struct udp_pcb *udp;

static void open_udp(void)
{
    struct net_addr any = net_addr_v4(0);
    udp = udp_open(k.ns);
    assert_int_equal(udp_bind(udp, &any, 9000), 0);
}

/* Bytes [from, to) of a datagram of `total` bytes of payload. */
static void fragment(const uint8_t *datagram, uint32_t from, uint32_t to, uint32_t total, uint16_t id)
{
    uint8_t f[1600] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45 }, *ip = f + 14;
    put_be16(ip + 2, (uint16_t)(20 + to - from));
    put_be16(ip + 4, id);
    put_be16(ip + 6, (uint16_t)(from / 8 | (to < total ? 0x2000 : 0)));
    ip[8] = 64;
    ip[9] = IP_PROTO_UDP;
    put_be32(ip + 12, 0x0a000002);
    put_be32(ip + 16, 0x0a000001);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    memcpy(ip + 20, datagram + from, to - from);
    kit_frame(&k, f, 34 + to - from);
}

static void make_datagram(uint8_t *d, uint32_t n)
{
    struct net_addr from = net_addr_v4(0x0a000002), to = net_addr_v4(0x0a000001);
    for (uint32_t i = 8; i < n; i++)
        d[i] = (uint8_t)rand();
    put_be16(d, 1234);
    put_be16(d + 2, 9000);
    put_be16(d + 4, (uint16_t)n);
    store16(d + 6, 0);
    store16(d + 6, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_UDP, n), d, n)));
}

static void fragments_in_any_order_make_the_datagram(void **state)
{
    static uint8_t d[6000], got[6000];
    open_udp();
    for (uint16_t round = 0; round < 50; round++) {
        unsigned order[8], n = 0;
        make_datagram(d, 5003);
        for (; n < 8; n++) {
            unsigned j = (unsigned)rand() % (n + 1);
            order[n] = order[j];
            order[j] = n;
        }
        for (unsigned i = 0; i < 8; i++) {
            fragment(d, order[i] * 640, order[i] == 7 ? 5003 : order[i] * 640 + 640, 5003, round);
            if (i == 3)
                fragment(d, order[i] * 640, order[i] == 7 ? 5003 : order[i] * 640 + 640, 5003, round); /* repeated */
        }
        struct pbuf *pb = udp_recv(udp);
        assert_non_null(pb);
        assert_int_equal(pb->total, 4995);
        pbuf_copy_out(pb, 0, got, sizeof got);
        assert_memory_equal(got, d + 8, 4995);
        pbuf_put(pb);
        k.sent_count = 0;
    }
}

static void overlapping_fragments_discard_the_datagram(void **state) /* RFC 5722 */
{
    static uint8_t d[3000];
    open_udp();
    make_datagram(d, 2000);
    fragment(d, 0, 800, 2000, 1);
    fragment(d, 792, 1600, 2000, 1);
    fragment(d, 800, 1600, 2000, 1);
    fragment(d, 1600, 2000, 2000, 1);
    assert_null(udp_recv(udp));
    assert_true(k.ns->counters.frag_overlap >= 1);
}

static void unfinished_datagrams_are_bounded_and_expire(void **state)
{
    static uint8_t d[3000];
    for (uint16_t id = 0; id < 2000; id++)
        fragment(d, 0, 1400, 3000, id);
    assert_true(k.ns->frags.true_bytes <= FRAG_STORE_BYTES);
    assert_true(k.ns->pools.large.in_use <= FRAG_DATAGRAMS + 8);
    kit_pass(&k, 31 * NET_NS_PER_S);
    assert_int_equal(k.ns->frags.true_bytes, 0);
}

static void icmp_answers_come_at_a_limited_rate(void **state) /* RFC 1812 4.3.2.8 */
{
    static uint8_t d[100];
    make_datagram(d, 100);
    put_be16(d + 2, 4444);
    store16(d + 6, 0);
    unsigned answers = 0;
    for (int i = 0; i < 500; i++) {
        k.sent_count = 0;
        fragment(d, 0, 100, 100, 0);
        answers += k.sent_count;
    }
    assert_int_equal(answers, NET_ICMP_BURST);
    assert_true(k.ns->counters.icmp_limited >= 400);
}

static void source_routes_are_refused(void **state) /* RFC 7126 */
{
    uint8_t f[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x46, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 131, 4, 4, 0 };
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 24)));
    kit_frame(&k, f, sizeof f);
    assert_int_equal(k.ns->counters.ip_bad_options, 1);
}

static void an_address_is_defended_once_in_a_while(void **state) /* RFC 5227 2.4 */
{
    uint8_t f[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 1, [38] = 10, 0, 0, 1 };
    for (int i = 0; i < 5; i++)
        kit_frame(&k, f, sizeof f);
    assert_int_equal(k.sent_count, 1);
    assert_int_equal(k.ns->counters.arp_conflicts, 5);
    assert_int_equal(k.iface->addrs[0].state, IFADDR_PREFERRED);
}

static void a_probed_address_waits_for_silence(void **state) /* RFC 5227 2.1 */
{
    struct net_addr a = net_addr_v4(0x0a000063);
    net_iface_add_addr(k.iface, &a, 24, true);
    kit_pass(&k, NET_NS_PER_S);
    assert_false(net_iface_accepts(k.iface, &a));
    kit_pass(&k, 9 * NET_NS_PER_S);
    assert_true(net_iface_accepts(k.iface, &a));
    unsigned probes = 0;
    for (unsigned i = 0; i < k.sent_count; i++)
        probes += get_be16(k.sent[i].bytes + 12) == ETH_TYPE_ARP && get_be32(k.sent[i].bytes + 28) == 0;
    assert_int_equal(probes, 3);
}

static void neighbours_that_do_not_answer_are_bounded(void **state) /* RFC 6583 */
{
    for (uint32_t i = 3; i < 2000; i++) {
        struct net_addr a = net_addr_v4(0x0a000000 + i % 250 + 3);
        neigh_lookup(k.ns, k.iface, &a);
        k.sent_count = 0;
    }
    assert_true(k.ns->neigh_incomplete <= NEIGH_INCOMPLETE_LIMIT);
    kit_pass(&k, 10 * NET_NS_PER_S);
    k.sent_count = 0;
    assert_int_equal(k.ns->neigh_incomplete, 0);
}

static void a_burst_waits_for_the_neighbour(void **state)
{
    uint8_t reply[42] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 3, 10, 0, 0, 3, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1 };
    struct net_addr to = net_addr_v4(0x0a000003);
    struct udp_pcb *u = udp_open(k.ns);
    unsigned data = 0;
    uint8_t last = 0;
    for (uint8_t i = 0; i < 40; i++)
        assert_int_equal(udp_send(u, pbuf_copy_in(net_stack_pools(k.ns), &i, 1, 64), &to, 7), 0);
    kit_run(&k);
    k.sent_count = 0;
    kit_frame(&k, reply, sizeof reply);
    for (unsigned i = 0; i < k.sent_count; i++)
        if (get_be16(k.sent[i].bytes + 12) == ETH_TYPE_IP4) {
            assert_true(!data || k.sent[i].bytes[42] == last + 1); /* the oldest had to go */
            last = k.sent[i].bytes[42];
            data++;
        }
    assert_int_equal(data, NEIGH_QUEUE);
    assert_int_equal(last, 39);
    udp_close(u);
}

static void addresses_read_and_print(void **state)
{
    static const char *const same[] = { "10.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "2001:db8::8:800:200c:417a", "1:0:0:2::3", "1:2:3:4:5:6:7:8" };
    static const char *const bad[] = { "", "1.2.3", "1.2.3.256", "1:2", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "g::" };
    struct net_addr a;
    char text[46];
    for (unsigned i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(net_addr_parse(same[i], &a), 0);
        net_addr_format(&a, text);
        assert_string_equal(text, same[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(net_addr_parse(bad[i], &a) < 0);
}

static void udp_from_to(uint32_t src, uint32_t dst)
{
    uint8_t f[50] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 36, [22] = 64, IP_PROTO_UDP };
    struct net_addr from = net_addr_v4(src), to = net_addr_v4(dst);
    put_be32(f + 26, src);
    put_be32(f + 30, dst);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    put_be16(f + 34, 1234);
    put_be16(f + 36, 9000);
    put_be16(f + 38, 16);
    store16(f + 40, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_UDP, 16), f + 34, 16)));
    kit_frame(&k, f, sizeof f);
}

static void only_own_addresses_are_answered(void **state)
{
    struct net_addr v4 = net_addr_v4(0x0a000001), v6 = { .b = { 0xfd, [12] = 10, 0, 0, 77 } };
    open_udp();
    net_iface_del_addr(k.iface, &v4);
    net_iface_add_addr(k.iface, &v6, 64, false); /* takes the first place, and ends in the bytes of 10.0.0.77 */
    net_iface_add_addr(k.iface, &v4, 24, false);
    udp_from_to(0x0a000002, 0x0a00004d);
    assert_int_equal(udp->received.count, 0);
    assert_int_equal(k.ns->counters.ip_not_ours, 1);
    udp_from_to(0x0a000002, 0x0a000001);
    assert_int_equal(udp->received.count, 1);
}

static void nobody_is_no_source_for_tcp(void **state) /* RFC 1122 3.2.1.3 (a) */
{
    uint8_t f[54] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, [22] = 64, IP_PROTO_TCP, [30] = 10, 0, 0, 1 };
    struct net_addr from = net_addr_v4(0), to = net_addr_v4(0x0a000001);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    put_be16(f + 34, 1234);
    put_be16(f + 36, KIT_PORT);
    f[46] = 0x50;
    f[47] = TCP_SYN;
    store16(f + 50, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, 20), f + 34, 20)));
    kit_frame(&k, f, sizeof f);
    assert_int_equal(k.ns->syn_count, 0);
    assert_int_equal(k.ns->counters.ip_not_ours, 1);
}

/* To fd00::1 of the kit: a chain of destination options of `bytes`, then an unknown protocol, or an option that is to be refused. */
static void long_headers(uint32_t bytes, bool bad_option)
{
    uint8_t f[1900] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60 }, *p = f + 54;
    put_be16(f + 18, (uint16_t)(bytes + 8));
    f[20] = IP_PROTO_DSTOPTS;
    f[21] = 64;
    f[22] = 0xfd;
    f[37] = 2;
    f[38] = 0xfd;
    f[53] = 1;
    p[0] = 253;
    p[1] = (uint8_t)(bytes / 8 - 1);
    for (uint32_t at = 2; at < bytes;) {
        uint32_t n = net_min(bytes - at - 2, 255u);
        p[at] = bad_option ? 0xc0 : 1;
        p[at + 1] = (uint8_t)n;
        at += n + 2;
        if (bytes - at == 1) {
            p[at++] = 0;
        }
    }
    kit_frame(&k, f, 54 + bytes + 8);
}

static void long_extension_headers_are_quoted_within_bounds(void **state) /* RFC 4443 2.4 c */
{
    struct net_addr own = { .b = { 0xfd, [15] = 1 } }, peer = { .b = { 0xfd, [15] = 2 } };
    struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
    net_iface_add_addr(k.iface, &own, 64, false);
    neigh_learn(k.ns, k.iface, &peer, &mac, true, true, true);
    neigh_learn(k.ns, k.iface, &peer, &mac, true, true, true);
    for (uint32_t bytes = 64; bytes <= 1800; bytes += 8)
        for (int bad = 0; bad < 2; bad++) {
            k.sent_count = 0;
            long_headers(bytes, bad);
            for (unsigned i = 0; i < k.sent_count; i++)
                assert_true(k.sent[i].len <= 14 + IP6_MIN_MTU);
            kit_pass(&k, 40 * NET_NS_PER_MS);
        }
    assert_true(k.ns->counters.ip_no_proto > 200 && k.ns->counters.ip_bad_options > 200);
}

static void a_reserved_vlan_is_refused(void **state)
{
    assert_null(net_iface_add_vlan(k.iface, 0, "v0"));
    assert_null(net_iface_add_vlan(k.iface, 4095, "v4095"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fragments_in_any_order_make_the_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(overlapping_fragments_discard_the_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(unfinished_datagrams_are_bounded_and_expire, setup, teardown),
        cmocka_unit_test_setup_teardown(icmp_answers_come_at_a_limited_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(source_routes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_is_defended_once_in_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(a_probed_address_waits_for_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(neighbours_that_do_not_answer_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_burst_waits_for_the_neighbour, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_read_and_print, setup, teardown),
        cmocka_unit_test_setup_teardown(only_own_addresses_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_no_source_for_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(long_extension_headers_are_quoted_within_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reserved_vlan_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
