/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the network stack needs from the world around it. Whoever creates an
 * instance fills this in: the co-kernel with its page allocator and clock, a
 * hosted process with malloc and clock_gettime, the simulator with virtual
 * time. Nothing else from outside is called, so an instance is deterministic
 * once these are. Callbacks run in the context that polls the instance.
 */
#ifndef NET_ENV_H
#define NET_ENV_H

#include <stddef.h>
#include <stdint.h>

enum net_log_level { NET_LOG_ERROR, NET_LOG_WARN, NET_LOG_INFO };

struct net_env {
    void *ctx;
    /* Memory of `bytes` (a multiple of 4 KiB), 64-byte aligned at least; NULL if none. */
    void *(*pages_alloc)(void *ctx, size_t bytes);
    void (*pages_free)(void *ctx, void *pages, size_t bytes);
    /* Monotonic; read once for each poll. */
    uint64_t (*now_ns)(void *ctx);
    /* Cryptographically strong; read at creation only, to key the instance. */
    void (*random)(void *ctx, void *out, size_t bytes);
    /* May be NULL. Called for events that an administrator acts on, never per packet. */
    void (*log)(void *ctx, enum net_log_level level, const char *text);
};

#endif
