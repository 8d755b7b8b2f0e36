/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP from the inside. Sequence numbers are 32-bit and compared with
 * seq_lt(); congestion control and the scoreboard count bytes; times are
 * nanoseconds of the instance's clock unless the name says otherwise.
 */
#ifndef NET_TCP_INTERNAL_H
#define NET_TCP_INTERNAL_H

#include "cokernel/net/stack.h"
#include "cokernel/net/tcp.h"
#include "cokernel/net/udp.h"

#define TCP_HEADER_BYTES 20u
#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

#define TCP_MSS_DEFAULT4 536u   /* RFC 9293 3.7.1 */
#define TCP_MSS_DEFAULT6 1220u
#define TCP_MSS_MIN 48u         /* smaller announced MSS would let a peer make us send tiny segments (Linux: min_snd_mss) */
#define TCP_WSCALE_MAX 14u      /* RFC 7323 2.3 */
#define TCP_TS_OPTION_BYTES 12u

#define TCP_RTO_INITIAL_US 1000000u   /* RFC 6298 2.1 */
#define TCP_RTO_MIN_US 200000u        /* RFC 6298 2.4 says 1 s SHOULD; Linux 200 ms */
#define TCP_RTO_MAX_US 120000000u     /* RFC 6298 2.5: at least 60 s */
#define TCP_DELACK_NS (40 * NET_NS_PER_MS) /* RFC 9293 3.8.6.3: under 0.5 s */
#define TCP_DELACK_MAX_US 200000u     /* RFC 8985 7.2: what a peer may delay */
#define TCP_RETRIES 15u               /* with back-off 924 s; RFC 9293 3.8.3 R2 at least 100 s */
#define TCP_ORPHAN_PROBES 8u          /* RFC 6429: a closed connection need not serve a shut window for ever; as Linux */
#define TCP_SYN_RETRIES 6u            /* 127 s; RFC 9293 3.8.3: at least 3 minutes for R2 of SYN, as Linux less */
#define TCP_SYNACK_RETRIES 5u
#define TCP_TIMEWAIT_NS (60 * NET_NS_PER_S) /* 2 MSL of 30 s, as Linux; RFC 9293 3.4.2 has MSL 2 min */
#define TCP_FIN_WAIT2_NS (60 * NET_NS_PER_S)
#define TCP_KEEPIDLE_S 7200u          /* RFC 9293 3.8.4 */
#define TCP_KEEPINTVL_S 75u
#define TCP_KEEPCNT 9u
#define TCP_SNDBUF_DEFAULT (256u << 10)
#define TCP_SNDBUF_MAX (16u << 20)
#define TCP_RCVBUF_INITIAL (64u << 10)
#define TCP_RCVBUF_MAX (6u << 20)
#define TCP_DUPTHRESH 3u
#define TCP_ISLANDS 64u               /* gaps in the receive queue; beyond, the furthest is dropped */
#define TCP_TSO_BYTES 65000u

static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline bool seq_gt(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }
static inline bool seq_ge(uint32_t a, uint32_t b) { return (int32_t)(a - b) >= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_gt(a, b) ? a : b; }

struct tcp_sack { uint32_t start, end; };

/* Of Fast Open (RFC 7413 4.1.1); bytes 0: a request for one. */
#define TCP_FO_COOKIE_MIN 4u
#define TCP_FO_COOKIE_MAX 16u
struct tcp_fo_cookie { uint8_t bytes, b[TCP_FO_COOKIE_MAX]; };
enum tcp_fo_flag {
    TCP_FO_ACTIVE = 1,   /* we asked for a cookie or sent one */
    TCP_FO_PASSIVE = 2,  /* came by a good cookie: may send before the handshake is done; until it is */
    TCP_FO_OPTION = 4,   /* the next SYN or SYN-ACK carries the option */
    TCP_FO_DATA = 8,     /* the SYN carried data */
    TCP_FO_TAKEN = 16,   /* and the other side took of it */
};

/* A received segment, parsed. */
struct tcp_in {
    struct net_rx *rx;
    struct pbuf *pb;       /* payload; NULL once taken */
    uint32_t seq, ack;
    uint32_t end;          /* seq + payload + SYN + FIN */
    uint32_t wnd;          /* as in the header, not scaled */
    uint32_t len;          /* payload bytes */
    uint16_t local_port, remote_port;
    uint16_t flags;
    uint16_t urgent;
    uint32_t hash;         /* of the flow; not set if the last one was hit */
    uint8_t has_ts, has_mss, has_wscale, sack_ok;
    uint8_t sack_count, wscale;
    uint8_t has_fo;        /* then fo is set */
    uint16_t mss;
    uint32_t tsval, tsecr;
    struct tcp_sack sacks[4];
    struct tcp_fo_cookie fo;
};

