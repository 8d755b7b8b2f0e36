/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of net-diff; diff.c says what it does. */
#ifndef DIFF_WORLDS_H
#define DIFF_WORLDS_H

#include "tests/net/diff/diff.h"

#define PARALLEL 64u
#define PORT 80u
#define CLOSED_PORT 81u
#define PEER_PORT 5000u                /* that calls connect to, and that UDP comes from */
#define PEER_ISS 0xfffffc00u           /* data wraps */

/* ---- worlds.c ---- */

struct own {
    struct net_env env;
    struct net_nic nic;
    struct net_stack *ns;
    struct tcp_listener *listeners[2];
    struct pbuf *inbox[256];
    unsigned inbox_count;
};
extern struct own own;
extern int listen_fds[2];              /* Linux's: of IPv4, of IPv6 */
extern struct script scripts[PARALLEL];
extern unsigned script_count;

uint64_t now_ns(void);
/* NULL: none of those that run has this number. */
struct script *script_of(uint16_t port);
/* Exits with 77 where a namespace or a TAP device cannot be had. */
void linux_setup(void);
void own_setup(void);
/* Now and then: it answers no ARP. */
void own_router_is_there(void);
/* Takes what Linux has sent. */
void linux_collect(void);
/* Lets the stack do what it has to. */
void own_run(void);
void frame_to(enum world w, const uint8_t *frame, uint32_t len);
/* What should not happen once it runs: status 2. */
_Noreturn void die(const char *what);

/* ---- observe.c ---- */

/* What a peer sees of a frame that a world has sent. */
void observe(enum world w, const uint8_t *frame, uint32_t len);

/* ---- packet.c: from the transport's header down ---- */

/* Both worlds are 10.9.0.1 and fd00:9::1 behind a router; a script's peer is 10.10.0.0 or fd00:10:: plus its port, and has
 * a second address in the net behind that. When ports begin again, the nets move on by two: what was learnt of a host shall
 * not be met again. */
#define TURNS 100u
enum from { FROM_PEER, FROM_SECOND, FROM_US, FROM_NOBODY, FROM_LOOPBACK, FROM_GROUP, FROMS };
enum to { TO_US, TO_ALL, TO_STRANGER, TOS };

struct envelope {            /* zero: nothing unusual */
    enum from from;
    enum to to;
    unsigned odd;            /* one of the things in packet.c, 1 to odd_count(); it is not cut then */
    unsigned cuts;           /* into so many fragments and one */
    unsigned order;          /* of them */
    uint8_t ttl;             /* 0: 64 */
};
struct net_addr address_of_us(const struct script *s);
struct net_addr address_of_peer(const struct script *s);
struct net_addr from_address(const struct script *s, const struct envelope *e);
struct net_addr to_address(const struct script *s, const struct envelope *e);
unsigned odd_count(const struct script *s);
const char *odd_name(const struct script *s, unsigned odd);
const char *order_name(unsigned order);
#define ORDERS 7u
/* proto as IPv4 has it: ICMP becomes ICMPv6. The message's checksum has been written; len at most 4096. */
void send_packet(const struct script *s, enum world w, uint8_t proto, const uint8_t *message, uint32_t len, const struct envelope *e);
uint16_t message_checksum(const struct script *s, const struct envelope *e, uint8_t proto, const uint8_t *message, uint32_t len);

/* ---- peer.c: TCP ---- */

void put_segment(struct script *s, enum world w, const struct segment *g);
void send_both(struct script *s, struct segment g);

/* ---- errors.c: ICMP ---- */

/* What an error quotes of the packets that came from a world. */
struct quote {
    uint8_t proto;
    uint16_t from_port, to_port;
    uint32_t seq;            /* TCP: relative; UDP: the length */
    bool other_host;         /* not the peer is said to have been written to */
    bool other_source;       /* not we are said to have written */
};
unsigned error_count(void);
const char *error_name(unsigned kind);
/* Whether hosts that follow RFC 1122 4.2.3.9 take it for lasting. */
bool error_is_hard(const struct script *s, unsigned kind);
bool error_is_frag_time(unsigned kind);
bool error_is_too_big(unsigned kind);
void error_to_both(struct script *s, unsigned kind, const struct quote *q);
/* A ping with n bytes. */
void echo_to_both(struct script *s, uint32_t n, const struct envelope *e);

/* ---- calls.c: results go to seen[].result ---- */

void accept_all(void);
void connect_both(struct script *s);
bool both_open(const struct script *s);
void write_both(struct script *s, uint32_t n);   /* at most 4096 */
void read_both(struct script *s, uint32_t n);    /* at most 8192 */
void shut_both(struct script *s);
void close_both(struct script *s, bool abort);
/* SO_ERROR. */
void error_both(struct script *s);

/* ---- datagrams.c: UDP's moves and calls ---- */

void udp_step(struct script *s);
void udp_finish(struct script *s);

/* ---- moves.c ---- */

/* Of the script's own stream: [0, n). */
uint32_t below(struct script *s, uint32_t n);
bool chance(struct script *s, uint32_t percent);
void step(struct script *s);

#endif
