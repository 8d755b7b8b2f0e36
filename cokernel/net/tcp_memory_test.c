/* SPDX-License-Identifier: BSD-2-Clause */
/* What gives as an instance's memory fills (net_mem.h), and what goes on. */
#include "tests/net/kit/kit.h"

#include <string.h>

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

/* Sets the limit so that what is in use now is just above so many sixteenths of it; 0: plenty. */
static void in_use(unsigned sixteenths)
{
    struct net_slab *needed[] = { &k.ns->pools.small, &k.ns->pools.medium, &k.ns->pools.large, &k.ns->tcp_segs, &k.ns->tcp_pcbs, &k.ns->tcp_syns,
                                  &k.ns->tcp_islands };
    k.ns->mem.limit_bytes = 1u << 30;
    for (unsigned n = 0; n < sizeof needed / sizeof *needed; n++)
        if (needed[n]->free_count < 8)
            assert_int_equal(net_slab_grow(needed[n]), 0); /* nothing grows under the limit that follows */
    k.ns->mem.limit_bytes = sixteenths ? (net_mem_live_bytes(&k.ns->mem) - 1) / sixteenths * 16 : 1u << 30;
    assert_true(net_mem_above(&k.ns->mem, sixteenths ? sixteenths : 1) == (sixteenths != 0));
    assert_false(net_mem_above(&k.ns->mem, sixteenths + 1));
}

static struct pbuf *large(uint32_t bytes)
{
    struct pbuf *pb = pbuf_alloc_large(net_stack_pools(k.ns), 0);
    memset(pbuf_extend(pb, bytes), 'x', bytes);
    return pb;
}

/* What the send queue pins once these bytes were written, and once they were handed over in a large buffer. */
static void assert_sent_pins(uint32_t bytes, uint32_t pinned)
{
    static const uint8_t zeroes[2000];
    struct kit_seg s;
    assert_int_equal(tcp_write(k.pcb, zeroes, bytes), bytes);
    kit_run(&k);
    assert_int_equal(k.pcb->snd_true, pinned);
    assert_true(kit_last(&k, &s) >= 1);
    kit_ack(&k, k.pcb->snd_nxt);
    assert_int_equal(tcp_send(k.pcb, large(bytes)), 0);
    kit_run(&k);
    assert_int_equal(k.pcb->snd_true, pinned);
    assert_true(kit_last(&k, &s) == 1 && s.len == bytes && s.data[0] == 'x' && s.data[bytes - 1] == 'x');
    kit_ack(&k, k.pcb->snd_nxt);
    assert_int_equal(k.pcb->snd_true, 0);
}

static void small_messages_pin_small_buffers_under_pressure(void **state)
{
    char got[1000] = "", sent[1000];
    memset(sent, 'y', sizeof sent);
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    assert_sent_pins(64, PBUF_LARGE_BYTES);
    in_use(12);
    assert_sent_pins(64, PBUF_SMALL_BYTES);
    assert_sent_pins(PBUF_SMALL_BYTES - PBUF_DESC_BYTES, PBUF_SMALL_BYTES);
    assert_sent_pins(PBUF_SMALL_BYTES - PBUF_DESC_BYTES + 1, PBUF_MEDIUM_BYTES);
    assert_sent_pins(PBUF_MEDIUM_BYTES - PBUF_DESC_BYTES + 1, PBUF_LARGE_BYTES);
    kit_data(&k, sent, 100);
    assert_int_equal(k.pcb->rcv_true, PBUF_SMALL_BYTES);
    kit_data(&k, sent, 300);
    assert_int_equal(k.pcb->rcv_true, PBUF_SMALL_BYTES + PBUF_MEDIUM_BYTES);
    assert_int_equal(tcp_read(k.pcb, got, sizeof got), 400);
    assert_memory_equal(got, sent, 400);
    assert_int_equal(k.pcb->rcv_true, 0);
    tcp_abort(k.pcb);
}

