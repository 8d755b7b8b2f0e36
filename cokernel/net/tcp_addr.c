/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection derives from its addresses: sequence numbers, ports, path, segment size. */
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_COUNT 28232u

/* Without padding, every byte of which would be hashed. */
struct port_hash_input { struct net_addr local, remote; uint64_t ports; };
_Static_assert(sizeof(struct port_hash_input) == 40, "no padding");

static inline uint64_t hash_key(const struct siphash_key *k, const struct net_flow_key *key, bool with_local_port)
{
    if (net_addr_is_v4(&key->remote)) { /* what tells connections apart is shorter */
        return siphash24_pair(k, (uint64_t)key->local.w[3] << 32 | key->remote.w[3],
                              (with_local_port ? (uint64_t)key->local_port << 16 : 0) | key->remote_port);
    }
    struct port_hash_input in = { key->local, key->remote, (with_local_port ? (uint64_t)key->local_port << 16 : 0) | key->remote_port };
    return siphash24(k, &in, sizeof in);
}

uint32_t tcp_isn(struct net_stack *ns, const struct net_flow_key *key)
{
    /* RFC 6528 3: a 4 microsecond clock plus a keyed hash of the connection. */
    return (uint32_t)(ns->now_ns >> 12) + (uint32_t)hash_key(&ns->isn_key, key, true);
}

uint32_t tcp_ts_offset(struct net_stack *ns, const struct net_flow_key *key)
{
    /* RFC 7323 5.4: monotonic between the same two hosts, so no ports in it. */
    struct net_flow_key hosts = { .local = key->local, .remote = key->remote };
    struct net_path_memo *m = net_path_memo(ns->paths, &key->remote);
    bool same = net_addr_eq(&m->dst, &key->remote) && net_addr_eq(&m->src, &key->local);
    if (same && m->ts_known)
        return m->ts_offset;
    uint32_t offset = (uint32_t)(hash_key(&ns->isn_key, &hosts, false) >> 32);
    if (same) {
        m->ts_offset = offset;
        m->ts_known = true;
    }
    return offset;
}

static bool listener_has(struct net_stack *ns, uint16_t port)
{
    for (struct tcp_listener *l = ns->listeners[port % NET_BOUND_BUCKETS]; l; l = l->next)
        if (l->port == port)
            return true;
    return false;
}

uint16_t tcp_pick_port(struct net_stack *ns, struct net_flow_key *key)
{
    /* RFC 6056 3.3.3, simple hash-based selection. */
    uint32_t offset = (uint32_t)hash_key(&ns->port_key, key, false);
    for (uint32_t k = 0; k < EPHEMERAL_COUNT; k++) {
        uint16_t port = (uint16_t)(EPHEMERAL_FIRST + (offset + ns->port_offset++) % EPHEMERAL_COUNT);
        if (ns->shard_count > 1 && port % ns->shard_count != ns->shard)
            continue;
        key->local_port = port;
        struct net_flow *f = listener_has(ns, port) ? &(struct net_flow){ .kind = FLOW_TCP } : net_flow_find(&ns->flows, key);
        if (f && f->kind == FLOW_TCP_TIMEWAIT) {
            /* RFC 6191: with timestamps a waiting pair may be used again after a second. */
            struct tcp_timewait *tw = net_container_of(f, struct tcp_timewait, flow);
            if (tw->ts_ok && ns->now_ns > tw->ack_ns + NET_NS_PER_S) {
                ns->counters.tcp_timewait_reused++;
                tcp_timewait_drop(tw);
                f = NULL;
            }
        }
        if (!f)
            return port;
    }
    key->local_port = 0;
    return 0;
}

static uint32_t header_bytes(const struct net_addr *remote)
{
    return TCP_HEADER_BYTES + (net_addr_is_v4(remote) ? IP4_HEADER_BYTES : IP6_HEADER_BYTES);
}

uint16_t tcp_advertised_mss(struct net_stack *ns, const struct net_addr *remote, uint32_t mtu, uint16_t maxseg)
{
    uint32_t mss = mtu - net_min(mtu, header_bytes(remote));
    if (maxseg)
        mss = net_min(mss, (uint32_t)maxseg);
    return (uint16_t)net_min(net_max(mss, TCP_MSS_MIN), 65535u - 60u);
}

uint32_t tcp_set_mss(struct tcp_pcb *pcb, uint32_t peer_mss)
{
    uint32_t own = tcp_advertised_mss(pcb->ns, &pcb->flow.key.remote, tcp_path_mtu(pcb), pcb->opts.maxseg), mss = own;
    if (peer_mss)
        pcb->peer_mss = net_max(peer_mss, TCP_MSS_MIN);
    if (pcb->peer_mss)
        mss = net_min(mss, pcb->peer_mss);
    if (pcb->ts_ok) /* RFC 6691: the announced value does not count options */
        mss -= TCP_TS_OPTION_BYTES;
    pcb->mss = mss;
    return own;
}

int tcp_path_slow(struct tcp_pcb *pcb)
{
    struct net_stack *ns = pcb->ns;
    uint32_t before = pcb->path.mtu;
    int err = net_path_find(ns, &pcb->flow.key.local, &pcb->flow.key.remote, NULL, &pcb->path);
    if (err < 0) {
        pcb->path = (struct net_path){ .mtu = before };
        return err;
    }
    if (pcb->path.mtu != before && pcb->state != TCP_CLOSED)
        tcp_set_mss(pcb, 0);
    return 0;
}

uint8_t tcp_choose_wscale(const struct tcp_opts *opts)
{
    uint32_t most = opts->rcvbuf_locked ? opts->rcvbuf : TCP_RCVBUF_MAX;
    unsigned scale = most >> 16 ? 16u - (unsigned)__builtin_clz(most) : 0;
    return (uint8_t)net_min(scale, TCP_WSCALE_MAX);
}
