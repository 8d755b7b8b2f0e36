/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header prediction against the layers it goes past. A frame with a priority tag (802.1Q,
 * VLAN 0) is the same to everybody but goes through the layers, so two instances that get
 * the same frames, one of them with tags, must never differ.
 */
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"
#include "tests/net/kit/kit.h"

#define TCP_AT (ETH_HEADER_BYTES + IP4_HEADER_BYTES)
#define HEADERS (TCP_AT + TCP_HEADER_BYTES + TCP_TS_OPTION_BYTES)
#define PAYLOAD 100u
#define FRAME (HEADERS + PAYLOAD)

static struct kit fast, slow;

/* What the peer sends next, with an acknowledgement of all it was sent. */
static void build(struct kit *k, uint8_t f[FRAME])
{
    struct net_addr from = net_addr_v4(0x0a000002), to = net_addr_v4(0x0a000001);
    uint8_t *ip = f + ETH_HEADER_BYTES, *t = f + TCP_AT;
    memset(f, 0, FRAME);
    memcpy(f, k->iface->mac.b, 6);
    f[6] = 2, f[11] = 2;
    put_be16(f + 12, ETH_TYPE_IP4);
    ip[0] = 0x45;
    put_be16(ip + 2, FRAME - ETH_HEADER_BYTES);
    put_be16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = IP_PROTO_TCP;
    store32(ip + 12, from.w[3]);
    store32(ip + 16, to.w[3]);
    put_be16(t, KIT_PEER_PORT);
    put_be16(t + 2, KIT_PORT);
    put_be32(t + 4, k->snd);
    put_be32(t + 8, k->pcb->snd_nxt);
    put_be16(t + 12, 0x8000 | TCP_ACK);
    put_be16(t + 14, 512);
    put_be32(t + 20, 0x0101080a);
    put_be32(t + 24, k->tsval + 1);
    for (unsigned i = 0; i < PAYLOAD; i++)
        f[HEADERS + i] = (uint8_t)(i * 7 + 1);
}

static void set_checksums(uint8_t *f, uint32_t frame_bytes)
{
    uint8_t *ip = f + ETH_HEADER_BYTES, *t = f + TCP_AT;
    uint32_t total = get_be16(ip + 2), most = frame_bytes - ETH_HEADER_BYTES;
    struct net_addr from = net_addr_v4_raw(load32(ip + 12)), to = net_addr_v4_raw(load32(ip + 16));
    uint32_t bytes = total >= IP4_HEADER_BYTES && total <= most ? total - IP4_HEADER_BYTES : most - IP4_HEADER_BYTES;
    store16(ip + 10, 0);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, IP4_HEADER_BYTES)));
    store16(t + 16, 0);
    store16(t + 16, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, bytes), t, bytes)));
}

static void begin(void)
{
    struct kit_seg s;
    kit_setup(&fast);
    kit_establish(&fast, true, true);
    kit_setup(&slow);
    kit_establish(&slow, true, true);
    struct kit *both[] = { &fast, &slow };
    for (unsigned i = 0; i < 2; i++) { /* something of ours is outstanding */
        assert_int_equal(tcp_write(both[i]->pcb, "0123456789", 10), 10);
        kit_run(both[i]);
        kit_last(both[i], &s);
        both[i]->ns->counters.tcp_predicted = 0;
    }
}

static void end(void)
{
    kit_teardown(&fast);
    kit_teardown(&slow);
}

static void give_both(const uint8_t *f, uint32_t bytes)
{
    uint8_t tagged[FRAME + 4];
    kit_frame(&fast, f, bytes);
    memcpy(tagged, f, 12);
    put_be16(tagged + 12, ETH_TYPE_VLAN);
    put_be16(tagged + 14, 0);
    memcpy(tagged + 16, f + 12, bytes - 12);
    kit_frame(&slow, tagged, bytes + 4);
}

