/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net-diff FIRST-SEED COUNT [-v]: the same packets and calls to Linux and to the stack, compared.
 *
 * Linux is a TAP device and sockets in a network namespace of this process's own; the stack runs in
 * this process by the same clock. The peer, which writes its packets by hand, is the program itself.
 * A seed is a script for one connection or one UDP socket, over IPv4 or IPv6; many run side by side,
 * a step at a time. After each step is compared what a peer sees (of TCP: how far has it sent and
 * acknowledged, options, FIN, resets and their numbers, whether it answers at all, relative to initial
 * sequence numbers; of UDP and ICMP: every byte) and what a user sees (results of calls, the state, the
 * error). What was sent again, windows and ACK timing are not compared.
 * Differences that are meant stand in known.c with their reasons.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/diff/linux.h"
#include "tests/net/diff/worlds.h"

#define STEPS 16u
#define STEP_NS (50 * NET_NS_PER_MS)   /* longer than either delays an ACK on a fresh connection */
#define PATIENCE_NS (120 * NET_NS_PER_MS) /* for what comes late; shorter than a retransmission timeout */

static uint16_t next_port = 1024;
static uint8_t turn;
static bool verbose;

static void user_view(struct script *s)
{
    struct tcp_conn_info b;
    if (s->fd >= 0)
        s->seen[LINUX].state = (uint8_t)diff_linux_state(s->fd);
    if (s->pcb) {
        tcp_info(s->pcb, &b);
        s->seen[OWN].state = b.state;
    }
    if (!both_open(s))
        s->seen[LINUX].state = s->seen[OWN].state = 0;
}

/* NULL if both look the same, else what differs. */
static const char *difference(struct script *s)
{
    const struct seen *a = &s->seen[LINUX], *b = &s->seen[OWN];
    if (a->wrong || b->wrong)
        return "bytes";
    if (a->icmps != b->icmps)
        return "icmp";
    if (a->datagrams != b->datagrams)
        return "datagrams";
    if (a->sum != b->sum)
        return "what they hold";
    if (a->syn != b->syn)
        return "syn";
    if (a->options != b->options || a->mss != b->mss)
        return "options";
    if (a->accepted != b->accepted)
        return "accepted";
    if (a->rst != b->rst && !(a->rst && b->rst))
        return "reset";
    if (a->rst && (a->rst_flags != b->rst_flags || a->rst_seq != b->rst_seq || a->rst_ack != b->rst_ack))
        return "reset's numbers";
    if (a->result != b->result)
        return "result";
    if (a->state != b->state)
        return "state";
    if (a->sent != b->sent)
        return "sent";
    if (a->fin != b->fin)
        return "fin";
    if (a->acked != b->acked)
        return "acknowledged";
    if (s->probing && !a->answers != !b->answers)
        return "answered";
    return NULL;
}

static struct { char text[120]; unsigned count; uint64_t seed; const char *reason; } tally[200];
static unsigned tally_count, unknown;
/* Seeds that differed for no known reason: each is tried again alone, as a busy machine delays Linux and us differently. */
static uint64_t suspects[64];
static unsigned suspect_count;
static bool alone;
#define TRIES 3u

static void differ(struct script *s, unsigned at, const char *field)
{
    char text[120];
    const struct seen *a = &s->seen[LINUX], *b = &s->seen[OWN];
    const char *reason = known_reason(s, field);
    snprintf(text, sizeof text, "%s%s: %s, after \"%s\"%s%s%s", s->udp ? "udp" : "tcp", s->v6 ? "6" : "4", field, s->what, *s->around ? ", " : "", s->around,
             s->closed ? ", closed" : s->udp && s->connected ? ", connected" : "");
    unsigned k = 0;
    while (k < tally_count && (strcmp(tally[k].text, text) != 0 || tally[k].reason != reason))
        k++;
    if (k == tally_count && k < 200) {
        strcpy(tally[tally_count].text, text);
        tally[tally_count].reason = reason;
        tally[tally_count++].seed = s->seed;
    }
    if (k < 200)
        tally[k].count++;
    unknown += !reason;
    if (!reason && !alone && suspect_count < 64)
        suspects[suspect_count++] = s->seed;
    if (verbose || !reason)
        printf("seed %llu step %u %s (Linux / stack): state %u/%u sent %u/%u acked %u/%u rst %u/%u (%x %u %u / %x %u %u) result %lld/%lld answers %u/%u "
               "fin %u/%u options %x,%u/%x,%u icmp %u/%u datagrams %u/%u\n", (unsigned long long)s->seed, at, text, a->state, b->state, a->sent, b->sent, a->acked, b->acked, a->rst, b->rst,
               a->rst_flags, a->rst_seq, a->rst_ack, b->rst_flags, b->rst_seq, b->rst_ack, (long long)a->result, (long long)b->result, a->answers, b->answers,
               a->fin, b->fin, a->options, a->mss, b->options, b->mss, a->icmps, b->icmps, a->datagrams, b->datagrams);
    s->over = true;
}

