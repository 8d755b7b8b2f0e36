/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/mcast.h"

#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/udp.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

#define GROUP 0xe1020304u

static const struct net_addr group6 = { .b = { 0xff, 5, [15] = 0x42 } };

/* The IGMP messages sent, checked and counted; the last one in *last. */
static unsigned igmp_sent(const uint8_t **last)
{
    unsigned n = 0;
    for (unsigned i = 0; i < k.sent_count; i++) {
        const uint8_t *f = k.sent[i].bytes, *ip = f + 14;
        if (get_be16(f + 12) != ETH_TYPE_IP4 || ip[9] != IP_PROTO_IGMP)
            continue;
        uint32_t total = get_be16(ip + 2);
        assert_int_equal(ip[0], 0x46); /* router alert: RFC 3376 4, RFC 2236 2 */
        assert_int_equal(get_be32(ip + 20), 0x94040000);
        assert_int_equal(ip[8], 1);
        assert_int_equal(cksum_fold(cksum_add(0, ip, 24)), 0xffff);
        assert_int_equal(cksum_fold(cksum_add(0, ip + 24, total - 24)), 0xffff);
        *last = ip;
        n++;
    }
    k.sent_count = 0;
    return n;
}

static void igmp_query(uint32_t group, uint8_t code, uint32_t bytes)
{
    uint8_t f[14 + 20 + 12] = { 1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, (uint8_t)(20 + bytes), [22] = 1, IP_PROTO_IGMP, [26] = 10, 0, 0, 2, 224, 0, 0, 1, 0x11 };
    put_be32(f + 38, group);
    f[35] = code;
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    store16(f + 36, cksum_finish(cksum_add(0, f + 34, bytes)));
    kit_frame(&k, f, 34 + bytes);
}

static void joins_and_leaves_are_told_twice(void **state) /* RFC 3376 5.1 */
{
    struct net_addr g = net_addr_v4(GROUP);
    const uint8_t *ip = NULL;
    assert_int_equal(mcast_join(k.iface, &g), 0);
    assert_int_equal(mcast_join(k.iface, &g), 0);
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(igmp_sent(&ip), 2);
    assert_true(get_be32(ip + 16) == 0xe0000016 && ip[24] == 0x22 && ip[32] == MCAST_JOINS && get_be32(ip + 36) == GROUP);
    mcast_leave(k.iface, &g);
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(igmp_sent(&ip), 0);
    mcast_leave(k.iface, &g);
    assert_false(mcast_is_member(k.iface, &g));
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(igmp_sent(&ip), 2);
    assert_true(ip[24] == 0x22 && ip[32] == MCAST_LEAVES && get_be32(ip + 36) == GROUP);
}

static void a_query_is_answered_within_its_time(void **state) /* RFC 3376 5.2, 4.1.1 */
{
    struct net_addr g = net_addr_v4(GROUP);
    const uint8_t *ip = NULL;
    mcast_join(k.iface, &g);
    kit_pass(&k, 5 * NET_NS_PER_S);
    igmp_sent(&ip);
    igmp_query(0, 20, 12);
    kit_pass(&k, 2 * NET_NS_PER_S + 1 * NET_NS_PER_MS);
    assert_int_equal(igmp_sent(&ip), 1);
    assert_true(ip[24] == 0x22 && ip[32] == MCAST_IS_MEMBER);
    igmp_query(GROUP + 1, 20, 12); /* of a group that we are not in */
    kit_pass(&k, 3 * NET_NS_PER_S);
    assert_int_equal(igmp_sent(&ip), 0);
    igmp_query(GROUP, 0x8f, 12); /* (15 | 16) << 3 tenths */
    kit_pass(&k, 25 * NET_NS_PER_S);
    assert_int_equal(igmp_sent(&ip), 1);
}

static void an_older_querier_gets_what_it_understands(void **state) /* RFC 3376 7.2.1 */
{
    struct net_addr g = net_addr_v4(GROUP);
    const uint8_t *ip = NULL;
    igmp_query(0, 10, 8);
    mcast_join(k.iface, &g);
    kit_run(&k);
    assert_int_equal(igmp_sent(&ip), 1);
    assert_true(get_be32(ip + 16) == GROUP && ip[24] == 0x16 && get_be32(ip + 28) == GROUP);
    mcast_leave(k.iface, &g);
    kit_run(&k);
    assert_int_equal(igmp_sent(&ip), 1);
    assert_true(get_be32(ip + 16) == 0xe0000002 && ip[24] == 0x17);
    kit_pass(&k, 5 * NET_NS_PER_S);
    igmp_sent(&ip);
    igmp_query(0, 0, 8); /* version 1 */
    mcast_join(k.iface, &g);
    kit_run(&k);
    assert_int_equal(igmp_sent(&ip), 1);
    assert_int_equal(ip[24], 0x12);
    mcast_leave(k.iface, &g);
    kit_pass(&k, 300 * NET_NS_PER_S); /* and then nothing was heard of it for long */
    igmp_sent(&ip);
    mcast_join(k.iface, &g);
    kit_run(&k);
    assert_int_equal(igmp_sent(&ip), 1);
    assert_int_equal(ip[24], 0x22);
}

