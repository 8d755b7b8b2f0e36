/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs random scenarios: `sim FIRST-SEED [COUNT]`. Each must deliver every
 * byte or end with an error, never a wrong byte, never stand still, and leave
 * nothing allocated behind. A failing seed is printed and replays exactly.
 */
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/tcp_migrate.h"
#include "tests/net/sim/traffic.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t migrations, crashes, fast_opens, short_of_memory, gave_way;

#define STALL_NS (20000ull * NET_NS_PER_S) /* several rounds of 15 retransmissions two minutes apart */
#define GRIDLOCK_NS (900ull * NET_NS_PER_S) /* 15 retransmissions in vain: nothing moved for want of memory */
#define NOTICE_NS (2200ull * NET_NS_PER_S) /* a tail probe, 15 retransmissions or probes and the wait for the last, at most two minutes apart */
#define DRAIN_NS (200ull * NET_NS_PER_S)

static void random_link(struct sim *sim)
{
    struct sim_link *l = &sim->link;
    uint64_t delay_below = 1ull << sim_below(sim, 28);
    l->delay_ns = sim_random(sim) % delay_below;
    if (sim_chance(sim, 300000))
        l->jitter_ns = sim_random(sim) % (l->delay_ns + 1);
    if (sim_chance(sim, 500000))
        l->rate_bps = 100000ull << sim_below(sim, 14);
    if (l->rate_bps && sim_chance(sim, 700000))
        l->queue_bytes = 4000 + sim_below(sim, 200000);
    static const uint32_t losses[] = { 0, 0, 0, 1000, 10000, 50000, 200000 };
    l->loss_ppm = losses[sim_below(sim, 7)];
    if (sim_chance(sim, 200000))
        l->burst_loss = sim_below(sim, 10);
    if (sim_chance(sim, 300000))
        l->dup_ppm = sim_below(sim, 50000);
    if (sim_chance(sim, 300000))
        l->corrupt_ppm = sim_below(sim, 20000);
    if (sim_chance(sim, 300000))
        l->reorder_ppm = sim_below(sim, 100000);
    if (sim_chance(sim, 300000))
        l->ecn_mark_ppm = sim_below(sim, 100000);
}

static bool leaked(struct sim_node *n, char *why, size_t room)
{
    struct net_stack *ns = n->stack;
    snprintf(why, room, "left behind: %u connections, %u segments, %u half-open, %u waiting, %u islands, %u+%u buffers (%u neighbour-queued)",
             ns->tcp_pcbs.in_use, ns->tcp_segs.in_use, ns->tcp_syns.in_use, ns->tcp_timewaits.in_use, ns->tcp_islands.in_use,
             ns->pools.small.in_use, ns->pools.large.in_use, ns->neigh_incomplete);
    return ns->tcp_pcbs.in_use || ns->tcp_segs.in_use || ns->tcp_syns.in_use || ns->tcp_timewaits.in_use || ns->tcp_islands.in_use ||
           ns->pools.small.in_use || ns->pools.large.in_use;
}

static void dump(const struct traffic_side *s)
{
    printf("  conn %u %s:%s%s error %d", s->id / 2, s->client ? "client" : "server", s->aborted ? " aborted" : "", s->closed ? " closed" : "", s->error);
    if (s->pcb) {
        const struct tcp_pcb *p = s->pcb;
        printf(" %s una +%u nxt +%u write +%u wnd %u cwnd %u ssthresh %u mss %u mode %u ca %u sacked %u lost %u rto %u us backoff %u; rcv +%u adv +%u bytes %u buf %u",
               tcp_state_name(p->state), p->snd_una - p->iss, p->snd_nxt - p->iss, p->write_seq - p->iss, p->snd_wnd, p->cwnd, p->ssthresh,
               p->mss, p->rtx_mode, p->ca_state, p->sacked_bytes, p->lost_bytes, p->rto_us, p->backoff, p->rcv_nxt - p->irs,
               p->rcv_adv - p->irs, p->rcv_bytes, p->opts.rcvbuf);
    }
    printf("\n");
}

/* Moves every connection of the server to a second instance with the same
 * addresses, which takes the wire over at that moment. Half-open and waiting
 * ones do not move yet, so it picks a moment without them. */
static bool migrate(struct sim *sim, struct traffic *t, struct sim_node *spare)
{
    struct sim_node *from = t->server;
    if (from->stack->syn_count || from->stack->timewait_count || from->inbox || t->accepted < t->count)
        return true;
    for (struct tcp_pcb *p = from->stack->pcbs; p; p = p->all_next)
        if (p->listener || (p->state != TCP_CLOSED && (p->user_gone || !tcp_export_bytes(p))))
            return true;
    for (unsigned k = 1; k < 2 * t->count; k += 2) {
        struct traffic_side *s = &t->sides[k];
        if (!s->pcb || s->pcb->state == TCP_CLOSED)
            continue;
        size_t bytes = tcp_export_bytes(s->pcb);
        uint8_t *image = malloc(bytes);
        int err = 0;
        if (tcp_export(s->pcb, image, bytes) != (int64_t)bytes) {
            free(image);
            return false;
        }
        spare->stack->now_ns = sim->now_ns;
        s->pcb = tcp_import(spare->stack, image, bytes, s, &err);
        free(image);
        if (!s->pcb)
            return false;
    }
    from->down = true;
    spare->down = false;
    t->server = spare;
    spare->app = from->app;
    spare->app_ctx = from->app_ctx;
    return true;
}

