/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of an instance. Everything comes from the environment's page
 * allocator in chunks, is cut into objects of one size, and recycles through
 * a free list, so the fast path takes and returns an object in a few
 * instructions. Chunks go back when the instance goes. All chunks count
 * against one limit; above three quarters of it the instance is under
 * pressure and sheds load (new connections by cookie, smaller windows).
 */
#ifndef NET_MEM_H
#define NET_MEM_H

#include "cokernel/net/net_bytes.h"
#include "cokernel/net/net_env.h"
#include "cokernel/net/net_poison.h"

struct net_slab;

struct net_mem {
    const struct net_env *env;
    uint64_t used_bytes;
    uint64_t limit_bytes;
    struct net_slab *slabs; /* linked by their mem_next */
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
    struct net_slab_chunk *chunks;
    struct net_mem *mem;
    struct net_slab *mem_next;
};

void net_slab_init(struct net_slab *slab, struct net_mem *mem, uint32_t object_bytes, uint32_t chunk_bytes, uint32_t limit);
/* Returns all chunks; objects still in use die with them. */
void net_slab_fini(struct net_slab *slab);
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

static inline bool net_mem_pressed(const struct net_mem *mem)
{
    uint64_t most = mem->limit_bytes / 4 * 3;
    return net_unlikely(mem->used_bytes > most) && net_mem_live_bytes(mem) > most;
}

#endif