/* The same for MLD: returns how many, the last one's ICMPv6 message. */
static unsigned mld_sent(const uint8_t **last, const uint8_t **ip6)
{
    unsigned n = 0;
    for (unsigned i = 0; i < k.sent_count; i++) {
        const uint8_t *f = k.sent[i].bytes, *ip = f + 14;
        if (get_be16(f + 12) != ETH_TYPE_IP6 || ip[6] != IP_PROTO_HOPOPTS || ip[7] != 1)
            continue;
        uint32_t bytes = get_be16(ip + 4) - 8u;
        struct net_addr src = net_addr_v6(ip + 8), dst = net_addr_v6(ip + 24);
        assert_true(ip[42] == 5 && ip[43] == 2); /* router alert */
        assert_int_equal(cksum_fold(cksum_add(cksum_pseudo(&src, &dst, IP_PROTO_ICMP6, bytes), ip + 48, bytes)), 0xffff);
        *last = ip + 48;
        *ip6 = ip;
        n++;
    }
    k.sent_count = 0;
    return n;
}

static void mld_query(uint32_t bytes, uint16_t code)
{
    uint8_t f[14 + 40 + 8 + 28] = { 0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, [19] = (uint8_t)(8 + bytes), IP_PROTO_HOPOPTS, 1, 0xfe, 0x80, [37] = 2,
                                    0xff, 2, [53] = 1, IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0, 130 };
    struct net_addr src = net_addr_v6(f + 22), dst = net_addr_v6(f + 38);
    put_be16(f + 66, code);
    store16(f + 64, cksum_finish(cksum_add(cksum_pseudo(&src, &dst, IP_PROTO_ICMP6, bytes), f + 62, bytes)));
    kit_frame(&k, f, 62 + bytes);
}

static void ipv6_groups_are_reported_by_mld(void **state) /* RFC 3810 5.2, 6.1, 8.2.1 */
{
    const uint8_t *m = NULL, *ip = NULL;
    assert_int_equal(mcast_join(k.iface, &group6), 0);
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(mld_sent(&m, &ip), 2);
    assert_true(m[0] == 143 && m[7] == 1 && m[8] == MCAST_JOINS && memcmp(m + 12, group6.b, 16) == 0 && ip[39] == 0x16);
    mld_query(28, 1000);
    kit_pass(&k, 1100 * NET_NS_PER_MS);
    assert_int_equal(mld_sent(&m, &ip), 1);
    assert_int_equal(m[8], MCAST_IS_MEMBER);
    mld_query(26, 1000); /* neither version */
    kit_pass(&k, 2 * NET_NS_PER_S);
    assert_int_equal(mld_sent(&m, &ip), 0);
    mld_query(24, 1000); /* version 1 */
    kit_pass(&k, 1100 * NET_NS_PER_MS);
    assert_int_equal(mld_sent(&m, &ip), 1);
    assert_true(m[0] == 131 && memcmp(m + 8, group6.b, 16) == 0 && memcmp(ip + 24, group6.b, 16) == 0);
    mcast_leave(k.iface, &group6);
    kit_run(&k);
    assert_int_equal(mld_sent(&m, &ip), 1);
    assert_int_equal(m[0], 132);
}

static void datagrams_to_a_group_reach_its_members_only(void **state)
{
    struct net_addr g = net_addr_v4(GROUP), any = net_addr_v4(0), from = net_addr_v4(0x0a000002);
    struct udp_pcb *u[3];
    uint8_t f[46] = { 1, 0, 0x5e, 2, 3, 4, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 32, [22] = 8, IP_PROTO_UDP, [26] = 10, 0, 0, 2, 0xe1, 2, 3, 4, 4, 0, 0x23, 0x28, 0, 12 };
    memcpy(f + 42, "ping", 4);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    store16(f + 40, cksum_finish(cksum_add(cksum_pseudo(&from, &g, IP_PROTO_UDP, 12), f + 34, 12)));
    for (unsigned i = 0; i < 3; i++) {
        u[i] = udp_open(k.ns);
        u[i]->reuse = 1;
        assert_int_equal(udp_bind(u[i], &any, i < 2 ? 9000 : 9001), 0);
    }
    kit_frame(&k, f, sizeof f);
    assert_int_equal(u[0]->received.count, 0);
    mcast_join(k.iface, &g);
    kit_frame(&k, f, sizeof f);
    assert_true(u[0]->received.count == 1 && u[1]->received.count == 1 && u[2]->received.count == 0);
    for (unsigned i = 0; i < 2; i++) {
        struct pbuf *pb = udp_recv(u[i]);
        assert_true(pb->total == 4 && memcmp(pb->data, "ping", 4) == 0);
        pbuf_put(pb);
    }
    mcast_leave(k.iface, &g);
    kit_frame(&k, f, sizeof f);
    assert_int_equal(u[0]->received.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joins_and_leaves_are_told_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_query_is_answered_within_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_querier_gets_what_it_understands, setup, teardown),
        cmocka_unit_test_setup_teardown(ipv6_groups_are_reported_by_mld, setup, teardown),
        cmocka_unit_test_setup_teardown(datagrams_to_a_group_reach_its_members_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
