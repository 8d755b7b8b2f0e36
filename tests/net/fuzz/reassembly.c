/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target: fragments of a few datagrams in any order and size. Whatever
 * comes out whole must have the bytes that went in, and nothing stays behind.
 * Four bytes of input are a fragment: datagram and flag, offset, length.
 */
#include <assert.h>
#include <stdlib.h>

#include "cokernel/net/stack.h"
#include "tests/net/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/net/fuzz/corpus-reassembly";

static int64_t pages;
static uint64_t clock_ns = 1;

static void *pages_alloc(void *ctx, size_t n) { pages += (int64_t)n; return aligned_alloc(64, n); }
static void pages_free(void *ctx, void *p, size_t n) { pages -= (int64_t)n; free(p); }
static uint64_t now(void *ctx) { return clock_ns; }
static void randomness(void *ctx, void *out, size_t n) { net_zero(out, n); }

static uint8_t byte_at(uint32_t id, uint32_t at) { return (uint8_t)(id * 31 + at * 7 + (at >> 8)); }

static void one(struct net_stack *ns, const uint8_t *p)
{
    static uint8_t bytes[2048];
    uint32_t id = p[0] & 7, offset = (p[1] & 0x3fu) * 8 * (p[0] & 0x20 ? 128 : 1), n = (p[2] | (p[3] & 7u) << 8);
    struct frag_key key = { .src = net_addr_v4(1), .dst = net_addr_v4(2), .id = id, .proto = 17 };
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = byte_at(id, offset + i);
    struct pbuf *pb = pbuf_copy_in(net_stack_pools(ns), bytes, n, 0);
    uint8_t head[FRAG_HEAD_BYTES + 8] = { (uint8_t)id, (uint8_t)(p[1] >> 6) }; /* sometimes more than fits */
    struct net_rx rx = { .iface = ns->loopback, .pb = pb, .src = key.src, .dst = key.dst, .ip = head, .ip_bytes = p[1] >> 6 ? 20 : sizeof head, .proto = key.proto };
    if (!pb || !frag_add(ns, &key, &rx, offset, p[0] & 0x40))
        return;
    pb = rx.pb;
    assert(!rx.ip || (rx.ip_bytes == 20 && rx.ip[0] == id));
    assert(pb->total <= 65535);
    uint32_t at = 0;
    for (const struct pbuf *q = pb; q; q = q->next)
        for (uint32_t i = 0; i < q->len; i++, at++)
            assert(q->data[i] == byte_at(id, at));
    assert(at == pb->total);
    pbuf_put(pb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_env env = { .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = now, .random = randomness };
    struct net_config c = { .env = &env, .memory_bytes = 4 << 20 };
    struct net_stack *ns = net_stack_create(&c);
    for (unsigned k = 0; size >= 4 && k < 1000; k++, data += 4, size -= 4) {
        one(ns, data);
        if (data[0] & 0x80) {
            clock_ns += 10 * NET_NS_PER_S;
            net_stack_poll(ns);
        }
    }
    clock_ns += 100 * NET_NS_PER_S;
    net_stack_poll(ns);
    assert(ns->frags.true_bytes == 0);
    assert(ns->pools.large.in_use == 0 && ns->pools.small.in_use == 0);
    net_stack_destroy(ns);
    assert(pages == 0);
    return 0;
}
