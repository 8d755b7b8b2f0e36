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

static void set_checksums(uint8_t f[FRAME])
{
    uint8_t *ip = f + ETH_HEADER_BYTES, *t = f + TCP_AT;
    uint32_t total = get_be16(ip + 2), most = FRAME - ETH_HEADER_BYTES;
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

static void assert_same(void)
{
    const struct tcp_pcb *a = fast.pcb, *b = slow.pcb;
    struct net_counters x = fast.ns->counters, y = slow.ns->counters;
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(fast.iface->counters.rx_frames, slow.iface->counters.rx_frames);
    assert_int_equal(fast.iface->counters.rx_drops, slow.iface->counters.rx_drops);
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
    assert_int_equal(fast.sent_count, slow.sent_count);
    for (unsigned i = 0; i < fast.sent_count; i++) {
        assert_int_equal(fast.sent[i].len, slow.sent[i].len);
        assert_memory_equal(fast.sent[i].bytes, slow.sent[i].bytes, fast.sent[i].len);
    }
}

static void a_plain_segment_is_predicted(void **state)
{
    uint8_t f[FRAME], got[2 * PAYLOAD];
    begin();
    build(&fast, f);
    set_checksums(f);
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
            set_checksums(f);
            f[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (right)
                set_checksums(f);
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
            set_checksums(f);
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
        set_checksums(f);
        give_both(f, FRAME);
    }
    kit_run(&fast);
    kit_run(&slow);
    assert_same();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_segment_is_predicted),
        cmocka_unit_test(a_changed_bit_means_what_it_means_to_the_layers),
        cmocka_unit_test(any_length_means_what_it_means_to_the_layers),
        cmocka_unit_test(bursts_of_many_connections_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
