/* SPDX-License-Identifier: BSD-2-Clause */
/* CUBIC (RFC 9438) in integers: windows in bytes, time in milliseconds. */
#include "cokernel/net/tcp_internal.h"

#define CWND_MAX (1u << 30)
#define BETA_NUM 7u /* beta 0.7: 4.6 */
#define BETA_DEN 10u
#define T_MAX_MS 60000ull /* beyond, the cubic has long passed every window */

static uint32_t cube_root(uint64_t v)
{
    uint64_t lo = 0, hi = 2642245; /* cube root of 2^64 */
    while (lo < hi) {
        uint64_t mid = (lo + hi + 1) / 2;
        if (mid * mid * mid <= v)
            lo = mid;
        else
            hi = mid - 1;
    }
    return (uint32_t)lo;
}

static void init(struct tcp_pcb *pcb)
{
    pcb->cwnd_used = 0;
    pcb->cc_data.cubic = (struct tcp_cubic){ 0 };
}

/* 4.2: C (t - K)^3 with C = 0.4 segments per second cubed, in bytes. */
static uint32_t cubic_bytes(uint64_t ms, uint32_t mss) { return (uint32_t)net_min(2 * ms * ms * ms / 5000000000ull * mss +
                                                         2 * ms * ms * ms % 5000000000ull * mss / 5000000000ull, (uint64_t)CWND_MAX); }

static void begin_epoch(struct tcp_pcb *pcb)
{
    struct tcp_cubic *c = &pcb->cc_data.cubic;
    c->epoch_ns = pcb->ns->now_ns;
    c->w_est = pcb->cwnd;
    c->last_ms = UINT32_MAX;
    if (c->w_max <= pcb->cwnd) {
        c->k_ms = 0;
        c->origin = pcb->cwnd;
    } else {
        uint64_t segs1024 = (uint64_t)(c->w_max - pcb->cwnd) * 1024 / pcb->mss;
        c->k_ms = cube_root(net_min(segs1024, 1ull << 32) * 2500000000ull / 1024); /* eqn. 2 */
        c->origin = c->w_max;
    }
}

static uint32_t target(struct tcp_pcb *pcb)
{
    struct tcp_cubic *c = &pcb->cc_data.cubic;
    uint64_t t = net_min((pcb->ns->now_ns - c->epoch_ns) / NET_NS_PER_MS, T_MAX_MS);
    if (t == c->last_ms)
        return c->target;
    c->last_ms = (uint32_t)t;
    t += pcb->srtt_us / 1000; /* 4.4: where the window should be in a round trip */
    uint32_t w;
    if (t < c->k_ms) {
        uint32_t below = cubic_bytes(net_min(c->k_ms - t, T_MAX_MS), pcb->mss);
        w = below < c->origin ? c->origin - below : 0;
    } else {
        w = c->origin + cubic_bytes(net_min(t - c->k_ms, T_MAX_MS), pcb->mss);
    }
    w = net_max(w, pcb->cwnd);
    c->target = net_min(w, pcb->cwnd + pcb->cwnd / 2);
    return c->target;
}

static void on_ack(struct tcp_pcb *pcb, uint32_t acked)
{
    struct tcp_cubic *c = &pcb->cc_data.cubic;
    if (pcb->cwnd < pcb->ssthresh) {
        tcp_cc_slow_start(pcb, acked);
        return;
    }
    if (!c->epoch_ns)
        begin_epoch(pcb);
    uint32_t goal = target(pcb), grow = 0;
    if (goal > pcb->cwnd) /* 4.4: (target - cwnd) / cwnd a segment */
        grow = (uint32_t)((uint64_t)(goal - pcb->cwnd) * acked / pcb->cwnd);
    /* 4.3: what Reno with the same average would have; alpha 0.53 until w_max, then 1. */
    uint32_t alpha = c->w_est < c->w_max ? 53 : 100;
    c->w_est += (uint32_t)((uint64_t)acked * pcb->mss * alpha / 100 / pcb->cwnd);
    if (c->w_est > pcb->cwnd + grow)
        grow = c->w_est - pcb->cwnd;
    pcb->cwnd = net_min(pcb->cwnd + grow, CWND_MAX);
}

static uint32_t ssthresh(struct tcp_pcb *pcb)
{
    struct tcp_cubic *c = &pcb->cc_data.cubic;
    c->prior_w_max = c->w_max;
    c->epoch_ns = 0;
    if (pcb->cwnd < c->w_max) /* 4.7 fast convergence */
        c->w_max = (uint32_t)((uint64_t)pcb->cwnd * (BETA_NUM + BETA_DEN) / (2 * BETA_DEN));
    else
        c->w_max = pcb->cwnd;
    return net_max((uint32_t)((uint64_t)pcb->cwnd * BETA_NUM / BETA_DEN), 2 * pcb->mss);
}

static void on_undo(struct tcp_pcb *pcb)
{
    pcb->cc_data.cubic.w_max = pcb->cc_data.cubic.prior_w_max; /* 4.9.2 */
    pcb->cc_data.cubic.epoch_ns = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = { .name = "cubic", .init = init, .on_ack = on_ack, .ssthresh = ssthresh, .on_undo = on_undo };
