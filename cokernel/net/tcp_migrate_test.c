/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/tcp_migrate.h"

#include <stdlib.h>
#include <string.h>

#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static uint8_t image[100000];

/* A connection with something in every queue, as bytes. */
static size_t make_image(void)
{
    static uint8_t data[20000];
    struct kit_seg s;
    kit_establish(&k, true, true);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    tcp_write(k.pcb, data, sizeof data);
    kit_run(&k);
    kit_data(&k, "received", 8);
    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd + 100, .ack = k.rcv + 500, .wnd = 512, .len = 10, .ts = true, .tsval = ++k.tsval,
                                   .sack_count = 1, .sacks = { { k.rcv + 2896, k.rcv + 4344 } } });
    kit_last(&k, &s);
    size_t n = tcp_export_bytes(k.pcb);
    assert_true(n && n <= sizeof image);
    assert_int_equal(tcp_export(k.pcb, image, 10), -NET_ENOSPC);
    assert_int_equal(tcp_export(k.pcb, image, sizeof image), n);
    kit_run(&k);
    assert_int_equal(kit_last(&k, &s), 0); /* not a word to the peer */
    assert_int_equal(k.ns->tcp_pcbs.in_use, 0);
    return n;
}

static void a_connection_goes_on_where_it_was(void **state)
{
    struct kit_seg s;
    int err;
    char got[20] = "";
    size_t n = make_image();
    kit_pass(&k, 50 * NET_NS_PER_MS);
    struct tcp_pcb *pcb = tcp_import(k.ns, image, n, NULL, &err);
    assert_non_null(pcb);
    assert_null(tcp_import(k.ns, image, n, NULL, &err));
    assert_int_equal(err, -NET_EEXIST);
    assert_int_equal(tcp_read(pcb, got, sizeof got), 8);
    assert_string_equal(got, "received");
    assert_int_equal(pcb->sacked_bytes, 1448);
    kit_run(&k);
    uint32_t last = 0;
    for (int round = 0; round < 200 && pcb->snd_una != k.rcv + 20000; round++) {
        while (kit_next(&k, &s)) {
            assert_true(s.tsval - 77 < 0x80000000u || s.ts);
            for (uint32_t i = 0; i < s.len; i++)
                assert_int_equal(s.data[i], (uint8_t)((s.seq + i - k.rcv) * 7));
            if (s.len)
                last = seq_max(last ? last : s.seq + s.len, s.seq + s.len);
        }
        if (last)
            kit_ack(&k, last);
        kit_pass(&k, 100 * NET_NS_PER_MS);
    }
    assert_true(pcb->snd_una == k.rcv + 20000);
    assert_int_equal(k.ns->counters.tcp_rst_out, 0);
}

static void a_damaged_image_does_no_harm(void **state)
{
    struct kit_seg s;
    int err;
    size_t n = make_image();
    static uint8_t copy[sizeof image];
    unsigned taken = 0;
    for (unsigned round = 0; round < 20000; round++) {
        memcpy(copy, image, n);
        size_t at = (size_t)rand() % (round % 2 ? n : 1200 < n ? 1200 : n), len = n;
        copy[at] ^= (uint8_t)(1 << rand() % 8);
        if (round % 5 == 0)
            copy[(size_t)rand() % n] = (uint8_t)rand();
        if (round % 17 == 0)
            len = (size_t)rand() % n;
        struct tcp_pcb *pcb = tcp_import(k.ns, copy, len, NULL, &err);
        if (!pcb)
            continue;
        taken++;
        kit_run(&k);
        if (round % 50 == 0)
            kit_pass(&k, NET_NS_PER_S);
        k.sent_count = k.sent_read = 0;
        if (pcb->state == TCP_CLOSED || round % 2)
            tcp_close(pcb);
        else
            tcp_abort(pcb);
        kit_run(&k);
        for (struct tcp_pcb *p = k.ns->pcbs; p; p = k.ns->pcbs)
            tcp_pcb_free(p);
        net_stack_flush(k.ns);
        while (kit_next(&k, &s))
            ;
    }
    assert_true(taken > 0);
    assert_int_equal(k.ns->tcp_segs.in_use, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_goes_on_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_image_does_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
