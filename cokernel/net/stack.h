/* SPDX-License-Identifier: BSD-2-Clause */
/* An instance from the inside. For cokernel/net/ only; users include net.h. */
#ifndef NET_STACK_H
#define NET_STACK_H

#include "cokernel/net/flow.h"
#include "cokernel/net/frag.h"
#include "cokernel/net/iface.h"
#include "cokernel/net/neigh.h"
#include "cokernel/net/net.h"
#include "cokernel/net/route.h"
#include "cokernel/net/timer.h"

struct tcp_listener;
struct tcp_pcb;
struct udp_pcb;
struct dhcp4;

/* A received packet on its way up. Headers lie in the first part; data moves past them. */
struct net_rx {
    struct net_iface *iface;
    struct pbuf *pb;
    union {
        struct { struct net_addr dst, src; };
        struct net_flow_key flow; /* as we see it; the ports are set by whoever knows them */
    };
    uint8_t *ip;        /* the IP header, for what ICMP quotes */
    uint32_t ip_bytes;  /* header length, extension headers included */
    uint8_t proto, tos, ttl;
    uint8_t group;      /* sent to a group or broadcast, at layer 2 or 3 */
};

/* A packet on its way down. */
struct net_tx {
    struct net_addr src, dst;
    uint8_t proto, tos, ttl; /* ttl 0: the default */
    uint8_t dont_fragment;
    uint8_t router_alert;    /* IPv4; never with what may need fragments */
};

struct net_counters {
    uint64_t eth_unknown, vlan_unknown;
    uint64_t ip_bad_header, ip_bad_cksum, ip_bad_options, ip_no_route, ip_not_ours, ip_no_proto;
    uint64_t frag_in, frag_done, frag_dropped, frag_timeout, frag_out, frag_overlap;
    uint64_t arp_conflicts, neigh_failed, neigh_limit;
    uint64_t icmp_in, icmp_bad, icmp_limited, icmp_echo;
    uint64_t udp_in, udp_out, udp_bad_cksum, udp_no_port, udp_full;
    uint64_t tcp_in, tcp_out, tcp_bad_cksum, tcp_bad_header, tcp_no_port, tcp_rst_out, tcp_rst_in;
    uint64_t tcp_opened, tcp_accepted, tcp_listen_overflow, tcp_syn_dropped, tcp_closed, tcp_timeouts;
    uint64_t tcp_retransmits, tcp_rto, tcp_rto_spurious, tcp_tlp, tcp_fast_recovery, tcp_undo;
    uint64_t tcp_dsack_in, tcp_dsack_out, tcp_sack_reneged, tcp_lost_marked;
    uint64_t tcp_out_of_order, tcp_duplicate, tcp_paws, tcp_out_of_window, tcp_challenge_ack, tcp_challenge_limited;
    uint64_t tcp_cookies_sent, tcp_cookies_ok, tcp_cookies_bad;
    uint64_t tcp_ooo_pruned, tcp_rcv_collapsed, tcp_persist_probes, tcp_keepalives;
    uint64_t tcp_timewait_reused, tcp_ecn_ce, tcp_ecn_reduced, tcp_predicted, tcp_aborted_memory;
    uint64_t tcp_exported, tcp_imported, tcp_gro_merged;
    uint64_t tcp_black_holes, tcp_mtu_probes;
    uint64_t tcp_fastopen_in, tcp_fastopen_out, tcp_fastopen_bad, tcp_fastopen_limited, tcp_fastopen_lost;
    uint64_t memory_refused, dhcp_declined;
};

/* What net_path_find() answered lately: good as long as nothing about routes, addresses, neighbours and MTUs changes. */
struct net_path_memo {
    struct net_addr dst, asked, src;
    struct net_path path;
    uint32_t ts_offset;  /* tcp_ts_offset() of this pair of hosts, if ts_known */
    bool ts_known;
};
#define NET_PATH_MEMOS 64u
static inline struct net_path_memo *net_path_memo(struct net_path_memo memos[NET_PATH_MEMOS], const struct net_addr *dst)
{
    return &memos[(dst->w[0] ^ net_bswap32(dst->w[3])) % NET_PATH_MEMOS];
}

