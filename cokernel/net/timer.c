/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/timer.h"

#define SLOT_BITS 6
#define QUEUE_BUDGET 64u /* timers of a queue at a time, so that it cannot starve the NIC */

static void link_in(struct net_wheel *w, struct net_timer *t)
{
    uint64_t ahead = t->tick - w->tick; /* at least 1 */
    unsigned level = (63u - (unsigned)__builtin_clzll(ahead)) / SLOT_BITS;
    uint64_t at = t->tick;
    level = net_min(level, TIMER_LEVELS - 1u);
    uint64_t reach = (uint64_t)(TIMER_SLOTS - 1) << (SLOT_BITS * (TIMER_LEVELS - 1));
    if (ahead > reach) /* beyond the wheel: as far as it goes, then again */
        at = w->tick + reach;
    unsigned slot = at >> (SLOT_BITS * level) & (TIMER_SLOTS - 1);
    /* A full turn ahead would fall on the slot being left: one level up it has its own. */
    if (slot == (w->tick >> (SLOT_BITS * level) & (TIMER_SLOTS - 1)) && level < TIMER_LEVELS - 1) {
        level++;
        slot = at >> (SLOT_BITS * level) & (TIMER_SLOTS - 1);
    }
    struct net_timer **head = &w->slots[level][slot];
    t->next = *head;
    if (t->next)
        t->next->pprev = &t->next;
    *head = t;
    t->pprev = head;
    w->map[level] |= 1ull << slot;
}

static void unlink(struct net_wheel *w, struct net_timer *t)
{
    *t->pprev = t->next;
    if (t->next)
        t->next->pprev = t->pprev;
    /* The last of its slot: pprev is the slot itself exactly if it lies in the array. */
    size_t offset = (size_t)((char *)t->pprev - (char *)w->slots);
    if (!*t->pprev && offset < sizeof w->slots) {
        size_t index = offset / sizeof w->slots[0][0];
        w->map[index / TIMER_SLOTS] &= ~(1ull << (index % TIMER_SLOTS));
    }
    t->pprev = NULL;
}

void net_wheel_init(struct net_wheel *w, uint64_t now_ns)
{
    net_zero(w, sizeof *w);
    w->tick = now_ns >> TIMER_TICK_SHIFT;
    w->next = UINT64_MAX;
}

void net_timer_arm(struct net_wheel *w, struct net_timer *t, uint64_t deadline_ns)
{
    if (t->pprev)
        unlink(w, t);
    else
        w->armed++;
    uint64_t tick = (deadline_ns >> TIMER_TICK_SHIFT) + 1;
    t->tick = net_max(tick, w->tick + 1);
    w->next = net_min(w->next, t->tick);
    link_in(w, t);
}

void net_timer_cancel(struct net_wheel *w, struct net_timer *t)
{
    if (!t->pprev)
        return;
    unlink(w, t);
    w->armed--;
}

/* First tick at which some slot must be looked at. */
static uint64_t next_tick(const struct net_wheel *w)
{
    uint64_t best = UINT64_MAX;
    if (w->map[0] >> (w->tick & (TIMER_SLOTS - 1)) & 1)
        return w->tick;
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        if (!w->map[level])
            continue;
        unsigned shift = SLOT_BITS * level;
        unsigned cur = w->tick >> shift & (TIMER_SLOTS - 1);
        uint64_t turned = cur == TIMER_SLOTS - 1 ? w->map[level] : (w->map[level] >> (cur + 1) | w->map[level] << (TIMER_SLOTS - 1 - cur));
        uint64_t steps = (uint64_t)__builtin_ctzll(turned) + 1;
        uint64_t at = ((w->tick >> shift) + steps) << shift;
        best = net_min(best, at);
    }
    return best;
}

uint64_t net_wheel_next_ns(const struct net_wheel *w)
{
    return !w->armed || w->next == UINT64_MAX ? UINT64_MAX : w->next << TIMER_TICK_SHIFT;
}

/* Moves what a coarse slot holds to finer ones; called on the tick the slot begins. */
static void cascade(struct net_wheel *w)
{
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
        unsigned shift = SLOT_BITS * level;
        if (w->tick & ((1ull << shift) - 1))
            continue;
        unsigned slot = w->tick >> shift & (TIMER_SLOTS - 1);
        struct net_timer *t = w->slots[level][slot];
        w->slots[level][slot] = NULL;
        w->map[level] &= ~(1ull << slot);
        while (t) {
            struct net_timer *next = t->next;
            if (t->tick <= w->tick) { /* due now: the slot of this very tick */
                struct net_timer **head = &w->slots[0][w->tick & (TIMER_SLOTS - 1)];
                t->next = *head;
                if (t->next)
                    t->next->pprev = &t->next;
                *head = t;
                t->pprev = head;
                w->map[0] |= 1ull << (w->tick & (TIMER_SLOTS - 1));
            } else {
                link_in(w, t);
            }
            t = next;
        }
    }
}

unsigned net_wheel_advance(struct net_wheel *w, uint64_t now_ns, unsigned budget)
{
    uint64_t now = now_ns >> TIMER_TICK_SHIFT;
    unsigned fired = 0;
    if (now < w->next)
        return 0;
    for (;;) {
        unsigned slot = w->tick & (TIMER_SLOTS - 1);
        struct net_timer *t;
        while ((t = w->slots[0][slot])) {
            if (fired == budget) {
                w->next = w->tick;
                return fired;
            }
            if (t->next) /* cold, if there are many */
                __builtin_prefetch(t->next);
            unlink(w, t);
            w->armed--;
            fired++;
            t->fire(t);
        }
        uint64_t next = w->armed ? next_tick(w) : UINT64_MAX;
        if (next > now) {
            if (w->tick < now)
                w->tick = now;
            w->next = next;
            return fired;
        }
        w->tick = next;
        cascade(w);
    }
}

static void queue_fire(struct net_timer *front)
{
    struct net_timer_queue *q = net_container_of(front, struct net_timer_queue, front);
    struct net_timer *t;
    for (unsigned n = 0; n < QUEUE_BUDGET && (t = q->head) && t->tick <= q->wheel->tick; n++) {
        net_timer_queue_remove(q, t);
        t->fire(t);
    }
    if (q->head && !net_timer_armed(front))
        net_timer_arm(q->wheel, front, (q->head->tick - 1) << TIMER_TICK_SHIFT);
}

void net_timer_queue_init(struct net_timer_queue *q, struct net_wheel *w)
{
    *q = (struct net_timer_queue){ .front.fire = queue_fire, .wheel = w };
    q->tail = &q->head;
}

void net_timer_queue_add(struct net_timer_queue *q, struct net_timer *t, uint64_t deadline_ns)
{
    t->tick = (deadline_ns >> TIMER_TICK_SHIFT) + 1;
    t->next = NULL;
    t->pprev = q->tail;
    *q->tail = t;
    q->tail = &t->next;
    if (net_unlikely(!net_timer_armed(&q->front)))
        net_timer_arm(q->wheel, &q->front, (q->head->tick - 1) << TIMER_TICK_SHIFT); /* the head's: one that fires may add itself again */
}