enum tcp_seg_flag {
    SEG_SYN = 1,
    SEG_FIN = 2,
    SEG_SACKED = 4,
    SEG_LOST = 8,      /* deemed lost, not yet sent again; not in flight */
    SEG_RETRANS = 16,  /* sent more than once */
    SEG_URG = 32,
    SEG_PROBE = 64,    /* larger than the path is known to carry; once only */
};

/* What was sent and not acknowledged: [seq, end), SYN and FIN counting one. */
struct tcp_seg {
    struct tcp_seg *next, *prev;   /* by sequence */
    struct tcp_seg *tnext, *tprev; /* by time last sent; not while SACKED or LOST */
    struct pbuf *pb;               /* send-queue part that holds the first payload byte */
    uint64_t sent_ns;
    uint32_t seq, end;
    uint16_t flags;                /* enum tcp_seg_flag */
    uint16_t pad;
    uint32_t delivered;            /* pcb->delivered when sent */
};

/* Received out of order: a contiguous run. */
struct tcp_island {
    struct tcp_island *next;
    struct pbuf *head, *tail; /* linked by pbuf.link */
    uint32_t start, end;
    uint32_t stamp;           /* the most recently extended has the highest */
    uint32_t true_bytes;
};

enum tcp_deadline { TCP_T_RTX, TCP_T_REO, TCP_T_DELACK, TCP_T_KEEP, TCP_T_PACE, TCP_T_COUNT };
enum tcp_rtx_mode { RTX_NONE, RTX_RTO, RTX_TLP, RTX_PERSIST };
enum tcp_ca_state { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS }; /* Linux's */

enum tcp_urg_state { TCP_URG_NONE, TCP_URG_AHEAD, TCP_URG_HERE, TCP_URG_READ }; /* Linux: 0, NOTYET, VALID, READ */

struct tcp_pcb;

/* Congestion control. Windows are bytes. */
struct tcp_cc_ops {
    const char *name;
    void (*init)(struct tcp_pcb *pcb);
    /* Congestion avoidance and slow start on an ACK of new data. */
    void (*on_ack)(struct tcp_pcb *pcb, uint32_t acked);
    /* The new slow-start threshold after a loss or ECN mark. */
    uint32_t (*ssthresh)(struct tcp_pcb *pcb);
    void (*on_undo)(struct tcp_pcb *pcb);
    /* May be NULL: bytes acknowledged, those with an ECN echo among them. */
    void (*on_ecn)(struct tcp_pcb *pcb, uint32_t acked, bool ece);
};
extern const struct tcp_cc_ops tcp_cc_cubic;
extern const struct tcp_cc_ops *const tcp_cc_table[TCP_CC_COUNT];

struct tcp_cubic {
    uint64_t epoch_ns;
    uint32_t w_max, k_ms, origin, w_est, target, last_ms;
    uint32_t prior_w_max;
};
struct tcp_dctcp {
    uint32_t alpha;  /* 1024ths */
    uint32_t acked, marked, window_end;
    uint8_t ce_state;
};

struct tcp_opts { /* settable; inherited from the listener */
    uint64_t pacing_rate; /* 0 off, 1 automatic */
    uint32_t sndbuf, rcvbuf;
    uint8_t nodelay, cork, tos, ttl, ecn, notify_acked, rcvbuf_locked, oobinline;
    uint8_t keepalive, cc, keep_count; /* from here on not looked at for a message */
    uint16_t maxseg;
    int32_t linger_s;
    uint32_t keep_idle_s, keep_intvl_s, user_timeout_ms, linger2_s;
    uint32_t fastopen;    /* of a listener: requests that may be pending; 0: off */
};

/* What a message on a quiet connection touches stands in front, in a few cache lines (TCP_PCB_HOT_BYTES);
 * what loss, urgency, age or a user's question needs stands behind. */
struct tcp_pcb {
    struct net_endpoint ep;       /* first: the public handle */
    struct tcp_seg *rtx_head;     /* these two in the line by which a flow is known: tcp_prefetch() follows them */
    struct pbuf *snd_head;        /* queued bytes by sequence, linked by pbuf.link, to snd_tail */
    struct net_flow flow;
    struct net_stack *ns;

    uint8_t state;
    uint8_t rtx_mode;
    uint8_t snd_wscale, rcv_wscale;
    uint8_t ts_ok : 1, sack_ok : 1, ws_ok : 1;
    uint8_t ack_now : 1, dirty : 1, user_gone : 1, in_table : 1;
    uint8_t fin_queued : 1, fin_sent : 1, fin_acked : 1, fin_received : 1, fin_known : 1;
    uint8_t want_write : 1, closed_posted : 1, syn_lost : 1;
    uint8_t plp_on : 1;           /* segments are smaller than the path MTU: probe for more */
    uint8_t ecn_echo : 1, ecn_cwr_due : 1, dsack_valid : 1;
    uint8_t unaccepted : 1;       /* listener is set */
    uint8_t quickacks;
    uint8_t rack_valid;
    uint8_t backoff, retries, keep_probes, persist_probes;

