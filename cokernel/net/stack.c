/* SPDX-License-Identifier: BSD-2-Clause */
/* An instance's life, its poll loop and its event list. */
#include "cokernel/net/stack.h"

#include "cokernel/net/dhcp4.h"
#include "cokernel/net/gro.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/udp.h"

#define DEFAULT_MEMORY_BYTES (256ull << 20)
#define SLAB_CHUNK_BYTES (32u << 10)
#define TIMER_BUDGET 256u /* timers a poll, so that a burst of them cannot starve the NIC */
#define PMTU_LIMIT 1024u
#define PREFETCH_FLOWS 256u /* with fewer, connections are in the cache anyway */
#define PREFETCH_AHEAD 8u   /* frames: memory is fetched while others are processed, and not more than the cache holds (6 to 12 are as good) */

struct net_stack *net_stack_create(const struct net_config *config)
{
    const struct net_env *env = config->env;
    size_t bytes = (sizeof(struct net_stack) + 4095) & ~(size_t)4095;
    struct net_stack *ns = env->pages_alloc(env->ctx, bytes);
    if (!ns)
        return NULL;
    net_zero(ns, sizeof *ns);
    ns->env = env;
    ns->mem = (struct net_mem){ .env = env, .used_bytes = bytes,
                                .limit_bytes = config->memory_bytes ? config->memory_bytes : DEFAULT_MEMORY_BYTES };
    ns->shard = config->shard;
    ns->shard_count = config->shard_count;
    ns->now_ns = env->now_ns(env->ctx);
    ns->path_generation = 1;
    ns->dirty_tail = &ns->dirty_head;
    ns->ready_tail = &ns->ready_head;
    net_wheel_init(&ns->wheel, ns->now_ns);
    net_timer_queue_init(&ns->syn_wait, &ns->wheel);
    pbuf_pools_init(&ns->pools, &ns->mem);

    struct siphash_key keys[9];
    env->random(env->ctx, keys, sizeof keys);
    ns->isn_key = keys[0];
    ns->port_key = keys[1];
    ns->cookie_key = keys[2];
    ns->ident_key = keys[3];
    ns->random_key = keys[4];
    if (config->shared_key) {
        net_copy(&ns->isn_key, config->shared_key, sizeof ns->isn_key);
        net_copy(&ns->cookie_key, config->shared_key + sizeof ns->isn_key, sizeof ns->cookie_key);
    }
    if (net_flow_table_init(&ns->flows, &ns->mem, &keys[5]) < 0)
        goto free_stack;
    if (net_flow_table_init(&ns->neighs, &ns->mem, &keys[6]) < 0)
        goto fini_flows;
    if (net_flow_table_init(&ns->pmtus, &ns->mem, &keys[7]) < 0)
        goto fini_neighs;
    if (tcp_fo_init(ns, &keys[8]) < 0)
        goto fini_pmtus;

    net_slab_init(&ns->neigh_slab, &ns->mem, sizeof(struct neigh), SLAB_CHUNK_BYTES, NEIGH_LIMIT);
    net_slab_init(&ns->route_slab, &ns->mem, sizeof(struct net_route), 4096, ROUTE_LIMIT);
    net_slab_init(&ns->pmtu_slab, &ns->mem, 128, SLAB_CHUNK_BYTES, PMTU_LIMIT);
    net_slab_init(&ns->endpoints, &ns->mem, sizeof(union net_endpoint_slot), SLAB_CHUNK_BYTES, 0);
    tcp_init(ns);
    frag_init(ns);
    ns->icmp_tokens = NET_ICMP_BURST;
    ns->loopback = net_iface_add(ns, NULL, "lo");
    if (!ns->loopback)
        goto fini_fastopen;
    struct net_addr lo4 = net_addr_v4(0x7f000001), lo6 = { .b = { [15] = 1 } };
    net_iface_add_addr(ns->loopback, &lo4, 8, false);
    net_iface_add_addr(ns->loopback, &lo6, 128, false);
    return ns;

fini_fastopen:
    tcp_fo_fini(ns);
fini_pmtus:
    net_flow_table_fini(&ns->pmtus);
fini_neighs:
    net_flow_table_fini(&ns->neighs);
fini_flows:
    net_flow_table_fini(&ns->flows);
free_stack:
    env->pages_free(env->ctx, ns, bytes);
    return NULL;
}