static void nothing_out_of_order_is_kept_under_pressure(void **state)
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    in_use(12);
    k.snd += 100;
    kit_data(&k, NULL, 100);
    assert_null(k.pcb->islands);
    assert_true(kit_last(&k, &s) == 1 && s.ack == k.snd - 200 && !s.sack_count);
    k.snd -= 200;
    kit_data(&k, NULL, 100); /* both come again */
    kit_data(&k, NULL, 100);
    assert_int_equal(tcp_readable_bytes(k.pcb), 200);
    k.snd += 100;
    in_use(0);
    kit_data(&k, NULL, 100);
    assert_non_null(k.pcb->islands);
    tcp_abort(k.pcb);
}

/* Whoever reads what comes is sent as much as he likes, if in small portions; nobody else is. */
static void a_reader_goes_on_under_pressure(void **state)
{
    char got[2000];
    kit_establish(&k, true, true);
    in_use(12);
    for (unsigned n = 0; n < 300; n++) {
        assert_true(seq_ge(k.pcb->rcv_adv, k.snd + 1000));
        kit_data(&k, NULL, 1000);
        assert_int_equal(tcp_read(k.pcb, got, sizeof got), 1000);
        kit_run(&k);
    }
    assert_true(k.pcb->rcv_adv - k.snd <= 8000);
    uint32_t edge = k.pcb->rcv_adv;
    kit_data(&k, NULL, 1000);
    kit_data(&k, NULL, 1000);
    assert_true(k.pcb->rcv_adv - edge < 1u << k.pcb->rcv_wscale); /* but for what scaling rounds up */
    tcp_abort(k.pcb);
}

static void no_connection_begins_while_memory_is_short(void **state)
{
    struct kit_seg syn = { .sport = 7000, .flags = TCP_SYN, .seq = 99, .wnd = 65535, .mss = 1460 }, s;
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = 80 };
    char got[10];
    int err = 0;
    kit_establish(&k, true, true);
    in_use(14);
    kit_send(&k, syn);
    assert_int_equal(kit_last(&k, &s), 0);
    assert_null(tcp_connect(k.ns, &how, &err));
    assert_int_equal(err, -NET_ENOMEM);
    assert_int_equal(k.ns->counters.memory_refused, 2);
    kit_data(&k, "question", 8); /* those that are there go on */
    assert_int_equal(tcp_read(k.pcb, got, sizeof got), 8);
    assert_int_equal(tcp_write(k.pcb, "answer", 6), 6);
    kit_run(&k);
    assert_true(kit_last(&k, &s) >= 1 && s.len == 6 && s.ack == k.snd);
    in_use(13);
    kit_send(&k, syn); /* the peer asks again */
    assert_true(kit_last(&k, &s) == 1 && s.flags == (TCP_SYN | TCP_ACK));
    tcp_abort(k.pcb);
}

/* Until when a connection lasts whose peer acknowledges nothing, in ms; 60000: for longer. */
static unsigned lasts(unsigned sixteenths)
{
    struct kit_seg s;
    unsigned ms = 0;
    kit_setup(&k);
    kit_establish(&k, true, true);
    assert_int_equal(tcp_write(k.pcb, "echo", 4), 4);
    kit_run(&k);
    in_use(sixteenths);
    while (k.pcb->state == TCP_ESTABLISHED && ms < 60000) {
        kit_pass(&k, 100 * NET_NS_PER_MS);
        ms += 100;
    }
    if (ms < 60000) {
        assert_int_equal(tcp_read(k.pcb, &s, 1), -NET_ENOBUFS);
        assert_true(kit_last(&k, &s) > 1 && (s.flags & TCP_RST));
        assert_int_equal(k.ns->counters.tcp_aborted_memory, 1);
        assert_int_equal(k.pcb->snd_true, 0);
    }
    tcp_abort(k.pcb);
    kit_teardown(&k);
    return ms;
}

static void who_acknowledges_nothing_gives_way(void **state)
{
    unsigned pressed = lasts(12), tight = lasts(13);
    assert_true(pressed > 5000 && pressed < 15000);
    assert_true(tight > 1000 && tight < 3000);
    assert_int_equal(lasts(0), 60000);
}