    union {
        struct {
            uint8_t ca_state;
            uint8_t ecn_ok;
            uint8_t dupacks;
            uint8_t tlp_out;
            uint8_t retrans_out;  /* something below retrans_high was sent more than once, or is the SYN */
            uint8_t plp_out;      /* an MTU probe is outstanding */
            uint8_t urg_state;    /* enum tcp_urg_state */
            uint8_t urg_sent;     /* snd_up means something: urgent data is not acknowledged yet */
            uint32_t sacked_bytes, lost_bytes;
            uint32_t dup_bytes;   /* what duplicate ACKs stand for, without SACK */
            uint32_t plp_doubt;   /* payload of a segment of which only the front was sent, to see whether that passes; until one as large does */
        };
        uint64_t trouble[3];      /* all 0 while nothing happens but progress: see tcp_is_calm() */
    };

    /* ---- sequence numbers ---- */
    uint32_t rcv_nxt;
    uint32_t rcv_wup;             /* rcv_nxt when last acknowledged */
    uint32_t rcv_adv;             /* right edge last advertised; never moves left */
    uint32_t ts_recent, ts_offset;
    uint32_t snd_una, snd_nxt;
    uint32_t snd_wnd;             /* scaled */
    uint32_t snd_wl1, snd_wl2;
    uint32_t write_seq;           /* after the last queued byte, FIN not counted */
    uint32_t snd_sml;             /* end of the last segment sent that was not full */
    uint32_t mss;                 /* payload a segment, options of data segments deducted */
    uint32_t high_seq;            /* recovery ends there */
    uint32_t ecn_high;            /* one reduction a window */
    uint32_t reo_round_end;
    uint64_t ts_recent_ns, last_rcv_ns, last_send_ns, first_unacked_ns;

    uint64_t timer_tick;          /* of the timer, which stands behind; 0: not armed */
    uint64_t deadlines[TCP_T_COUNT];
    struct tcp_pcb *dirty_next, **dirty_pprev;
    struct net_path path;

    /* ---- sending ---- */
    struct pbuf *snd_tail;
    struct pbuf *snd_cursor;          /* part that holds snd_nxt; NULL: none sent yet or all sent */
    struct tcp_seg *rtx_tail, *time_head, *time_tail;
    struct tcp_seg *lost_hint;        /* no LOST one before it */
    struct tcp_seg *sack_hint;        /* last one marked SACKED */
    uint32_t snd_true;                /* memory that the queue pins */
    uint32_t cwnd, ssthresh, prr_out;
    uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us;
    uint32_t rack_rtt_us, rack_end, rack_fack;
    uint64_t min_rtt_ns;
    uint64_t rack_sent_ns;
    uint64_t delivered;

    /* ---- receiving ---- */
    struct pbuf *rcv_head, *rcv_tail;
    uint32_t rcv_bytes, rcv_true;
    struct tcp_island *islands;
    uint32_t rcv_mss;
    uint32_t rcv_copied, rcv_space;   /* auto-tuning */
    uint32_t segs_in, segs_out;       /* wrap, as Linux's do */
    uint64_t rcv_space_ns;
    uint64_t bytes_acked, bytes_received, bytes_sent;
    struct tcp_opts opts;             /* within it the cold part begins */

    struct net_timer timer;           /* fires at the earliest deadline or before */
    struct tcp_listener *listener;    /* until accepted */
    uint32_t max_wnd;                 /* the largest snd_wnd so far */
    uint32_t adv_mss;

    /* ---- congestion ---- */
    const struct tcp_cc_ops *cc;
    uint32_t cwnd_used;
    uint32_t prr_delivered, prr_flight;
    uint32_t prior_cwnd, prior_ssthresh, undo_marker, undo_retrans;
    uint32_t retrans_ts;              /* timestamp of the first retransmission of this recovery */
    uint32_t retrans_high;
    uint8_t frto, frto_new;
    union { struct tcp_cubic cubic; struct tcp_dctcp dctcp; } cc_data;

    /* ---- loss detection ---- */
    uint32_t tlp_end;
    uint8_t reo_mult, reo_persist, reordering_seen;
    uint8_t tlp_retrans;
    uint16_t sack_cache_count;
    struct tcp_sack sack_cache[4];

