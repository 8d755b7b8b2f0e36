/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target: the input is a script of frames, calls and time for one
 * instance with listeners, connections and groups. Checksums are put right,
 * so that mutations reach what lies behind them. For libFuzzer
 * (LLVMFuzzerTestOneInput), AFL and plain replay (replay.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/dhcp4.h"
#include "cokernel/net/mcast.h"
#include "cokernel/net/nd.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"
#include "tests/net/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/net/fuzz/corpus";

#define CONNS 4u

static const uint8_t OWN_MAC[6] = { 2, 0, 0, 0, 0, 1 }, PEER_MAC[6] = { 2, 0, 0, 0, 0, 2 };

struct world {
    struct net_env env;
    struct net_nic nic;
    struct net_stack *ns;
    struct net_iface *iface;
    uint64_t now_ns;
    int64_t pages;
    uint8_t random;
    struct pbuf *inbox;
    struct tcp_pcb *conns[CONNS];
    struct tcp_listener *listener;
    struct udp_pcb *udp;
};

static void *pages_alloc(void *ctx, size_t n) { ((struct world *)ctx)->pages += (int64_t)n; return aligned_alloc(64, n); }
static void pages_free(void *ctx, void *p, size_t n) { ((struct world *)ctx)->pages -= (int64_t)n; free(p); }
static uint64_t now(void *ctx) { return ((struct world *)ctx)->now_ns; }
static void randomness(void *ctx, void *out, size_t n) { memset(out, ((struct world *)ctx)->random++, n); }

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct world *w = nic->priv;
    if (!w->inbox)
        return 0;
    out[0] = w->inbox;
    w->inbox = NULL;
    return 1;
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        assert(frames[k]->total <= nic->mtu + 18);
        pbuf_put(frames[k]);
    }
    return count;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static void settle(struct world *w)
{
    struct net_endpoint *ep;
    unsigned events;
    for (int k = 0; k < 3; k++) {
        net_stack_poll(w->ns);
        while ((ep = net_event_next(w->ns, &events))) {
            if (ep->type == NET_EP_TCP_LISTENER)
                for (unsigned c = 0; c < CONNS; c++)
                    if (!w->conns[c])
                        w->conns[c] = tcp_accept(w->listener);
        }
        net_stack_flush(w->ns);
    }
}

/* Fills in what random bytes would never hit: header checksum, lengths left as they are. */
static void repair(uint8_t *f, uint32_t n, struct pbuf *pb)
{
    uint16_t type = get_be16(f + 12);
    pb->flags |= PBUF_CSUM_GOOD;
    if (type == ETH_TYPE_IP4 && n >= 34) {
        uint32_t header = (f[14] & 15u) * 4u;
        if (header >= 20 && 14 + header <= n) {
            store16(f + 24, 0);
            store16(f + 24, cksum_finish(cksum_add(0, f + 14, header)));
            if ((f[23] == IP_PROTO_ICMP || f[23] == IP_PROTO_IGMP) && n >= 14 + header + 8 && get_be16(f + 16) >= header && 14u + get_be16(f + 16) <= n) {
                uint8_t *icmp = f + 14 + header;
                store16(icmp + 2, 0);
                store16(icmp + 2, cksum_finish(cksum_add(0, icmp, get_be16(f + 16) - header)));
            }
        }
    } else if (type == ETH_TYPE_IP6 && n >= 62 && f[20] == IP_PROTO_ICMP6 && 54u + get_be16(f + 18) <= n && get_be16(f + 18) >= 8) {
        struct net_addr src = net_addr_v6(f + 22), dst = net_addr_v6(f + 38);
        uint32_t len = get_be16(f + 18);
        store16(f + 56, 0);
        store16(f + 56, cksum_finish(cksum_add(cksum_pseudo(&src, &dst, IP_PROTO_ICMP6, len), f + 54, len)));
    }
}

