/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/cksum.h"
#include "cokernel/net/cmocka_net.h"

#include <stdlib.h>

/* RFC 1071 4.1, the slow and obvious way. */
static uint16_t reference(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (n & 1)
        sum += (uint32_t)p[n - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void agrees_with_the_rfc_at_every_length_and_alignment(void **state)
{
    uint8_t buf[700];
    srand(1);
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)rand();
    for (unsigned at = 0; at < 9; at++)
        for (unsigned n = 0; n < 600; n++)
            assert_int_equal(net_bswap16(cksum_finish(cksum_add(0, buf + at, n))), reference(buf + at, n));
}

static void all_ones_carry_correctly(void **state)
{
    uint8_t buf[256];
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = 0xff;
    for (unsigned n = 0; n <= sizeof buf; n++)
        assert_int_equal(net_bswap16(cksum_finish(cksum_add(0, buf, n))), reference(buf, n));
}

static void pieces_at_odd_offsets_add_up(void **state)
{
    uint8_t buf[333];
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 7 + 3);
    for (unsigned cut = 0; cut < sizeof buf; cut++) {
        uint64_t sum = cksum_add_at(0, 0, buf, cut);
        sum = cksum_add_at(sum, cut, buf + cut, sizeof buf - cut);
        assert_int_equal(net_bswap16(cksum_finish(sum)), reference(buf, sizeof buf));
    }
}

static void incremental_update_equals_recomputation(void **state)
{
    uint8_t buf[40];
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 31);
    uint16_t before = cksum_finish(cksum_add(0, buf, sizeof buf));
    for (unsigned v = 0; v < 0x10000; v += 0x101) {
        uint16_t old = load16(buf + 8);
        store16(buf + 8, (uint16_t)v);
        uint16_t now = cksum_finish(cksum_add(0, buf, sizeof buf));
        assert_int_equal(cksum_update16(before, old, (uint16_t)v), now);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_rfc_at_every_length_and_alignment),
        cmocka_unit_test(all_ones_carry_correctly),
        cmocka_unit_test(pieces_at_odd_offsets_add_up),
        cmocka_unit_test(incremental_update_equals_recomputation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