    /* ---- the rest ---- */
    uint32_t island_count, island_stamp;
    uint32_t fin_seq;
    uint32_t snd_up;
    uint32_t urg_seq;                 /* of the urgent byte itself */
    uint8_t urg_byte;
    struct tcp_sack dsack;
    uint64_t oow_ack_ns, challenge_ns;
    uint64_t pace_next_ns, plp_next_ns;
    uint32_t iss, irs;
    uint32_t peer_mss;                /* as announced, 0: not yet */
    uint32_t plp_seen;                /* payload of the largest segment that is known to have come through (not all are noted) */
    uint16_t plp_mtu, plp_high, plp_size; /* while plp_on: known to pass, most that may; of the probe that is out */
    uint64_t plp_mark;                /* delivered when plp_doubt was set */
    uint8_t fo;                       /* enum tcp_fo_flag */
    uint32_t total_retrans;
    uint64_t bytes_retrans;
    struct tcp_listener *fo_listener; /* that counts it as pending */
    struct tcp_pcb *accept_next;
    struct tcp_pcb *all_next, **all_pprev;
};
#define TCP_PCB_HOT_BYTES offsetof(struct tcp_pcb, opts.keepalive)
_Static_assert(offsetof(struct tcp_pcb, flow.key) == 64, "the line of which tcp_prefetch() reads");
_Static_assert(TCP_PCB_HOT_BYTES <= 576, "nine cache lines; each more costs a message among very many connections 6 ns");

struct tcp_listener {
    struct net_endpoint ep;
    struct net_stack *ns;
    struct tcp_listener *next;
    struct net_addr addr;
    uint16_t port;
    uint8_t v6only;
    uint8_t shares;                    /* its address and port with others that do so too */
    uint32_t backlog, syn_count, accept_count;
    uint32_t fo_pending, fo_penalties; /* by Fast Open, not yet acknowledged; and reset of late */
    uint64_t fo_penalty_until_ns;
    struct tcp_pcb *accept_head, *accept_tail;
    struct tcp_opts opts;
};

union net_endpoint_slot { struct tcp_listener listener; struct udp_pcb udp; };

/* What a handshake has settled; from a half-open entry or from a cookie. */
struct tcp_handshake {
    struct net_flow_key key;
    uint32_t hash;   /* of the key, in the flow table */
    uint32_t iss, irs, ts_recent, ts_offset, wnd;
    uint32_t rtt_us; /* 0: unknown */
    uint16_t mss;
    uint8_t ts_ok, sack_ok, ws_ok, ecn_ok, snd_wscale, rcv_wscale, retransmitted;
    uint8_t fo_cookie; /* the SYN-ACK carries one */
    uint8_t fast_open; /* the connection exists before the handshake is done */
};

struct tcp_synreq {
    struct net_flow flow;
    struct net_timer timer;
    struct net_stack *ns;
    struct tcp_listener *listener;
    struct tcp_handshake hs;
    struct net_path path; /* of the last answer */
    uint64_t sent_ns;
    uint8_t retries;
    uint8_t queued;       /* the timer is in syn_wait, not in the wheel */
};

struct tcp_timewait {
    struct net_flow flow;
    struct net_timer timer;
    struct net_stack *ns;
    uint32_t snd_nxt, rcv_nxt, ts_recent, ts_offset, rcv_wnd;
    uint8_t ts_ok;
    uint8_t answered;     /* something, since it began */
    uint64_t ack_ns;      /* or when it began */
};

/* A segment that belongs to no pcb, or carries no queued data. */
struct tcp_out {
    uint32_t seq, ack, wnd; /* wnd as in the header */
    uint16_t flags;
    uint8_t ts_ok;
    uint32_t tsval, tsecr;
};

/* tcp_pcb.c */
void tcp_init(struct net_stack *ns);
void tcp_fini(struct net_stack *ns);
void tcp_opts_default(struct tcp_opts *opts);
/* Whether memory allows another connection. */
static inline bool tcp_pcb_room(const struct net_stack *ns)
{
    return !net_mem_short(&ns->mem) && (net_likely(ns->tcp_pcbs.free != NULL) || net_slab_may_grow(&ns->tcp_pcbs));
}
struct tcp_pcb *tcp_pcb_new(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_opts *opts);
void tcp_pcb_insert(struct tcp_pcb *pcb);
/* Drops queues, timers and table entry, but not the handle. */
void tcp_pcb_release(struct tcp_pcb *pcb);
void tcp_pcb_free(struct tcp_pcb *pcb);
/* Ends the connection: tells the user, or frees it if the user is gone.
 * Returns with pcb possibly freed. error 0: orderly. */
void tcp_pcb_done(struct tcp_pcb *pcb, int error);
void tcp_set_state(struct tcp_pcb *pcb, enum tcp_state state);
void tcp_mark_dirty(struct tcp_pcb *pcb);
void tcp_unmark_dirty(struct tcp_pcb *pcb);
void tcp_flush(struct net_stack *ns);
void tcp_enter_timewait(struct tcp_pcb *pcb);
void tcp_established(struct tcp_pcb *pcb);
/* A connection that nobody has accepted, or that its user has closed, is no handle: no events. */
static inline void tcp_post(struct tcp_pcb *pcb, unsigned events)
{
    if (net_likely(!(pcb->user_gone | pcb->unaccepted)))
        net_event_post(pcb->ns, &pcb->ep, events);
}
void tcp_free_parts(struct pbuf *head);

