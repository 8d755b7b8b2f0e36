/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target for sequences of calls: two instances of one address behind a
 * NIC that steers by flow group, and a third as their peer. The input says who
 * calls what, which frames on the wire are delivered, lost, swapped, repeated,
 * damaged or forged, how time passes, and when flow groups move. After each
 * step every instance must agree with itself (audit.c), and as long as nothing
 * was forged what is read is what was written.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_group.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/tcp_migrate.h"
#include "cokernel/net/wire.h"
#include "tests/net/fuzz/audit.h"
#include "tests/net/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/net/fuzz/corpus-calls";

#define NODES 3u      /* 0 and 1 share an address; 2 is the peer */
#define PEER 2u
#define HANDLES 12u
#define WIRE 64u
#define GROUPS 4u
#define PORTS 3u
#define FRAME_BYTES 1600u
#define IMAGE_BYTES (4u << 20)

static const uint8_t MACS[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

struct world;

struct node {
    struct world *world;
    struct net_env env;
    struct net_nic nic;
    struct net_stack *ns;
    struct net_iface *iface;
    struct pbuf *inbox[8];
    unsigned inbox_count;
    struct tcp_listener *listeners[PORTS];
};

struct handle {
    struct tcp_pcb *pcb;
    unsigned node;
    uint64_t written, read;
};

struct frame { uint8_t side; uint32_t len; uint8_t bytes[FRAME_BYTES]; }; /* side: who sent it, 0 or 1 */

struct world {
    uint64_t now_ns;
    int64_t pages;
    uint8_t random;
    bool honest;
    struct node nodes[NODES];
    struct handle handles[HANDLES];
    struct frame wire[WIRE];
    unsigned wire_count;
    struct net_rss rss;
    uint8_t owner[GROUPS];
    uint8_t *image;
};

struct script { const uint8_t *at, *end; };
static uint8_t take(struct script *s) { return s->at < s->end ? *s->at++ : 0; }

static void *pages_alloc(void *ctx, size_t n) { ((struct node *)ctx)->world->pages += (int64_t)n; return aligned_alloc(64, n); }
static void pages_free(void *ctx, void *p, size_t n) { ((struct node *)ctx)->world->pages -= (int64_t)n; free(p); }
static uint64_t now(void *ctx) { return ((struct node *)ctx)->world->now_ns; }
static void randomness(void *ctx, void *out, size_t n) { memset(out, ((struct node *)ctx)->world->random++, n); }

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct node *n = nic->priv;
    unsigned count = net_min(n->inbox_count, max);
    memcpy(out, n->inbox, count * sizeof *out);
    memmove(n->inbox, n->inbox + count, (n->inbox_count - count) * sizeof *out);
    n->inbox_count -= count;
    return count;
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct node *n = nic->priv;
    struct world *w = n->world;
    for (unsigned k = 0; k < count; k++) {
        assert(frames[k]->total <= nic->mtu + 18);
        if (w->wire_count < WIRE) { /* a full wire loses */
            struct frame *f = &w->wire[w->wire_count++];
            f->side = n == &w->nodes[PEER];
            f->len = pbuf_copy_out(frames[k], 0, f->bytes, sizeof f->bytes);
        }
        pbuf_put(frames[k]);
    }
    return count;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * 167 + (at >> 8)); }

static void settle(struct world *w)
{
    unsigned events;
    for (unsigned k = 0; k < NODES; k++) {
        struct net_stack *ns = w->nodes[k].ns;
        for (unsigned again = 0; again < 2; again++) {
            net_stack_poll(ns);
            for (struct net_endpoint *ep; (ep = net_event_next(ns, &events));)
                assert(events && (ep->type == NET_EP_TCP_LISTENER || !((struct tcp_pcb *)ep)->listener));
            net_stack_flush(ns);
        }
    }
}

static void receive(struct world *w, unsigned node, const struct frame *f, bool good)
{
    struct node *n = &w->nodes[node];
    struct pbuf *pb = n->inbox_count < 8 ? pbuf_copy_in(net_stack_pools(n->ns), f->bytes, f->len, 0) : NULL;
    if (!pb)
        return;
    if (good)
        pb->flags |= PBUF_CSUM_GOOD;
    n->inbox[n->inbox_count++] = pb;
}

