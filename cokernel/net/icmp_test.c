/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors of ICMP and ICMPv6 as they come in frames, and whom they reach. */
#include "cokernel/net/icmp.h"

#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/udp.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

#define LOCAL_PORT 9000u
#define REMOTE_PORT 1234u

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static const struct net_addr own6 = { .b = { 0xfd, [15] = 1 } }, peer6 = { .b = { 0xfd, [15] = 2 } };

/* What quotes a datagram or segment from `from` to the peer, beginning with 8 bytes of its header. */
static void error4(uint8_t type, uint8_t code, uint16_t mtu, uint8_t proto, uint32_t from, const uint8_t *l4)
{
    uint8_t f[70] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45 }, *ip = f + 14, *icmp = ip + 20, *quoted = icmp + 8;
    put_be16(ip + 2, 56);
    ip[8] = 64;
    ip[9] = IP_PROTO_ICMP;
    put_be32(ip + 12, 0x0a000002);
    put_be32(ip + 16, 0x0a000001);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    icmp[0] = type;
    icmp[1] = code;
    put_be16(icmp + 6, mtu);
    quoted[0] = 0x45;
    put_be16(quoted + 2, 1440);
    quoted[9] = proto;
    put_be32(quoted + 12, from);
    put_be32(quoted + 16, 0x0a000002);
    memcpy(quoted + 20, l4, 8);
    store16(icmp + 2, cksum_finish(cksum_add(0, icmp, 36)));
    kit_frame(&k, f, sizeof f);
}

static void error6(uint8_t type, uint8_t code, uint32_t mtu, uint8_t proto, const uint8_t *l4)
{
    uint8_t f[110] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60 }, *ip = f + 14, *icmp = ip + 40, *quoted = icmp + 8;
    put_be16(ip + 4, 56);
    ip[6] = IP_PROTO_ICMP6;
    ip[7] = 64;
    memcpy(ip + 8, peer6.b, 16);
    memcpy(ip + 24, own6.b, 16);
    icmp[0] = type;
    icmp[1] = code;
    put_be32(icmp + 4, mtu);
    quoted[0] = 0x60;
    put_be16(quoted + 4, 1400);
    quoted[6] = proto;
    memcpy(quoted + 8, own6.b, 16);
    memcpy(quoted + 24, peer6.b, 16);
    memcpy(quoted + 48 - 8, l4, 8);
    store16(icmp + 2, cksum_finish(cksum_add(cksum_pseudo(&peer6, &own6, IP_PROTO_ICMP6, 56), icmp, 56)));
    kit_frame(&k, f, sizeof f);
}

static struct udp_pcb *open_connected(bool v6, bool connected)
{
    struct net_addr any = v6 ? (struct net_addr){ 0 } : net_addr_v4(0), peer = v6 ? peer6 : net_addr_v4(0x0a000002);
    struct udp_pcb *u = udp_open(k.ns);
    if (v6) {
        struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
        net_iface_add_addr(k.iface, &own6, 64, false);
        neigh_learn(k.ns, k.iface, &peer6, &mac, true, true, true);
    }
    assert_int_equal(udp_bind(u, &any, LOCAL_PORT), 0);
    if (connected)
        assert_int_equal(udp_connect(u, &peer, REMOTE_PORT), 0);
    return u;
}

static void udp_header(uint8_t *h)
{
    put_be16(h, LOCAL_PORT);
    put_be16(h + 2, REMOTE_PORT);
    put_be16(h + 4, 1420);
    put_be16(h + 6, 0);
}

/* The error that was told, which is then forgotten. */
static int told(struct udp_pcb *u)
{
    int e = u->ep.error;
    u->ep.error = 0;
    return e;
}