/* Out of the flow table. */
static inline void tcp_flow_remove(struct net_stack *ns, struct net_flow *f)
{
    if (ns->last_flow == f)
        ns->last_flow = NULL;
    net_flow_remove(&ns->flows, f);
}

/* tcp_addr.c */
uint32_t tcp_isn(struct net_stack *ns, const struct net_flow_key *key);
uint32_t tcp_ts_offset(struct net_stack *ns, const struct net_flow_key *key);
static inline uint32_t tcp_ts_now(const struct net_stack *ns, uint32_t offset) { return (uint32_t)(ns->now_ns / NET_NS_PER_MS) + offset; }
/* A free local port for key's other three, 0 if none. */
uint16_t tcp_pick_port(struct net_stack *ns, struct net_flow_key *key);
/* 0 or an error of net_path_find(); keeps pcb->mss current. */
int tcp_path_slow(struct tcp_pcb *pcb);
static inline int tcp_path(struct tcp_pcb *pcb)
{
    return net_likely(pcb->path.generation == pcb->ns->path_generation) ? 0 : tcp_path_slow(pcb);
}
/* peer_mss: as announced, 0: as known. Returns what we may announce. */
uint32_t tcp_set_mss(struct tcp_pcb *pcb, uint32_t peer_mss);
/* Of what is sent now, layer 3; 576 if nothing is known. */
static inline uint32_t tcp_path_mtu(const struct tcp_pcb *pcb)
{
    uint32_t mtu = pcb->path.mtu ? pcb->path.mtu : 576;
    return net_unlikely(pcb->plp_on) ? net_min(mtu, (uint32_t)pcb->plp_mtu) : mtu;
}
uint16_t tcp_advertised_mss(struct net_stack *ns, const struct net_addr *remote, uint32_t mtu, uint16_t maxseg);
uint8_t tcp_choose_wscale(const struct tcp_opts *opts);

/* tcp_opt.c */
bool tcp_parse_options_slow(struct tcp_in *in, const uint8_t *p, uint32_t bytes);
/* False if malformed. p is the whole header of `bytes`. */
static inline bool tcp_parse_options(struct tcp_in *in, const uint8_t *p, uint32_t bytes)
{
    /* The usual case: NOP NOP TS and nothing else (RFC 7323 appendix A). */
    if (net_unlikely(bytes != TCP_HEADER_BYTES + TCP_TS_OPTION_BYTES || load32(p + TCP_HEADER_BYTES) != net_bswap32(0x0101080a)))
        return bytes == TCP_HEADER_BYTES || tcp_parse_options_slow(in, p, bytes);
    in->has_ts = 1;
    in->tsval = get_be32(p + TCP_HEADER_BYTES + 4);
    in->tsecr = get_be32(p + TCP_HEADER_BYTES + 8);
    return true;
}

/* tcp_input.c */
/* A segment whose headers are checked, of a flow that was looked up (NULL: there is none). Of in->rx, tos and group are set. Clears in->pb
 * if it takes that over. */
void tcp_dispatch(struct net_stack *ns, struct tcp_in *in, const struct net_flow_key *key, struct net_flow *flow);
/* Takes one of the SYNs that are let in; false: too many. */
bool tcp_syn_allowed(struct net_stack *ns);
void tcp_segment_input(struct tcp_pcb *pcb, struct tcp_in *in);
void tcp_challenge_ack(struct tcp_pcb *pcb);

/* tcp_listen.c */
/* hash: of key in the flow table. */
struct tcp_listener *tcp_find_listener(struct net_stack *ns, const struct net_flow_key *key, uint32_t hash);
void tcp_listen_input(struct tcp_listener *l, struct tcp_in *in, const struct net_flow_key *key);
void tcp_synreq_input(struct tcp_synreq *req, struct tcp_in *in);
void tcp_synreq_drop(struct tcp_synreq *req);
/* A new connection out of a finished handshake, on the accept queue; NULL if there is no room. Takes the place of the half-open one
 * it comes from (NULL: there is none), which is gone whether it succeeds or not; hs may lie in that. */
struct tcp_pcb *tcp_listener_spawn(struct tcp_listener *l, const struct tcp_handshake *hs, struct tcp_synreq *from);
uint32_t tcp_initial_window(const struct tcp_opts *opts);

/* The same for one that has come from elsewhere: behind those that wait already. */
void tcp_listener_append(struct tcp_listener *l, struct tcp_pcb *pcb);
/* req->flow.key, listener, hs and times are set; the SYN-ACK goes again in left_ns. */
void tcp_synreq_insert(struct net_stack *ns, struct tcp_synreq *req, uint64_t left_ns);

/* tcp_cookie.c */
#define TCP_COOKIE_NS (128 * NET_NS_PER_S) /* for how long one is good */
void tcp_cookie_send(struct tcp_listener *l, const struct tcp_in *in, const struct net_flow_key *key);
/* True and *hs filled in if in acknowledges a cookie of ours. */
bool tcp_cookie_check(struct net_stack *ns, const struct tcp_in *in, const struct net_flow_key *key, struct tcp_handshake *hs);

