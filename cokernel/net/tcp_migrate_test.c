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

/* What a peer and a user may do with a connection that came out of an image. */
static void exercise(struct tcp_pcb *pcb)
{
    static uint8_t buf[4000];
    kit_run(&k);
    for (int round = 0; round < 6 && pcb->state != TCP_CLOSED; round++) {
        uint32_t una = pcb->snd_una, nxt = pcb->snd_nxt, rcv = pcb->rcv_nxt;
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = rcv, .ack = round < 3 ? una : una + (nxt - una) / 2, .wnd = 512, .len = 100, .ts = true,
                                       .tsval = pcb->ts_recent + 1, .sack_count = round & 1, .sacks = { { nxt - (nxt - una) / 3, nxt } } });
        tcp_write(pcb, buf, sizeof buf);
        tcp_read(pcb, buf, sizeof buf);
        kit_pass(&k, 700 * NET_NS_PER_MS);
        k.sent_count = k.sent_read = 0;
    }
    if (pcb->state != TCP_CLOSED)
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = pcb->rcv_nxt, .ack = pcb->snd_nxt, .wnd = 512, .ts = true, .tsval = pcb->ts_recent + 1 });
    k.sent_count = k.sent_read = 0;
    tcp_close(pcb);
    kit_run(&k);
    while (k.ns->pcbs)
        tcp_pcb_free(k.ns->pcbs);
    if (k.ns->timewait_count) /* it was told of a FIN that the data then reached */
        kit_pass(&k, 61 * NET_NS_PER_S);
    k.sent_count = k.sent_read = 0;
}

static void no_single_value_does_harm(void **state)
{
    static const uint32_t values[] = { 0, 1, 2, 0x7fffffff, 0xffffffff };
    static uint8_t copy[sizeof image];
    unsigned taken = 0;
    int err;
    size_t n = make_image();
    for (size_t at = 0; at + 4 <= n && at < 2048; at++)
        for (unsigned v = 0; v < sizeof values / sizeof *values; v++)
            for (unsigned bytes = 1; bytes <= 4; bytes += 3) {
                memcpy(copy, image, n);
                memcpy(copy + at, &values[v], bytes);
                struct tcp_pcb *pcb = tcp_import(k.ns, copy, n, NULL, &err);
                if (!pcb)
                    continue;
                taken++;
                exercise(pcb);
                assert_int_equal(k.ns->tcp_segs.in_use, 0);
                assert_int_equal(k.ns->tcp_islands.in_use, 0);
            }
    assert_true(taken > 1000);
}

static void a_connection_that_stood_still_for_long_can_move(void **state)
{
    int err;
    kit_establish(&k, true, true);
    tcp_write(k.pcb, image, 100);
    kit_run(&k);
    k.now_ns += 3000 * NET_NS_PER_S; /* the instance, that is: nobody polled it */
    kit_ack(&k, k.rcv + 100);
    assert_in_range(k.pcb->rttvar_us, 0, TCP_RTO_MAX_US);
    int64_t n = tcp_export(k.pcb, image, sizeof image);
    assert_true(n > 0);
    assert_non_null(tcp_import(k.ns, image, (size_t)n, NULL, &err));
}

/* A connection whose FIN is said to be acknowledged while data is not: nothing to send again from. */
static void an_image_that_contradicts_itself_is_refused(void **state)
{
    static uint8_t copy[sizeof image];
    struct kit_seg s;
    int err;
    kit_establish(&k, true, true);
    tcp_shutdown(k.pcb);
    kit_run(&k);
    kit_last(&k, &s);
    kit_ack(&k, k.rcv + 1);
    assert_int_equal(k.pcb->state, TCP_FIN_WAIT_2);
    int64_t n = tcp_export(k.pcb, image, sizeof image);
    assert_true(n > 0);
    unsigned taken = 0;
    for (int64_t at = 0; at + 4 <= n; at++) /* one bit anywhere */
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, image, (size_t)n);
            copy[at] ^= (uint8_t)(1u << bit);
            struct tcp_pcb *pcb = tcp_import(k.ns, copy, (size_t)n, NULL, &err);
            if (pcb) {
                taken++;
                assert_int_equal(pcb->snd_una, pcb->snd_nxt);
                exercise(pcb);
            }
        }
    assert_true(taken);
    struct tcp_pcb *pcb = tcp_import(k.ns, image, (size_t)n, NULL, &err);
    assert_non_null(pcb);
    assert_int_equal(pcb->state, TCP_FIN_WAIT_2);
}

/* Liars: what an exporter would never write, each of which something later divides by, subtracts from or follows. */
static void a_recovery_of_nothing(struct tcp_pcb *p) { p->ca_state = CA_RECOVERY; p->ssthresh = 2000; p->prr_flight = 0; }
static void a_segment_of_five_bytes(struct tcp_pcb *p) { p->peer_mss = 5; }
static void keepalives_without_a_pause(struct tcp_pcb *p) { p->opts.keepalive = 1; p->opts.keep_intvl_s = 0; }
static void all_marked_and_more(struct tcp_pcb *p) { p->opts.cc = TCP_CC_DCTCP; p->cc_data.dctcp.alpha = 5000; }
static void a_window_of_all_numbers(struct tcp_pcb *p) { p->max_wnd = 0xffffffff; }
static void no_window(struct tcp_pcb *p) { p->cwnd = 0; }
static void a_fin_without_a_state(struct tcp_pcb *p) { p->fin_queued = 1; }
static void a_state_without_a_fin(struct tcp_pcb *p) { p->state = TCP_LAST_ACK; }
static void all_acknowledged_but_the_data(struct tcp_pcb *p)
{
    p->fin_queued = p->fin_sent = p->fin_acked = 1;
    p->state = TCP_FIN_WAIT_2;
    p->rtx_tail->flags |= SEG_FIN;
    p->write_seq = p->snd_nxt - 1;
    tcp_free_parts(p->snd_head);
    p->snd_head = p->snd_tail = p->snd_cursor = NULL;
}

static void liars_are_refused(void **state)
{
    static void (*const lies[])(struct tcp_pcb *) = {
        a_recovery_of_nothing, a_segment_of_five_bytes, keepalives_without_a_pause, all_marked_and_more, a_window_of_all_numbers, no_window,
        a_fin_without_a_state, a_state_without_a_fin, all_acknowledged_but_the_data,
    };
    struct kit_seg s;
    int err;
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++) {
        kit_establish(&k, true, true);
        tcp_write(k.pcb, (uint8_t[3000]){ 1 }, 3000);
        kit_run(&k);
        kit_last(&k, &s);
        lies[i](k.pcb);
        int64_t n = tcp_export(k.pcb, image, sizeof image);
        assert_true(n > 0);
        assert_null(tcp_import(k.ns, image, (size_t)n, NULL, &err));
        assert_int_equal(err, -NET_EPROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_goes_on_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_image_does_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(no_single_value_does_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(an_image_that_contradicts_itself_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_stood_still_for_long_can_move, setup, teardown),
        cmocka_unit_test_setup_teardown(liars_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
