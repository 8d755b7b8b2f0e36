/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flow tables: linear hashing (Litwin, 1980) keyed with SipHash. The table
 * grows by one bucket an insertion in 4 KiB pieces, so no insertion pays for
 * a rehash and no large contiguous memory is needed.
 */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include "cokernel/net/net_addr.h"
#include "cokernel/net/net_mem.h"
#include "cokernel/net/siphash.h"

struct net_flow_key {
    struct net_addr local, remote;
    uint16_t local_port, remote_port; /* host order */
};

enum net_flow_kind { FLOW_TCP, FLOW_TCP_SYN, FLOW_TCP_TIMEWAIT, FLOW_UDP };

/* Embedded in whatever is found by its flow. */
struct net_flow {
    struct net_flow *next;
    uint32_t hash;
    uint8_t kind; /* enum net_flow_kind */
    uint8_t pad[3];
    struct net_flow_key key;
};

#define FLOW_SEGMENT_BUCKETS 512u /* 4 KiB of pointers */
#define FLOW_SEGMENTS 512u        /* a directory page: 2^18 buckets ... */
#define FLOW_DIRECTORIES 16u      /* ... times 16 */

struct net_flow_table {
    uint32_t mask;   /* buckets at the level's start, less 1 */
    uint32_t split;  /* buckets below it are already split */
    uint32_t count;
    struct siphash_key key;
    struct net_mem *mem;
    struct net_flow ***directories[FLOW_DIRECTORIES];
};

/* 0 or -NET_ENOMEM. */
int net_flow_table_init(struct net_flow_table *table, struct net_mem *mem, const struct siphash_key *key);
void net_flow_table_fini(struct net_flow_table *table);
/* Sets flow->hash from its key. Never fails: without memory to grow, chains get longer. */
void net_flow_insert(struct net_flow_table *table, struct net_flow *flow);
/* The same if flow->hash is set already. */
void net_flow_insert_hashed(struct net_flow_table *table, struct net_flow *flow);
void net_flow_remove(struct net_flow_table *table, struct net_flow *flow);
/* Puts flow where old was, which has the same key; sets flow->hash. */
void net_flow_replace(struct net_flow_table *table, struct net_flow *old, struct net_flow *flow);
/* Calls visit for every flow, which may remove the one it is given. */
void net_flow_each(struct net_flow_table *table, void (*visit)(struct net_flow *flow, void *ctx), void *ctx);

static inline uint32_t net_flow_hash(const struct siphash_key *key, const struct net_flow_key *k)
{
    struct siphash_state s = siphash_begin(key);
    uint64_t ports = (uint64_t)k->local_port << 16 | k->remote_port;
    if (net_addr_is_v4(&k->remote)) {
        siphash13_word(&s, (uint64_t)k->local.w[3] << 32 | k->remote.w[3]);
        siphash13_word(&s, ports);
        return (uint32_t)siphash13_end(&s, 2);
    }
    siphash13_word(&s, k->local.q[0]);
    siphash13_word(&s, k->local.q[1]);
    siphash13_word(&s, k->remote.q[0]);
    siphash13_word(&s, k->remote.q[1]);
    siphash13_word(&s, ports);
    return (uint32_t)siphash13_end(&s, 5);
}

static inline bool net_flow_key_eq(const struct net_flow_key *a, const struct net_flow_key *b)
{
    return load32(&a->local_port) == load32(&b->local_port) && a->remote.q[1] == b->remote.q[1] &&
           a->local.q[1] == b->local.q[1] && a->remote.q[0] == b->remote.q[0] && a->local.q[0] == b->local.q[0];
}

static inline struct net_flow **net_flow_bucket(const struct net_flow_table *t, uint32_t hash)
{
    uint32_t i = hash & t->mask;
    if (i < t->split)
        i = hash & (t->mask << 1 | 1);
    uint32_t segment = i / FLOW_SEGMENT_BUCKETS;
    return &t->directories[segment / FLOW_SEGMENTS][segment % FLOW_SEGMENTS][i % FLOW_SEGMENT_BUCKETS];
}

static inline struct net_flow *net_flow_find_hashed(const struct net_flow_table *t, const struct net_flow_key *k, uint32_t hash)
{
    struct net_flow *f = *net_flow_bucket(t, hash);
    while (f && (f->hash != hash || !net_flow_key_eq(&f->key, k)))
        f = f->next;
    return f;
}

static inline struct net_flow *net_flow_find(const struct net_flow_table *t, const struct net_flow_key *k)
{
    return net_flow_find_hashed(t, k, net_flow_hash(&t->key, k));
}

#endif
