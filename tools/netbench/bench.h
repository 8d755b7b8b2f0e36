/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netbench: what one stack spends on one operation. The stack under test (ours,
 * lwIP or Linux's) faces a peer, always an instance of ours, over a link inside the
 * process. Only dut_step() is counted: receiving frames that lie ready in the
 * stack's own buffers, the application's answer, handing frames to the
 * driver. Copying between the two sides stays outside.
 */
#ifndef NETBENCH_H
#define NETBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_DUT_IP 0x0a000001u
#define BENCH_PEER_IP 0x0a000002u
#define BENCH_ECHO 7
#define BENCH_DISCARD 9
#define BENCH_SOURCE 19

struct bench_report {
    uint64_t frames_lost;        /* by prepare() */
    uint64_t live_bytes, connections, accepted, shed, refused;
    int connect_error;           /* of an attempt to connect now, 0: none */
};

struct bench_dut {
    const char *name;
    void (*init)(bool tso);
    /* Puts a frame into a buffer of the stack's own; not counted. Without one, the frame is lost. */
    void (*prepare)(const uint8_t *frame, size_t bytes);
    /* Everything there is to do; counted. */
    void (*work)(void);
    /* Whether work() would find a frame or a timer that is due: else the core would sleep or do something else. */
    bool (*due)(void);
    /* Calls take for each frame sent by the last work(); not counted. */
    void (*collect)(void (*take)(const uint8_t *frame, size_t bytes));
    uint64_t (*memory_bytes)(void);
    /* May be NULL: ticks of work() since the last call that are not the stack's. */
    uint64_t (*overhead_ticks)(void);
    void (*report)(struct bench_report *out); /* may be NULL */
};

/* slow.c: a million peers that are slow, and an ordinary one beside them. */
struct bench_slow_peer {
    void (*give)(const uint8_t *frame, size_t bytes); /* to the stack under test */
    uint64_t answered, reset, messages; /* SYNs; connections; acknowledged at last by those that are late */
};
extern struct bench_slow_peer bench_slow;
void bench_slow_init(unsigned count, void (*give)(const uint8_t *frame, size_t bytes));
/* Sends the SYN of the next one. */
void bench_slow_open(void);
/* A frame of the stack under test; true if it was for one of them. */
bool bench_slow_take(const uint8_t *frame, size_t bytes);

extern const struct bench_dut bench_ours, bench_lwip, bench_linux;
/* The time stamp counter; in a machine that counts instructions (tools/vm --icount 0) a tick is one. */
static inline uint64_t bench_ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
extern uint64_t bench_now_ns; /* the link's clock */
extern uint64_t bench_memory_bytes; /* limit of our own instance under test */
extern const uint8_t bench_dut_mac[6], bench_peer_mac[6];

#endif
