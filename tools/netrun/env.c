/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/netrun/netrun.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

uint64_t netrun_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *pages_alloc(void *ctx, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}
static void pages_free(void *ctx, void *p, size_t bytes) { munmap(p, bytes); }
static uint64_t now(void *ctx) { return netrun_now_ns(); }

static void randomness(void *ctx, void *out, size_t bytes)
{
    if (getrandom(out, bytes, 0) != (ssize_t)bytes)
        abort();
}

static void log_line(void *ctx, enum net_log_level level, const char *text)
{
    static const char *const names[] = { "error", "warning", "info" };
    fprintf(stderr, "netrun: %s: %s\n", names[level], text);
}

const struct net_env netrun_env = { .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness, .log = log_line };
