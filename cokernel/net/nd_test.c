/* SPDX-License-Identifier: BSD-2-Clause */
/* Stateless address autoconfiguration (RFC 4862) against a router made by hand. */
#include "cokernel/net/nd.h"

#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static const struct net_addr all_nodes = { .b = { 0xff, 2, [15] = 1 } }, router = { .b = { 0xfe, 0x80, [15] = 0x99 } };
/* What the interface's address 02:00:00:00:00:01 makes of the prefix 2001:db8::/64 (RFC 4291 appendix A), and of fe80::/64. */
static const struct net_addr ours = { .b = { 0x20, 1, 0xd, 0xb8, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 1 } };
static const struct net_addr link_local = { .b = { 0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 1 } };

static void send6(const struct net_addr *from, const struct net_addr *to, uint8_t hops, const uint8_t *message, uint32_t n)
{
    uint8_t f[400] = { 0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 0x86, 0xdd, 0x60 }, *ip = f + 14;
    put_be16(ip + 4, (uint16_t)n);
    ip[6] = IP_PROTO_ICMP6;
    ip[7] = hops;
    memcpy(ip + 8, from->b, 16);
    memcpy(ip + 24, to->b, 16);
    memcpy(ip + 40, message, n);
    store16(ip + 42, 0);
    store16(ip + 42, cksum_finish(cksum_add(cksum_pseudo(from, to, IP_PROTO_ICMP6, n), ip + 40, n)));
    memcpy(f + 2, to->b + 12, 4);
    kit_frame(&k, f, 54 + n);
}

struct advert { uint32_t valid, preferred; uint16_t router_s; uint8_t hops, bits, flags; struct net_addr prefix; };

static struct advert usual(void)
{
    return (struct advert){ .valid = 86400, .preferred = 14400, .router_s = 1800, .hops = 255, .bits = 64, .flags = 0xc0, .prefix = { .b = { 0x20, 1, 0xd, 0xb8 } } };
}

static void advertise(struct advert a)
{
    uint8_t m[48] = { 134, [4] = 64, [16] = 3, 4 };
    put_be16(m + 6, a.router_s);
    m[18] = a.bits;
    m[19] = a.flags;
    put_be32(m + 20, a.valid);
    put_be32(m + 24, a.preferred);
    memcpy(m + 32, a.prefix.b, 16);
    send6(&router, &all_nodes, a.hops, m, sizeof m);
}

/* The ICMPv6 messages of one type that were sent since; the last one's IPv6 header in *ip. */
static unsigned sent(uint8_t type, const uint8_t **ip)
{
    unsigned n = 0;
    for (unsigned i = 0; i < k.sent_count; i++) {
        const uint8_t *f = k.sent[i].bytes;
        if (get_be16(f + 12) != ETH_TYPE_IP6 || f[20] != IP_PROTO_ICMP6 || f[54] != type)
            continue;
        *ip = f + 14;
        n++;
    }
    k.sent_count = k.sent_read = 0;
    return n;
}

static void start(void)
{
    nd_enable_slaac(k.iface);
    kit_pass(&k, 4 * NET_NS_PER_S);
    k.sent_count = k.sent_read = 0;
}

static unsigned state_of(const struct net_addr *a)
{
    struct net_ifaddr *ifa = net_iface_find_addr(k.iface, a);
    return ifa ? ifa->state : IFADDR_FREE;
}

static void the_link_local_address_is_probed_and_routers_are_asked(void **state) /* RFC 4862 5.4, RFC 4861 6.3.7 */
{
    const uint8_t *ip = NULL;
    nd_enable_slaac(k.iface);
    assert_int_equal(state_of(&link_local), IFADDR_TENTATIVE);
    kit_pass(&k, 2100 * NET_NS_PER_MS);
    assert_int_equal(state_of(&link_local), IFADDR_PREFERRED);
    assert_int_equal(sent(135, &ip), 1);
    assert_true(ip[7] == 255 && !memcmp(ip + 48, link_local.b, 16));
    kit_pass(&k, 60 * NET_NS_PER_S);
    assert_int_equal(sent(133, &ip), 3);
    assert_true(ip[7] == 255 && !memcmp(ip + 8, link_local.b, 16) && ip[24] == 0xff && ip[39] == 2);
}

