/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests/net/sim/mesh.c cannot show: refusals, hostile images, and exactly what moved. */
#include "cokernel/net/tcp_group.h"

#include <stdlib.h>
#include <string.h>

#include "tests/net/kit/kit.h"

static struct kit k;
static int setup(void **state) { kit_setup(&k); return 0; }
static int teardown(void **state) { kit_teardown(&k); return 0; }

static const struct net_rss one_group = { .key = { 1, 2, 3 }, .groups = 1 };
static uint8_t image[200000];
static struct tcp_pcb *gone, *come;

static uint64_t leaves(void *ctx, struct tcp_pcb *pcb) { gone = pcb; return 4711; }
static void arrives(void *ctx, struct tcp_pcb *pcb, uint64_t token)
{
    assert_int_equal(token, 4711);
    come = pcb;
}
static const struct tcp_group_users users = { .leaves = leaves, .arrives = arrives };

/* From another port of the peer: its handshake up to the SYN-ACK. Returns what the instance expects next. */
static uint32_t half_open(uint16_t port)
{
    struct kit_seg s = { 0 };
    kit_send(&k, (struct kit_seg){ .sport = port, .flags = TCP_SYN, .seq = 100, .wnd = 65535, .mss = 1460, .sack_ok = true, .wscale = 7 });
    assert_int_equal(kit_last(&k, &s), 1);
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK);
    return s.seq + 1;
}

static void finish_handshake(uint16_t port, uint32_t ack)
{
    kit_send(&k, (struct kit_seg){ .sport = port, .flags = TCP_ACK, .seq = 101, .ack = ack, .wnd = 512 });
}

/* One of everything: with a user, not accepted, half-open, closed by its user, waiting. */
static int64_t fill_and_export(uint32_t acks[5])
{
    struct kit_seg s;
    kit_establish(&k, true, true);
    for (unsigned n = 1; n < 5; n++) {
        acks[n] = half_open((uint16_t)(6000 + n));
        if (n != 2)
            finish_handshake((uint16_t)(6000 + n), acks[n]);
    }
    for (unsigned n = 0; n < 3; n++) {
        struct tcp_pcb *pcb = tcp_accept(k.listener);
        if (pcb->flow.key.remote_port == 6001) { /* back: it is the one that nobody accepts */
            tcp_listener_append(k.listener, pcb);
            n--;
            continue;
        }
        tcp_close(pcb);
        if (n == 1)
            break;
    }
    kit_run(&k);
    /* 6004 acknowledges the FIN and sends its own: TIME_WAIT. 6003 stays an orphan. */
    kit_send(&k, (struct kit_seg){ .sport = 6004, .flags = TCP_ACK | TCP_FIN, .seq = 101, .ack = acks[4] + 1, .wnd = 512 });
    assert_int_equal(k.ns->timewait_count, 1);
    assert_int_equal(k.ns->syn_count, 1);
    assert_int_equal(k.ns->tcp_pcbs.in_use, 3);
    assert_int_equal(k.listener->accept_count, 1);
    int64_t bytes = tcp_group_bytes(k.ns, &one_group, 0);
    assert_true(bytes > 0 && bytes <= (int64_t)sizeof image);
    assert_int_equal(tcp_group_export(k.ns, &one_group, 0, image, (size_t)bytes - 1, &users), -NET_ENOSPC);
    assert_int_equal(k.ns->tcp_pcbs.in_use, 3); /* all or nothing */
    assert_int_equal(tcp_group_export(k.ns, &one_group, 0, image, sizeof image, &users), bytes);
    assert_ptr_equal(gone, k.pcb);
    assert_int_equal(k.ns->flows.count, 0);
    assert_int_equal(k.listener->accept_count, 0);
    kit_run(&k);
    kit_last(&k, &s);
    return bytes;
}

static void everything_goes_on_where_it_was(void **state)
{
    struct tcp_group_report r;
    struct kit_seg s;
    uint32_t acks[5];
    int64_t bytes = fill_and_export(acks);
    kit_pass(&k, 10 * NET_NS_PER_MS);
    assert_int_equal(kit_last(&k, &s), 0);
    assert_int_equal(tcp_group_import(k.ns, &one_group, 0, image, (size_t)bytes, &users, &r), 0);
    assert_true(r.taken == 5 && r.refused == 0);
    kit_run(&k);
    kit_last(&k, &s);
    k.pcb = come;
    kit_data(&k, "hello", 5);
    char got[8] = "";
    assert_int_equal(tcp_read(k.pcb, got, sizeof got), 5);
    finish_handshake(6002, acks[2]); /* the half-open one */
    assert_int_equal(k.listener->accept_count, 2);
    assert_int_equal(tcp_accept(k.listener)->flow.key.remote_port, 6001);
    assert_int_equal(tcp_accept(k.listener)->flow.key.remote_port, 6002);
    kit_last(&k, &s);
    kit_send(&k, (struct kit_seg){ .sport = 6004, .flags = TCP_ACK | TCP_FIN, .seq = 101, .ack = acks[4] + 1, .wnd = 512 }); /* TIME_WAIT answers a FIN */
    assert_true(kit_last(&k, &s) == 1 && s.flags == TCP_ACK && s.dport == 6004);
    kit_send(&k, (struct kit_seg){ .sport = 6003, .flags = TCP_ACK | TCP_FIN, .seq = 101, .ack = acks[3] + 1, .wnd = 512 });
    assert_int_equal(k.ns->timewait_count, 2);
    kit_pass(&k, 100 * NET_NS_PER_S);
    assert_int_equal(k.ns->timewait_count, 0);
    assert_int_equal(k.ns->counters.tcp_rst_out, 0);
}

