/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/cmocka_net.h"
#include "cokernel/net/timer.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 2000

struct probe {
    struct net_timer timer;
    uint64_t deadline_ns;
    unsigned fired;
    bool cancelled;
};

static struct probe probes[COUNT];
static uint64_t now_ns;
static struct net_wheel wheel;

static void fire(struct net_timer *t)
{
    struct probe *p = net_container_of(t, struct probe, timer);
    p->fired++;
    assert_true(now_ns >= p->deadline_ns);
}

static uint64_t random_span(void)
{
    return ((uint64_t)rand() << 20 ^ (uint64_t)rand()) >> (rand() % 45);
}

static void fires_each_timer_once_and_in_time(void **state)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        srand(seed);
        now_ns = random_span();
        net_wheel_init(&wheel, now_ns);
        for (int i = 0; i < COUNT; i++) {
            probes[i] = (struct probe){ .timer.fire = fire, .deadline_ns = now_ns + random_span() };
            net_timer_arm(&wheel, &probes[i].timer, probes[i].deadline_ns);
        }
        for (int i = 0; i < COUNT; i += 7) {
            net_timer_cancel(&wheel, &probes[i].timer);
            probes[i].cancelled = true;
        }
        for (int i = 3; i < COUNT; i += 7) {
            probes[i].deadline_ns = now_ns + random_span();
            net_timer_arm(&wheel, &probes[i].timer, probes[i].deadline_ns);
        }
        while (wheel.armed) {
            uint64_t next = net_wheel_next_ns(&wheel);
            assert_true(next != UINT64_MAX);
            uint64_t before = now_ns;
            now_ns = rand() % 3 ? net_max(next, now_ns) : now_ns + random_span();
            net_wheel_advance(&wheel, now_ns, UINT32_MAX);
            /* Whoever was due two ticks before the old time has fired by now. */
            for (int i = 0; i < COUNT; i += 50)
                if (!probes[i].cancelled && probes[i].deadline_ns + (2u << TIMER_TICK_SHIFT) < before)
                    assert_int_equal(probes[i].fired, 1);
        }
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(probes[i].fired, probes[i].cancelled ? 0 : 1);
        assert_true(net_wheel_next_ns(&wheel) == UINT64_MAX);
    }
}

static void budget_leaves_the_rest_for_later(void **state)
{
    now_ns = 0;
    net_wheel_init(&wheel, 0);
    for (int i = 0; i < 100; i++) {
        probes[i] = (struct probe){ .timer.fire = fire };
        net_timer_arm(&wheel, &probes[i].timer, 0);
    }
    now_ns = 10u << TIMER_TICK_SHIFT;
    assert_int_equal(net_wheel_advance(&wheel, now_ns, 30), 30);
    assert_int_equal(net_wheel_advance(&wheel, now_ns, 1000), 70);
    assert_int_equal(wheel.armed, 0);
}

static void rearm(struct net_timer *t)
{
    struct probe *p = net_container_of(t, struct probe, timer);
    if (++p->fired < 50)
        net_timer_arm(&wheel, t, p->fired * 1000000ull);
}

static void a_timer_may_rearm_itself(void **state)
{
    net_wheel_init(&wheel, 0);
    struct probe p = { .timer.fire = rearm };
    net_timer_arm(&wheel, &p.timer, 0);
    for (uint64_t t = 0; t < 100000000; t += 100000)
        net_wheel_advance(&wheel, t, 10);
    assert_int_equal(p.fired, 50);
}

struct waiting { struct net_timer timer; unsigned fired; };
static void count_waiting(struct net_timer *t) { net_container_of(t, struct waiting, timer)->fired++; }

static void a_queue_fires_in_order_and_forgets_what_was_removed(void **state)
{
    enum { ALL = 200 };
    static struct waiting w[ALL];
    static struct net_wheel own;
    struct net_timer_queue q;
    const uint64_t tick = 1ull << TIMER_TICK_SHIFT, wait = 1000 * tick;
    memset(w, 0, sizeof w);
    net_wheel_init(&own, 0);
    net_timer_queue_init(&q, &own);
    for (unsigned i = 0; i < ALL; i++) {
        w[i].timer.fire = count_waiting;
        net_timer_queue_add(&q, &w[i].timer, (i + 1) * tick + wait);
    }
    for (unsigned i = 0; i < ALL; i++)
        if (i % 3 == 0 || i == ALL - 1) /* the first and the last among them */
            net_timer_queue_remove(&q, &w[i].timer);
    for (uint64_t now = wait; now <= wait + (ALL + 70) * tick; now += tick) {
        net_wheel_advance(&own, now, 100);
        for (unsigned i = 0; i < ALL; i++) {
            bool removed = i % 3 == 0 || i == ALL - 1;
            uint64_t deadline = (i + 1) * tick + wait;
            assert_int_equal(w[i].fired, !removed && now >= deadline + tick ? 1 : w[i].fired);
            assert_true(!w[i].fired || (!removed && now >= deadline));
            assert_true(w[i].fired <= 1);
        }
    }
    assert_null(q.head);
    assert_false(net_timer_armed(&q.front));
    /* Emptied, it works again; many at one time come in several portions. */
    uint64_t at = wait + 300 * tick;
    for (unsigned i = 0; i < ALL; i++)
        net_timer_queue_add(&q, &w[i].timer, at + wait);
    for (unsigned k = 0; k < 6; k++)
        net_wheel_advance(&own, at + wait + (k + 1) * tick, 100);
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(w[i].fired, (i % 3 == 0 || i == ALL - 1) ? 1 : 2);
}

static struct net_timer_queue again;
static void wait_again(struct net_timer *t)
{
    struct waiting *w = net_container_of(t, struct waiting, timer);
    if (!w->fired++)
        net_timer_queue_add(&again, t, now_ns + (1000ull << TIMER_TICK_SHIFT));
}

static void who_waits_in_a_queue_again_keeps_nobody_waiting(void **state)
{
    static struct waiting w[2];
    const uint64_t tick = 1ull << TIMER_TICK_SHIFT;
    now_ns = 0;
    net_wheel_init(&wheel, 0);
    net_timer_queue_init(&again, &wheel);
    for (unsigned i = 0; i < 2; i++) {
        w[i] = (struct waiting){ .timer.fire = wait_again };
        net_timer_queue_add(&again, &w[i].timer, (10 + 10 * i) * tick);
    }
    for (now_ns = 0; now_ns <= 22 * tick; now_ns += tick)
        net_wheel_advance(&wheel, now_ns, 100);
    assert_int_equal(w[0].fired, 1);
    assert_int_equal(w[1].fired, 1);
    for (; now_ns <= 1030 * tick; now_ns += tick)
        net_wheel_advance(&wheel, now_ns, 100);
    assert_int_equal(w[0].fired, 2);
    assert_int_equal(w[1].fired, 2);
    assert_null(again.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_each_timer_once_and_in_time),
        cmocka_unit_test(budget_leaves_the_rest_for_later),
        cmocka_unit_test(a_timer_may_rearm_itself),
        cmocka_unit_test(who_waits_in_a_queue_again_keeps_nobody_waiting),
        cmocka_unit_test(a_queue_fires_in_order_and_forgets_what_was_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