/* With keepalive, so that who only listens notices as well. */
static void watch(struct traffic *t)
{
    static const struct { enum tcp_option option; int64_t value; } set[] = {
        { TCP_OPT_KEEPIDLE_S, 30 }, { TCP_OPT_KEEPINTVL_S, 5 }, { TCP_OPT_KEEPCNT, 5 }, { TCP_OPT_KEEPALIVE, 1 },
    };
    for (unsigned i = 0; i < sizeof set / sizeof *set; i++) {
        tcp_listener_set(t->listener, set[i].option, set[i].value);
        for (unsigned k = 0; k < 2 * t->count; k += 2)
            tcp_set(t->sides[k].pcb, set[i].option, set[i].value);
    }
}

/* From now on either may use little more than it has: less than the connections' windows and queues come to. */
static void take_memory(uint64_t seed, struct sim_node *n)
{
    struct net_mem *mem = &n->stack->mem;
    mem->limit_bytes = (mem->used_bytes + (5 + seed / 5 % 16) * (128u << 10)) / 15 * 16;
}

/* One of the two vanishes without a word, with all it had. */
static struct sim_node *crash(struct sim *sim, struct traffic *t)
{
    bool server = sim_chance(sim, 500000);
    struct sim_node *dead = server ? t->server : t->client;
    dead->down = true;
    dead->app = NULL;
    for (unsigned k = server; k < 2 * t->count; k += 2) {
        t->sides[k].pcb = NULL;
        t->sides[k].aborted = true;
    }
    crashes++;
    return dead;
}

