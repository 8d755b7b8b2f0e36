/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stack is doing, as text in the manner of ss, and as JSON. */
#include "tools/netrun/netrun.h"

#include <json-c/json.h>

#include "cokernel/net/stack.h"

#define COUNTERS(X) \
    X(ip_bad_header) X(ip_bad_cksum) X(ip_bad_options) X(ip_not_ours) X(ip_no_proto) X(frag_in) X(frag_done) X(frag_dropped) \
    X(frag_timeout) X(frag_out) X(frag_overlap) X(arp_conflicts) X(neigh_failed) X(icmp_in) X(icmp_bad) X(icmp_limited) X(icmp_echo) \
    X(udp_in) X(udp_out) X(udp_bad_cksum) X(udp_no_port) X(udp_full) X(tcp_in) X(tcp_out) X(tcp_bad_cksum) X(tcp_bad_header) \
    X(tcp_no_port) X(tcp_rst_out) X(tcp_rst_in) X(tcp_opened) X(tcp_accepted) X(tcp_listen_overflow) X(tcp_closed) X(tcp_timeouts) \
    X(tcp_retransmits) X(tcp_rto) X(tcp_rto_spurious) X(tcp_tlp) X(tcp_fast_recovery) X(tcp_undo) X(tcp_dsack_in) X(tcp_dsack_out) \
    X(tcp_sack_reneged) X(tcp_lost_marked) X(tcp_out_of_order) X(tcp_duplicate) X(tcp_paws) X(tcp_out_of_window) \
    X(tcp_challenge_ack) X(tcp_cookies_sent) X(tcp_cookies_ok) X(tcp_cookies_bad) X(tcp_persist_probes) X(tcp_keepalives) \
    X(tcp_timewait_reused) X(tcp_gro_merged) X(tcp_black_holes) X(tcp_mtu_probes) X(tcp_fastopen_in) X(tcp_fastopen_out) \
    X(tcp_fastopen_bad) X(tcp_fastopen_limited) X(tcp_fastopen_lost) X(tcp_ecn_ce) X(tcp_ecn_reduced) X(memory_refused)

unsigned netrun_open_connections(struct net_stack *ns) { return ns->tcp_pcbs.in_use; }

static void text_conn(struct tcp_pcb *pcb, void *ctx)
{
    struct tcp_conn_info i;
    char local[46], remote[46];
    tcp_info(pcb, &i);
    net_addr_format(&i.local, local);
    net_addr_format(&i.remote, remote);
    fprintf(ctx, "%-11s %7u %7u %s:%u %s:%u %s%s%s%s wscale:%u,%u rto:%g rtt:%g/%g mss:%u cwnd:%u bytes_acked:%llu bytes_received:%llu retrans:%u\n",
            tcp_state_name(i.state), i.receive_queue_bytes, i.send_queue_bytes, local, i.local_port, remote, i.remote_port, i.congestion,
            i.opt_timestamps ? " ts" : "", i.opt_sack ? " sack" : "", i.opt_ecn ? " ecn" : "", i.snd_wscale, i.rcv_wscale, i.rto_us / 1e3,
            i.rtt_us / 1e3, i.rttvar_us / 1e3, i.snd_mss, i.snd_cwnd_bytes, (unsigned long long)i.bytes_acked,
            (unsigned long long)i.bytes_received, i.total_retrans);
}

void netrun_state_text(struct net_stack *ns, FILE *out)
{
    fprintf(out, "State       Recv-Q  Send-Q  Local Peer\n");
    tcp_each(ns, text_conn, out);
    fprintf(out, "memory %llu of %llu bytes, %u connections, %u half-open, %u waiting\n", (unsigned long long)ns->mem.used_bytes,
            (unsigned long long)ns->mem.limit_bytes, ns->tcp_pcbs.in_use, ns->syn_count, ns->timewait_count);
#define PRINT(name) if (ns->counters.name) fprintf(out, "%s %llu\n", #name, (unsigned long long)ns->counters.name);
    COUNTERS(PRINT)
}

static struct json_object *number(uint64_t v) { return json_object_new_int64((int64_t)v); }

static void json_conn(struct tcp_pcb *pcb, void *ctx)
{
    struct tcp_conn_info i;
    char addr[46];
    struct json_object *o = json_object_new_object();
    tcp_info(pcb, &i);
    json_object_object_add(o, "state", json_object_new_string(tcp_state_name(i.state)));
    net_addr_format(&i.local, addr);
    json_object_object_add(o, "local", json_object_new_string(addr));
    json_object_object_add(o, "local_port", number(i.local_port));
    net_addr_format(&i.remote, addr);
    json_object_object_add(o, "remote", json_object_new_string(addr));
    json_object_object_add(o, "remote_port", number(i.remote_port));
    json_object_object_add(o, "congestion", json_object_new_string(i.congestion));
    json_object_object_add(o, "timestamps", json_object_new_boolean(i.opt_timestamps));
    json_object_object_add(o, "sack", json_object_new_boolean(i.opt_sack));
    json_object_object_add(o, "ecn", json_object_new_boolean(i.opt_ecn));
    json_object_object_add(o, "mss", number(i.snd_mss));
    json_object_object_add(o, "rtt_us", number(i.rtt_us));
    json_object_object_add(o, "rto_us", number(i.rto_us));
    json_object_object_add(o, "cwnd_bytes", number(i.snd_cwnd_bytes));
    json_object_object_add(o, "send_queue_bytes", number(i.send_queue_bytes));
    json_object_object_add(o, "receive_queue_bytes", number(i.receive_queue_bytes));
    json_object_object_add(o, "bytes_acked", number(i.bytes_acked));
    json_object_object_add(o, "bytes_received", number(i.bytes_received));
    json_object_object_add(o, "retransmissions", number(i.total_retrans));
    json_object_array_add(ctx, o);
}

void netrun_state_json(struct net_stack *ns, FILE *out)
{
    struct json_object *root = json_object_new_object(), *conns = json_object_new_array(), *counters = json_object_new_object();
    tcp_each(ns, json_conn, conns);
#define ADD(name) json_object_object_add(counters, #name, number(ns->counters.name));
    COUNTERS(ADD)
    json_object_object_add(root, "connections", conns);
    json_object_object_add(root, "memory_bytes", number(ns->mem.used_bytes));
    json_object_object_add(root, "half_open", number(ns->syn_count));
    json_object_object_add(root, "time_wait", number(ns->timewait_count));
    json_object_object_add(root, "counters", counters);
    fprintf(out, "%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
    json_object_put(root);
}