/* tcp_fastopen.c */
/* 0 or -NET_ENOMEM. cookie_key is set. */
int tcp_fo_init(struct net_stack *ns, const struct siphash_key *table_key);
void tcp_fo_fini(struct net_stack *ns);
/* Our cookie for key->remote. */
void tcp_fo_make(struct net_stack *ns, const struct net_flow_key *key, struct tcp_fo_cookie *out);
/* A SYN with the option, hs is filled in. True if it was answered (a connection waits to be accepted); false: let the
 * handshake go its way, with hs->fo_cookie set if the SYN-ACK is to bring a cookie. */
bool tcp_fo_listen(struct tcp_listener *l, struct tcp_in *in, struct tcp_handshake *hs);
void tcp_fo_established(struct tcp_pcb *pcb);
void tcp_fo_released(struct tcp_pcb *pcb);
void tcp_fo_listener_closed(struct tcp_listener *l);
/* key->remote has given us a cookie and announced mss. */
void tcp_fo_learn(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_fo_cookie *cookie, uint16_t mss);
/* Whether the SYN or SYN-ACK that is about to go carries the option. */
bool tcp_fo_option(struct tcp_pcb *pcb, struct tcp_fo_cookie *out);
/* Queued bytes that may ride on our first SYN. */
uint32_t tcp_fo_syn_bytes(struct tcp_pcb *pcb);
/* The SYN-ACK has come and was processed. */
void tcp_fo_answered(struct tcp_pcb *pcb, const struct tcp_in *in);
/* The connection ends with an error; its state is still what it was. */
void tcp_fo_failed(struct tcp_pcb *pcb, int error);

/* tcp_timewait.c */
void tcp_timewait_new(struct tcp_pcb *pcb);
/* tw->flow.key, the numbers and ack_ns are set; it ends in left_ns. */
void tcp_timewait_insert(struct net_stack *ns, struct tcp_timewait *tw, uint64_t left_ns);
/* True if the segment may open a new connection (the entry is gone then). */
bool tcp_timewait_input(struct tcp_timewait *tw, struct tcp_in *in);
void tcp_timewait_drop(struct tcp_timewait *tw);

/* tcp_ack.c */
/* What one ACK told us. */
struct tcp_ack_news {
    uint32_t acked;          /* bytes by which snd_una moved */
    uint32_t delivered;      /* bytes newly acknowledged or SACKed */
    uint32_t newly_sacked;
    uint32_t newly_lost;
    uint64_t rtt_sent_ns;    /* oldest acknowledged segment that was sent once, 0: none */
    uint32_t in_flight_before;
    uint8_t orig_delivered;  /* something sent only once, within high_seq */
    uint8_t retrans_acked, dsack, ece, syn_acked;
    uint8_t is_dup;
};
/* False if the segment must be dropped. */
bool tcp_ack_input(struct tcp_pcb *pcb, struct tcp_in *in);
bool tcp_update_window(struct tcp_pcb *pcb, const struct tcp_in *in);
/* After acked bytes more: does the user want to know? */
void tcp_wake_writer(struct tcp_pcb *pcb, uint32_t acked);

/* The peer has answered, so its neighbour lives (RFC 4861 7.3.1). One of a path that is out of date may be gone. */
static inline void tcp_confirm(struct tcp_pcb *pcb)
{
    struct neigh *n = pcb->path.neigh;
    if (n && pcb->path.generation == pcb->ns->path_generation && n->state != NEIGH_REACHABLE)
        neigh_confirm(n);
}

/* tcp_fast.c */
/* Whether all that is outstanding was sent once, in order, and the ACK says nothing but how far the peer has come. */
static inline bool tcp_is_calm(const struct tcp_pcb *pcb, const struct tcp_in *in)
{
    return !(pcb->trouble[0] | pcb->trouble[1] | pcb->trouble[2] | pcb->deadlines[TCP_T_REO] | in->sack_count);
}
/* What tcp_ack_input() comes to then, in a fraction of its instructions. */
void tcp_ack_calm(struct tcp_pcb *pcb, uint32_t ack);
/* Lets go of the parts of the send queue that are wholly acknowledged. */
void tcp_free_sent(struct tcp_pcb *pcb, uint32_t ack);
/* Header prediction: true if the segment is the next in order, or an ACK alone, on an established connection with which
 * nothing is wrong. All that tcp_segment_input() would do is done then, but for the data and the FIN. False: nothing is done. Of in, rx, the ports
 * and what SYNs bring need not be set. */
bool tcp_predict(struct tcp_pcb *pcb, const struct tcp_in *in);
void tcp_rtt_sample(struct tcp_pcb *pcb, uint32_t rtt_us);
/* A round trip that took longer than any timeout counts as that: more would wrap, and teaches nothing. */
static inline uint32_t tcp_elapsed_us(uint64_t now_ns, uint64_t then_ns)
{
    return (uint32_t)net_min((now_ns - then_ns) / NET_NS_PER_US, (uint64_t)TCP_RTO_MAX_US);
}

