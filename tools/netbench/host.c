/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/netbench/host.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "tools/netbench/bench.h"

uint64_t bench_now_ns = 1000000000;
uint64_t bench_memory_bytes = 16ull << 30;
const uint8_t bench_dut_mac[6] = { 2, 0, 0, 0, 0, 1 }, bench_peer_mac[6] = { 2, 0, 0, 0, 0, 2 };

#define ARENA_BYTES (64ull << 20)
#define HUGE_BYTES (2ull << 20)

/* From 2 MiB pages, as a co-kernel's memory is; the instances live as long as the process. */
static void *pages_alloc(void *ctx, size_t bytes)
{
    static uint8_t *arena;
    static size_t left;
    bytes = (bytes + 4095) & ~(size_t)4095;
    if (bytes > left) {
        left = bytes > ARENA_BYTES ? (bytes + HUGE_BYTES - 1) & ~(size_t)(HUGE_BYTES - 1) : ARENA_BYTES;
        arena = aligned_alloc(HUGE_BYTES, left);
        if (!arena)
            return NULL;
        madvise(arena, left, MADV_HUGEPAGE);
    }
    left -= bytes;
    return arena + left;
}

static void pages_free(void *ctx, void *p, size_t bytes) { }
static uint64_t now(void *ctx) { return bench_now_ns; }

static void randomness(void *ctx, void *out, size_t bytes)
{
    static uint64_t z = 42; /* the same run every time */
    for (uint8_t *p = out; bytes--; p++) {
        z = z * 6364136223846793005ull + 1442695040888963407ull;
        *p = (uint8_t)(z >> 56);
    }
}

const struct net_env bench_env = { .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness };

void bench_no_release(void *ctx, void *storage) { }
