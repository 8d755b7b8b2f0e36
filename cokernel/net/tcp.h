/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP for users of an instance. A handle from tcp_connect() or tcp_accept()
 * stays valid until tcp_close() or tcp_abort(), whatever the network does;
 * after NET_EV_CLOSED it only answers tcp_info() and hands out what was
 * received. Both begin with struct net_endpoint.
 *
 * An instance of which 3/4 of the memory is in use resets connections whose peers acknowledge nothing, or keep
 * their window shut, for some timeouts (error NET_ENOBUFS); of which 7/8 is, takes no new ones (tcp_connect():
 * -NET_ENOMEM; a SYN: no answer); of which 15/16 is, queues nothing more (-NET_ENOBUFS, or -NET_EAGAIN where an
 * acknowledgement that is awaited will bring NET_EV_WRITABLE).
 */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "cokernel/net/net.h"

struct net_iface;
struct tcp_listener;
struct tcp_pcb;

static inline struct net_endpoint *tcp_endpoint(struct tcp_pcb *pcb) { return (struct net_endpoint *)pcb; }

enum tcp_state { /* values of Linux's TCP_INFO */
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT,
    TCP_SYN_RCVD,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_TIME_WAIT,
    TCP_CLOSED,
    TCP_CLOSE_WAIT,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_CLOSING,
};

enum tcp_option {
    TCP_OPT_NODELAY,
    TCP_OPT_CORK,
    TCP_OPT_QUICKACK,
    TCP_OPT_KEEPALIVE,
    TCP_OPT_KEEPIDLE_S,
    TCP_OPT_KEEPINTVL_S,
    TCP_OPT_KEEPCNT,
    TCP_OPT_USER_TIMEOUT_MS,  /* RFC 5482 */
    TCP_OPT_LINGER_S,         /* -1: off */
    TCP_OPT_SNDBUF,
    TCP_OPT_RCVBUF,           /* setting it turns auto-tuning off */
    TCP_OPT_MAXSEG,
    TCP_OPT_CONGESTION,       /* enum tcp_cc_kind */
    TCP_OPT_TOS,
    TCP_OPT_TTL,
    TCP_OPT_ECN,
    TCP_OPT_PACING,           /* 1: by cwnd/srtt; more: bytes a second */
    TCP_OPT_NOTIFY_ACKED,     /* post NET_EV_ACKED */
    TCP_OPT_LINGER2_S,
    TCP_OPT_OOBINLINE,
    TCP_OPT_FASTOPEN,         /* listener: how many requests may be pending (RFC 7413); 0: none is taken */
    TCP_OPT_COUNT,
};

enum tcp_cc_kind { TCP_CC_CUBIC, TCP_CC_NEWRENO, TCP_CC_DCTCP, TCP_CC_COUNT };

struct tcp_connect {
    struct net_addr remote;
    uint16_t remote_port;
    struct net_addr local;   /* zero: chosen */
    uint16_t local_port;     /* 0: chosen (RFC 6056) */
    struct net_iface *iface; /* NULL: by route */
    void *user;
    /* Queued at once, at most 256 KiB. With fast_open, as much as a segment holds goes with the SYN if the peer has given
     * us a cookie, else one is asked for. The network may deliver data in a SYN twice, to two connections (RFC 7413 2.1):
     * only for requests that bear it. */
    const void *data;
    uint32_t data_bytes;
    bool fast_open;
};

/* addr any: every address; :: takes IPv4 as well. NULL with *error set to -NET_E... */
struct tcp_listener *tcp_listen(struct net_stack *ns, const struct net_addr *addr, uint16_t port, uint32_t backlog, int *error);
/* The same beside others that were made by this function (SO_REUSEPORT): connections are shared out among those with the
 * same address by a hash that nobody outside can predict. Closing one resets what waits in its queue, as on Linux. */
struct tcp_listener *tcp_listen_beside(struct net_stack *ns, const struct net_addr *addr, uint16_t port, uint32_t backlog, int *error);
struct tcp_pcb *tcp_accept(struct tcp_listener *listener);
/* Connections not yet accepted are reset. */
void tcp_listener_close(struct tcp_listener *listener);
/* Options that accepted connections inherit. */
int tcp_listener_set(struct tcp_listener *listener, enum tcp_option option, int64_t value);