/* As the NIC in front of the two does it: TCP by its group, the rest to both. */
static void deliver(struct world *w, const struct frame *f, bool good)
{
    if (f->side == 0) {
        receive(w, PEER, f, good);
        return;
    }
    const uint8_t *ip = f->bytes + 14;
    if (f->len >= 54 && get_be16(f->bytes + 12) == ETH_TYPE_IP4 && ip[0] == 0x45 && ip[9] == IP_PROTO_TCP) {
        struct net_flow_key key = { .local = net_addr_v4_raw(load32(ip + 16)), .remote = net_addr_v4_raw(load32(ip + 12)),
                                    .local_port = get_be16(ip + 22), .remote_port = get_be16(ip + 20) };
        receive(w, w->owner[net_rss_group(&w->rss, &key)], f, good);
        return;
    }
    receive(w, 0, f, good);
    receive(w, 1, f, good);
}

static void drop(struct world *w, unsigned at)
{
    w->wire_count--;
    memmove(&w->wire[at], &w->wire[at + 1], (w->wire_count - at) * sizeof w->wire[0]);
}

/* What happens to frames on their way. */
static void wire_step(struct world *w, uint8_t what, uint8_t arg, struct script *s)
{
    static struct frame f;
    unsigned at = w->wire_count ? arg % w->wire_count : 0;
    if (!w->wire_count)
        return;
    switch (what) {
    case 0: /* some, in order */
        for (unsigned n = arg % 8 + 1; n && w->wire_count; n--) {
            f = w->wire[0];
            drop(w, 0);
            deliver(w, &f, false);
        }
        return;
    case 1: /* one out of turn */
        f = w->wire[at];
        drop(w, at);
        deliver(w, &f, false);
        return;
    case 2:
        drop(w, at);
        return;
    case 3: /* twice */
        f = w->wire[at];
        deliver(w, &f, false);
        return;
    case 4: /* damaged behind the addresses, and the checksum says nothing */
        w->honest = false;
        f = w->wire[at];
        if (f.len > 34)
            f.bytes[34 + take(s) % (f.len - 34)] ^= (uint8_t)(take(s) | 1);
        drop(w, at);
        deliver(w, &f, true);
        return;
    }
}

/* A segment for a connection from somebody who knows its numbers. */
static void forge(struct world *w, const struct handle *h, struct script *s)
{
    static struct frame f;
    uint8_t *ip = f.bytes + 14, *t = ip + 20;
    const struct tcp_pcb *pcb = h->pcb;
    uint8_t flags = take(s), shift = take(s), back = take(s), options = take(s) % 11, data = take(s);
    if (!pcb || pcb->state == TCP_CLOSED)
        return;
    w->honest = false;
    memset(&f, 0, sizeof f);
    f.side = h->node != PEER;
    f.side = !f.side; /* it seems to come from the other side */
    memcpy(f.bytes, MACS[!f.side], 6);
    memcpy(f.bytes + 6, MACS[f.side], 6);
    put_be16(f.bytes + 12, ETH_TYPE_IP4);
    uint32_t header = 20 + options * 4u, total = 20 + header + data;
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)total);
    ip[8] = 64;
    ip[9] = IP_PROTO_TCP;
    store32(ip + 12, pcb->flow.key.remote.w[3]);
    store32(ip + 16, pcb->flow.key.local.w[3]);
    store16(ip + 10, cksum_finish(cksum_add(0, ip, 20)));
    put_be16(t, pcb->flow.key.remote_port);
    put_be16(t + 2, pcb->flow.key.local_port);
    put_be32(t + 4, pcb->rcv_nxt + (uint32_t)(int8_t)shift * 16u);
    put_be32(t + 8, pcb->snd_nxt - back);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | flags));
    put_be16(t + 14, (uint16_t)(take(s) << 4));
    put_be16(t + 18, take(s));
    for (uint32_t k = 20; k < header; k++)
        t[k] = take(s);
    f.len = 14 + total;
    deliver(w, &f, true);
}

static struct handle *free_handle(struct world *w)
{
    for (unsigned k = 0; k < HANDLES; k++)
        if (!w->handles[k].pcb)
            return &w->handles[k];
    return NULL;
}