static void each_code_has_its_error(void **state) /* RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1 */
{
    static const struct { uint8_t type, code; int hard, any; } codes[] = {
        { 3, 0, 0, NET_ENETUNREACH }, { 3, 1, 0, NET_EHOSTUNREACH }, { 3, 2, NET_ENOPROTOOPT, NET_ENOPROTOOPT }, { 3, 3, NET_ECONNREFUSED, NET_ECONNREFUSED },
        { 3, 5, 0, NET_EOPNOTSUPP }, { 3, 6, NET_ENETUNREACH, NET_ENETUNREACH }, { 3, 7, NET_EHOSTDOWN, NET_EHOSTDOWN }, { 3, 8, NET_ENONET, NET_ENONET },
        { 3, 9, NET_ENETUNREACH, NET_ENETUNREACH }, { 3, 10, NET_EHOSTUNREACH, NET_EHOSTUNREACH }, { 3, 11, 0, NET_ENETUNREACH }, { 3, 12, 0, NET_EHOSTUNREACH },
        { 3, 13, NET_EHOSTUNREACH, NET_EHOSTUNREACH }, { 3, 15, NET_EHOSTUNREACH, NET_EHOSTUNREACH }, { 3, 16, 0, 0 }, { 3, 255, 0, 0 },
        { 11, 0, 0, NET_EHOSTUNREACH }, { 12, 0, NET_EPROTO, NET_EPROTO }, { 4, 0, 0, 0 },
    };
    struct udp_pcb *u = open_connected(false, true);
    uint8_t h[8];
    udp_header(h);
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        for (unsigned soft = 0; soft < 2; soft++) {
            u->soft_errors = (uint8_t)soft;
            error4(codes[i].type, codes[i].code, 0, IP_PROTO_UDP, 0x0a000001, h);
            assert_int_equal(told(u), soft ? codes[i].any : codes[i].hard);
        }
    udp_close(u);
}

static void each_code_of_icmpv6_has_its_error(void **state) /* RFC 4443 3; 2.4 a: unknown errors are passed on */
{
    static const struct { uint8_t type, code; int hard, any; } codes[] = {
        { 1, 0, 0, NET_ENETUNREACH }, { 1, 1, NET_EACCES, NET_EACCES }, { 1, 2, 0, NET_EHOSTUNREACH }, { 1, 3, 0, NET_EHOSTUNREACH },
        { 1, 4, NET_ECONNREFUSED, NET_ECONNREFUSED }, { 1, 5, NET_EACCES, NET_EACCES }, { 1, 6, NET_EACCES, NET_EACCES }, { 1, 7, NET_EPROTO, NET_EPROTO },
        { 3, 0, 0, NET_EHOSTUNREACH }, { 4, 1, NET_EPROTO, NET_EPROTO }, { 100, 0, 0, NET_EPROTO }, { 127, 9, 0, NET_EPROTO }, { 200, 0, 0, 0 },
    };
    struct udp_pcb *u = open_connected(true, true);
    uint8_t h[8];
    udp_header(h);
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        for (unsigned soft = 0; soft < 2; soft++) {
            u->soft_errors = (uint8_t)soft;
            error6(codes[i].type, codes[i].code, 0, IP_PROTO_UDP, h);
            assert_int_equal(told(u), soft ? codes[i].any : codes[i].hard);
        }
    udp_close(u);
}

static void a_connected_endpoint_hears_that_it_sends_too_much(void **state)
{
    struct udp_pcb *u = open_connected(false, true);
    struct net_addr peer = net_addr_v4(0x0a000002);
    uint8_t h[8];
    udp_header(h);
    error4(3, 4, 1000, IP_PROTO_UDP, 0x0a000001, h);
    assert_int_equal(told(u), NET_EMSGSIZE);
    assert_int_equal(net_pmtu_get(k.ns, &peer), 1000);
    udp_close(u);
}

static void errors_reach_only_who_can_have_sent(void **state)
{
    struct udp_pcb *u = open_connected(false, true);
    struct net_addr peer = net_addr_v4(0x0a000002);
    uint8_t h[8];
    udp_header(h);
    error4(3, 3, 0, IP_PROTO_UDP, 0x0a000077, h); /* another source */
    put_be16(h + 2, REMOTE_PORT + 1);             /* another peer */
    error4(3, 3, 0, IP_PROTO_UDP, 0x0a000001, h);
    error4(3, 4, 1000, IP_PROTO_UDP, 0x0a000001, h);
    assert_int_equal(told(u), 0);
    assert_int_equal(net_pmtu_get(k.ns, &peer), 0);
    udp_close(u);
    u = open_connected(false, false);
    error4(3, 3, 0, IP_PROTO_UDP, 0x0a000001, h); /* it would not know which peer */
    assert_int_equal(told(u), 0);
    udp_close(u);
}

