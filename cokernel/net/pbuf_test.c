/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/pbuf.h"

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/flow.h"
#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static void a_view_keeps_its_storage_alive(void **state)
{
    struct pbuf_pools *pools = net_stack_pools(k.ns);
    uint32_t before = pools->large.in_use;
    struct pbuf *pb = pbuf_copy_in(pools, "hello, free protection and a longer text than a small buffer holds, so that it is large "
                                          "................................................................", 150, 0);
    struct pbuf *v = pbuf_view(pools, pb, 7, 4);
    pbuf_put(pb); /* the program frees what a device still reads */
    assert_int_equal(pools->large.in_use, before + 1);
    assert_memory_equal(v->data, "free", 4);
    pbuf_put(v);
    assert_int_equal(pools->large.in_use, before);
}

static unsigned released;
static void release(void *ctx, void *storage) { released += storage == ctx; }

static void foreign_memory_is_released_once_at_the_end(void **state)
{
    static char memory[100];
    struct pbuf_pools *pools = net_stack_pools(k.ns);
    struct pbuf *pb = pbuf_foreign(pools, memory, sizeof memory, release, memory), *v = pbuf_view(pools, pb, 10, 10);
    released = 0;
    pbuf_put(pb);
    assert_int_equal(released, 0);
    pbuf_put(v);
    assert_int_equal(released, 1);
}

static void chains_are_cut_advanced_and_pulled(void **state)
{
    struct pbuf_pools *pools = net_stack_pools(k.ns);
    static uint8_t data[7000], out[7000];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 >> 3);
    srand(3);
    for (int round = 0; round < 500; round++) {
        uint32_t from = (uint32_t)rand() % 6000, to = from + (uint32_t)rand() % (7000 - from);
        struct pbuf *pb = pbuf_copy_in(pools, data, sizeof data, (uint32_t)rand() % 100);
        assert_int_equal(pb->total, sizeof data);
        pbuf_trim(pb, to);
        pb = pbuf_advance(pb, from);
        assert_int_equal(pb->total, to - from);
        uint32_t pull = net_min(to - from, (uint32_t)rand() % 1500);
        pb = pbuf_pull(pb, pull);
        assert_non_null(pb);
        assert_true(pb->len >= pull && pb->total == to - from);
        assert_int_equal(pbuf_copy_out(pb, 0, out, sizeof out), to - from);
        assert_memory_equal(out, data + from, to - from);
        pbuf_put(pb);
    }
    assert_int_equal(pools->large.in_use, 0);
}

static void memory_has_a_limit(void **state)
{
    struct pbuf_pools *pools = net_stack_pools(k.ns);
    struct pbuf_queue q = { 0 };
    struct pbuf *pb;
    k.ns->mem.limit_bytes = k.ns->mem.used_bytes + (1 << 20);
    while ((pb = pbuf_alloc_large(pools, 0)))
        pbuf_queue_push(&q, pb);
    assert_true(q.count > 400 && q.count < 600);
    pbuf_queue_flush(&q);
    assert_non_null(pb = pbuf_alloc_large(pools, 0));
    pbuf_put(pb);
}

#define FLOWS 20000

static void the_flow_table_grows_and_finds_everything(void **state)
{
    static struct net_flow flows[FLOWS];
    struct siphash_key key = { 1, 2 };
    struct net_flow_table t;
    assert_int_equal(net_flow_table_init(&t, &k.ns->mem, &key), 0);
    for (uint32_t i = 0; i < FLOWS; i++) {
        flows[i].key = (struct net_flow_key){ .local = net_addr_v4(1), .remote = net_addr_v4(i / 100), .local_port = 80, .remote_port = (uint16_t)i };
        net_flow_insert(&t, &flows[i]);
    }
    assert_true(t.mask + 1 + t.split >= FLOWS); /* about one flow a bucket */
    for (uint32_t i = 0; i < FLOWS; i++)
        assert_ptr_equal(net_flow_find(&t, &flows[i].key), &flows[i]);
    for (uint32_t i = 0; i < FLOWS; i += 2)
        net_flow_remove(&t, &flows[i]);
    for (uint32_t i = 0; i < FLOWS; i++)
        assert_ptr_equal(net_flow_find(&t, &flows[i].key), i % 2 ? &flows[i] : NULL);
    net_flow_table_fini(&t);
}

static void pressure_ends_when_the_buffers_are_back(void **state)
{
    struct pbuf_pools *pools = net_stack_pools(k.ns);
    struct pbuf_queue q = { 0 };
    struct pbuf *pb;
    k.ns->mem.limit_bytes = k.ns->mem.used_bytes + (8 << 20);
    assert_false(net_mem_pressed(&k.ns->mem));
    while ((pb = pbuf_alloc_large(pools, 0)))
        pbuf_queue_push(&q, pb);
    assert_true(net_mem_pressed(&k.ns->mem));
    pbuf_queue_flush(&q);
    assert_false(net_mem_pressed(&k.ns->mem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_view_keeps_its_storage_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_memory_is_released_once_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(chains_are_cut_advanced_and_pulled, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_flow_table_grows_and_finds_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(pressure_ends_when_the_buffers_are_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