static void adopt(struct world *w, unsigned node, struct tcp_pcb *pcb)
{
    struct handle *h = free_handle(w);
    if (!h) {
        tcp_abort(pcb);
        return;
    }
    *h = (struct handle){ .pcb = pcb, .node = node };
    tcp_endpoint(pcb)->user = h;
}

static void listen_or_close(struct world *w, uint8_t arg)
{
    struct node *n = &w->nodes[arg % NODES];
    unsigned port = arg / 4 % PORTS;
    struct net_addr any = net_addr_v4(0);
    int err;
    if (n->listeners[port]) {
        if (arg & 128) {
            tcp_listener_close(n->listeners[port]);
            n->listeners[port] = NULL;
        } else {
            for (struct tcp_pcb *pcb; (pcb = tcp_accept(n->listeners[port]));)
                adopt(w, arg % NODES, pcb);
        }
        return;
    }
    n->listeners[port] = tcp_listen(n->ns, &any, (uint16_t)(80 + port), arg >> 6 & 3, &err);
    assert(n->listeners[port] || err < 0);
    if (n->listeners[port])
        tcp_listener_set(n->listeners[port], TCP_OPT_FASTOPEN, arg & 32 ? 2 : 0);
}

static void open_connection(struct world *w, uint8_t arg, struct script *s)
{
    struct handle *h = free_handle(w);
    unsigned node = arg % NODES;
    uint8_t more = take(s), first[1024];
    int err;
    if (!h)
        return;
    struct tcp_connect how = { .remote = net_addr_v4(node == PEER ? 0x0a000001 : 0x0a000002), .remote_port = (uint16_t)(80 + arg / 4 % PORTS),
                               .user = h, .fast_open = arg & 32, .data = first, .data_bytes = arg & 64 ? more * 4u : 0,
                               .local_port = arg & 128 ? (uint16_t)(80 + more % PORTS) : 0 }; /* from a port that also listens: both at once */
    for (uint32_t k = 0; k < how.data_bytes; k++)
        first[k] = pattern(k);
    if (node != PEER) { /* it goes out by the instance that will get the answers */
        struct net_flow_key key = { .local = net_addr_v4(0x0a000001), .remote = how.remote, .local_port = how.local_port ? how.local_port : (uint16_t)(2000 + more),
                                    .remote_port = how.remote_port };
        how.local_port = key.local_port;
        node = w->owner[net_rss_group(&w->rss, &key)];
    }
    *h = (struct handle){ .node = node, .written = how.data_bytes };
    h->pcb = tcp_connect(w->nodes[node].ns, &how, &err);
    assert(h->pcb || err < 0);
}

static void data_call(struct world *w, struct handle *h, uint8_t what, uint8_t arg)
{
    static uint8_t buf[20000];
    uint32_t n = (uint32_t)arg * arg % sizeof buf + 1;
    int64_t done;
    struct pbuf *pb;
    uint8_t byte;
    switch (what) {
    case 0:
    case 1:
        for (uint32_t k = 0; k < n; k++)
            buf[k] = pattern(h->written + k);
        if (what == 0) {
            done = tcp_write(h->pcb, buf, n);
            h->written += done > 0 ? (uint64_t)done : 0;
        } else if ((pb = pbuf_copy_in(net_stack_pools(w->nodes[h->node].ns), buf, n, 0))) {
            if (tcp_send(h->pcb, pb) < 0)
                pbuf_put(pb);
            else
                h->written += n;
        }
        return;
    case 2:
        done = tcp_read(h->pcb, buf, n);
        for (int64_t k = 0; k < done && w->honest; k++)
            assert(buf[k] == pattern(h->read + (uint64_t)k));
        h->read += done > 0 ? (uint64_t)done : 0;
        return;
    case 3:
        if (!(pb = tcp_recv(h->pcb)))
            return;
        n = pbuf_copy_out(pb, 0, buf, sizeof buf);
        for (uint32_t k = 0; k < n && w->honest; k++)
            assert(buf[k] == pattern(h->read + k));
        h->read += pb->total;
        pbuf_put(pb);
        return;
    case 4:
        w->honest = false; /* out of line: it is missing from the stream */
        if (arg & 1)
            tcp_send_urgent(h->pcb, arg);
        else
            tcp_read_urgent(h->pcb, &byte, arg & 2);
        return;
    }
}

