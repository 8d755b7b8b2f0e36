/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers that open connections by the hundred thousand and are slow on them, a third each:
 *   mute  sends one message of 64 bytes, and acknowledges nothing of the echo
 *   shut  asks for an endless answer, takes two segments, and keeps its window shut, which it says whenever asked
 *   late  acknowledges each echo only when it comes for the second time, with its next message
 * They are made of 12 bytes each; what one sends follows from what it gets.
 */
#include "tools/netbench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/wire.h"

#define PORTS 50000u
#define FIRST_PORT 10000u
#define FIRST_IP 0xb0000000u
#define ISN 1000u
#define MESSAGE 64u
#define TAKEN 2920u /* bytes, by those that shut their window */

enum kind { MUTE, SHUT, LATE, KINDS };
struct slow { uint32_t begin, seen, next; }; /* the stack's first sequence number; of its last message; our own next */

struct bench_slow_peer bench_slow;
static struct slow *all;
static unsigned count, opened;

void bench_slow_init(unsigned n, void (*give)(const uint8_t *, size_t))
{
    bench_slow = (struct bench_slow_peer){ .give = give };
    all = calloc(n, sizeof *all);
    count = n;
    opened = 0;
}

struct said { uint16_t flags, wnd; uint32_t seq, ack, bytes; };

static void say(unsigned i, struct said w)
{
    uint8_t f[14 + 20 + 24 + MESSAGE] = { [12] = 8, 0, 0x45, [20] = 0x40, 0, 64, 6 }, *t = f + 34;
    uint32_t header = w.flags & TCP_SYN ? 24 : 20, segment = header + w.bytes;
    struct net_addr from = net_addr_v4(FIRST_IP + i / PORTS), to = net_addr_v4(BENCH_DUT_IP);
    memcpy(f, bench_dut_mac, 6);
    memcpy(f + 6, bench_peer_mac, 6);
    put_be16(f + 16, (uint16_t)(20 + segment));
    store32(f + 26, from.w[3]);
    store32(f + 30, to.w[3]);
    store16(f + 24, cksum_finish(cksum_add(0, f + 14, 20)));
    put_be16(t, (uint16_t)(FIRST_PORT + i % PORTS));
    put_be16(t + 2, i % KINDS == SHUT ? BENCH_SOURCE : BENCH_ECHO);
    put_be32(t + 4, w.seq);
    put_be32(t + 8, w.ack);
    put_be16(t + 12, (uint16_t)(header / 4 << 12 | w.flags));
    put_be16(t + 14, w.wnd);
    if (w.flags & TCP_SYN)
        put_be32(t + 20, 0x020405b4);
    store16(t + 16, cksum_finish(cksum_add(cksum_pseudo(&from, &to, IP_PROTO_TCP, segment), t, segment)));
    bench_slow.give(f, 34 + segment);
}

void bench_slow_open(void)
{
    say(opened++, (struct said){ .flags = TCP_SYN, .wnd = TAKEN, .seq = ISN });
}

static void answer(unsigned i, uint32_t seq, uint32_t bytes)
{
    struct slow *s = &all[i];
    if (i % KINDS == SHUT) {
        uint32_t taken = net_min(seq + bytes - s->begin, TAKEN);
        say(i, (struct said){ .flags = TCP_ACK, .wnd = (uint16_t)(TAKEN - taken), .seq = s->next, .ack = s->begin + taken });
    } else if (i % KINDS == LATE && bytes >= MESSAGE) {
        if (s->seen != seq) {
            s->seen = seq;
            return;
        }
        bench_slow.messages++;
        say(i, (struct said){ .flags = TCP_ACK | TCP_PSH, .wnd = TAKEN, .seq = s->next, .ack = seq + bytes, .bytes = MESSAGE });
        s->next += MESSAGE;
    }
}

bool bench_slow_take(const uint8_t *f, size_t bytes)
{
    const uint8_t *t = f + 34;
    uint32_t to = get_be32(f + 30) - FIRST_IP, port = get_be16(t + 2), seq = get_be32(t + 4);
    unsigned i = to * PORTS + port - FIRST_PORT;
    if (!count || bytes < 54 || get_be16(f + 12) != ETH_TYPE_IP4 || to > count / PORTS || i >= count)
        return false;
    struct slow *s = &all[i];
    uint32_t payload = get_be16(f + 16) - 20u - (t[12] >> 4) * 4u;
    if (t[13] & TCP_RST) {
        bench_slow.reset++;
    } else if (t[13] & TCP_SYN) {
        if (s->next)
            return true;
        bench_slow.answered++;
        *s = (struct slow){ .begin = seq + 1, .seen = seq, .next = ISN + 1 + MESSAGE };
        say(i, (struct said){ .flags = TCP_ACK | TCP_PSH, .wnd = TAKEN, .seq = ISN + 1, .ack = seq + 1, .bytes = MESSAGE });
    } else if (payload) {
        answer(i, seq, payload);
    }
    return true;
}