struct tcp_pcb *tcp_connect(struct net_stack *ns, const struct tcp_connect *how, int *error);

/* Queues a packet without copying; takes it over if it returns 0.
 * -NET_EAGAIN (then NET_EV_WRITABLE comes), -NET_EPIPE, -NET_ENOTCONN, -NET_ENOBUFS. */
int tcp_send(struct tcp_pcb *pcb, struct pbuf *data);
/* Copies; returns bytes taken, possibly fewer than asked, or an error as above. */
int64_t tcp_write(struct tcp_pcb *pcb, const void *data, uint32_t len);
int tcp_send_urgent(struct tcp_pcb *pcb, uint8_t byte);
/* Bytes that tcp_write() would take now. */
uint32_t tcp_send_room(const struct tcp_pcb *pcb);

/* The next received bytes, one packet; NULL if none. The window opens by them. */
struct pbuf *tcp_recv(struct tcp_pcb *pcb);
/* Copies; 0 at the end of the stream, -NET_EAGAIN if nothing is there, or the error that ended it. */
int64_t tcp_read(struct tcp_pcb *pcb, void *out, uint32_t len);
/* The peer has sent its FIN and everything before it was taken. */
bool tcp_at_eof(const struct tcp_pcb *pcb);
/* Up to the urgent byte if there is one ahead that is not read in line, as SIOCINQ has it. */
uint32_t tcp_readable_bytes(const struct tcp_pcb *pcb);
/* The urgent byte (MSG_OOB). 1, 0 at the end of the stream, -NET_EAGAIN if it is only announced,
 * -NET_EINVAL if there is none, it was read, or it stays in line (TCP_OPT_OOBINLINE). */
int tcp_read_urgent(struct tcp_pcb *pcb, uint8_t *byte, bool peek);
/* Whether the next byte to read is the urgent one (SIOCATMARK). */
bool tcp_at_mark(const struct tcp_pcb *pcb);

/* Sends FIN after what is queued; receiving goes on. */
int tcp_shutdown(struct tcp_pcb *pcb);
/* Gives the handle back. What is queued is still sent, unless received data
 * was left unread or linger is 0: then the peer gets a reset. */
void tcp_close(struct tcp_pcb *pcb);
/* Gives the handle back and resets the connection. */
void tcp_abort(struct tcp_pcb *pcb);

int tcp_set(struct tcp_pcb *pcb, enum tcp_option option, int64_t value);
int64_t tcp_get(const struct tcp_pcb *pcb, enum tcp_option option);

struct tcp_conn_info { /* units and meaning of Linux's struct tcp_info */
    struct net_addr local, remote;
    uint16_t local_port, remote_port;
    uint8_t state, ca_state, retransmits, probes, backoff;
    uint8_t opt_timestamps, opt_sack, opt_wscale, opt_ecn;
    uint8_t opt_syn_data; /* data in the SYN was taken, by us or by the peer */
    uint8_t snd_wscale, rcv_wscale;
    uint32_t rto_us, ato_us, snd_mss, rcv_mss;
    uint32_t unacked_bytes, sacked_bytes, lost_bytes, retrans_segments, total_retrans;
    uint32_t pmtu, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh_bytes, snd_cwnd_bytes, advmss, reordering;
    uint32_t rcv_space, min_rtt_us, notsent_bytes, snd_wnd, rcv_wnd;
    uint32_t send_queue_bytes, receive_queue_bytes;
    uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans, segs_out, segs_in;
    uint64_t pacing_rate, memory_bytes;
    const char *congestion;
};
void tcp_info(const struct tcp_pcb *pcb, struct tcp_conn_info *info);
/* Calls visit for every connection of the instance. */
void tcp_each(struct net_stack *ns, void (*visit)(struct tcp_pcb *pcb, void *ctx), void *ctx);
const char *tcp_state_name(enum tcp_state state);

#endif
