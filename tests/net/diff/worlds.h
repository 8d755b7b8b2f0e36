/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of net-diff; diff.c says what it does. */
#ifndef DIFF_WORLDS_H
#define DIFF_WORLDS_H

#include "tests/net/diff/diff.h"

#define PARALLEL 64u
#define PORT 80u
#define CLOSED_PORT 81u
#define PEER_PORT 5000u                /* that calls connect to */
#define PEER_ISS 0xfffffc00u           /* data wraps */

/* ---- worlds.c ---- */

struct own {
    struct net_env env;
    struct net_nic nic;
    struct net_stack *ns;
    struct tcp_listener *listener;
    struct pbuf *inbox[256];
    unsigned inbox_count;
};
extern struct own own;
extern int listen_fd;                  /* Linux's */
extern struct script scripts[PARALLEL];
extern unsigned script_count;

uint64_t now_ns(void);
/* Whose connection this is; NULL: of no script that runs. */
struct script *script_of(uint16_t peer_port, uint16_t own_port);
/* Exits with 77 where a namespace or a TAP device cannot be had. */
void linux_setup(void);
void own_setup(void);
/* Takes what Linux has sent. */
void linux_collect(void);
/* Lets the stack do what it has to. */
void own_run(void);
void put_macs(uint8_t *frame);
void frame_to(enum world w, const uint8_t *frame, uint32_t len);
/* What should not happen once it runs: status 2. */
_Noreturn void die(const char *what);

/* ---- peer.c ---- */

void put_segment(struct script *s, enum world w, const struct segment *g);
void send_both(struct script *s, struct segment g);

/* ---- calls.c: results go to seen[].result ---- */

void accept_all(void);
void connect_both(struct script *s);
bool both_open(const struct script *s);
void write_both(struct script *s, uint32_t n);   /* at most 4096 */
void read_both(struct script *s, uint32_t n);    /* at most 8192 */
void shut_both(struct script *s);
void close_both(struct script *s, bool abort);

/* ---- moves.c ---- */

/* Of the script's own stream: [0, n). */
uint32_t below(struct script *s, uint32_t n);
bool chance(struct script *s, uint32_t percent);
void step(struct script *s);

#endif