static void what_cannot_be_sent_says_why(void **state)
{
    struct udp_pcb *u = open_connected(true, false), *v4 = udp_open(k.ns);
    struct net_addr peer = net_addr_v4(0x0a000002), all = net_addr_v4(0xffffffff), any4 = net_addr_v4(0);
    static uint8_t much[65528];
    assert_int_equal(udp_bind(v4, &any4, LOCAL_PORT + 1), 0);
    assert_int_equal(udp_send(v4, pbuf_copy_in(net_stack_pools(k.ns), much, 1, 64), NULL, 0), -NET_EDESTADDRREQ);
    assert_int_equal(udp_send(v4, pbuf_copy_in(net_stack_pools(k.ns), much, 1, 64), &peer, 0), -NET_EINVAL);
    assert_int_equal(udp_send(v4, pbuf_copy_in(net_stack_pools(k.ns), much, 1, 64), &all, 7), -NET_EACCES);
    assert_int_equal(udp_send(v4, pbuf_copy_in(net_stack_pools(k.ns), much, 65508, 64), &peer, 7), -NET_EMSGSIZE);
    assert_int_equal(udp_send(v4, pbuf_copy_in(net_stack_pools(k.ns), much, 65507, 64), &peer, 7), 0);
    assert_int_equal(udp_send(u, pbuf_copy_in(net_stack_pools(k.ns), much, 65528, 64), &peer6, 7), -NET_EMSGSIZE);
    assert_int_equal(udp_send(u, pbuf_copy_in(net_stack_pools(k.ns), much, 65527, 64), &peer6, 7), 0); /* RFC 8200: the header is not part of the length */
    kit_run(&k);
    k.sent_count = 0;
    udp_close(v4);
    udp_close(u);
}

static void a_connection_hears_of_a_parameter_problem(void **state)
{
    uint8_t h[8];
    kit_establish(&k, true, true);
    tcp_write(k.pcb, (uint8_t[100]){ 1 }, 100);
    kit_run(&k);
    put_be16(h, KIT_PORT);
    put_be16(h + 2, KIT_PEER_PORT);
    put_be32(h + 4, k.rcv);
    error4(12, 0, 0, IP_PROTO_TCP, 0x0a000001, h);
    assert_int_equal(k.pcb->ep.error, NET_EPROTO);
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    error4(3, 99, 0, IP_PROTO_TCP, 0x0a000001, h); /* of no known kind */
    assert_int_equal(k.pcb->ep.error, NET_EPROTO);
}

static void an_error_is_forgotten_when_the_peer_answers(void **state)
{
    for (unsigned calm = 0; calm < 2; calm++) {
        uint8_t h[8];
        kit_establish(&k, calm, calm);
        tcp_write(k.pcb, (uint8_t[100]){ 1 }, 100);
        kit_run(&k);
        put_be16(h, KIT_PORT);
        put_be16(h + 2, KIT_PEER_PORT);
        put_be32(h + 4, k.rcv);
        error4(3, 1, 0, IP_PROTO_TCP, 0x0a000001, h);
        assert_int_equal(k.pcb->ep.error, NET_EHOSTUNREACH);
        kit_ack(&k, k.rcv + 100);
        assert_int_equal(k.pcb->ep.error, 0);
        tcp_abort(k.pcb);
        kit_run(&k);
        k.sent_count = k.sent_read = 0;
    }
    kit_establish(&k, true, true);
}

static void who_times_out_hears_what_icmp_said(void **state) /* RFC 1122 4.2.3.9 */
{
    uint8_t h[8];
    kit_establish(&k, true, true);
    tcp_write(k.pcb, (uint8_t[100]){ 1 }, 100);
    kit_run(&k);
    put_be16(h, KIT_PORT);
    put_be16(h + 2, KIT_PEER_PORT);
    put_be32(h + 4, k.rcv);
    error4(3, 1, 0, IP_PROTO_TCP, 0x0a000001, h);
    kit_pass(&k, 1200 * NET_NS_PER_S);
    assert_int_equal(k.pcb->state, TCP_CLOSED);
    assert_int_equal(k.pcb->ep.error, NET_EHOSTUNREACH);
    uint8_t byte;
    assert_int_equal(tcp_read(k.pcb, &byte, 1), -NET_EHOSTUNREACH);
}