/* tcp_sack.c: the scoreboard */
struct tcp_seg *tcp_seg_new(struct tcp_pcb *pcb, uint32_t seq, uint32_t end, uint16_t flags, struct pbuf *pb);
void tcp_seg_free(struct tcp_pcb *pcb, struct tcp_seg *s);
/* Splits at seq, which lies inside; 0 or -NET_ENOMEM. */
int tcp_seg_split(struct tcp_pcb *pcb, struct tcp_seg *s, uint32_t seq);
void tcp_seg_sent(struct tcp_pcb *pcb, struct tcp_seg *s);
void tcp_seg_mark_lost(struct tcp_pcb *pcb, struct tcp_seg *s);
void tcp_seg_unmark_lost(struct tcp_pcb *pcb);
void tcp_sack_input(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news);
void tcp_sack_forget(struct tcp_pcb *pcb);
/* A segment was delivered: RACK, RTT and F-RTO bookkeeping. */
void tcp_seg_delivered(struct tcp_pcb *pcb, struct tcp_seg *s, struct tcp_ack_news *news);
static inline uint32_t tcp_seg_payload(const struct tcp_seg *s)
{
    return s->end - s->seq - ((s->flags & SEG_SYN) ? 1 : 0) - ((s->flags & SEG_FIN) ? 1 : 0);
}
static inline uint32_t tcp_in_flight(const struct tcp_pcb *pcb)
{
    uint32_t out = pcb->snd_nxt - pcb->snd_una, gone = pcb->sacked_bytes + pcb->lost_bytes + pcb->dup_bytes;
    return gone < out ? out - gone : 0;
}

/* Queued bytes not sent yet; FIN is not counted. */
static inline uint32_t tcp_unsent(const struct tcp_pcb *pcb) { return pcb->fin_sent ? 0 : pcb->write_seq - pcb->snd_nxt; }

/* Payload that fits beside the options of the next segment (RFC 6691): mss allows for time stamps,
 * SACK blocks come on top while there is something to report. */
static inline uint32_t tcp_send_mss(const struct tcp_pcb *pcb)
{
    if (net_likely(!pcb->islands && !pcb->dsack_valid) || !pcb->sack_ok)
        return pcb->mss;
    uint32_t blocks = net_min(pcb->island_count + pcb->dsack_valid, pcb->ts_ok ? 3u : 4u), bytes = 4 + 8 * blocks;
    return pcb->mss > 2 * bytes ? pcb->mss - bytes : pcb->mss / 2;
}

/* tcp_rack.c */
void tcp_rack_on_ack(struct tcp_pcb *pcb, struct tcp_ack_news *news);
void tcp_rack_timeout(struct tcp_pcb *pcb);
bool tcp_tlp_arm(struct tcp_pcb *pcb);
void tcp_tlp_timeout(struct tcp_pcb *pcb);
void tcp_tlp_on_ack(struct tcp_pcb *pcb, uint32_t ack, const struct tcp_ack_news *news);

/* tcp_recovery.c */
void tcp_recovery_on_ack(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news);
void tcp_enter_cwr(struct tcp_pcb *pcb);
void tcp_enter_loss(struct tcp_pcb *pcb);
void tcp_enter_recovery(struct tcp_pcb *pcb);

/* tcp_cc.c */
void tcp_cc_init(struct tcp_pcb *pcb);
void tcp_cc_slow_start(struct tcp_pcb *pcb, uint32_t acked);
/* RFC 7661 4.1, RFC 9438 5.8: the window grows only while it is what limits us. */
static inline void tcp_cc_on_ack(struct tcp_pcb *pcb, uint32_t acked, uint32_t in_flight_before)
{
    if (pcb->cwnd < pcb->ssthresh ? pcb->cwnd < 2 * in_flight_before : pcb->cwnd <= in_flight_before + 3 * pcb->mss)
        pcb->cc->on_ack(pcb, acked);
}
uint32_t tcp_initial_cwnd(uint32_t mss);

/* tcp_output.c */
void tcp_output(struct tcp_pcb *pcb);
/* The SYN or SYN-ACK, for the first time or again. The first SYN takes data along if TCP_FO_ACTIVE is set and a cookie is known. */
void tcp_send_syn(struct tcp_pcb *pcb);
/* Sends s again. False if it could not be built or queued. */
bool tcp_retransmit(struct tcp_pcb *pcb, struct tcp_seg *s);
void tcp_persist_probe(struct tcp_pcb *pcb);
bool tcp_send_tail_probe(struct tcp_pcb *pcb);

