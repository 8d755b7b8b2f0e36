/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/rss.h"

#include "cokernel/net/cmocka_net.h"

/* "Verifying the RSS hash calculation" of Microsoft's NDIS documentation: the key, and what it must give. */
static const struct net_rss rss = { .groups = 128, .key = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa } };

static void the_published_values_come_out(void **state)
{
    struct net_flow_key a = { .local = net_addr_v4(0xa18e6450), .local_port = 1766, .remote = net_addr_v4(0x420995bb), .remote_port = 2794 };
    struct net_flow_key b = { .local = net_addr_v4(0x41458c53), .local_port = 4739, .remote = net_addr_v4(0xc75c6f02), .remote_port = 14230 };
    struct net_flow_key c = { .local = { .b = { 0x3f, 0xfe, 0x25, 1, 2, 0, 0, 3, [15] = 1 } }, .local_port = 1766,
                              .remote = { .b = { 0x3f, 0xfe, 0x25, 1, 2, 0, 0x1f, 0xff, [15] = 7 } }, .remote_port = 2794 };
    assert_int_equal(net_rss_hash(&rss, &a), 0x51ccc178);
    assert_int_equal(net_rss_hash(&rss, &b), 0xc626b0ea);
    assert_int_equal(net_rss_hash(&rss, &c), 0x40207d3d);
    assert_int_equal(net_rss_group(&rss, &a), 0x78);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_published_values_come_out) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