/* Part [from, to) of a datagram of 1000 bytes to a closed port, over IPv6 behind a destination header. */
static void piece(bool v6, uint32_t from, uint32_t to, uint16_t id)
{
    uint8_t d[1000], f[1200] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45 }, *ip = f + 14, *at = ip + 20;
    struct net_addr peer = v6 ? peer6 : net_addr_v4(0x0a000002), own = v6 ? own6 : net_addr_v4(0x0a000001);
    memset(d, 5, sizeof d);
    put_be16(d, REMOTE_PORT);
    put_be16(d + 2, 4444);
    put_be16(d + 4, sizeof d);
    put_be16(d + 6, 0);
    store16(d + 6, cksum_finish(cksum_add(cksum_pseudo(&peer, &own, IP_PROTO_UDP, sizeof d), d, sizeof d)));
    if (v6) {
        put_be16(f + 12, ETH_TYPE_IP6);
        ip[0] = 0x60;
        ip[6] = IP_PROTO_DSTOPTS;
        ip[7] = 64;
        memcpy(ip + 8, peer6.b, 16);
        memcpy(ip + 24, own6.b, 16);
        at = ip + 40;
        memcpy(at, (uint8_t[]){ IP_PROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0, IP_PROTO_UDP }, 9);
        put_be16(at + 10, (uint16_t)(from | (to < sizeof d)));
        put_be32(at + 12, id);
        at += 16;
        put_be16(ip + 4, (uint16_t)(16 + to - from));
    } else {
        put_be16(ip + 2, (uint16_t)(20 + to - from));
        put_be16(ip + 4, id);
        put_be16(ip + 6, (uint16_t)(from / 8 | (to < sizeof d ? 0x2000 : 0)));
        ip[8] = 64;
        ip[9] = IP_PROTO_UDP;
        store32(ip + 12, peer.w[3]);
        store32(ip + 16, own.w[3]);
        store16(ip + 10, cksum_finish(cksum_ip4_header(ip)));
    }
    memcpy(at, d + from, to - from);
    kit_frame(&k, f, (uint32_t)(at - f) + to - from);
}

/* The one frame that was sent, an ICMP message; what it quotes. */
static const uint8_t *quoted(uint8_t type, uint8_t code)
{
    assert_int_equal(k.sent_count, 1);
    const uint8_t *f = k.sent[0].bytes, *icmp = f + (get_be16(f + 12) == ETH_TYPE_IP4 ? 34 : 54);
    assert_int_equal(icmp[0], type);
    assert_int_equal(icmp[1], code);
    k.sent_count = k.sent_read = 0;
    return icmp + 8;
}

static void what_came_in_fragments_is_refused_as_what_came_whole(void **state) /* RFC 1122 3.2.2.1, RFC 4443 3.1 */
{
    udp_close(open_connected(true, false)); /* gives us an address of IPv6 */
    kit_pass(&k, 5 * NET_NS_PER_S);
    k.sent_count = k.sent_read = 0;
    piece(false, 0, 480, 1);
    piece(false, 480, 1000, 1);
    const uint8_t *ip = quoted(3, 3);
    assert_int_equal(ip[0], 0x45);
    assert_int_equal(get_be16(ip + 2), 1020);
    assert_int_equal(get_be16(ip + 6), 0);
    assert_int_equal(cksum_fold(cksum_ip4_header(ip)), 0xffff);
    assert_int_equal(get_be16(ip + 22), 4444);
    piece(true, 480, 1000, 2); /* the other way round */
    piece(true, 0, 480, 2);
    ip = quoted(1, 4);
    assert_int_equal(ip[6], IP_PROTO_DSTOPTS);
    assert_int_equal(get_be16(ip + 4), 1008);
    assert_int_equal(ip[40], IP_PROTO_UDP); /* the fragment header is gone */
    assert_int_equal(get_be16(ip + 50), 4444);
}

static void fragments_that_stay_alone_are_reported(void **state) /* RFC 1122 3.3.2, RFC 8200 4.5 */
{
    udp_close(open_connected(true, false));
    kit_pass(&k, 5 * NET_NS_PER_S);
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
        k.sent_count = k.sent_read = 0;
        piece(v6, 480, 1000, 3);
        kit_pass(&k, 31 * NET_NS_PER_S);
        for (unsigned i = 0; i < k.sent_count; i++) /* nothing if the first part did not come; but neighbours are asked for */
            assert_false(get_be16(k.sent[i].bytes + 12) == ETH_TYPE_IP4);
        piece(v6, 0, 480, 4);
        kit_pass(&k, 29 * NET_NS_PER_S);
        struct net_addr peer4 = net_addr_v4(0x0a000002);
        neigh_learn(k.ns, k.iface, v6 ? &peer6 : &peer4, &mac, true, true, true);
        k.sent_count = k.sent_read = 0;
        kit_pass(&k, 2 * NET_NS_PER_S);
        const uint8_t *ip = quoted(v6 ? 3 : 11, 1);
        assert_int_equal(ip[0] >> 4, v6 ? 6 : 4);
        if (v6)
            assert_int_equal(ip[40], IP_PROTO_FRAGMENT); /* as it came */
        else
            assert_int_equal(get_be16(ip + 6), 0x2000);
    }
}