/* What does not need a connection. */
static void assert_instances_same(void)
{
    struct net_counters x = fast.ns->counters, y = slow.ns->counters;
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(fast.iface->counters.rx_frames, slow.iface->counters.rx_frames);
    assert_int_equal(fast.iface->counters.rx_drops, slow.iface->counters.rx_drops);
    assert_int_equal(fast.ns->flows.count, slow.ns->flows.count);
    assert_int_equal(fast.ns->syn_count, slow.ns->syn_count);
    assert_int_equal(fast.ns->timewait_count, slow.ns->timewait_count);
    assert_int_equal(fast.ns->tcp_pcbs.in_use, slow.ns->tcp_pcbs.in_use);
    assert_int_equal(fast.sent_count, slow.sent_count);
    for (unsigned i = 0; i < fast.sent_count; i++) {
        assert_int_equal(fast.sent[i].len, slow.sent[i].len);
        assert_memory_equal(fast.sent[i].bytes, slow.sent[i].bytes, fast.sent[i].len);
    }
}

static void assert_same(void)
{
    const struct tcp_pcb *a = fast.pcb, *b = slow.pcb;
    assert_instances_same();
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->rcv_nxt, b->rcv_nxt);
    assert_int_equal(a->rcv_bytes, b->rcv_bytes);
    assert_int_equal(a->snd_una, b->snd_una);
    assert_int_equal(a->snd_wnd, b->snd_wnd);
    assert_int_equal(a->snd_wl1, b->snd_wl1);
    assert_int_equal(a->snd_wl2, b->snd_wl2);
    assert_int_equal(a->ts_recent, b->ts_recent);
    assert_int_equal(a->last_rcv_ns, b->last_rcv_ns);
    assert_int_equal(a->segs_in, b->segs_in);
    assert_int_equal(a->srtt_us, b->srtt_us);
    assert_memory_equal(a->deadlines, b->deadlines, sizeof a->deadlines);
}

static void a_plain_segment_is_predicted(void **state)
{
    uint8_t f[FRAME], got[2 * PAYLOAD];
    begin();
    build(&fast, f);
    set_checksums(f, FRAME);
    give_both(f, FRAME);
    assert_same();
    assert_int_equal(fast.ns->counters.tcp_predicted, 1);
    assert_int_equal(fast.pcb->snd_una, fast.pcb->snd_nxt);
    assert_int_equal(tcp_read(fast.pcb, got, sizeof got), PAYLOAD);
    assert_memory_equal(got, f + HEADERS, PAYLOAD);
    end();
}