void net_stack_destroy(struct net_stack *ns)
{
    const struct net_env *env = ns->env;
    tcp_fini(ns);
    udp_fini(ns);
    dhcp4_fini(ns);
    frag_fini(ns);
    pbuf_queue_flush(&ns->loop_queue);
    for (struct net_iface *i = ns->ifaces, *next; i; i = next) {
        next = i->next;
        for (unsigned k = 0; k < i->tx_count; k++)
            pbuf_put(i->tx[k]);
        pbuf_queue_flush(&i->backlog);
        neigh_flush_iface(ns, i);
        net_mem_free(&ns->mem, i, sizeof *i);
    }
    net_slab_fini(&ns->neigh_slab);
    net_slab_fini(&ns->route_slab);
    net_slab_fini(&ns->pmtu_slab);
    net_slab_fini(&ns->endpoints);
    tcp_fo_fini(ns);
    net_flow_table_fini(&ns->pmtus);
    net_flow_table_fini(&ns->neighs);
    net_flow_table_fini(&ns->flows);
    pbuf_pools_fini(&ns->pools);
    env->pages_free(env->ctx, ns, (sizeof *ns + 4095) & ~(size_t)4095);
}

/* In line: it is all that a poll does as a rule. */
static inline __attribute__((always_inline)) unsigned receive(struct net_stack *ns)
{
    struct pbuf *frames[NET_BURST], *pb;
    const struct tcp_pcb *ahead[NET_BURST];
    unsigned done = 0;
    for (struct net_iface *i = ns->nics; i; i = i->next_nic) {
        unsigned n = i->nic->ops->rx_burst(i->nic, frames, NET_BURST);
        done += n;
        if (net_unlikely(ns->syn_tokens < n))
            n = tcp_shed_syns(ns, frames, n);
        if (n > 1)
            n = gro_merge(i, frames, n);
        bool cold = n > 1 && ns->flows.count >= PREFETCH_FLOWS;
        if (cold) {
            tcp_prefetch(ns, frames, n, ahead);
            for (unsigned k = 0; k < n && k < PREFETCH_AHEAD; k++)
                tcp_prefetch_rest(ahead[k]);
        }
        for (unsigned k = 0; k < n; k++) {
            if (cold && k + PREFETCH_AHEAD < n)
                tcp_prefetch_rest(ahead[k + PREFETCH_AHEAD]);
            if (!tcp_fast_input(i, frames[k]))
                eth_input(i, frames[k]);
        }
    }
    for (unsigned n = ns->loop_queue.count; n && (pb = pbuf_queue_pop(&ns->loop_queue)); n--, done++) {
        ns->loopback->counters.rx_frames++;
        pb->iface = ns->loopback;
        if (pb->data[0] >> 4 == 4)
            ip4_input(ns->loopback, pb);
        else
            ip6_input(ns->loopback, pb);
    }
    return done;
}

unsigned net_stack_poll(struct net_stack *ns)
{
    ns->now_ns = ns->env->now_ns(ns->env->ctx);
    unsigned done = receive(ns);
    if (net_unlikely(net_wheel_due(&ns->wheel, ns->now_ns)))
        done += net_wheel_advance(&ns->wheel, ns->now_ns, TIMER_BUDGET);
    return done;
}

void net_stack_flush(struct net_stack *ns)
{
    if (ns->dirty_head)
        tcp_flush(ns);
    for (struct net_iface *i = ns->nics; i; i = i->next_nic)
        if (i->tx_count || i->backlog.head)
            net_iface_flush(i);
}

uint64_t net_stack_next_ns(struct net_stack *ns)
{
    if (ns->dirty_head || ns->ready_head || ns->loop_queue.head)
        return 0;
    for (struct net_iface *i = ns->nics; i; i = i->next_nic)
        if (i->tx_count || i->backlog.count)
            return 0;
    return net_wheel_next_ns(&ns->wheel);
}

struct pbuf_pools *net_stack_pools(struct net_stack *ns) { return &ns->pools; }

uint64_t net_random(struct net_stack *ns)
{
    uint64_t n = ns->random_counter++;
    return siphash24(&ns->random_key, &n, sizeof n);
}

void net_log(struct net_stack *ns, enum net_log_level level, const char *text)
{
    if (ns->env->log)
        ns->env->log(ns->env->ctx, level, text);
}

void net_event_post(struct net_stack *ns, struct net_endpoint *ep, unsigned events)
{
    ep->events |= (uint16_t)events;
    if (ep->ready_pprev)
        return;
    ep->ready_next = NULL;
    ep->ready_pprev = ns->ready_tail;
    *ns->ready_tail = ep;
    ns->ready_tail = &ep->ready_next;
}

void net_event_forget(struct net_stack *ns, struct net_endpoint *ep)
{
    if (!ep->ready_pprev)
        return;
    *ep->ready_pprev = ep->ready_next;
    if (ep->ready_next)
        ep->ready_next->ready_pprev = ep->ready_pprev;
    else
        ns->ready_tail = ep->ready_pprev;
    ep->ready_pprev = NULL;
    ep->events = 0;
}

struct net_endpoint *net_event_next(struct net_stack *ns, unsigned *events)
{
    struct net_endpoint *ep = ns->ready_head;
    if (ep) {
        *events = ep->events;
        net_event_forget(ns, ep);
    }
    return ep;
}