#define NET_BOUND_BUCKETS 256u
#define NET_ICMP_BURST 50u

struct net_stack {
    const struct net_env *env;
    uint64_t now_ns;            /* as of the current poll */
    struct net_mem mem;
    struct net_wheel wheel;
    struct pbuf_pools pools;
    struct net_flow_table flows; /* TCP connections, half-open ones, TIME_WAIT; connected UDP */
    struct net_flow *last_flow;  /* most recent hit, a connection or a half-open one; cleared when it is removed */
    struct tcp_pcb *dirty_head, **dirty_tail; /* connections with something to send */
    struct net_endpoint *ready_head, **ready_tail;
    struct net_iface *ifaces, *nics;
    uint32_t path_generation;
    uint32_t iface_count;

    struct net_counters counters;

    struct net_slab tcp_pcbs, tcp_segs, tcp_syns, tcp_timewaits, tcp_islands;
    struct tcp_listener *listeners[NET_BOUND_BUCKETS];
    struct udp_pcb *udp_bound[NET_BOUND_BUCKETS];
    struct tcp_pcb *pcbs;        /* all of them, for listing and teardown */
    struct net_slab endpoints;   /* listeners and UDP endpoints */
    uint32_t syn_count, timewait_count;

    struct net_flow_table neighs;
    struct net_slab neigh_slab;
    uint32_t neigh_incomplete;
    struct net_route *routes;
    struct net_path_memo paths[NET_PATH_MEMOS];
    struct net_timer_queue syn_wait; /* half-open connections whose SYN-ACK was sent once */
    struct net_timer path_timer; /* when something that paths rest on expires */
    struct net_slab route_slab;
    struct net_flow_table pmtus;
    struct net_slab pmtu_slab;
    struct frag_table frags;
    struct net_iface *loopback;
    struct dhcp4 *dhcps;
    struct pbuf_queue loop_queue;

    struct siphash_key isn_key, port_key, cookie_key, ident_key;
    struct siphash_key random_key;
    uint64_t random_counter;
    uint32_t port_offset;
    uint32_t shard, shard_count;
    /* token buckets */
    uint64_t icmp_refill_ns;
    uint32_t icmp_tokens;
    uint64_t challenge_refill_ns;
    uint32_t challenge_tokens;
    uint64_t cookie_until_ns;    /* cookies are accepted until then */
    uint64_t syn_refill_ns;
    uint32_t syn_tokens;

    /* Fast Open: tcp_fastopen.c */
    struct siphash_key fo_key;
    struct net_flow_table fo_table;
    struct net_slab fo_peers;
    uint64_t fo_off_until_ns;    /* as client, whoever the peer */
    uint32_t fo_losses;          /* SYNs with data that were lost in a row */
};

/* What is remembered of the path from src to dst, NULL: nothing that is still good. */
static inline const struct net_path_memo *net_path_known(struct net_stack *ns, const struct net_addr *src, const struct net_addr *dst)
{
    const struct net_path_memo *m = net_path_memo(ns->paths, dst);
    return m->path.generation == ns->path_generation && net_addr_eq(&m->dst, dst) && net_addr_eq(&m->asked, src) ? m : NULL;
}

/* Unpredictable to anybody outside. */
uint64_t net_random(struct net_stack *ns);
void net_log(struct net_stack *ns, enum net_log_level level, const char *text);

static inline void net_paths_changed(struct net_stack *ns)
{
    if (++ns->path_generation == 0)
        ns->path_generation = 1;
}

void net_event_post(struct net_stack *ns, struct net_endpoint *ep, unsigned events);
void net_event_forget(struct net_stack *ns, struct net_endpoint *ep);