/* As above, but the peer acknowledges what it is sent for the second time. */
static void who_acknowledges_late_does_not(void **state)
{
    struct kit_seg s;
    uint32_t seen = 0;
    unsigned done = 0;
    kit_establish(&k, true, true);
    in_use(13);
    for (unsigned n = 0; n < 600; n++) {
        if (k.pcb->snd_una == k.pcb->write_seq) {
            assert_int_equal(tcp_write(k.pcb, "echo", 4), 4);
            kit_run(&k);
            done++;
        }
        kit_pass(&k, 100 * NET_NS_PER_MS);
        while (kit_next(&k, &s)) {
            if (s.len && s.seq == seen)
                kit_ack(&k, s.seq + s.len);
            seen = s.len ? s.seq : seen;
        }
    }
    assert_int_equal(k.pcb->state, TCP_ESTABLISHED);
    assert_true(done > 50);
    tcp_abort(k.pcb);
}

static void who_keeps_the_window_shut_gives_way(void **state)
{
    struct kit_seg s;
    unsigned probes[2] = { 0, 0 };
    for (unsigned tight = 0; tight < 2; tight++) {
        kit_setup(&k);
        kit_establish(&k, true, true);
        kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 0, .ts = true, .tsval = ++k.tsval });
        assert_int_equal(tcp_write(k.pcb, "echo", 4), 4);
        kit_run(&k);
        in_use(tight ? 13 : 0);
        for (unsigned n = 0; n < 200; n++) {
            kit_pass(&k, 100 * NET_NS_PER_MS);
            while (kit_next(&k, &s)) {
                probes[tight] += s.len != 0;
                if (s.len)
                    kit_send(&k, (struct kit_seg){ .flags = TCP_ACK, .seq = k.snd, .ack = k.rcv, .wnd = 0, .ts = true, .tsval = ++k.tsval });
            }
        }
        assert_int_equal(k.pcb->state, tight ? TCP_CLOSED : TCP_ESTABLISHED);
        assert_int_equal(k.pcb->ep.error, tight ? NET_ENOBUFS : 0);
        tcp_abort(k.pcb);
        kit_teardown(&k);
    }
    assert_true(probes[0] > 5 && probes[1] == 2);
}

static void nothing_is_queued_while_memory_is_full(void **state)
{
    struct net_endpoint *ep;
    struct kit_seg s;
    unsigned events;
    char got[10];
    kit_establish(&k, true, true);
    in_use(15);
    assert_int_equal(tcp_write(k.pcb, "no", 2), -NET_ENOBUFS);
    struct pbuf *pb = large(10);
    assert_int_equal(tcp_send(k.pcb, pb), -NET_ENOBUFS);
    pbuf_put(pb);
    kit_data(&k, "no", 2);
    assert_int_equal(tcp_readable_bytes(k.pcb), 0);
    assert_true(kit_last(&k, &s) == 1 && s.ack == k.snd - 2);
    in_use(0);
    k.snd -= 2;
    kit_data(&k, "ok", 2);
    assert_int_equal(tcp_read(k.pcb, got, sizeof got), 2);
    assert_int_equal(tcp_write(k.pcb, "ok", 2), 2);
    kit_run(&k);
    in_use(15);
    assert_int_equal(tcp_write(k.pcb, "later", 5), -NET_EAGAIN); /* an acknowledgement is awaited */
    k.hold = true;
    kit_ack(&k, k.pcb->snd_nxt);
    net_stack_poll(k.ns);
    assert_true((ep = net_event_next(k.ns, &events)) == tcp_endpoint(k.pcb) && (events & NET_EV_WRITABLE));
    tcp_abort(k.pcb);
}

static void the_last_sixteenth_is_for_packets(void **state)
{
    struct net_mem *mem = &k.ns->mem;
    mem->limit_bytes = mem->used_bytes + k.ns->tcp_pcbs.chunk_bytes; /* just enough for one chunk more */
    assert_int_equal(net_slab_grow(&k.ns->tcp_pcbs), -NET_ENOMEM);
    assert_int_equal(net_slab_grow(&k.ns->tcp_islands), -NET_ENOMEM);
    assert_int_equal(net_slab_grow(&k.ns->pools.small), -NET_ENOMEM);
    assert_int_equal(net_slab_grow(&k.ns->pools.large), 0);
    assert_int_equal(net_slab_grow(&k.ns->pools.large), -NET_ENOMEM);
}

