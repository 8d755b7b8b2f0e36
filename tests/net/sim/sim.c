/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_random(struct sim *sim)
{
    uint64_t z = sim->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void *pages_alloc(void *ctx, size_t bytes)
{
    struct sim_node *n = ctx;
    n->pages += (int64_t)bytes;
    return aligned_alloc(64, bytes);
}

static void pages_free(void *ctx, void *p, size_t bytes)
{
    struct sim_node *n = ctx;
    n->pages -= (int64_t)bytes;
    free(p);
}

static uint64_t now(void *ctx) { return ((struct sim_node *)ctx)->sim->now_ns; }

static void randomness(void *ctx, void *out, size_t bytes)
{
    uint8_t *p = out;
    while (bytes--)
        *p++ = (uint8_t)sim_random(((struct sim_node *)ctx)->sim);
}

static bool earlier(const struct sim_frame *a, const struct sim_frame *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

/* Frames carry their destination node in `next` while they wait. */
static void heap_push(struct sim *s, struct sim_frame *f)
{
    if (s->heap_count == s->heap_room) {
        s->heap_room = s->heap_room ? 2 * s->heap_room : 256;
        s->heap = realloc(s->heap, s->heap_room * sizeof *s->heap);
    }
    unsigned i = s->heap_count++;
    while (i && earlier(f, s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = f;
}

static struct sim_frame *heap_pop(struct sim *s)
{
    struct sim_frame *top = s->heap[0], *last = s->heap[--s->heap_count];
    unsigned i = 0;
    for (;;) {
        unsigned c = 2 * i + 1;
        if (c >= s->heap_count)
            break;
        if (c + 1 < s->heap_count && earlier(s->heap[c + 1], s->heap[c]))
            c++;
        if (!earlier(s->heap[c], last))
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    if (s->heap_count)
        s->heap[i] = last;
    return top;
}

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct sim_node *n = nic->priv;
    unsigned count = 0;
    while (count < max && n->inbox) {
        struct sim_frame *f = n->inbox;
        n->inbox = f->next;
        if (!n->inbox)
            n->inbox_tail = &n->inbox;
        struct pbuf *pb = pbuf_copy_in(nic->pools, f->bytes, f->len, 0);
        free(f);
        if (pb)
            out[count++] = pb;
    }
    return count;
}

/* Whether a port steers this frame by its flow, and where to. A fragment goes to everyone. */
static bool has_group(const uint8_t *f, uint32_t len, const struct sim_port *port, uint32_t *group)
{
    struct net_flow_key key;
    const uint8_t *tcp;
    if (len >= 54 && f[12] == 8 && f[13] == 0 && f[14] == 0x45 && f[23] == 6) {
        key.local = net_addr_v4_raw(load32(f + 30));
        key.remote = net_addr_v4_raw(load32(f + 26));
        tcp = f + 34;
    } else if (len >= 74 && f[12] == 0x86 && f[13] == 0xdd && f[20] == 6) {
        key.local = net_addr_v6(f + 38);
        key.remote = net_addr_v6(f + 22);
        tcp = f + 54;
    } else {
        return false;
    }
    key.local_port = get_be16(tcp + 2);
    key.remote_port = get_be16(tcp);
    *group = net_rss_group(&port->rss, &key);
    return true;
}

static void transmit(struct sim_node *from, const uint8_t *bytes, uint32_t len)
{
    struct sim *s = from->sim;
    struct sim_link *l = &s->link;
    uint64_t start = s->now_ns > from->busy_until_ns ? s->now_ns : from->busy_until_ns;
    s->frames++;
    if (l->swallow_above && len > l->swallow_above + 14) {
        s->lost++;
        return;
    }
    if (l->rate_bps) {
        if (l->queue_bytes && (start - s->now_ns) * l->rate_bps / 8 / 1000000000u > l->queue_bytes) {
            s->lost++;
            return;
        }
        from->busy_until_ns = start + (uint64_t)len * 8 * 1000000000u / l->rate_bps;
        start = from->busy_until_ns;
    }
    unsigned copies = 1 + sim_chance(s, l->dup_ppm);
    if (from->burst_left) {
        from->burst_left--;
        copies = 0;
    } else if (sim_chance(s, l->loss_ppm)) {
        from->burst_left = l->burst_loss;
        copies = 0;
    }
    s->lost += !copies;
    while (copies--)
        for (unsigned k = 0; k < s->node_count; k++) {
            struct sim_node *to = &s->nodes[k];
            bool mine = (bytes[0] & 1) || memcmp(bytes, to->nic.mac.b, 6) == 0;
            if (to == from || !mine || to->down || (to->port && (to->port == from->port || (to != to->port->first && has_group(bytes, len, to->port, &(uint32_t){ 0 })))))
                continue;
            struct sim_frame *f = malloc(sizeof *f + len);
            memcpy(f->bytes, bytes, len);
            f->len = len;
            f->next = (struct sim_frame *)to;
            f->at_ns = start + l->delay_ns + (l->jitter_ns ? sim_random(s) % l->jitter_ns : 0);
            if (sim_chance(s, l->reorder_ppm))
                f->at_ns += l->delay_ns / 2 + sim_random(s) % (l->delay_ns + 1000000);
            f->order = s->order++;
            bool ip4 = len > 34 && bytes[12] == 8 && bytes[13] == 0, ip6 = len > 54 && bytes[12] == 0x86;
            /* Nothing but its CRC protects an ARP frame, so leave those alone; likewise IPv6's header. */
            uint32_t skip = ip4 ? 14 : 54;
            if ((ip4 || ip6) && sim_chance(s, l->corrupt_ppm)) {
                uint32_t bit = sim_below(s, (len - skip) * 8);
                f->bytes[skip + bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            if (ip4 && (f->bytes[15] & 3) && sim_chance(s, l->ecn_mark_ppm)) {
                uint16_t before = load16(f->bytes + 14);
                f->bytes[15] |= 3;
                uint32_t sum = (uint16_t)~load16(f->bytes + 24);
                sum += (uint16_t)~before + load16(f->bytes + 14);
                sum = (sum & 0xffff) + (sum >> 16);
                sum = (sum & 0xffff) + (sum >> 16);
                store16(f->bytes + 24, (uint16_t)~sum);
            }
            heap_push(s, f);
        }
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct sim_node *n = nic->priv;
    for (unsigned k = 0; k < count; k++) {
        uint8_t bytes[16384];
        struct pbuf *pb = frames[k];
        assert(pb->total <= nic->mtu + 18 && pb->total <= sizeof bytes);
        uint32_t len = pbuf_copy_out(pb, 0, bytes, pb->total);
        assert(len == pb->total);
        pbuf_put(pb);
        if (!n->down && (!n->sim->tap || n->sim->tap(n->sim, n, bytes, len)))
            transmit(n, bytes, len);
    }
    return count;
}

static const struct net_nic_ops sim_nic_ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->rng = seed;
    s->now_ns = 1000000000u + sim_random(s) % 1000000000u;
    s->link.delay_ns = 1000000;
    s->wake_ns = UINT64_MAX;
}

void sim_fini(struct sim *s)
{
    for (unsigned k = 0; k < s->node_count; k++) {
        struct sim_node *n = &s->nodes[k];
        net_stack_destroy(n->stack);
        assert(n->pages == 0);
        while (n->inbox) {
            struct sim_frame *f = n->inbox;
            n->inbox = f->next;
            free(f);
        }
    }
    while (s->heap_count)
        free(heap_pop(s));
    free(s->heap);
}

struct sim_node *sim_add(struct sim *s, uint32_t mtu, uint32_t offloads, uint64_t memory_bytes)
{
    struct sim_node *n = &s->nodes[s->node_count++];
    *n = (struct sim_node){ .sim = s, .env = { .ctx = n, .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness },
                            .nic = { .ops = &sim_nic_ops, .priv = n, .mtu = mtu, .offloads = offloads | NIC_TX_CHAIN,
                                     .mac = { { 2, 0, 0, 0, 0, (uint8_t)s->node_count } } } };
    n->inbox_tail = &n->inbox;
    struct net_config c = { .env = &n->env, .memory_bytes = memory_bytes, .shared_key = s->shared_key };
    n->stack = net_stack_create(&c);
    n->iface = net_iface_add(n->stack, &n->nic, "sim0");
    n->addr4 = net_addr_v4(0x0a000000 + s->node_count);
    n->addr6 = (struct net_addr){ .b = { 0xfd, [15] = (uint8_t)s->node_count } };
    net_iface_add_addr(n->iface, &n->addr4, 24, false);
    net_iface_add_addr(n->iface, &n->addr6, 64, false);
    net_stack_flush(n->stack);
    return n;
}

struct sim_node *sim_add_queue(struct sim *s, struct sim_port *port, uint32_t mtu)
{
    struct sim_node *n = sim_add(s, mtu, 0, 0);
    n->port = port;
    if (!port->first) {
        port->first = n;
        return n;
    }
    net_iface_del_addr(n->iface, &n->addr4);
    net_iface_del_addr(n->iface, &n->addr6);
    n->addr4 = port->first->addr4;
    n->addr6 = port->first->addr6;
    n->nic.mac = n->iface->mac = port->first->nic.mac;
    net_iface_add_addr(n->iface, &n->addr4, 24, false);
    net_iface_add_addr(n->iface, &n->addr6, 64, false);
    net_stack_flush(n->stack);
    return n;
}

static void run_node(struct sim_node *n)
{
    struct net_endpoint *ep;
    unsigned events, rounds = 0;
    do {
        net_stack_poll(n->stack);
        while ((ep = net_event_next(n->stack, &events)))
            if (n->app)
                n->app(n, ep, events);
        net_stack_flush(n->stack);
    } while ((n->inbox || net_stack_next_ns(n->stack) == 0) && ++rounds < 10000);
    assert(rounds < 10000);
}

void sim_kick(struct sim *s)
{
    for (unsigned k = 0; k < s->node_count; k++)
        run_node(&s->nodes[k]);
}

bool sim_step(struct sim *s)
{
    uint64_t next = s->heap_count ? s->heap[0]->at_ns : UINT64_MAX;
    next = net_min(next, s->wake_ns);
    for (unsigned k = 0; k < s->node_count; k++)
        next = net_min(next, net_stack_next_ns(s->nodes[k].stack));
    if (next == UINT64_MAX)
        return false;
    s->now_ns = net_max(s->now_ns, next);
    while (s->heap_count && s->heap[0]->at_ns <= s->now_ns) {
        struct sim_frame *f = heap_pop(s);
        struct sim_node *n = (struct sim_node *)f->next;
        uint32_t group;
        if (n->port && has_group(f->bytes, f->len, n->port, &group)) /* now, not when it was sent: its group may have moved */
            n = n->port->table[group];
        f->next = NULL;
        *n->inbox_tail = f;
        n->inbox_tail = &f->next;
    }
    for (unsigned k = 0; k < s->node_count; k++)
        if (s->nodes[k].inbox || net_stack_next_ns(s->nodes[k].stack) <= s->now_ns)
            run_node(&s->nodes[k]);
    return true;
}

void sim_run(struct sim *s, uint64_t until_ns)
{
    while (s->now_ns < until_ns && sim_step(s))
        ;
}
