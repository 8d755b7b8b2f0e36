/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/net_mem.h"

#include "cokernel/net/net_errno.h"

struct net_slab_chunk {
    struct net_slab_chunk *next;
    uint64_t pad[7]; /* objects start on a cache line */
};

void *net_mem_alloc(struct net_mem *mem, size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    if (mem->used_bytes + bytes > mem->limit_bytes)
        return NULL;
    void *p = mem->env->pages_alloc(mem->env->ctx, bytes);
    if (p)
        mem->used_bytes += bytes;
    return p;
}

void net_mem_free(struct net_mem *mem, void *p, size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    mem->used_bytes -= bytes;
    mem->env->pages_free(mem->env->ctx, p, bytes);
}

void net_slab_init(struct net_slab *slab, struct net_mem *mem, uint32_t object_bytes, uint32_t chunk_bytes, uint32_t limit)
{
    *slab = (struct net_slab){
        .object_bytes = (object_bytes + 15) & ~15u,
        .chunk_bytes = chunk_bytes,
        .share = NET_SHARE,
        .limit = limit,
        .mem = mem,
        .mem_next = mem->slabs,
    };
    mem->slabs = slab;
}

uint64_t net_mem_live_bytes(const struct net_mem *mem)
{
    uint64_t bytes = mem->used_bytes;
    for (const struct net_slab *s = mem->slabs; s; s = s->mem_next)
        bytes -= (uint64_t)s->free_count * s->object_bytes;
    return bytes;
}

bool net_mem_starved(const struct net_mem *mem)
{
    uint64_t left = mem->limit_bytes > mem->used_bytes ? mem->limit_bytes - mem->used_bytes : 0;
    left -= left % mem->packets->chunk_bytes;
    return left + (uint64_t)mem->packets->free_count * mem->packets->object_bytes < mem->limit_bytes / 32;
}

void net_slab_fini(struct net_slab *slab)
{
    while (slab->chunks) {
        struct net_slab_chunk *c = slab->chunks;
        slab->chunks = c->next;
        net_unpoison(c, slab->chunk_bytes);
        net_mem_free(slab->mem, c, slab->chunk_bytes);
    }
    slab->free = NULL;
    slab->free_count = slab->in_use = 0;
    for (struct net_slab **at = &slab->mem->slabs; *at; at = &(*at)->mem_next)
        if (*at == slab) {
            *at = slab->mem_next;
            return;
        }
}

int net_slab_grow(struct net_slab *slab)
{
    uint32_t n = (slab->chunk_bytes - (uint32_t)sizeof(struct net_slab_chunk)) / slab->object_bytes;
    if (slab->limit) {
        if (slab->in_use >= slab->limit)
            return -NET_ENOMEM;
        n = net_min(n, slab->limit - slab->in_use);
    }
    struct net_slab_chunk *c = net_slab_may_grow(slab) ? net_mem_alloc(slab->mem, slab->chunk_bytes) : NULL;
    if (!c)
        return -NET_ENOMEM;
    c->next = slab->chunks;
    slab->chunks = c;
    char *object = (char *)(c + 1) + (size_t)n * slab->object_bytes;
    for (uint32_t i = 0; i < n; i++) {
        object -= slab->object_bytes;
        *(void **)object = slab->free;
        slab->free = object;
        net_poison(object, slab->object_bytes);
    }
    slab->free_count += n;
    return 0;
}