/* tcp_migrate.c */
/* The image of a synchronized connection, whoever has it or waits for it. */
size_t tcp_image_bytes(const struct tcp_pcb *pcb);
void tcp_image_write(const struct tcp_pcb *pcb, void *out);
/* False if it is too short; nothing else is checked. */
bool tcp_image_key(const void *image, size_t bytes, struct net_flow_key *key);
bool tcp_key_plausible(const struct net_flow_key *key);

/* tcp_plpmtud.c */
/* After so many timeouts in a row of the first segment: are large ones swallowed? */
void tcp_plp_timeout(struct tcp_pcb *pcb, unsigned tries);
/* The payload of a probe that may go now, 0: none, TCP_PLP_WAIT: as soon as what is in flight leaves room in the
 * congestion window. wnd and cwnd are what is left of them. */
#define TCP_PLP_WAIT UINT32_MAX
uint32_t tcp_plp_probe(struct tcp_pcb *pcb, uint32_t unsent, uint32_t wnd, uint32_t cwnd);
void tcp_plp_sent(struct tcp_pcb *pcb);
/* The outstanding probe has come through; was lost with other things. */
void tcp_plp_delivered(struct tcp_pcb *pcb);
void tcp_plp_inconclusive(struct tcp_pcb *pcb);
/* True if the probe is all that was lost: it is repaired then, and congestion control need not hear of it. */
bool tcp_plp_lost(struct tcp_pcb *pcb);

/* tcp_xmit.c */
struct tcp_xmit { uint32_t seq, len; struct pbuf *pb; uint16_t flags; bool whole; /* one packet, although longer than mss */ };
/* Builds and sends one segment of the connection. 0 or -NET_E... */
int tcp_xmit(struct tcp_pcb *pcb, const struct tcp_xmit *x);
void tcp_send_ack(struct tcp_pcb *pcb);
/* Zero-length segment at seq, for keepalive probes. */
void tcp_send_ack_at(struct tcp_pcb *pcb, uint32_t seq);
void tcp_send_reset(struct tcp_pcb *pcb);
void tcp_send_raw(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_out *out);
/* What answers a SYN before there is a connection. path: where the last one went, or all 0. */
void tcp_synack(struct net_stack *ns, const struct tcp_handshake *hs, const struct tcp_opts *opts, struct net_path *path);
/* The reset that answers a segment for which there is no connection. */
void tcp_reset_for(struct net_stack *ns, const struct net_flow_key *key, const struct tcp_in *in);

/* tcp_recv.c */
void tcp_data_input(struct tcp_pcb *pcb, struct tcp_in *in);
/* The same for data that tcp_predict() has found to come next. */
void tcp_data_in_order(struct tcp_pcb *pcb, struct tcp_in *in);
/* The same for a FIN that comes next, once the data in front of it is taken. May free pcb. */
void tcp_fin_in_order(struct tcp_pcb *pcb);
/* The window to advertise, scaled down; moves rcv_adv. */
uint16_t tcp_window_field(struct tcp_pcb *pcb, bool syn);
void tcp_window_freed(struct tcp_pcb *pcb, uint32_t bytes);
unsigned tcp_build_sacks(struct tcp_pcb *pcb, struct tcp_sack out[4], unsigned room);
void tcp_rcv_init(struct tcp_pcb *pcb);
void tcp_rcv_free(struct tcp_pcb *pcb);

/* Sequence number of the next byte that the user will read. */
static inline uint32_t tcp_read_seq(const struct tcp_pcb *pcb) { return pcb->rcv_nxt - pcb->fin_received - pcb->rcv_bytes; }
/* Drops n <= rcv_bytes from the front of the queue. */
void tcp_rcv_drop(struct tcp_pcb *pcb, uint32_t n);

/* tcp_urg.c */
void tcp_urgent_input(struct tcp_pcb *pcb, const struct tcp_in *in);
/* How much may be read in one go. Skips an urgent byte that the reader stands on, if it is out of line. */
uint32_t tcp_urgent_stop(struct tcp_pcb *pcb);

/* tcp_timer.c */
void tcp_timer_fire(struct net_timer *t);
/* The wheel entry alone; a deadline is set as well. */
void tcp_timer_arm(struct tcp_pcb *pcb, uint64_t at_ns);
static inline void tcp_deadline_set(struct tcp_pcb *pcb, enum tcp_deadline which, uint64_t at_ns)
{
    pcb->deadlines[which] = at_ns;
    if (net_unlikely(!pcb->timer_tick || (at_ns >> TIMER_TICK_SHIFT) + 1 < pcb->timer_tick))
        tcp_timer_arm(pcb, at_ns);
}
/* The wheel entry stays; it finds nothing due when it fires. */
static inline void tcp_deadline_clear(struct tcp_pcb *pcb, enum tcp_deadline which) { pcb->deadlines[which] = 0; }
void tcp_rearm_rtx(struct tcp_pcb *pcb);
void tcp_keepalive_start(struct tcp_pcb *pcb);

#endif