/* A frame from a template that gets past the first checks, the input overlaid on it. */
static void inject(struct world *w, uint8_t kind, const uint8_t *data, uint32_t n)
{
    uint8_t f[1600] = { 0 };
    uint32_t at = 14;
    memcpy(f, OWN_MAC, 6);
    memcpy(f + 6, PEER_MAC, 6);
    n = net_min(n, 1400u);
    uint16_t type = kind % 4 == 3 ? ETH_TYPE_ARP : kind % 4 == 2 ? ETH_TYPE_IP6 : ETH_TYPE_IP4;
    put_be16(f + 12, type);
    if (kind & 4 && type == ETH_TYPE_IP4) { /* TCP to one of the connections or the listener */
        struct tcp_pcb *pcb = w->conns[kind >> 4 & 3];
        uint8_t head[40] = { 0x45, [8] = 64, [9] = IP_PROTO_TCP, [12] = 10, 0, 0, 2, 10, 0, 0, 1 };
        put_be16(head + 2, (uint16_t)net_min(40 + (n > 8 ? n - 8 : 0), 1440u));
        put_be16(head + 20, 5000);
        put_be16(head + 22, 80);
        if (pcb && pcb->state != TCP_CLOSED) {
            put_be16(head + 20, pcb->flow.key.remote_port);
            put_be16(head + 22, pcb->flow.key.local_port);
            put_be32(head + 24, pcb->rcv_nxt + (n > 0 ? (uint32_t)(int8_t)data[0] : 0));
            put_be32(head + 28, pcb->snd_nxt - (n > 1 ? data[1] : 0));
        }
        head[32] = n > 2 ? data[2] : 0x50;
        head[33] = n > 3 ? data[3] : TCP_ACK;
        put_be16(head + 34, n > 5 ? get_be16(data + 4) : 1000);
        memcpy(f + 14, head, 40);
        at = 54;
        data += net_min(n, 8u);
        n -= net_min(n, 8u);
    } else if (type == ETH_TYPE_IP4) {
        uint8_t head[20] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, kind & 8 ? IP_PROTO_UDP : IP_PROTO_ICMP, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1 };
        put_be16(head + 2, (uint16_t)(20 + (n > 3 ? n - 3 : 0)));
        if (n > 3) {
            put_be16(head + 6, get_be16(data)); /* fragments */
            head[5] = data[2] & 3;
            data += 3;
            n -= 3;
        }
        memcpy(f + 14, head, 20);
        at = 34;
    } else if (type == ETH_TYPE_IP6) {
        uint8_t head[40] = { 0x60, [6] = n ? data[0] : IP_PROTO_ICMP6, [7] = kind & 8 ? 255 : 64, [8] = 0xfe, 0x80, [23] = 2, [24] = 0xfd, [39] = 1 };
        put_be16(head + 4, (uint16_t)(n ? n - 1 : 0));
        memcpy(f + 14, head, 40);
        at = 54;
        data += n != 0;
        n -= n != 0;
    }
    memcpy(f + at, data, n);
    uint32_t total = at + n;
    struct pbuf *pb = pbuf_copy_in(net_stack_pools(w->ns), f, total, 0);
    if (!pb)
        return;
    if (total <= pb->len)
        repair(pb->data, total, pb);
    w->inbox = pb;
    settle(w);
}

static void call(struct world *w, uint8_t what, uint8_t arg)
{
    struct tcp_pcb **pcb = &w->conns[arg % CONNS];
    uint8_t buf[2000] = { 0 };
    int err;
    struct pbuf *pb;
    switch (what % 10) {
    case 0: w->now_ns += (uint64_t)arg * arg * arg * NET_NS_PER_MS; break;
    case 1:
        if (*pcb)
            tcp_write(*pcb, buf, arg * 7u + 1);
        break;
    case 2:
        if (*pcb)
            tcp_read(*pcb, buf, arg * 7u + 1);
        break;
    case 3:
        if (*pcb)
            tcp_shutdown(*pcb);
        break;
    case 4:
        if (*pcb)
            tcp_close(*pcb);
        *pcb = NULL;
        break;
    case 5:
        if (*pcb)
            tcp_abort(*pcb);
        *pcb = NULL;
        break;
    case 6:
        if (!*pcb) {
            struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = 5000, .local_port = (uint16_t)(2000 + arg) };
            *pcb = tcp_connect(w->ns, &how, &err);
        }
        break;
    case 7:
        if (*pcb)
            tcp_set(*pcb, arg >> 2 & 31, arg);
        break;
    case 8:
        while ((pb = udp_recv(w->udp)))
            pbuf_put(pb);
        break;
    case 9:
        if (*pcb && (pb = tcp_recv(*pcb)) && tcp_send(*pcb, pb) < 0)
            pbuf_put(pb);
        break;
    }
    settle(w);
}

static void begin(struct world *w)
{
    struct net_config c = { .env = &w->env, .memory_bytes = 4 << 20 };
    struct net_addr own4 = net_addr_v4(0x0a000001), own6 = { .b = { 0xfd, [15] = 1 } }, any = { 0 }, group = net_addr_v4(0xe0010203);
    struct net_addr peer = net_addr_v4(0x0a000002);
    struct net_mac mac;
    int err;
    *w = (struct world){ .now_ns = NET_NS_PER_S };
    w->env = (struct net_env){ .ctx = w, .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness };
    w->nic = (struct net_nic){ .ops = &ops, .priv = w, .mtu = 1500, .offloads = NIC_TX_CHAIN };
    memcpy(w->nic.mac.b, OWN_MAC, 6);
    memcpy(mac.b, PEER_MAC, 6);
    w->ns = net_stack_create(&c);
    w->iface = net_iface_add(w->ns, &w->nic, "fuzz");
    net_iface_add_addr(w->iface, &own4, 24, false);
    net_iface_add_addr(w->iface, &own6, 64, false);
    nd_enable_slaac(w->iface);
    mcast_join(w->iface, &group);
    neigh_learn(w->ns, w->iface, &peer, &mac, true, true, true);
    w->listener = tcp_listen(w->ns, &any, 80, 4, &err);
    w->udp = udp_open(w->ns);
    udp_bind(w->udp, &any, 7);
    settle(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    begin(&w);
    for (unsigned steps = 0; size >= 3 && steps < 400; steps++) {
        uint8_t op = data[0], arg = data[1];
        data += 2;
        size -= 2;
        if (op >= 160) {
            call(&w, op, arg);
            continue;
        }
        uint32_t n = net_min((uint32_t)size, arg >= 200 ? (arg - 199u) * 24u : (uint32_t)arg);
        inject(&w, op, data, n);
        data += n;
        size -= n;
    }
    for (unsigned c = 0; c < CONNS; c++)
        if (w.conns[c])
            tcp_close(w.conns[c]);
    if (w.inbox)
        pbuf_put(w.inbox);
    net_stack_destroy(w.ns);
    assert(w.pages == 0);
    return 0;
}