static void end_call(struct handle *h, uint8_t what)
{
    if (what == 0) {
        tcp_shutdown(h->pcb);
        return;
    }
    if (what == 1)
        tcp_close(h->pcb);
    else
        tcp_abort(h->pcb);
    h->pcb = NULL;
}

static uint64_t leaves(void *ctx, struct tcp_pcb *pcb)
{
    struct world *w = ctx;
    struct handle *h = tcp_endpoint(pcb)->user;
    assert(h && h->pcb == pcb);
    h->pcb = NULL;
    return (uint64_t)(h - w->handles);
}

static void arrives(void *ctx, struct tcp_pcb *pcb, uint64_t token)
{
    struct world *w = ctx;
    assert(token < HANDLES && !w->handles[token].pcb);
    w->handles[token].pcb = pcb;
    w->handles[token].node = !w->handles[token].node;
    tcp_endpoint(pcb)->user = &w->handles[token];
}

static void move_group(struct world *w, uint8_t arg, struct script *s)
{
    unsigned group = arg % GROUPS, from = w->owner[group], to = !from;
    struct tcp_group_users users = { .ctx = w, .leaves = leaves, .arrives = arrives };
    struct tcp_group_report report;
    struct handle before[HANDLES];
    settle(w);
    memcpy(before, w->handles, sizeof before);
    int64_t n = tcp_group_export(w->nodes[from].ns, &w->rss, group, w->image, IMAGE_BYTES, &users);
    if (n < 0)
        return;
    w->owner[group] = (uint8_t)to;
    if (arg & 64 && n) { /* from somebody who lies */
        w->honest = false;
        for (unsigned k = 1 + arg / 16 % 4; k; k--)
            w->image[(uint32_t)(take(s) << 8 | take(s)) % (uint32_t)n] ^= (uint8_t)(take(s) | 1);
        users.arrives = NULL; /* its tokens mean nothing */
    }
    int err = tcp_group_import(w->nodes[to].ns, &w->rss, group, w->image, (size_t)n, &users, &report);
    assert(err == 0 || arg & 64);
    if (arg & 64) /* what came has no owner here */
        for (struct tcp_pcb *pcb = w->nodes[to].ns->pcbs, *next; pcb; pcb = next) {
            next = pcb->all_next;
            bool known = pcb->listener || pcb->user_gone;
            for (unsigned k = 0; k < HANDLES; k++)
                known |= w->handles[k].pcb == pcb;
            if (!known)
                tcp_abort(pcb);
        }
}

/* One connection out and in again where it is. */
static void round_trip(struct world *w, struct handle *h)
{
    struct net_stack *ns = w->nodes[h->node].ns;
    int err;
    int64_t n = tcp_export(h->pcb, w->image, IMAGE_BYTES);
    if (n < 0)
        return;
    h->pcb = tcp_import(ns, w->image, (size_t)n, h, &err);
    if (!h->pcb && err != -NET_ENOMEM) { fprintf(stderr, "imported what was exported here: %d\n", err); abort(); }
}

