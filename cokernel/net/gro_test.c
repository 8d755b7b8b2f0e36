/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/gro.h"

#include <stdlib.h>

#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

#define SEG 1448u
#define COUNT 20u

static struct kit k;
static uint8_t data[COUNT * SEG];

static int setup(void **state)
{
    kit_setup(&k);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 + (i >> 8));
    return 0;
}
static int teardown(void **state) { kit_teardown(&k); return 0; }

static struct kit_seg nth(unsigned n)
{
    return (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + n * SEG, .ack = k.rcv, .wnd = 512, .len = SEG, .data = data + n * SEG,
                             .ts = k.ts, .tsval = k.tsval + 1 };
}

static void begin(void)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    kit_last(&k, &s);
    k.hold = true;
}

static void take(void)
{
    k.hold = false;
    kit_run(&k);
}

/* Reads everything and compares it with data from `from` on. */
static uint32_t read_all(uint32_t from)
{
    static uint8_t got[sizeof data];
    int64_t n = tcp_read(k.pcb, got, sizeof got);
    if (n <= 0)
        return 0;
    assert_memory_equal(got, data + from, (size_t)n);
    return (uint32_t)n;
}

static void a_burst_becomes_one_packet(void **state)
{
    struct kit_seg s;
    begin();
    for (unsigned n = 0; n < COUNT; n++)
        kit_send(&k, nth(n));
    take();
    assert_int_equal(k.ns->counters.tcp_gro_merged, COUNT - 1);
    assert_int_equal(k.iface->counters.rx_frames, COUNT + 2); /* the handshake's and each that was merged */
    assert_int_equal(kit_last(&k, &s), 1);
    assert_true(s.ack == k.snd + COUNT * SEG);
    assert_int_equal(read_all(0), COUNT * SEG);
}

static void a_wrong_checksum_is_not_hidden(void **state)
{
    struct kit_seg s;
    for (unsigned bad = 0; bad < 4; bad++) {
        kit_teardown(&k);
        kit_setup(&k);
        begin();
        for (unsigned n = 0; n < 4; n++) {
            s = nth(n);
            s.corrupt = n == bad;
            kit_send(&k, s);
        }
        take();
        assert_int_equal(k.ns->counters.tcp_bad_cksum, 1);
        assert_int_equal(read_all(0), bad * SEG);
        kit_send(&k, nth(bad));
        assert_int_equal(read_all(bad * SEG), (4 - bad) * SEG);
    }
}

/* Bytes behind the packet, as Ethernet pads or an attacker appends, are no data. */
static void trailers_are_not_data(void **state)
{
    struct kit_seg s;
    begin();
    for (unsigned n = 0; n < 5; n++) {
        s = nth(n);
        s.trailer = 4 + n;
        kit_send(&k, s);
    }
    take();
    assert_int_equal(k.ns->counters.tcp_gro_merged, 4);
    assert_int_equal(read_all(0), 5 * SEG);
}

static void push_ends_a_packet(void **state)
{
    struct kit_seg s;
    begin();
    for (unsigned n = 0; n < 6; n++) {
        s = nth(n);
        s.flags |= n == 2 ? TCP_PSH : 0;
        kit_send(&k, s);
    }
    take();
    assert_int_equal(k.ns->counters.tcp_gro_merged, 4);
    assert_int_equal(read_all(0), 6 * SEG);
}

static void what_says_something_new_stays_apart(void **state)
{
    for (unsigned what = 0; what < 8; what++) {
        kit_teardown(&k);
        kit_setup(&k);
        begin();
        struct kit_seg a = nth(0), b = nth(1);
        switch (what) {
        case 0: b.tsval++; break;
        case 1: b.wnd--; break;
        case 2: b.ack--; break;
        case 3: b.flags |= TCP_FIN; break;
        case 4: b.flags |= TCP_URG; b.urgent = 1; break;
        case 5: b.tos = IP_ECN_CE; break;
        case 6: b.seq = a.seq; b.data = a.data; break;
        case 7: b.ts = false; break;
        }
        kit_send(&k, a);
        kit_send(&k, b);
        take();
        assert_int_equal(k.ns->counters.tcp_gro_merged, 0);
        if (what != 4)
            assert_int_equal(read_all(0), what == 6 ? SEG : 2 * SEG);
        k.pcb->urg_state = TCP_URG_NONE;
        tcp_rcv_free(k.pcb);
    }
}

/* Behind a hole the same, and the hole's filling finds it. */
static void packets_out_of_order_merge_as_well(void **state)
{
    struct kit_seg s;
    begin();
    for (unsigned n = 1; n < 10; n++)
        kit_send(&k, nth(n));
    take();
    assert_int_equal(k.ns->counters.tcp_gro_merged, 8);
    assert_true(kit_last(&k, &s) && s.ack == k.snd && s.sack_count == 1);
    kit_send(&k, nth(0));
    assert_int_equal(read_all(0), 10 * SEG);
}

static void a_retransmission_that_overlaps_a_merged_packet_is_cut(void **state)
{
    begin();
    for (unsigned n = 0; n < 3; n++)
        kit_send(&k, nth(n));
    take();
    k.hold = true;
    for (unsigned n = 1; n < 6; n++)
        kit_send(&k, nth(n));
    take();
    assert_int_equal(read_all(0), 6 * SEG);
}

static void random_bursts_give_the_same_bytes(void **state)
{
    begin();
    uint32_t done = 0;
    for (unsigned round = 0; round < 3000 && done < COUNT; round++) {
        k.hold = true;
        for (unsigned n = 0; n < 1 + (unsigned)rand() % 12; n++) {
            struct kit_seg s = nth((done + (unsigned)rand() % 6) % COUNT);
            s.flags |= rand() % 4 ? 0 : TCP_PSH;
            s.corrupt = rand() % 8 == 0;
            s.tsval += (uint32_t)rand() % 8 == 0;
            s.tos = rand() % 8 ? 0 : IP_ECN_ECT0;
            s.trailer = rand() % 8 ? 0 : (uint32_t)rand() % 40;
            kit_send(&k, s);
        }
        take();
        uint32_t n = read_all(done * SEG);
        assert_int_equal(n % SEG, 0);
        done += n / SEG;
        k.sent_count = k.sent_read = 0;
    }
    assert_int_equal(done, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_burst_becomes_one_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_checksum_is_not_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(trailers_are_not_data, setup, teardown),
        cmocka_unit_test_setup_teardown(push_ends_a_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(what_says_something_new_stays_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(packets_out_of_order_merge_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(a_retransmission_that_overlaps_a_merged_packet_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(random_bursts_give_the_same_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