static bool run(uint64_t seed, bool verbose)
{
    static struct sim sim;
    static struct traffic t;
    sim_init(&sim, seed);
    random_link(&sim);
    static const uint32_t mtus[] = { 576, 1280, 1500, 1500, 9000 };
    uint32_t mtu = mtus[sim_below(&sim, 5)];
    bool v6 = mtu >= 1280 && sim_chance(&sim, 400000);
    struct sim_node *a = sim_add(&sim, mtu, 0, 0), *b = sim_add(&sim, sim_chance(&sim, 800000) ? mtu : 1500, 0, 0);
    struct sim_node *spare = NULL;
    if (sim_chance(&sim, 250000)) {
        spare = sim_add(&sim, b->nic.mtu, 0, 0);
        net_iface_del_addr(spare->iface, &spare->addr4);
        net_iface_del_addr(spare->iface, &spare->addr6);
        spare->nic.mac = spare->iface->mac = b->nic.mac;
        net_iface_add_addr(spare->iface, &b->addr4, 24, false);
        net_iface_add_addr(spare->iface, &b->addr6, 64, false);
        net_stack_flush(spare->stack);
        spare->down = true;
    }
    if (sim_chance(&sim, 100000)) /* never less than what RFC 4821's search falls back to */
        sim.link.swallow_above = (v6 ? 1280 : 552) + sim_below(&sim, 400);
    uint64_t migrate_after = sim_below(&sim, 400), steps = 0;
    bool migrated = false, will_crash = !spare && sim_chance(&sim, 100000);
    struct sim_node *dead = NULL;
    unsigned count = 1 + sim_below(&sim, sim_chance(&sim, 200000) ? 30 : 3);
    uint64_t bytes = sim.link.loss_ppm >= 50000 ? 50000 : 2000000 >> sim_below(&sim, 8);
    if (verbose)
        printf("seed %llu: mtu %u, %u connections, delay %llu us, rate %llu, queue %u, loss %u ppm burst %u, reorder %u, dup %u, corrupt %u, v%d\n",
               (unsigned long long)seed, mtu, count, (unsigned long long)sim.link.delay_ns / 1000, (unsigned long long)sim.link.rate_bps,
               sim.link.queue_bytes, sim.link.loss_ppm, sim.link.burst_loss, sim.link.reorder_ppm, sim.link.dup_ppm, sim.link.corrupt_ppm, v6 ? 6 : 4);
    traffic_start(&t, &sim, a, b, count, bytes, v6);
    bool tight = seed % 5 == 3;
    if (tight) {
        take_memory(seed, a);
        take_memory(seed / 16, b);
    }
    uint64_t began_ns = sim.now_ns, deadline = began_ns + STALL_NS;
    if (will_crash && !t.failed)
        watch(&t);
    char why[256] = "";
    bool ok = true;
    while (!t.failed && !traffic_done(&t) && sim.now_ns < deadline) {
        sim.wake_ns = traffic_tick(&t);
        sim_kick(&sim);
        if (!sim_step(&sim))
            break;
        if (will_crash && !dead && ++steps > migrate_after) {
            dead = crash(&sim, &t);
            deadline = sim.now_ns + NOTICE_NS;
        }
        if (spare && !migrated && ++steps > migrate_after) {
            if (!migrate(&sim, &t, spare)) {
                t.failed = true;
                snprintf(t.why, sizeof t.why, "a connection could not be moved");
            }
            migrated = t.server == spare;
            migrations += migrated;
        }
    }
    sim.wake_ns = UINT64_MAX;
    fast_opens += b->stack->counters.tcp_fastopen_in;
    short_of_memory += a->stack->counters.memory_refused || b->stack->counters.memory_refused;
    gave_way += a->stack->counters.tcp_aborted_memory + b->stack->counters.tcp_aborted_memory;
    for (unsigned k = 0; k < 2 * count && verbose; k++)
        dump(&t.sides[k]);
    for (unsigned k = 0; k < 2 * count && !t.failed; k++) {
        struct traffic_side *s = &t.sides[k], *o = &t.sides[k ^ 1];
        bool lossy = !dead && (tight || sim.link.loss_ppm || sim.link.queue_bytes || sim.link.corrupt_ppm);
        if (s->pcb && !o->pcb && lossy && !tcp_readable_bytes(s->pcb) && s->sent == s->to_send && !s->pcb->rtx_head) {
            tcp_abort(s->pcb); /* half open: its peer gave up and the reset was lost; only a keepalive would tell */
            s->pcb = NULL;
        } else if (s->pcb) {
            ok = false;
            snprintf(why, sizeof why, "conn %u %s stands still: state %s, sent %llu/%llu received %llu/%llu", k / 2, s->client ? "client" : "server",
                     tcp_state_name(s->pcb->state), (unsigned long long)s->sent, (unsigned long long)s->to_send,
                     (unsigned long long)s->received, (unsigned long long)s->to_receive);
        } else if (s->received != s->to_receive && !s->error && !s->aborted && !o->aborted && (s->accepted || !o->error)) {
            ok = false;
            snprintf(why, sizeof why, "conn %u %s ended without an error at %llu of %llu bytes", k / 2, s->client ? "client" : "server",
                     (unsigned long long)s->received, (unsigned long long)s->to_receive);
        } else if (s->error && !s->aborted && !o->aborted && !tight && !sim.link.loss_ppm && !sim.link.queue_bytes && !sim.link.corrupt_ppm &&
                   s->received != s->to_receive) {
            ok = false;
            snprintf(why, sizeof why, "conn %u %s failed with %d on a link that loses nothing", k / 2, s->client ? "client" : "server", s->error);
        }
    }
    if (t.failed) {
        ok = false;
        snprintf(why, sizeof why, "%s", t.why);
    }
    bool sound = !sim.link.loss_ppm && !sim.link.queue_bytes && !sim.link.corrupt_ppm && !sim.link.swallow_above && !sim.link.dup_ppm && !sim.link.reorder_ppm;
    if (ok && tight && sound && !will_crash && sim.now_ns - began_ns > GRIDLOCK_NS) {
        ok = false;
        snprintf(why, sizeof why, "it took %llu s on a sound link", (unsigned long long)((sim.now_ns - began_ns) / NET_NS_PER_S));
    }
    if (ok) {
        tcp_listener_close(t.listener);
        sim.link = (struct sim_link){ .delay_ns = 1000 };
        uint64_t until = sim.now_ns + DRAIN_NS * 10;
        do
            ok = (a == dead || !leaked(a, why, sizeof why)) && (b == dead || !leaked(b, why, sizeof why)) &&
                 (!spare || !leaked(spare, why, sizeof why));
        while (!ok && sim.now_ns < until && sim_step(&sim));
    }
    if (verbose && ok)
        printf("  ok at %llu ms, %llu frames, %llu lost\n", (unsigned long long)(sim.now_ns / 1000000), (unsigned long long)sim.frames,
               (unsigned long long)sim.lost);
    if (!ok)
        printf("seed %llu FAILED: %s\n", (unsigned long long)seed, why);
    sim_fini(&sim);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 0) : 200, failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 20; seed++)
        failed += !run(seed, count == 1);
    printf("sim: %llu seeds from %llu, %llu with connections moved, %llu with a crash, %llu short of memory (%llu connections gave way), "
           "%llu connections by Fast Open, %llu failed\n",
           (unsigned long long)count, (unsigned long long)first, (unsigned long long)migrations, (unsigned long long)crashes,
           (unsigned long long)short_of_memory, (unsigned long long)gave_way, (unsigned long long)fast_opens, (unsigned long long)failed);
    return failed != 0;
}
