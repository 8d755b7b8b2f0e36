/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/flow.h"

#include "cokernel/net/net_errno.h"

#define PAGE_BYTES 4096u

/* Makes bucket i exist. Segments are never given back before the table is. */
static int ensure(struct net_flow_table *t, uint32_t i)
{
    uint32_t segment = i / FLOW_SEGMENT_BUCKETS;
    if (segment >= FLOW_DIRECTORIES * FLOW_SEGMENTS)
        return -NET_ENOMEM;
    struct net_flow ****dir = &t->directories[segment / FLOW_SEGMENTS];
    if (!*dir) {
        *dir = net_mem_alloc(t->mem, PAGE_BYTES);
        if (!*dir)
            return -NET_ENOMEM;
        net_zero(*dir, PAGE_BYTES);
    }
    struct net_flow ***seg = &(*dir)[segment % FLOW_SEGMENTS];
    if (!*seg) {
        *seg = net_mem_alloc(t->mem, PAGE_BYTES);
        if (!*seg)
            return -NET_ENOMEM;
        net_zero(*seg, PAGE_BYTES);
    }
    return 0;
}

int net_flow_table_init(struct net_flow_table *t, struct net_mem *mem, const struct siphash_key *key)
{
    *t = (struct net_flow_table){ .mask = FLOW_SEGMENT_BUCKETS - 1, .key = *key, .mem = mem };
    int err = ensure(t, 0);
    if (err < 0)
        net_flow_table_fini(t);
    return err;
}

void net_flow_table_fini(struct net_flow_table *t)
{
    for (unsigned d = 0; d < FLOW_DIRECTORIES; d++) {
        if (!t->directories[d])
            continue;
        for (unsigned s = 0; s < FLOW_SEGMENTS; s++)
            if (t->directories[d][s])
                net_mem_free(t->mem, t->directories[d][s], PAGE_BYTES);
        net_mem_free(t->mem, t->directories[d], PAGE_BYTES);
        t->directories[d] = NULL;
    }
}

static void split_one(struct net_flow_table *t)
{
    uint32_t high = t->mask + 1 + t->split;
    if (ensure(t, high) < 0)
        return;
    struct net_flow **low_bucket = net_flow_bucket(t, t->split);
    struct net_flow *f = *low_bucket;
    uint32_t wide = t->mask << 1 | 1;
    t->split++;
    struct net_flow *low = NULL, *moved = NULL;
    while (f) {
        struct net_flow *next = f->next, **to = (f->hash & wide) == high ? &moved : &low;
        f->next = *to;
        *to = f;
        f = next;
    }
    *low_bucket = low;
    *net_flow_bucket(t, high) = moved;
    if (t->split == t->mask + 1) {
        t->mask = wide;
        t->split = 0;
    }
}

void net_flow_insert(struct net_flow_table *t, struct net_flow *f)
{
    f->hash = net_flow_hash(&t->key, &f->key);
    net_flow_insert_hashed(t, f);
}

void net_flow_insert_hashed(struct net_flow_table *t, struct net_flow *f)
{
    if (++t->count > t->mask + 1 + t->split)
        split_one(t);
    struct net_flow **b = net_flow_bucket(t, f->hash);
    f->next = *b;
    *b = f;
}

void net_flow_remove(struct net_flow_table *t, struct net_flow *f)
{
    struct net_flow **p = net_flow_bucket(t, f->hash);
    while (*p && *p != f)
        p = &(*p)->next;
    if (*p) {
        *p = f->next;
        t->count--;
    }
}

void net_flow_replace(struct net_flow_table *t, struct net_flow *old, struct net_flow *f)
{
    struct net_flow **p = net_flow_bucket(t, old->hash);
    while (*p != old)
        p = &(*p)->next;
    f->hash = old->hash;
    f->next = old->next;
    *p = f;
}

void net_flow_each(struct net_flow_table *t, void (*visit)(struct net_flow *, void *), void *ctx)
{
    for (uint32_t i = 0; i < t->mask + 1 + t->split; i++) {
        uint32_t segment = i / FLOW_SEGMENT_BUCKETS;
        struct net_flow *f = t->directories[segment / FLOW_SEGMENTS][segment % FLOW_SEGMENTS][i % FLOW_SEGMENT_BUCKETS];
        while (f) {
            struct net_flow *next = f->next;
            visit(f, ctx);
            f = next;
        }
    }
}