/* A datagram over IPv4 with options, from `from`. */
static void with_options(uint32_t from, uint8_t kind, uint8_t bytes)
{
    uint8_t f[70] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x47 }, *ip = f + 14;
    put_be16(ip + 2, 36);
    ip[8] = 64;
    ip[9] = IP_PROTO_UDP;
    put_be32(ip + 12, from);
    put_be32(ip + 16, 0x0a000001);
    memcpy(ip + 20, (uint8_t[]){ 1, 1, kind, bytes, 0, 0, 0, 0 }, 8);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 28)));
    put_be16(ip + 30, LOCAL_PORT);
    put_be16(ip + 32, 8);
    kit_frame(&k, f, 14 + 36);
}

static void broken_options_are_reported(void **state) /* RFC 1122 3.2.2.5 */
{
    struct udp_pcb *u = open_connected(false, false);
    with_options(0x0a000002, 0x9a, 6);
    assert_int_equal(u->received.count, 1);
    with_options(0x0a000002, 0x9a, 7);
    assert_int_equal(get_be32(quoted(12, 0) - 4), 22u << 24);
    with_options(0x0a000002, 0x9a, 1);
    assert_int_equal(get_be32(quoted(12, 0) - 4), 22u << 24);
    with_options(0x0a000002, 131, 6); /* a source route is refused in silence: RFC 7126 */
    assert_int_equal(k.sent_count, 0);
    assert_int_equal(u->received.count, 1);
    udp_close(u);
}

/* A message of ICMPv6 behind an option that we do not know and that asks for a report. */
static void behind_an_option(uint8_t type)
{
    uint8_t f[14 + 40 + 8 + 48] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60 }, *ip = f + 14, *at = ip + 40;
    put_be16(ip + 4, 56);
    ip[6] = IP_PROTO_DSTOPTS;
    ip[7] = 255;
    memcpy(ip + 8, peer6.b, 16);
    memcpy(ip + 24, own6.b, 16);
    memcpy(at, (uint8_t[]){ IP_PROTO_ICMP6, 0, 0x9e, 4, 0, 0, 0, 0 }, 8);
    at[8] = type;
    kit_frame(&k, f, sizeof f);
}

static void errors_and_redirects_are_not_answered_whatever_is_around(void **state) /* RFC 4443 2.4 e.1, e.2 */
{
    udp_close(open_connected(true, false));
    kit_pass(&k, 5 * NET_NS_PER_S);
    struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
    neigh_learn(k.ns, k.iface, &peer6, &mac, true, true, true);
    k.sent_count = k.sent_read = 0;
    behind_an_option(1);
    behind_an_option(100);
    behind_an_option(137);
    assert_int_equal(k.sent_count, 0);
    behind_an_option(128);
    assert_int_equal(get_be32(quoted(4, 2) - 4), 42);
}

static void nobody_else_has_our_address(void **state) /* RFC 1122 3.2.1.3 */
{
    struct udp_pcb *u = open_connected(false, false);
    with_options(0x0a000001, 0x9a, 6);
    with_options(0, 0x9a, 6); /* who has none cannot know ours */
    assert_int_equal(u->received.count, 0);
    assert_int_equal(k.ns->counters.ip_not_ours, 2);
    udp_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_code_has_its_error, setup, teardown),
        cmocka_unit_test_setup_teardown(each_code_of_icmpv6_has_its_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connected_endpoint_hears_that_it_sends_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_reach_only_who_can_have_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_hears_of_a_parameter_problem, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_is_forgotten_when_the_peer_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(who_times_out_hears_what_icmp_said, setup, teardown),
        cmocka_unit_test_setup_teardown(what_came_in_fragments_is_refused_as_what_came_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(fragments_that_stay_alone_are_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_options_are_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_and_redirects_are_not_answered_whatever_is_around, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_else_has_our_address, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
