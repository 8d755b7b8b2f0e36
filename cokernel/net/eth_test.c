/* SPDX-License-Identifier: BSD-2-Clause */
/* 802.1Q: an interface a VLAN, apart from the untagged one and from each other. */
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static struct net_iface *seven, *eight;

static int setup(void **state)
{
    kit_setup(&k);
    struct net_addr a = net_addr_v4(0x0a070001), b = net_addr_v4(0x0a080001);
    seven = net_iface_add_vlan(k.iface, 7, "kit.7");
    eight = net_iface_add_vlan(k.iface, 8, "kit.8");
    net_iface_add_addr(seven, &a, 24, false);
    net_iface_add_addr(eight, &b, 24, false);
    kit_run(&k);
    k.sent_count = k.sent_read = 0;
    return 0;
}
static int teardown(void **state) { kit_teardown(&k); return 0; }

#define UNTAGGED 0xffffu

static uint32_t put_eth(uint8_t *f, bool broadcast, unsigned tci, uint16_t type)
{
    static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 }, peer[6] = { 2, 0, 0, 0, 0, 2 };
    memcpy(f, own, 6);
    if (broadcast)
        memset(f, 0xff, 6);
    memcpy(f + 6, peer, 6);
    if (tci == UNTAGGED) {
        put_be16(f + 12, type);
        return 14;
    }
    put_be16(f + 12, ETH_TYPE_VLAN);
    put_be16(f + 14, (uint16_t)tci);
    put_be16(f + 16, type);
    return 18;
}

/* Who has `target`? asked by .2 of its net. */
static void arp_request_for(unsigned tci, uint32_t target)
{
    uint8_t f[60] = { 0 };
    uint32_t at = put_eth(f, true, tci, ETH_TYPE_ARP);
    const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
    memcpy(f + at, head, 8);
    memcpy(f + at + 8, f + 6, 6);
    put_be32(f + at + 14, (target & ~255u) | 2);
    put_be32(f + at + 24, target);
    kit_frame(&k, f, sizeof f);
}

static void ping(unsigned tci, uint32_t target, uint32_t payload)
{
    static uint8_t f[1600];
    memset(f, 0, sizeof f);
    uint32_t at = put_eth(f, false, tci, ETH_TYPE_IP4);
    uint8_t *ip = f + at;
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)(28 + payload));
    ip[8] = 64;
    ip[9] = IP_PROTO_ICMP;
    put_be32(ip + 12, (target & ~255u) | 2);
    put_be32(ip + 16, target);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    ip[20] = 8;
    for (uint32_t i = 0; i < payload; i++)
        ip[28 + i] = (uint8_t)i;
    store16(ip + 22, cksum_finish(cksum_add(0, ip + 20, 8 + payload)));
    kit_frame(&k, f, at + 28 + payload);
}

static void frames_carry_the_tag_both_ways(void **state)
{
    arp_request_for(7, 0x0a070001);
    assert_int_equal(k.sent_count, 1);
    const uint8_t *f = k.sent[0].bytes;
    assert_true(get_be16(f + 12) == ETH_TYPE_VLAN && get_be16(f + 14) == 7 && get_be16(f + 16) == ETH_TYPE_ARP && f[25] == 2);
    k.sent_count = 0;
    ping(7, 0x0a070001, 1400);
    assert_int_equal(k.sent_count, 1);
    assert_true(get_be16(f + 12) == ETH_TYPE_VLAN && get_be16(f + 14) == 7 && get_be16(f + 16) == ETH_TYPE_IP4);
    assert_true(f[18 + 20] == 0 && k.sent[0].len == 18 + 28 + 1400);
    assert_int_equal(cksum_fold(cksum_add(0, f + 38, 8 + 1400)), 0xffff);
}

static void vlans_do_not_leak(void **state)
{
    arp_request_for(8, 0x0a070001); /* the other one's address */
    arp_request_for(UNTAGGED, 0x0a070001);
    arp_request_for(7, 0x0a000001); /* the untagged one's */
    ping(8, 0x0a070001, 8);
    ping(UNTAGGED, 0x0a070001, 8);
    ping(7, 0x0a000001, 8);
    assert_int_equal(k.sent_count, 0);
    arp_request_for(9, 0x0a070001);
    assert_int_equal(k.ns->counters.vlan_unknown, 1);
    assert_int_equal(k.sent_count, 0);
}

static void a_priority_alone_is_no_vlan(void **state) /* IEEE 802.1Q 6.9: VID 0 */
{
    arp_request_for(0xa000, 0x0a000001);
    assert_int_equal(k.sent_count, 1);
    assert_int_equal(get_be16(k.sent[0].bytes + 12), ETH_TYPE_ARP);
    k.sent_count = 0;
    arp_request_for(0xa007, 0x0a070001); /* priority 5 in VLAN 7 */
    assert_int_equal(k.sent_count, 1);
    assert_int_equal(get_be16(k.sent[0].bytes + 14), 7);
}

static void short_and_nested_tags_do_no_harm(void **state)
{
    uint8_t f[64];
    memset(f, 0, sizeof f);
    put_eth(f, true, 7, ETH_TYPE_VLAN); /* a tag in a tag is not taken */
    for (uint32_t n = 14; n <= 22; n++)
        kit_frame(&k, f, n);
    assert_int_equal(k.sent_count, 0);
    assert_null(net_iface_add_vlan(k.iface, 0, "x"));
    assert_null(net_iface_add_vlan(k.iface, 4095, "x"));
}

static void a_connection_lives_in_its_vlan(void **state)
{
    int err;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a080002), .remote_port = 80 };
    struct tcp_pcb *pcb = tcp_connect(k.ns, &how, &err);
    assert_non_null(pcb);
    net_stack_flush(k.ns);
    assert_int_equal(k.sent_count, 1); /* it asks for its neighbour there */
    assert_true(get_be16(k.sent[0].bytes + 12) == ETH_TYPE_VLAN && get_be16(k.sent[0].bytes + 14) == 8);
    uint8_t f[60] = { 0 };
    uint32_t at = put_eth(f, false, 8, ETH_TYPE_ARP);
    const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 2 };
    memcpy(f + at, head, 8);
    memcpy(f + at + 8, f + 6, 6);
    put_be32(f + at + 14, 0x0a080002);
    memcpy(f + at + 18, f, 6);
    put_be32(f + at + 24, 0x0a080001);
    k.sent_count = 0;
    kit_frame(&k, f, sizeof f);
    assert_int_equal(k.sent_count, 1);
    const uint8_t *s = k.sent[0].bytes;
    assert_true(get_be16(s + 12) == ETH_TYPE_VLAN && get_be16(s + 14) == 8 && s[18 + 9] == IP_PROTO_TCP && s[18 + 33] == TCP_SYN);
    assert_true(get_be32(s + 18 + 12) == 0x0a080001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_carry_the_tag_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(vlans_do_not_leak, setup, teardown),
        cmocka_unit_test_setup_teardown(a_priority_alone_is_no_vlan, setup, teardown),
        cmocka_unit_test_setup_teardown(short_and_nested_tags_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_lives_in_its_vlan, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