static void an_announced_prefix_becomes_an_address(void **state) /* RFC 4862 5.5.3 */
{
    const uint8_t *ip = NULL;
    struct net_addr far = { .b = { 0x20, 1, [15] = 5 } };
    start();
    advertise(usual());
    assert_int_equal(state_of(&ours), IFADDR_TENTATIVE);
    assert_true(net_addr_eq(&net_route_find(k.ns, &far, NULL)->gateway, &router));
    assert_true(net_addr_is_any(&net_route_find(k.ns, &ours, NULL)->gateway)); /* on link */
    kit_pass(&k, 3 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_PREFERRED);
    assert_int_equal(sent(135, &ip), 1);
    assert_true(net_addr_is_any(&(struct net_addr){ .q = { load64(ip + 8), load64(ip + 16) } })); /* from nobody */
}

static void lifetimes_end(void **state) /* 5.5.4 */
{
    struct net_addr far = { .b = { 0x20, 1, [15] = 5 } };
    struct advert a = usual();
    a.valid = 9000;
    a.preferred = 8000;
    start();
    advertise(a);
    kit_pass(&k, 1900 * NET_NS_PER_S);
    assert_null(net_route_find(k.ns, &far, NULL)); /* the router's own 1800 s */
    assert_int_equal(state_of(&ours), IFADDR_PREFERRED);
    kit_pass(&k, 6200 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_DEPRECATED);
    kit_pass(&k, 1000 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_FREE);
}

static void a_forged_announcement_cannot_take_an_address_away(void **state) /* 5.5.3 e: two hours are left */
{
    struct advert a = usual();
    start();
    advertise(a);
    kit_pass(&k, 5 * NET_NS_PER_S);
    a.valid = a.preferred = 1;
    advertise(a);
    kit_pass(&k, 7000 * NET_NS_PER_S);
    assert_int_not_equal(state_of(&ours), IFADDR_FREE);
    kit_pass(&k, 300 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_FREE);
}

static void an_announcement_renews(void **state)
{
    struct advert a = usual();
    a.valid = 8000;
    a.preferred = 100;
    start();
    advertise(a);
    kit_pass(&k, 200 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_DEPRECATED);
    a.preferred = 4000;
    advertise(a);
    assert_int_equal(state_of(&ours), IFADDR_PREFERRED);
    kit_pass(&k, 7900 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_DEPRECATED);
    kit_pass(&k, 200 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_FREE);
}

static void somebody_who_has_the_address_keeps_it(void **state) /* 5.4.4 */
{
    uint8_t m[32] = { 136, [4] = 0x20, [24] = 2, 1, 2, 0, 0, 0, 0, 0x77 };
    start();
    advertise(usual());
    memcpy(m + 8, ours.b, 16);
    send6(&ours, &all_nodes, 255, m, sizeof m);
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_DUPLICATE);
    assert_false(net_iface_accepts(k.iface, &ours));
}

static void what_no_router_on_the_link_says_is_ignored(void **state) /* RFC 4861 6.1.2, RFC 4862 5.5.3 */
{
    struct advert a;
    uint8_t m[48] = { 134, [16] = 3, 0 };
    start();
    a = usual(), a.hops = 254, advertise(a);
    a = usual(), a.preferred = a.valid + 1, a.flags = 0x40, advertise(a);
    a = usual(), a.bits = 63, a.flags = 0x40, advertise(a);
    a = usual(), a.bits = 200, advertise(a);
    a = usual(), a.flags = 0, advertise(a);
    a = usual(), a.valid = a.preferred = 0, a.flags = 0x40, advertise(a);
    a = usual(), a.prefix.b[0] = 0xff, advertise(a);
    a = usual(), a.prefix = link_local, advertise(a);
    send6(&router, &all_nodes, 255, m, sizeof m); /* an option of no length */
    send6(&ours, &all_nodes, 255, m, 16);         /* not from a link-local address */
    kit_pass(&k, 5 * NET_NS_PER_S);
    assert_int_equal(state_of(&ours), IFADDR_FREE);
    assert_int_equal(state_of(&link_local), IFADDR_PREFERRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_link_local_address_is_probed_and_routers_are_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(an_announced_prefix_becomes_an_address, setup, teardown),
        cmocka_unit_test_setup_teardown(lifetimes_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forged_announcement_cannot_take_an_address_away, setup, teardown),
        cmocka_unit_test_setup_teardown(an_announcement_renews, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_who_has_the_address_keeps_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_router_on_the_link_says_is_ignored, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