/* Each bit of the headers, with checksums that are wrong then and with right ones. */
static void a_changed_bit_means_what_it_means_to_the_layers(void **state)
{
    for (unsigned bit = 0; bit < HEADERS * 8; bit++)
        for (unsigned right = 0; right < 2; right++) {
            uint8_t f[FRAME];
            begin();
            build(&fast, f);
            set_checksums(f, FRAME);
            f[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (right)
                set_checksums(f, FRAME);
            give_both(f, FRAME);
            assert_same();
            kit_pass(&fast, NET_NS_PER_S);
            kit_pass(&slow, NET_NS_PER_S);
            assert_same();
            end();
        }
}

/* Cut short, and with bytes behind the packet. */
static void any_length_means_what_it_means_to_the_layers(void **state)
{
    for (uint32_t bytes = 20; bytes < FRAME; bytes++)
        for (unsigned said = 0; said < 2; said++) { /* what the IP header says: all, or what is there */
            uint8_t f[FRAME];
            begin();
            build(&fast, f);
            if (said)
                put_be16(f + ETH_HEADER_BYTES + 2, (uint16_t)(bytes - ETH_HEADER_BYTES));
            set_checksums(f, FRAME);
            give_both(f, said && bytes % 2 ? FRAME : bytes);
            assert_same();
            end();
        }
}

/* Whoever has taken a burst for plain must have counted it as one, once. */
static void bursts_of_many_connections_are_the_same(void **state)
{
    begin();
    uint8_t f[FRAME];
    fast.hold = slow.hold = true;
    for (unsigned n = 0; n < 8; n++) {
        build(&fast, f);
        put_be32(f + TCP_AT + 4, fast.snd + n * PAYLOAD);
        if (n % 3 == 2) /* nobody has this port */
            put_be16(f + TCP_AT, 7);
        set_checksums(f, FRAME);
        give_both(f, FRAME);
    }
    kit_run(&fast);
    kit_run(&slow);
    assert_same();
    end();
}

/* Among so many connections that a burst is looked up ahead. */
static void a_burst_may_end_connections_that_it_has_data_for(void **state)
{
    enum { MANY = 300, ENDED = 12, OTHERS = 6 };
    struct tcp_pcb *pcbs[MANY] = { NULL };
    uint32_t ack[MANY];
    struct kit_seg s;
    kit_setup(&fast);
    for (unsigned n = 0; n < MANY; n++) {
        uint16_t port = (uint16_t)(1000 + n);
        kit_send(&fast, (struct kit_seg){ .sport = port, .flags = TCP_SYN, .seq = 99, .wnd = 65535, .mss = 1460, .ts = true, .tsval = 1 });
        assert_int_equal(kit_last(&fast, &s), 1);
        ack[n] = s.seq + 1;
        kit_send(&fast, (struct kit_seg){ .sport = port, .flags = TCP_ACK, .seq = 100, .ack = ack[n], .wnd = 65535, .ts = true, .tsval = 2 });
        if (n < MANY - ENDED) /* those that nobody has accepted are gone as soon as they are reset */
            assert_non_null(pcbs[n] = tcp_accept(fast.listener));
    }
    assert_int_equal(fast.ns->tcp_pcbs.in_use, MANY);
    fast.hold = true;
    for (unsigned n = MANY - ENDED; n < MANY; n++)
        kit_send(&fast, (struct kit_seg){ .sport = (uint16_t)(1000 + n), .flags = TCP_RST, .seq = 100 });
    for (unsigned n = MANY - ENDED - OTHERS; n < MANY; n++)
        kit_send(&fast, (struct kit_seg){ .sport = (uint16_t)(1000 + n), .flags = TCP_ACK, .seq = 100, .ack = ack[n], .wnd = 65535, .len = 5, .data = (const uint8_t *)"hello",
                                          .ts = true, .tsval = 3 });
    kit_run(&fast);
    assert_int_equal(fast.ns->tcp_pcbs.in_use, MANY - ENDED);
    assert_int_equal(fast.ns->counters.tcp_rst_out, ENDED);
    for (unsigned n = 0; n < MANY - ENDED; n++) {
        assert_int_equal(tcp_readable_bytes(pcbs[n]), n < MANY - ENDED - OTHERS ? 0 : 5);
        tcp_abort(pcbs[n]);
    }
    kit_teardown(&fast);
}

/* The frames that open and close a connection, each met by what it is met by in life. */
enum phase { OPEN, HANDSHAKE, FIN, LAST, AGAIN, PHASES };
#define CONTROL_MOST (TCP_AT + TCP_HEADER_BYTES + 20)

static void prepare(struct kit *k, enum phase p)
{
    struct kit_seg s;
    kit_setup(k);
    k->snd = 0xfffffff0;
    if (p == OPEN)
        return;
    if (p == HANDSHAKE) {
        kit_send(k, (struct kit_seg){ .flags = TCP_SYN, .seq = k->snd++, .wnd = 65535, .mss = 1460, .sack_ok = true, .wscale = 7, .ts = true, .tsval = k->tsval });
        assert_int_equal(kit_last(k, &s), 1);
        k->rcv = s.seq + 1;
        k->now_ns += 10 * NET_NS_PER_MS;
        return;
    }
    kit_establish(k, true, true);
    if (p == FIN)
        return;
    struct kit_seg fin = { .flags = TCP_FIN | TCP_ACK, .seq = k->snd, .ack = k->rcv, .wnd = 512, .ts = true, .tsval = k->tsval };
    if (p == LAST)
        kit_send(k, fin);
    tcp_close(k->pcb);
    kit_run(k);
    k->rcv++; /* our FIN */
    if (p == LAST) {
        k->snd++;
    } else {
        fin.ack++;
        kit_send(k, fin);
        assert_int_equal(k->ns->timewait_count, 1);
        k->now_ns += NET_NS_PER_S;
    }
    kit_last(k, &s);
}

static uint32_t build_control(struct kit *k, enum phase p, uint8_t *f)
{
    static const uint16_t flags[PHASES] = { [OPEN] = TCP_SYN, [HANDSHAKE] = TCP_ACK, [FIN] = TCP_FIN | TCP_ACK, [LAST] = TCP_ACK, [AGAIN] = TCP_FIN | TCP_ACK };
    uint32_t options = p == OPEN ? 20 : TCP_TS_OPTION_BYTES, header = TCP_HEADER_BYTES + options;
    uint8_t whole[FRAME], *t = f + TCP_AT, *o = t + TCP_HEADER_BYTES;
    struct tcp_pcb none = { 0 }, *pcb = k->pcb;
    k->pcb = &none;
    build(k, whole);
    k->pcb = pcb;
    memcpy(f, whole, TCP_AT + TCP_HEADER_BYTES);
    put_be16(f + ETH_HEADER_BYTES + 2, (uint16_t)(IP4_HEADER_BYTES + header));
    put_be32(t + 8, p == OPEN ? 0 : k->rcv);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | flags[p]));
    if (p == OPEN) { /* MSS, SACK permitted, time stamp, window scale */
        put_be32(o, 0x020405b4);
        put_be32(o + 4, 0x0402080a);
        put_be32(o + 8, k->tsval);
        put_be32(o + 12, 0);
        put_be32(o + 16, 0x01030307);
    } else {
        put_be32(o, 0x0101080a);
        put_be32(o + 4, k->tsval + 1);
        put_be32(o + 8, 0);
    }
    return TCP_AT + header;
}

