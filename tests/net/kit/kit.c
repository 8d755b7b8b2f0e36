/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/kit/kit.h"

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/wire.h"

static const uint8_t OWN_MAC[6] = { 2, 0, 0, 0, 0, 1 }, PEER_MAC[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t ZEROES[2048];

static void *pages_alloc(void *ctx, size_t n) { ((struct kit *)ctx)->pages += (int64_t)n; return aligned_alloc(64, n); }
static void pages_free(void *ctx, void *p, size_t n) { ((struct kit *)ctx)->pages -= (int64_t)n; free(p); }
static uint64_t now(void *ctx) { return ((struct kit *)ctx)->now_ns; }
static void randomness(void *ctx, void *out, size_t n)
{
    for (uint8_t *p = out; n--; p++)
        *p = (uint8_t)rand();
}

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct kit *k = nic->priv;
    unsigned n = net_min(k->inbox_count, max);
    memcpy(out, k->inbox, n * sizeof *out);
    memmove(k->inbox, k->inbox + n, (k->inbox_count - n) * sizeof *out);
    k->inbox_count -= n;
    return n;
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct kit *k = nic->priv;
    for (unsigned i = 0; i < count; i++) {
        assert_true(k->sent_count < KIT_SENT);
        assert_true(frames[i]->total <= sizeof k->sent[0].bytes);
        k->sent[k->sent_count].len = pbuf_copy_out(frames[i], 0, k->sent[k->sent_count].bytes, frames[i]->total);
        const uint8_t *f = k->sent[k->sent_count].bytes;
        k->asked |= get_be16(f + 12) == ETH_TYPE_ARP && f[21] == 1 && get_be32(f + 38) == 0x0a000002;
        k->sent_count++;
        pbuf_put(frames[i]);
    }
    return count;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

void kit_setup(struct kit *k)
{
    memset(k, 0, sizeof *k);
    srand(7);
    k->now_ns = 1000 * NET_NS_PER_S;
    k->tsval = 1000;
    k->env = (struct net_env){ .ctx = k, .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness };
    k->nic = (struct net_nic){ .ops = &ops, .priv = k, .mtu = KIT_MTU, .offloads = NIC_TX_CHAIN };
    memcpy(k->nic.mac.b, OWN_MAC, 6);
    struct net_config c = { .env = &k->env };
    struct net_addr own = net_addr_v4(0x0a000001), peer = net_addr_v4(0x0a000002);
    struct net_mac mac;
    memcpy(mac.b, PEER_MAC, 6);
    k->ns = net_stack_create(&c);
    k->iface = net_iface_add(k->ns, &k->nic, "kit");
    net_iface_add_addr(k->iface, &own, 24, false);
    neigh_learn(k->ns, k->iface, &peer, &mac, true, true, true);
    neigh_learn(k->ns, k->iface, &peer, &mac, true, true, true);
    int err;
    struct net_addr any = net_addr_v4(0);
    k->listener = tcp_listen(k->ns, &any, KIT_PORT, 16, &err);
    kit_run(k);
    k->sent_count = 0;
}

void kit_teardown(struct kit *k)
{
    for (unsigned i = 0; i < k->inbox_count; i++)
        pbuf_put(k->inbox[i]);
    net_stack_destroy(k->ns);
    assert_true(k->pages == 0);
}

void kit_frame(struct kit *k, const void *frame, uint32_t len)
{
    k->inbox[k->inbox_count++] = pbuf_copy_in(net_stack_pools(k->ns), frame, len, 0);
    if (!k->hold)
        kit_run(k);
}

void kit_run(struct kit *k)
{
    struct net_endpoint *ep;
    unsigned events;
    net_stack_poll(k->ns);
    net_stack_flush(k->ns);
    if (k->asked) { /* the peer answers ARP */
        uint8_t f[42] = { [12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 2 };
        k->asked = false;
        memcpy(f, OWN_MAC, 6);
        memcpy(f + 6, PEER_MAC, 6);
        memcpy(f + 22, PEER_MAC, 6);
        put_be32(f + 28, 0x0a000002);
        memcpy(f + 32, OWN_MAC, 6);
        put_be32(f + 38, 0x0a000001);
        k->inbox[k->inbox_count++] = pbuf_copy_in(net_stack_pools(k->ns), f, sizeof f, 0);
        net_stack_poll(k->ns);
        net_stack_flush(k->ns);
    }
    while ((ep = net_event_next(k->ns, &events)))
        k->events_of_strangers += ep->type == NET_EP_TCP && ((struct tcp_pcb *)ep)->listener;
}

void kit_pass(struct kit *k, uint64_t ns)
{
    uint64_t until = k->now_ns + ns;
    for (;;) {
        uint64_t next = net_stack_next_ns(k->ns);
        if (next > until)
            break;
        k->now_ns = net_max(k->now_ns, next);
        kit_run(k);
    }
    k->now_ns = until;
    kit_run(k);
}

void kit_send(struct kit *k, struct kit_seg s)
{
    uint8_t f[2048] = { 0 }, *ip = f + 14, *t = ip + 20, *o = t + 20;
    memcpy(f, OWN_MAC, 6);
    memcpy(f + 6, PEER_MAC, 6);
    put_be16(f + 12, ETH_TYPE_IP4);
    if (s.mss) {
        put_be16(o, 0x0204);
        put_be16(o + 2, s.mss);
        o += 4;
    }
    if (s.sack_ok) {
        put_be32(o, 0x01010402);
        o += 4;
    }
    if (s.wscale) {
        put_be32(o, 0x01030300u | s.wscale);
        o += 4;
    }
    if (s.ts) {
        put_be32(o, 0x0101080a);
        put_be32(o + 4, s.tsval);
        put_be32(o + 8, s.tsecr);
        o += 12;
    }
    if (s.sack_count) {
        put_be32(o, 0x01010500u | (2 + 8 * s.sack_count));
        o += 4;
        for (unsigned i = 0; i < s.sack_count; i++, o += 8) {
            put_be32(o, s.sacks[i].start);
            put_be32(o + 4, s.sacks[i].end);
        }
    }
    if (s.fo) {
        unsigned n = 2u + s.cookie.bytes;
        *o++ = 34;
        *o++ = (uint8_t)n;
        memcpy(o, s.cookie.b, s.cookie.bytes);
        for (o += s.cookie.bytes; n % 4; n++)
            *o++ = 1;
    }
    uint32_t header = (uint32_t)(o - t), total = 20 + header + s.len;
    memcpy(o, s.data ? s.data : ZEROES, s.len);
    put_be16(t, s.sport ? s.sport : KIT_PEER_PORT);
    put_be16(t + 2, s.dport ? s.dport : KIT_PORT);
    put_be32(t + 4, s.seq);
    put_be32(t + 8, s.ack);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | s.flags));
    put_be16(t + 14, s.wnd);
    put_be16(t + 18, s.urgent);
    struct net_addr from = net_addr_v4(0x0a000002), to = net_addr_v4(0x0a000001);
    store16(t + 16, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, header + s.len), t, header + s.len)));
    if (s.corrupt)
        t[17] ^= 1;
    ip[0] = 0x45;
    ip[1] = s.tos;
    put_be16(ip + 2, (uint16_t)total);
    ip[8] = 64;
    ip[9] = IP_PROTO_TCP;
    store32(ip + 12, from.w[3]);
    store32(ip + 16, to.w[3]);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    kit_frame(k, f, 14 + total + s.trailer);
}