static void begin(struct script *s, uint64_t seed)
{
    static const uint16_t sizes4[] = { 1460, 1460, 1460, 536, 1000, 40 }, sizes6[] = { 1440, 1440, 1440, 1220, 1000, 40 };
    *s = (struct script){ .seed = seed, .rng = seed * 0xd6e8feb86659fd93ull, .fd = -1, .peer_next = 1, .peer_acked = 1, .tsval = 1000000, .what = "", .around = "", .icmp = -1 };
    unsigned family = below(s, 4);
    s->port = next_port;
    s->turn = turn;
    if (next_port == 30000)
        turn = (turn + 1) % TURNS;
    next_port = next_port == 30000 ? 1024 : next_port + 1;
    if (next_port == PEER_PORT)
        next_port++;
    s->udp = family & 1;
    s->v6 = family & 2;
    s->dual = s->udp && !s->v6 && chance(s, 30);
    s->options = chance(s, 70) ? 15 : (uint8_t)below(s, 16);
    s->mss = s->options & 1 ? (s->v6 ? sizes6 : sizes4)[below(s, 6)] : s->v6 ? TCP_MSS_DEFAULT6 : TCP_MSS_DEFAULT4;
    s->active = !s->udp && chance(s, 30);
}

static void finish(struct script *s)
{
    if (s->udp) {
        udp_finish(s);
        return;
    }
    for (enum world w = 0; w < WORLDS; w++) /* nothing of it shall go on */
        if (s->seen[w].have_iss)
            put_segment(s, w, &(struct segment){ .flags = TCP_RST | TCP_ACK, .seq = s->seen[w].acked ? s->seen[w].acked : s->peer_next, .ack = s->seen[w].sent, .no_ts = true });
    if (s->fd >= 0) {
        struct linger l = { 1, 0 };
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        close(s->fd);
    }
    if (s->pcb)
        tcp_abort(s->pcb);
    s->fd = -1;
    s->pcb = NULL;
}

static bool look(bool last, unsigned at)
{
    bool same = true;
    accept_all();
    own_run();
    linux_collect();
    for (unsigned k = 0; k < script_count; k++) {
        struct script *s = &scripts[k];
        if (s->over)
            continue;
        user_view(s);
        const char *field = difference(s);
        same &= !field || known_reason(s, field);
        if (field && last)
            differ(s, at, field);
        if (last) {
            for (enum world w = 0; w < WORLDS; w++)
                if (s->seen[w].answers && s->seen[w].acked == s->acked_before)
                    s->answered_ns[w] = s->step_ns;
            /* What comes now meets nobody, or another connection in its place. */
            bool anew = strcmp(s->what, "syn in the window") == 0 && s->seen[LINUX].acked == s->last_seq + 1 && s->seen[OWN].acked == s->last_seq + 1;
            s->over |= anew || (s->seen[LINUX].rst && s->seen[OWN].rst) || strcmp(s->what, "exact reset") == 0 || strcmp(s->what, "reset in syn-received") == 0;
        }
    }
    return same;
}

static void run_batch(uint64_t first, unsigned count)
{
    script_count = count;
    own_router_is_there();
    for (unsigned k = 0; k < count; k++)
        begin(&scripts[k], first + k);
    for (unsigned at = 0; at < STEPS; at++) {
        for (unsigned k = 0; k < count; k++)
            if (!scripts[k].over)
                step(&scripts[k]);
        uint64_t began = now_ns(), passed;
        while ((passed = now_ns() - began) < STEP_NS || (!look(false, at) && passed < PATIENCE_NS)) {
            poll(NULL, 0, 2);
            own_run();
            linux_collect();
        }
        for (unsigned k = 0; k < count && verbose; k++) {
            const struct seen *a = &scripts[k].seen[LINUX], *b = &scripts[k].seen[OWN];
            if (!scripts[k].over)
                printf("seed %llu step %u: %-26s peer next %u acked %u | sent %u acked %u state %u answers %u result %lld | sent %u acked %u state %u answers %u result %lld\n",
                       (unsigned long long)scripts[k].seed, at, scripts[k].what, scripts[k].peer_next, scripts[k].peer_acked, a->sent, a->acked, a->state,
                       a->answers, (long long)a->result, b->sent, b->acked, b->state, b->answers, (long long)b->result);
        }
        look(true, at);
    }
    for (unsigned k = 0; k < count; k++)
        finish(&scripts[k]);
    own_run();
    linux_collect();
    script_count = 0;
    accept_all(); /* what nobody knows any more */
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 0) : 256;
    verbose = argc > 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    srand(1);
    linux_setup();
    own_setup();
    for (uint64_t at = 0; at < count; at += PARALLEL)
        run_batch(first + at, (unsigned)net_min(count - at, (uint64_t)PARALLEL));
    unsigned failed = unknown > suspect_count ? unknown - suspect_count : 0;
    alone = true;
    for (unsigned k = 0; k < suspect_count; k++) {
        unsigned times = 0;
        for (; times < TRIES; times++) {
            unsigned before = unknown;
            run_batch(suspects[k], 1);
            if (unknown == before)
                break;
        }
        failed += times == TRIES;
    }
    for (unsigned k = 0; k < tally_count; k++)
        printf("%6u  %-60s %s (seed %llu)\n", tally[k].count, tally[k].text, tally[k].reason ? tally[k].reason : "UNKNOWN", (unsigned long long)tally[k].seed);
    printf("diff: %llu scripts from %llu, %u unknown differences, %u more that did not come again\n", (unsigned long long)count,
           (unsigned long long)first, failed, suspect_count - net_min(failed, suspect_count));
    net_stack_destroy(own.ns);
    return failed != 0;
}