/* Takes all but `leave` of the free buffers, by their first bytes linked; nothing grows from now on. */
static void *take_all(struct net_slab *slab, unsigned leave)
{
    void **taken = NULL, **one;
    k.ns->mem.limit_bytes = k.ns->mem.used_bytes;
    while (slab->free_count > leave && (one = net_slab_get(slab))) {
        *one = taken;
        taken = one;
    }
    return taken;
}

static void give_back(struct net_slab *slab, void *taken)
{
    for (void *next; taken; taken = next) {
        next = *(void **)taken;
        net_slab_put(slab, taken);
    }
}

static void without_small_buffers_packets_go_in_large_ones(void **state)
{
    static uint8_t sent[6000], got[6000];
    struct pbuf_pools *pools = &k.ns->pools;
    struct kit_seg s;
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7 + i / 256);
    kit_establish(&k, true, true);
    tcp_set(k.pcb, TCP_OPT_NODELAY, 1);
    assert_int_equal(net_slab_grow(&pools->large), 0);
    assert_int_equal(net_slab_grow(&pools->large), 0);
    void *small = take_all(&pools->small, 0), *medium = take_all(&pools->medium, 0);
    assert_false(net_mem_full(&k.ns->mem));
    assert_int_equal(tcp_write(k.pcb, sent, sizeof sent), sizeof sent);
    kit_run(&k);
    while (kit_next(&k, &s)) {
        assert_true(n + s.len <= sizeof got && s.seq == k.rcv + n);
        memcpy(got + n, s.data, s.len);
        n += s.len;
    }
    assert_int_equal(n, sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    kit_ack(&k, k.pcb->snd_nxt);
    assert_int_equal(k.pcb->snd_true, 0);
    kit_data(&k, "question", 8);
    kit_pass(&k, NET_NS_PER_S);
    assert_true(kit_last(&k, &s) >= 1 && s.ack == k.snd);
    give_back(&pools->small, small);
    give_back(&pools->medium, medium);
    tcp_abort(k.pcb);
}

/* However much is free in other sizes. */
static void without_large_buffers_memory_is_full(void **state)
{
    struct net_slab *slab = &k.ns->pools.large;
    kit_establish(&k, true, true);
    in_use(0);
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(net_slab_grow(&k.ns->tcp_pcbs), 0);
    void *large_ones = take_all(slab, 2);
    assert_false(net_mem_live_bytes(&k.ns->mem) > k.ns->mem.limit_bytes / 16 * 15);
    k.ns->mem.limit_bytes += slab->chunk_bytes - 4096; /* too little for one chunk more */
    assert_true(net_mem_full(&k.ns->mem) && net_mem_pressed(&k.ns->mem));
    assert_int_equal(tcp_write(k.pcb, "no", 2), -NET_ENOBUFS);
    give_back(slab, large_ones);
    k.ns->mem.limit_bytes = 1u << 30;
    assert_false(net_mem_pressed(&k.ns->mem));
    assert_int_equal(tcp_write(k.pcb, "ok", 2), 2);
    tcp_abort(k.pcb);
}

/* Memory may fill before the first is sent. */
static void an_instance_begins_with_room_for_segments(void **state) { assert_true(k.ns->tcp_segs.free_count > 100); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_messages_pin_small_buffers_under_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_out_of_order_is_kept_under_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_goes_on_under_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(no_connection_begins_while_memory_is_short, setup, teardown),
        cmocka_unit_test(who_acknowledges_nothing_gives_way),
        cmocka_unit_test_setup_teardown(who_acknowledges_late_does_not, setup, teardown),
        cmocka_unit_test(who_keeps_the_window_shut_gives_way),
        cmocka_unit_test_setup_teardown(nothing_is_queued_while_memory_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_sixteenth_is_for_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(without_small_buffers_packets_go_in_large_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(without_large_buffers_memory_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(an_instance_begins_with_room_for_segments, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