static void step(struct world *w, struct script *s)
{
    uint8_t op = take(s), arg = take(s);
    struct handle *h = &w->handles[arg % HANDLES];
    struct tcp_conn_info info;
    switch (op & 31) {
    case 0: w->now_ns += arg * NET_NS_PER_MS; break;
    case 1: w->now_ns += (uint64_t)arg * arg * arg * NET_NS_PER_MS; break;
    case 2:
    case 3:
    case 4:
    case 5: wire_step(w, 0, arg, s); break;
    case 6: wire_step(w, 1, arg, s); break;
    case 7: wire_step(w, 2, arg, s); break;
    case 8: wire_step(w, 3, arg, s); break;
    case 9: wire_step(w, 4, arg, s); break;
    case 10: forge(w, h, s); break;
    case 11:
    case 12: listen_or_close(w, arg); break;
    case 13:
    case 14: open_connection(w, arg, s); break;
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
        if (h->pcb)
            data_call(w, h, (op & 31) - 15, take(s));
        break;
    case 20:
    case 21:
    case 22:
        if (h->pcb)
            end_call(h, (op & 31) - 20);
        break;
    case 23: {
        uint8_t option = take(s), value = take(s);
        if (h->pcb) {
            tcp_set(h->pcb, option % (TCP_OPT_COUNT + 1), value & 128 ? (int64_t)value << 6 : value & 64 ? (int64_t)value - 65 : value);
            tcp_get(h->pcb, option % (TCP_OPT_COUNT + 1));
        }
        break;
    }
    case 24: {
        struct tcp_listener *l = w->nodes[arg % NODES].listeners[arg / 4 % PORTS];
        uint8_t option = take(s), value = take(s);
        if (l)
            tcp_listener_set(l, option % (TCP_OPT_COUNT + 1), value & 128 ? (int64_t)value << 6 : value);
        break;
    }
    case 25: move_group(w, arg, s); break;
    case 26:
        if (h->pcb)
            round_trip(w, h);
        break;
    case 27:
        if (h->pcb) {
            tcp_info(h->pcb, &info);
            tcp_at_mark(h->pcb);
            tcp_readable_bytes(h->pcb);
        }
        break;
    case 28: w->now_ns = net_max(w->now_ns, net_min(net_stack_next_ns(w->nodes[arg % NODES].ns), w->now_ns + 3600 * NET_NS_PER_S)); break;
    }
    if (op & 128) /* else the next call comes in the same round */
        settle(w);
    for (unsigned k = 0; k < NODES; k++)
        audit_tcp(w->nodes[k].ns);
}

static void begin_node(struct world *w, unsigned k)
{
    static const uint8_t shared[32] = { 1, 2, 3 };
    struct node *n = &w->nodes[k];
    bool peer = k == PEER;
    struct net_addr own = net_addr_v4(peer ? 0x0a000002 : 0x0a000001), other = net_addr_v4(peer ? 0x0a000001 : 0x0a000002);
    struct net_mac mac;
    n->world = w;
    n->env = (struct net_env){ .ctx = n, .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness };
    n->nic = (struct net_nic){ .ops = &ops, .priv = n, .mtu = 1500, .offloads = NIC_TX_CHAIN };
    memcpy(n->nic.mac.b, MACS[peer], 6);
    memcpy(mac.b, MACS[!peer], 6);
    struct net_config c = { .env = &n->env, .memory_bytes = 4 << 20, .shared_key = peer ? NULL : shared };
    n->ns = net_stack_create(&c);
    n->iface = net_iface_add(n->ns, &n->nic, "fuzz");
    net_iface_add_addr(n->iface, &own, 24, false);
    neigh_learn(n->ns, n->iface, &other, &mac, true, true, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct script s = { data, data + size };
    memset(&w, 0, offsetof(struct world, wire));
    w.wire_count = 0;
    w.now_ns = 5000 * NET_NS_PER_S;
    w.honest = true;
    w.rss = (struct net_rss){ .groups = GROUPS };
    for (unsigned k = 0; k < NET_RSS_KEY_BYTES; k++)
        w.rss.key[k] = (uint8_t)(k * 73 + 11);
    w.image = w.image ? w.image : malloc(IMAGE_BYTES);
    for (unsigned k = 0; k < NODES; k++)
        begin_node(&w, k);
    for (unsigned k = 0; k < GROUPS; k++)
        w.owner[k] = k & 1;
    settle(&w);
    w.wire_count = 0;
    for (unsigned steps = 0; s.at < s.end && steps < 600; steps++)
        step(&w, &s);
    for (unsigned k = 0; k < HANDLES; k++)
        if (w.handles[k].pcb)
            tcp_close(w.handles[k].pcb);
    settle(&w);
    for (unsigned k = 0; k < NODES; k++) {
        audit_tcp(w.nodes[k].ns);
        for (unsigned i = 0; i < w.nodes[k].inbox_count; i++)
            pbuf_put(w.nodes[k].inbox[i]);
        net_stack_destroy(w.nodes[k].ns);
    }
    assert(w.pages == 0);
    return 0;
}