static bool parse(const uint8_t *f, uint32_t len, struct kit_seg *s)
{
    const uint8_t *ip = f + 14, *t = ip + 20;
    if (len < 54 || get_be16(f + 12) != ETH_TYPE_IP4 || ip[9] != IP_PROTO_TCP)
        return false;
    uint32_t header = (t[12] >> 4) * 4u, total = get_be16(ip + 2);
    struct net_addr from = net_addr_v4_raw(load32(ip + 12)), to = net_addr_v4_raw(load32(ip + 16));
    assert_int_equal(cksum_fold(cksum_add(0, ip, 20)), 0xffff);
    assert_int_equal(cksum_fold(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, total - 20), t, total - 20)), 0xffff);
    *s = (struct kit_seg){ .sport = get_be16(t), .dport = get_be16(t + 2), .seq = get_be32(t + 4), .ack = get_be32(t + 8), .flags = t[13],
                           .wnd = get_be16(t + 14), .urgent = get_be16(t + 18), .len = total - 20 - header, .tos = ip[1], .data = t + header };
    for (const uint8_t *o = t + 20; o < t + header && *o;) {
        if (*o == 1) {
            o++;
            continue;
        }
        switch (*o) {
        case 2: s->mss = get_be16(o + 2); break;
        case 3: s->wscale = o[2]; break;
        case 4: s->sack_ok = true; break;
        case 5:
            s->sack_count = (o[1] - 2u) / 8;
            for (unsigned i = 0; i < s->sack_count; i++)
                s->sacks[i] = (struct tcp_sack){ get_be32(o + 2 + 8 * i), get_be32(o + 6 + 8 * i) };
            break;
        case 8:
            s->ts = true;
            s->tsval = get_be32(o + 2);
            s->tsecr = get_be32(o + 6);
            break;
        case 34:
            s->fo = true;
            s->cookie.bytes = (uint8_t)(o[1] - 2);
            assert_true(s->cookie.bytes <= TCP_FO_COOKIE_MAX);
            memcpy(s->cookie.b, o + 2, s->cookie.bytes);
            break;
        }
        o += o[1];
    }
    return true;
}