static void without_a_listener_what_nobody_has_is_refused(void **state)
{
    struct tcp_group_report r;
    uint32_t acks[5];
    int64_t bytes = fill_and_export(acks);
    tcp_listener_close(k.listener);
    assert_int_equal(tcp_group_import(k.ns, &one_group, 0, image, (size_t)bytes, &users, &r), 0);
    assert_true(r.taken == 3 && r.refused == 2);
    assert_int_equal(tcp_group_import(k.ns, &one_group, 0, image, (size_t)bytes, &users, &r), 0);
    assert_true(r.taken == 0 && r.refused == 5); /* they are here already */
}

static void a_connection_that_is_being_opened_asks_for_patience(void **state)
{
    struct tcp_connect how = { .remote = net_addr_v4(0x0a000002), .remote_port = 80 };
    int err;
    kit_establish(&k, true, true);
    assert_non_null(tcp_connect(k.ns, &how, &err));
    assert_int_equal(tcp_group_export(k.ns, &one_group, 0, image, sizeof image, &users), -NET_EAGAIN);
    assert_int_equal(k.ns->flows.count, 2);
}

static void another_group_stays(void **state)
{
    struct net_rss many = { .key = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 99, 88, 77, 66, 55, 44, 33 }, .groups = 64 };
    uint32_t before;
    struct tcp_group_report r;
    kit_establish(&k, true, true);
    for (uint16_t n = 0; n < 60; n++)
        half_open((uint16_t)(7000 + n));
    before = k.ns->flows.count;
    uint32_t group = net_rss_group(&many, &k.pcb->flow.key);
    int64_t bytes = tcp_group_export(k.ns, &many, group, image, sizeof image, &users);
    assert_true(bytes > 0 && k.ns->flows.count < before && k.ns->flows.count > 0);
    assert_int_equal(tcp_group_import(k.ns, &many, group ^ 1, image, (size_t)bytes, &users, &r), -NET_EPROTO);
    assert_int_equal(tcp_group_import(k.ns, &many, group, image, (size_t)bytes, &users, &r), 0);
    assert_int_equal(k.ns->flows.count, before);
}

static void cookies_that_another_sent_are_good_here(void **state)
{
    uint8_t shared[32] = { 1, 2, 3 };
    struct net_config c = { .env = &k.env, .shared_key = shared };
    struct net_stack *a = net_stack_create(&c), *b = net_stack_create(&c), *other = net_stack_create(&(struct net_config){ .env = &k.env });
    struct net_flow_key key = { .local = net_addr_v4(0x0a000001), .remote = net_addr_v4(0x0a000002), .local_port = 80, .remote_port = 99 };
    assert_int_equal(tcp_isn(a, &key), tcp_isn(b, &key));
    assert_int_equal(tcp_ts_offset(a, &key), tcp_ts_offset(b, &key));
    assert_memory_equal(&a->cookie_key, &b->cookie_key, sizeof a->cookie_key);
    assert_int_not_equal(tcp_isn(a, &key), tcp_isn(other, &key));
    assert_memory_not_equal(&a->random_key, &b->random_key, sizeof a->random_key);
    net_stack_destroy(a);
    net_stack_destroy(b);
    net_stack_destroy(other);
}

static void damaged_images_do_no_harm(void **state)
{
    static uint8_t copy[sizeof image];
    struct tcp_group_report r;
    uint32_t acks[5];
    unsigned taken = 0;
    size_t bytes = (size_t)fill_and_export(acks);
    for (unsigned round = 0; round < 6000; round++) {
        size_t len = bytes;
        memcpy(copy, image, bytes);
        for (unsigned n = 0; n < 1 + round % 3; n++)
            copy[(size_t)rand() % bytes] ^= (uint8_t)(1 << rand() % 8);
        if (round % 11 == 0)
            len = (size_t)rand() % bytes;
        if (round % 7 == 0)
            memset(copy + (size_t)rand() % (bytes - 8), rand(), 8);
        tcp_group_import(k.ns, &one_group, 0, copy, len, &(struct tcp_group_users){ 0 }, &r);
        taken += r.taken;
        kit_run(&k);
        if (round % 20 == 0)
            kit_pass(&k, NET_NS_PER_S);
        k.sent_count = k.sent_read = 0;
        tcp_group_export(k.ns, &one_group, 0, copy, sizeof copy, &(struct tcp_group_users){ 0 }); /* away with them */
        for (struct tcp_pcb *p = k.ns->pcbs, *next; p; p = next) { /* whom a timer has closed meanwhile */
            next = p->all_next;
            if (p->state == TCP_CLOSED)
                tcp_pcb_free(p);
        }
        net_stack_flush(k.ns);
        k.sent_count = k.sent_read = 0;
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_goes_on_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_listener_what_nobody_has_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_is_being_opened_asks_for_patience, setup, teardown),
        cmocka_unit_test_setup_teardown(another_group_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(cookies_that_another_sent_are_good_here, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_images_do_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
