/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/dhcp4.h"

#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static struct dhcp4_lease lease;
static unsigned got, lost;

static int setup(void **state)
{
    kit_setup(&k);
    struct net_addr own = net_addr_v4(0x0a000001);
    net_iface_del_addr(k.iface, &own);
    got = lost = 0;
    return 0;
}
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void changed(void *ctx, const struct dhcp4_lease *l)
{
    if (l) {
        lease = *l;
        got++;
    } else {
        lost++;
    }
}

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };

/* The option's value in a client's message, NULL if it is not there. */
static const uint8_t *option(const uint8_t *message, uint8_t code)
{
    for (const uint8_t *p = message + 240; *p != 255; p += 2 + p[1])
        if (*p == code)
            return p + 2;
    return NULL;
}

/* The last message that the client sent since the last call, of this type; NULL if there is none. */
static const uint8_t *sent(uint8_t type, uint32_t *to)
{
    const uint8_t *last = NULL;
    for (unsigned i = 0; i < k.sent_count; i++) {
        const uint8_t *f = k.sent[i].bytes;
        if (get_be16(f + 12) != ETH_TYPE_IP4 || f[23] != IP_PROTO_UDP || get_be16(f + 36) != 67 || *option(f + 42, 53) != type)
            continue;
        last = f + 42;
        if (to)
            *to = get_be32(f + 30);
    }
    k.sent_count = 0;
    return last;
}

static void answer(const uint8_t *question, uint8_t type, uint32_t addr, uint32_t lease_s)
{
    uint8_t f[342] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 1, 72, [22] = 64, IP_PROTO_UDP }, *m = f + 42, *p = m + 240;
    struct net_addr from = net_addr_v4(0x0a000002), to = net_addr_v4(addr);
    put_be32(f + 26, 0x0a000002);
    put_be32(f + 30, addr);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    put_be16(f + 34, 67);
    put_be16(f + 36, 68);
    put_be16(f + 38, 308);
    m[0] = 2;
    m[1] = 1;
    m[2] = 6;
    memcpy(m + 4, question + 4, 4);
    put_be32(m + 16, addr);
    memcpy(m + 28, question + 28, 6);
    put_be32(m + 236, 0x63825363);
    const uint8_t options[] = { 53, 1, type, 54, 4, 10, 0, 0, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2, 51, 4,
                                (uint8_t)(lease_s >> 24), (uint8_t)(lease_s >> 16), (uint8_t)(lease_s >> 8), (uint8_t)lease_s, 255 };
    memcpy(p, options, sizeof options);
    store16(f + 40, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_UDP, 308), f + 34, 308)));
    kit_frame(&k, f, sizeof f);
}

static void offered_and_acknowledged(uint32_t addr)
{
    uint8_t question[300];
    const uint8_t *m = sent(DISCOVER, NULL);
    assert_non_null(m);
    memcpy(question, m, sizeof question);
    answer(question, OFFER, addr, 3600);
    m = sent(REQUEST, NULL);
    assert_non_null(m);
    assert_int_equal(get_be32(option(m, 50)), addr);
    assert_int_equal(get_be32(option(m, 54)), 0x0a000002);
    answer(question, ACK, addr, 3600);
}

static void a_lease_is_probed_used_renewed_and_lost(void **state) /* RFC 2131 4.4 */
{
    struct net_addr addr = net_addr_v4(0x0a000032);
    uint32_t to = 0;
    assert_non_null(dhcp4_start(k.iface, changed, NULL));
    kit_run(&k);
    offered_and_acknowledged(0x0a000032);
    assert_false(net_iface_accepts(k.iface, &addr)); /* not before the link was asked */
    assert_int_equal(got, 0);
    kit_pass(&k, 8 * NET_NS_PER_S);
    assert_int_equal(got, 1);
    assert_true(net_iface_accepts(k.iface, &addr));
    sent(REQUEST, NULL);
    kit_pass(&k, 1800 * NET_NS_PER_S); /* T1: asks its server */
    const uint8_t *m = sent(REQUEST, &to);
    assert_non_null(m);
    assert_int_equal(to, 0x0a000002);
    assert_int_equal(get_be32(m + 12), 0x0a000032);
    assert_null(option(m, 50));
    uint8_t question[300];
    memcpy(question, m, sizeof question);
    answer(question, ACK, 0x0a000032, 3600);
    assert_int_equal(got, 1); /* nothing new */
    kit_pass(&k, 1700 * NET_NS_PER_S);
    assert_null(sent(REQUEST, NULL));
    kit_pass(&k, 1600 * NET_NS_PER_S); /* no answer: T2, asks everybody */
    assert_non_null(sent(REQUEST, &to));
    assert_int_equal(to, 0xffffffff);
    kit_pass(&k, 600 * NET_NS_PER_S);
    assert_int_equal(lost, 1);
    assert_false(net_iface_accepts(k.iface, &addr));
    assert_non_null(sent(DISCOVER, NULL));
}

static void an_address_in_use_is_declined(void **state) /* RFC 2131 3.1 step 5, 4.4.4 */
{
    uint8_t arp[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 0x32 };
    struct net_addr addr = net_addr_v4(0x0a000032), other = net_addr_v4(0x0a000033);
    dhcp4_start(k.iface, changed, NULL);
    kit_run(&k);
    offered_and_acknowledged(0x0a000032);
    kit_pass(&k, 2 * NET_NS_PER_S);
    k.sent_count = 0;
    kit_frame(&k, arp, sizeof arp); /* somebody answers the probe */
    const uint8_t *m = sent(DECLINE, NULL);
    assert_non_null(m);
    assert_int_equal(get_be32(option(m, 50)), 0x0a000032);
    assert_int_equal(get_be32(option(m, 54)), 0x0a000002);
    assert_int_equal(get_be32(m + 12), 0);
    assert_null(option(m, 55));
    assert_false(net_iface_accepts(k.iface, &addr));
    kit_pass(&k, 9 * NET_NS_PER_S); /* not at once: 3.1 step 5 */
    assert_null(sent(DISCOVER, NULL));
    kit_pass(&k, 2 * NET_NS_PER_S);
    offered_and_acknowledged(0x0a000033);
    kit_pass(&k, 8 * NET_NS_PER_S);
    assert_int_equal(got, 1);
    assert_true(net_iface_accepts(k.iface, &other));
    assert_int_equal(k.ns->counters.dhcp_declined, 1);
}

static void a_refusal_starts_anew(void **state) /* RFC 2131 3.1 step 5: DHCPNAK */
{
    uint8_t question[300];
    dhcp4_start(k.iface, changed, NULL);
    kit_run(&k);
    memcpy(question, sent(DISCOVER, NULL), sizeof question);
    answer(question, OFFER, 0x0a000032, 3600);
    assert_non_null(sent(REQUEST, NULL));
    answer(question, NAK, 0, 0);
    assert_non_null(sent(DISCOVER, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lease_is_probed_used_renewed_and_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_declined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_starts_anew, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