bool kit_next(struct kit *k, struct kit_seg *s)
{
    while (k->sent_read < k->sent_count) {
        unsigned i = k->sent_read++;
        if (parse(k->sent[i].bytes, k->sent[i].len, s))
            return true;
    }
    k->sent_read = k->sent_count = 0;
    return false;
}

unsigned kit_last(struct kit *k, struct kit_seg *s)
{
    /* The frames stay where they are until the next one is sent, so s->data remains valid. */
    struct kit_seg one;
    unsigned n = 0;
    while (kit_next(k, &one)) {
        *s = one;
        n++;
    }
    return n;
}

void kit_establish(struct kit *k, bool ts, bool sack)
{
    struct kit_seg s = { 0 };
    k->ts = ts;
    k->snd = 0xfffffff0; /* so that every test wraps */
    kit_send(k, (struct kit_seg){ .flags = TCP_SYN, .seq = k->snd++, .wnd = 65535, .mss = 1460, .sack_ok = sack, .wscale = 7, .ts = ts, .tsval = k->tsval });
    assert_int_equal(kit_last(k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK);
    assert_true(s.ts == ts && s.sack_ok == sack && s.wscale && s.mss == 1460);
    k->rcv = s.seq + 1;
    k->tsval++;
    k->now_ns += 10 * NET_NS_PER_MS; /* the round-trip time */
    kit_send(k, (struct kit_seg){ .flags = TCP_ACK, .seq = k->snd, .ack = k->rcv, .wnd = 512, .ts = ts, .tsval = k->tsval, .tsecr = s.tsval });
    k->pcb = tcp_accept(k->listener);
    assert_non_null(k->pcb);
    kit_run(k);
}

void kit_data(struct kit *k, const void *data, uint32_t len)
{
    kit_send(k, (struct kit_seg){ .flags = TCP_ACK | TCP_PSH, .seq = k->snd, .ack = k->rcv, .wnd = 512, .len = len, .data = data, .ts = k->ts, .tsval = ++k->tsval });
    k->snd += len;
}

void kit_ack(struct kit *k, uint32_t ack)
{
    kit_send(k, (struct kit_seg){ .flags = TCP_ACK, .seq = k->snd, .ack = ack, .wnd = 512, .ts = k->ts, .tsval = ++k->tsval });
}
