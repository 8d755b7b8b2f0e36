/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of an instance. Everything comes from the environment's page
 * allocator in chunks, is cut into objects of one size, and recycles through
 * a free list, so the fast path takes and returns an object in a few
 * instructions. Chunks go back when the instance goes. All chunks count
 * against one limit. What is in use, as a share of it, says what gives:
 *
 *   3/4    pressed: new connections by cookie, smaller windows, one message at a time in the send queue, small
 *          messages in small buffers, nothing out of order is kept; who lets us wait for five timeouts is reset
 *   13/16  tight: who lets us wait for three is
 *   14/16  short: no new connections
 *   15/16  full: nothing is queued, for sending or for reading; the rest is for packets on their way
 *
 * A chunk stays with its slab, so memory may also be there and yet not for packets: full is as well where less than a
 * 32nd is left that large buffers can be made of. The other buffers come out of large ones if they must.
 */
#ifndef NET_MEM_H
#define NET_MEM_H

#include "cokernel/net/net_bytes.h"
#include "cokernel/net/net_env.h"
#include "cokernel/net/net_poison.h"

#define NET_SHARE 30u        /* the last sixteenth is for packets, */
#define NET_SHARE_HEADERS 31u /* the last half of it for large ones */
#define NET_SHARE_PACKETS 32u

struct net_slab;

struct net_mem {
    const struct net_env *env;
    uint64_t used_bytes;
    uint64_t limit_bytes;
    struct net_slab *slabs; /* linked by their mem_next */
    struct net_slab *packets; /* of the large buffers */
};

void *net_mem_alloc(struct net_mem *mem, size_t bytes);
void net_mem_free(struct net_mem *mem, void *p, size_t bytes);

struct net_slab_chunk;

struct net_slab {
    void *free;
    uint32_t object_bytes; /* multiple of 16 */
    uint32_t in_use;
    uint32_t free_count;
    uint32_t limit;        /* objects; 0 is none */
    uint32_t chunk_bytes;
    uint8_t share;         /* it grows while no more than so many 32nds of the limit are taken, by whomever */
    struct net_slab_chunk *chunks;
    struct net_mem *mem;
    struct net_slab *mem_next;
};

void net_slab_init(struct net_slab *slab, struct net_mem *mem, uint32_t object_bytes, uint32_t chunk_bytes, uint32_t limit);
/* Returns all chunks; objects still in use die with them. */
void net_slab_fini(struct net_slab *slab);
/* Whether the limit leaves room for another chunk. */
static inline bool net_slab_may_grow(const struct net_slab *slab)
{
    const struct net_mem *mem = slab->mem;
    return mem->used_bytes + slab->chunk_bytes <= (slab->share == 32 ? mem->limit_bytes : mem->limit_bytes / 32 * slab->share);
}
/* 0 or -NET_ENOMEM. */
int net_slab_grow(struct net_slab *slab);

/* Contents undefined. NULL at a limit. */
static inline void *net_slab_get(struct net_slab *slab)
{
    if (net_unlikely(!slab->free) && net_slab_grow(slab) < 0)
        return NULL;
    void **object = slab->free;
    net_unpoison(object, slab->object_bytes);
    slab->free = *object;
    slab->free_count--;
    slab->in_use++;
    return object;
}

static inline void net_slab_put(struct net_slab *slab, void *object)
{
    *(void **)object = slab->free;
    slab->free = object;
    slab->free_count++;
    slab->in_use--;
    net_poison(object, slab->object_bytes);
}

/* Bytes in objects that are in use: chunks stay, but what lies in free lists can be handed out again. */
uint64_t net_mem_live_bytes(const struct net_mem *mem);

/* Whether too little is left that large buffers can be made of. */
bool net_mem_starved(const struct net_mem *mem);
static inline bool net_mem_above(const struct net_mem *mem, unsigned sixteenths)
{
    uint64_t most = mem->limit_bytes / 16 * sixteenths;
    return net_unlikely(mem->used_bytes > most) && (net_mem_live_bytes(mem) > most || net_mem_starved(mem));
}
static inline bool net_mem_pressed(const struct net_mem *mem) { return net_mem_above(mem, 12); }
static inline bool net_mem_tight(const struct net_mem *mem) { return net_mem_above(mem, 13); }
static inline bool net_mem_short(const struct net_mem *mem) { return net_mem_above(mem, 14); }
static inline bool net_mem_full(const struct net_mem *mem) { return net_mem_above(mem, 15); }

#endif
