/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hierarchical timing wheel (Varghese and Lauck, 1987): six levels of 64
 * slots. A tick is 2^16 ns, so the wheel reaches 52 days. A bit map a level
 * lets the wheel skip empty time, so it costs nothing while idle.
 *
 * A timer fires at or after its deadline, never before, and belongs to one
 * instance. Its function may arm or cancel any timer, itself included.
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "cokernel/net/net_bytes.h"

#define TIMER_LEVELS 6
#define TIMER_SLOTS 64
#define TIMER_TICK_SHIFT 16

struct net_timer {
    struct net_timer *next, **pprev; /* pprev is NULL while not armed */
    uint64_t tick;
    void (*fire)(struct net_timer *timer);
};

struct net_wheel {
    uint64_t tick; /* every timer at or before it has fired */
    uint64_t next; /* nothing is due before this tick */
    uint64_t map[TIMER_LEVELS];
    struct net_timer *slots[TIMER_LEVELS][TIMER_SLOTS];
    uint32_t armed;
};

void net_wheel_init(struct net_wheel *wheel, uint64_t now_ns);
/* Fires at most `budget` timers that are due; returns how many. */
unsigned net_wheel_advance(struct net_wheel *wheel, uint64_t now_ns, unsigned budget);
/* Whether net_wheel_advance() would find anything to do. */
static inline bool net_wheel_due(const struct net_wheel *wheel, uint64_t now_ns) { return now_ns >> TIMER_TICK_SHIFT >= wheel->next; }
/* A lower bound of the next deadline, UINT64_MAX if nothing is armed. */
uint64_t net_wheel_next_ns(const struct net_wheel *wheel);

void net_timer_arm(struct net_wheel *wheel, struct net_timer *timer, uint64_t deadline_ns);
void net_timer_cancel(struct net_wheel *wheel, struct net_timer *timer);

/*
 * Timers that all wait equally long, most of them in vain: in a list by the
 * time they were added, of which the wheel knows the front. Adding and
 * removing one touches no slot. A timer here is not in the wheel, and is
 * taken back with net_timer_queue_remove() alone.
 */
struct net_timer_queue {
    struct net_timer front; /* fires when the first may be due; moved lazily */
    struct net_timer *head, **tail;
    struct net_wheel *wheel;
};

void net_timer_queue_init(struct net_timer_queue *queue, struct net_wheel *wheel);
/* deadline_ns must not be before that of the one added last. */
void net_timer_queue_add(struct net_timer_queue *queue, struct net_timer *timer, uint64_t deadline_ns);
static inline void net_timer_queue_remove(struct net_timer_queue *queue, struct net_timer *timer)
{
    *timer->pprev = timer->next;
    if (timer->next)
        timer->next->pprev = timer->pprev;
    else
        queue->tail = timer->pprev;
    timer->pprev = NULL;
}

static inline bool net_timer_armed(const struct net_timer *timer) { return timer->pprev != NULL; }

#endif