/* Then data comes, if there is a connection, and a SYN-ACK or a FIN may be repeated. */
static void compare_what_follows(void)
{
    assert_instances_same();
    struct tcp_pcb *a = tcp_accept(fast.listener), *b = tcp_accept(slow.listener);
    assert_int_equal(a != NULL, b != NULL);
    if (a) {
        fast.pcb = a;
        slow.pcb = b;
        assert_same();
        assert_int_equal(a->mss, b->mss);
        assert_int_equal(a->cwnd, b->cwnd);
        assert_int_equal(a->max_wnd, b->max_wnd);
        assert_int_equal(tcp_write(a, "hello", 5), 5);
        assert_int_equal(tcp_write(b, "hello", 5), 5);
    }
    kit_pass(&fast, 2 * NET_NS_PER_S);
    kit_pass(&slow, 2 * NET_NS_PER_S);
    assert_instances_same();
}

static void opening_and_closing_are_the_same_bit_by_bit(void **state)
{
    for (enum phase p = 0; p < PHASES; p++)
        for (unsigned bit = 0; bit <= CONTROL_MOST * 8; bit++) /* the last time, none is changed */
            for (unsigned right = 0; right < 2; right++) {
                uint8_t f[CONTROL_MOST + 8] = { 0 };
                prepare(&fast, p);
                prepare(&slow, p);
                uint32_t bytes = build_control(&fast, p, f);
                set_checksums(f, bytes);
                f[bit / 8] ^= (uint8_t)(1u << bit % 8);
                if (right)
                    set_checksums(f, bytes);
                give_both(f, bit % 3 ? bytes : bytes + 6); /* now and then with padding */
                compare_what_follows();
                end();
            }
}

static void what_opens_and_closes_does_so(void **state)
{
    for (enum phase p = 0; p < PHASES; p++) {
        uint8_t f[CONTROL_MOST];
        prepare(&fast, p);
        uint32_t bytes = build_control(&fast, p, f);
        set_checksums(f, bytes);
        kit_frame(&fast, f, bytes);
        assert_int_equal(fast.ns->counters.ip_bad_cksum + fast.ns->counters.tcp_bad_cksum + fast.ns->counters.tcp_bad_header, 0);
        if (p == OPEN)
            assert_int_equal(fast.ns->syn_count, 1);
        else if (p == HANDSHAKE)
            assert_int_equal((fast.pcb = tcp_accept(fast.listener)) ? fast.pcb->snd_wnd : 0, 512u << 7);
        else if (p == FIN)
            assert_true(tcp_at_eof(fast.pcb) && fast.pcb->state == TCP_CLOSE_WAIT);
        else
            assert_int_equal(fast.ns->tcp_pcbs.in_use, 0);
        assert_int_equal(fast.ns->timewait_count, p == AGAIN);
        kit_teardown(&fast);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_segment_is_predicted),
        cmocka_unit_test(a_changed_bit_means_what_it_means_to_the_layers),
        cmocka_unit_test(any_length_means_what_it_means_to_the_layers),
        cmocka_unit_test(bursts_of_many_connections_are_the_same),
        cmocka_unit_test(a_burst_may_end_connections_that_it_has_data_for),
        cmocka_unit_test(what_opens_and_closes_does_so),
        cmocka_unit_test(opening_and_closing_are_the_same_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
