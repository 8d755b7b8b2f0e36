/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the packet-level tests: one instance at 10.0.0.1 whose peer, 10.0.0.2, is the test
 * itself. It writes segments by hand, reads what comes back, and moves time.
 */
#ifndef NET_KIT_H
#define NET_KIT_H

#include "cokernel/net/cmocka_net.h"
#include "cokernel/net/tcp_internal.h"

#define KIT_PORT 80
#define KIT_PEER_PORT 5555
#define KIT_MTU 1500u
#define KIT_SENT 4096

struct kit_seg { /* a segment, as sent or to be sent */
    uint16_t sport, dport, flags, wnd, urgent, mss;
    uint32_t seq, ack;
    uint32_t len;
    bool ts, sack_ok, corrupt;
    uint32_t trailer; /* bytes behind the packet, as Ethernet pads; only sent */
    bool fo;        /* Fast Open: cookie, or a request if it has no bytes */
    struct tcp_fo_cookie cookie;
    uint8_t wscale; /* 0: no option */
    uint32_t tsval, tsecr;
    unsigned sack_count;
    struct tcp_sack sacks[4];
    uint8_t tos;
    const uint8_t *data;
};

struct kit {
    struct net_env env;
    struct net_nic nic;
    struct net_stack *ns;
    struct net_iface *iface;
    uint64_t now_ns;
    bool hold; /* frames wait for kit_run(), which takes them as one burst */
    int64_t pages;
    struct pbuf *inbox[64];
    unsigned inbox_count;
    struct { uint32_t len; uint8_t bytes[1600]; } sent[KIT_SENT];
    unsigned sent_count, sent_read;
    bool asked; /* by ARP for the peer */
    unsigned events_of_strangers; /* of connections that nobody has accepted: there must be none */
    struct tcp_listener *listener;
    struct tcp_pcb *pcb; /* of the established connection */
    uint32_t snd, rcv;   /* the peer's next sequence number; what it expects */
    bool ts;
    uint32_t tsval;
};

void kit_setup(struct kit *k);
/* Checks that nothing is left behind. */
void kit_teardown(struct kit *k);
void kit_frame(struct kit *k, const void *frame, uint32_t len);
/* Polls, and flushes; events are thrown away unless the test reads them first. */
void kit_run(struct kit *k);
/* Lets time pass, running every timer on the way. */
void kit_pass(struct kit *k, uint64_t ns);
/* Sends to the instance; ports are filled in if 0. */
void kit_send(struct kit *k, struct kit_seg s);
/* The next TCP segment that the instance sent; false if there is none. */
bool kit_next(struct kit *k, struct kit_seg *s);
/* Skips to the last one; returns how many there were. */
unsigned kit_last(struct kit *k, struct kit_seg *s);
/* A connection opened by the peer and accepted: with SACK and scaling, and time stamps if ts. */
void kit_establish(struct kit *k, bool ts, bool sack);
/* Data from the peer, in order. */
void kit_data(struct kit *k, const void *data, uint32_t len);
void kit_ack(struct kit *k, uint32_t ack);

#endif