/* Layer by layer; each takes over the packet. */
void eth_input(struct net_iface *iface, struct pbuf *pb);
void eth_output(struct net_iface *iface, const struct net_mac *dst, uint16_t ethertype, struct pbuf *pb);
void arp_input(struct net_iface *iface, struct pbuf *pb);
void ip4_input(struct net_iface *iface, struct pbuf *pb);
void ip6_input(struct net_iface *iface, struct pbuf *pb);
/* False for addresses that cannot be a source (RFC 1122 3.2.1.3). */
bool ip4_source_ok(struct net_iface *iface, const struct net_addr *src, uint8_t proto);
void ip4_deliver(struct net_stack *ns, struct net_rx *rx);
void icmp4_input(struct net_stack *ns, struct net_rx *rx);
void igmp_input(struct net_stack *ns, struct net_rx *rx);
void icmp6_input(struct net_stack *ns, struct net_rx *rx);
void udp_input(struct net_stack *ns, struct net_rx *rx);
void tcp_input(struct net_stack *ns, struct net_rx *rx);
/* A whole frame that may be a plain segment of an established connection: takes it over if it is and returns true;
 * else nothing has happened, and it goes through the layers. */
bool tcp_fast_input(struct net_iface *iface, struct pbuf *pb);
/* During a flood: drops those SYNs of a burst that would be too many, before anything is spent on them. Returns how many frames remain. */
unsigned tcp_shed_syns(struct net_stack *ns, struct pbuf **frames, unsigned count);
/* Looks up the connections of a burst of whole frames ahead: ahead[k] is that of frames[k], NULL if it has none that is plain to see.
 * By the time its frame is processed, a connection may be gone: what is there is for tcp_prefetch_rest() alone. */
void tcp_prefetch(struct net_stack *ns, struct pbuf **frames, unsigned count, const struct tcp_pcb *ahead[NET_BURST]);
/* Asks for what a message touches of a connection beyond what tcp_prefetch() has asked for. pcb may be gone, or NULL. */
void tcp_prefetch_rest(const struct tcp_pcb *pcb);

/* Sends a layer-4 packet; pb has headroom. Takes it over whatever happens. 0 or -NET_E... */
int ip_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb);
/* The same for a segment of TCP, never fragmented; the flow is as we see it. */
int ip_output_tcp(struct net_path *path, const struct net_flow_key *flow, uint8_t tos, uint8_t ttl, struct pbuf *pb);
int ip4_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb);
int ip6_output(struct net_stack *ns, struct net_path *path, const struct net_tx *tx, struct pbuf *pb);

/* ICMP tells a connection or endpoint about a problem. flow is as we see it. SOFT may pass by itself (RFC 1122 4.2.3.9). */
enum net_unreach { NET_UNREACH_SOFT, NET_UNREACH_HARD, NET_UNREACH_TOO_BIG };
struct net_icmp_error {
    struct net_flow_key flow;
    enum net_unreach what;
    uint32_t mtu;       /* TOO_BIG */
    uint32_t tcp_seq;   /* of the quoted segment */
    int error;          /* NET_E... */
};
void tcp_icmp_error(struct net_stack *ns, const struct net_icmp_error *e);
void udp_icmp_error(struct net_stack *ns, const struct net_icmp_error *e);

enum net_reject { NET_REJECT_PORT, NET_REJECT_PROTO, NET_REJECT_FRAG_TIME };
/* Answers a packet with an ICMP error within the rate limit. Does not take it over. */
void icmp_reject(struct net_stack *ns, const struct net_rx *rx, enum net_reject why);
/* Takes a token (RFC 1812 4.3.2.8, RFC 4443 2.4 f). */
bool icmp_allowed(struct net_stack *ns);

/* Probing and announcing addresses. */
void arp_start_probe(struct net_ifaddr *ifa);
void arp_announce(struct net_ifaddr *ifa);
void arp_request(struct neigh *n, bool unicast);
void nd_start_dad(struct net_ifaddr *ifa);
void nd_solicit(struct neigh *n, bool unicast);
void nd_start_router_solicit(struct net_iface *iface);

#endif
