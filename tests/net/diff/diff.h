/* SPDX-License-Identifier: BSD-2-Clause */
/* What one script of net-diff knows about its connection in both worlds. */
#ifndef DIFF_H
#define DIFF_H

#include "cokernel/net/cksum.h"
#include "cokernel/net/tcp_internal.h"
#include "cokernel/net/udp.h"
#include "cokernel/net/wire.h"

enum world { LINUX, OWN, WORLDS };

struct seen { /* sequence numbers from the initial ones on */
    bool have_iss, accepted;
    uint8_t syn;              /* 1: a SYN, 2: a SYN-ACK */
    uint8_t options;          /* of those: 1 MSS, 2 scale, 4 SACK, 8 time stamp, 128 another */
    uint8_t fin, state, rst_flags;
    uint16_t mss;
    uint32_t iss, tsval;
    uint32_t sent, acked;     /* the highest */
    uint32_t rst, rst_seq, rst_ack;
    unsigned answers;         /* segments in this step */
    unsigned wrong;           /* bytes */
    int64_t result;           /* of this step's call */
    /* Messages of ICMP and UDP that the peer got, and a sum over their bytes and these bytes' places, however they were cut. */
    unsigned icmps, datagrams;
    uint64_t sum;
};

struct script {
    uint64_t seed, rng;
    bool udp, v6;
    uint16_t port, mss;       /* the port is the peer's, or ours if active or UDP */
    uint8_t turn;             /* of ports; the peer's address is made of both */
    uint8_t options;          /* the peer's */
    bool active;              /* a call opens it */
    bool over, closed, peer_fin;
    bool probing;             /* this step asks for an answer that is no acknowledgement of news */
    bool fin_seen;            /* the peer has sent one, in its place or not */
    uint32_t fin_at;          /* if so: where the first is, of those that came before one was in its place */
    uint32_t last_seq, last_end; /* of what the peer sent last: its data */
    bool last_fin;
    bool shut;                /* the peer has closed its window once */
    uint64_t step_ns;         /* when this step began */
    uint64_t answered_ns[2];  /* when the last step began in which a world answered without acknowledging anything new; 0: none */
    bool told;                /* the error that ended the connection */
    bool ask;                 /* for the error, next */
    int icmp;                 /* kind of the last ICMP error about this connection, or -1 */
    uint32_t acked_before;    /* this step */
    unsigned waited;          /* steps for which something of ours has been unacknowledged */
    unsigned phase;           /* of the handshake */
    uint32_t peer_next, peer_acked, tsval, written;
    const char *what;
    int fd;
    struct tcp_pcb *pcb;
    /* UDP */
    struct udp_pcb *udp_pcb;
    bool dual;                /* a socket of IPv6 and a peer of IPv4 */
    bool connected;
    const char *around;       /* what was unusual around the last packet; "": nothing */
    bool too_big;             /* an ICMP error has told a smaller MTU */
    bool nobody;              /* the peer has sent a datagram from :: */
    bool padded;              /* behind LONG_PADDING */
    bool frag_time;           /* the last ICMP error over IPv4 was that fragments did not come together */
    bool jumbo;               /* the peer has sent a datagram that says it has no length, over IPv6 */
    bool syn_icmp;            /* an ICMP error came while it was being opened that need not last */
    uint16_t ip_id;
    struct seen seen[WORLDS];
};

struct segment { uint16_t flags, wnd; uint32_t seq, ack, len; uint8_t corrupt; bool old_ts, no_ts, closed_port; };

static inline uint8_t pattern(uint32_t at) { return (uint8_t)(at * 167 + (at >> 8)); }

#define LONG_PADDING "padding of more than 7 bytes"
#define END_OF_OPTIONS "an end of options"
#define NO_LENGTH "a datagram of no length"

/* Why this difference is meant; NULL: it is not. */
const char *known_reason(const struct script *s, const char *field);

#endif
