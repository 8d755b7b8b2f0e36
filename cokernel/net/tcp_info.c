/* SPDX-License-Identifier: BSD-2-Clause */
/* Options and what can be asked about a connection. */
#include "cokernel/net/tcp_internal.h"

static int set(struct tcp_opts *o, enum tcp_option option, int64_t v)
{
    static const struct { int64_t min, max; } range[TCP_OPT_COUNT] = {
        [TCP_OPT_NODELAY] = { 0, 1 }, [TCP_OPT_CORK] = { 0, 1 }, [TCP_OPT_QUICKACK] = { 0, 1 }, [TCP_OPT_KEEPALIVE] = { 0, 1 },
        [TCP_OPT_KEEPIDLE_S] = { 1, 32767 }, [TCP_OPT_KEEPINTVL_S] = { 1, 32767 }, [TCP_OPT_KEEPCNT] = { 1, 127 },
        [TCP_OPT_USER_TIMEOUT_MS] = { 0, 0x7fffffff }, [TCP_OPT_LINGER_S] = { -1, 0x7fffffff },
        [TCP_OPT_SNDBUF] = { 2048, TCP_SNDBUF_MAX }, [TCP_OPT_RCVBUF] = { 1024, TCP_RCVBUF_MAX },
        [TCP_OPT_MAXSEG] = { 88, 32767 }, [TCP_OPT_CONGESTION] = { 0, TCP_CC_COUNT - 1 }, [TCP_OPT_TOS] = { 0, 255 },
        [TCP_OPT_TTL] = { 1, 255 }, [TCP_OPT_ECN] = { 0, 1 }, [TCP_OPT_PACING] = { 0, INT64_MAX }, [TCP_OPT_NOTIFY_ACKED] = { 0, 1 },
        [TCP_OPT_LINGER2_S] = { 0, 120 }, [TCP_OPT_OOBINLINE] = { 0, 1 },
        [TCP_OPT_FASTOPEN] = { 0, 65535 },
    };
    if ((unsigned)option >= TCP_OPT_COUNT)
        return -NET_ENOPROTOOPT;
    if (v < range[option].min || v > range[option].max)
        return -NET_EINVAL;
    switch (option) {
    case TCP_OPT_NODELAY: o->nodelay = (uint8_t)v; break;
    case TCP_OPT_CORK: o->cork = (uint8_t)v; break;
    case TCP_OPT_KEEPALIVE: o->keepalive = (uint8_t)v; break;
    case TCP_OPT_KEEPIDLE_S: o->keep_idle_s = (uint32_t)v; break;
    case TCP_OPT_KEEPINTVL_S: o->keep_intvl_s = (uint32_t)v; break;
    case TCP_OPT_KEEPCNT: o->keep_count = (uint8_t)v; break;
    case TCP_OPT_USER_TIMEOUT_MS: o->user_timeout_ms = (uint32_t)v; break;
    case TCP_OPT_LINGER_S: o->linger_s = (int32_t)v; break;
    case TCP_OPT_SNDBUF: o->sndbuf = (uint32_t)v; break;
    case TCP_OPT_RCVBUF: o->rcvbuf = (uint32_t)v; o->rcvbuf_locked = 1; break;
    case TCP_OPT_MAXSEG: o->maxseg = (uint16_t)v; break;
    case TCP_OPT_CONGESTION: o->cc = (uint8_t)v; break;
    case TCP_OPT_TOS: o->tos = (uint8_t)(v & ~3); break; /* the ECN bits are ours */
    case TCP_OPT_TTL: o->ttl = (uint8_t)v; break;
    case TCP_OPT_ECN: o->ecn = (uint8_t)v; break;
    case TCP_OPT_PACING: o->pacing_rate = (uint64_t)v; break;
    case TCP_OPT_NOTIFY_ACKED: o->notify_acked = (uint8_t)v; break;
    case TCP_OPT_LINGER2_S: o->linger2_s = (uint32_t)v; break;
    case TCP_OPT_OOBINLINE: o->oobinline = (uint8_t)v; break;
    case TCP_OPT_FASTOPEN: o->fastopen = (uint32_t)v; break;
    default: break;
    }
    return 0;
}

int tcp_listener_set(struct tcp_listener *l, enum tcp_option option, int64_t v) { return set(&l->opts, option, v); }

int tcp_set(struct tcp_pcb *pcb, enum tcp_option option, int64_t v)
{
    int err = set(&pcb->opts, option, v);
    if (err < 0 || pcb->state == TCP_CLOSED)
        return err;
    switch (option) {
    case TCP_OPT_NODELAY:
    case TCP_OPT_CORK:
        tcp_mark_dirty(pcb);
        break;
    case TCP_OPT_QUICKACK:
        pcb->quickacks = v ? 16 : 0;
        break;
    case TCP_OPT_KEEPALIVE:
    case TCP_OPT_KEEPIDLE_S:
        if (pcb->opts.keepalive && pcb->state != TCP_SYN_SENT && pcb->state != TCP_SYN_RCVD)
            tcp_keepalive_start(pcb);
        break;
    case TCP_OPT_CONGESTION:
        if (pcb->cc != tcp_cc_table[v]) {
            pcb->cc = tcp_cc_table[v];
            pcb->cc->init(pcb);
        }
        break;
    case TCP_OPT_MAXSEG:
        tcp_set_mss(pcb, 0);
        break;
    default:
        break;
    }
    return 0;
}

int64_t tcp_get(const struct tcp_pcb *pcb, enum tcp_option option)
{
    const struct tcp_opts *o = &pcb->opts;
    switch (option) {
    case TCP_OPT_NODELAY: return o->nodelay;
    case TCP_OPT_CORK: return o->cork;
    case TCP_OPT_QUICKACK: return pcb->quickacks != 0;
    case TCP_OPT_KEEPALIVE: return o->keepalive;
    case TCP_OPT_KEEPIDLE_S: return o->keep_idle_s;
    case TCP_OPT_KEEPINTVL_S: return o->keep_intvl_s;
    case TCP_OPT_KEEPCNT: return o->keep_count;
    case TCP_OPT_USER_TIMEOUT_MS: return o->user_timeout_ms;
    case TCP_OPT_LINGER_S: return o->linger_s;
    case TCP_OPT_SNDBUF: return o->sndbuf;
    case TCP_OPT_RCVBUF: return o->rcvbuf;
    case TCP_OPT_MAXSEG: return pcb->mss;
    case TCP_OPT_CONGESTION: return o->cc;
    case TCP_OPT_TOS: return o->tos;
    case TCP_OPT_TTL: return o->ttl;
    case TCP_OPT_ECN: return o->ecn;
    case TCP_OPT_PACING: return (int64_t)o->pacing_rate;
    case TCP_OPT_NOTIFY_ACKED: return o->notify_acked;
    case TCP_OPT_LINGER2_S: return o->linger2_s;
    case TCP_OPT_OOBINLINE: return o->oobinline;
    case TCP_OPT_FASTOPEN: return o->fastopen;
    default: return -NET_ENOPROTOOPT;
    }
}

void tcp_info(const struct tcp_pcb *pcb, struct tcp_conn_info *i)
{
    uint32_t segs = 0, all = 0;
    for (const struct tcp_seg *s = pcb->rtx_head; s; s = s->next, all++)
        segs += (s->flags & SEG_RETRANS) != 0;
    *i = (struct tcp_conn_info){
        .local = pcb->flow.key.local, .remote = pcb->flow.key.remote,
        .local_port = pcb->flow.key.local_port, .remote_port = pcb->flow.key.remote_port,
        .state = pcb->state, .ca_state = pcb->ca_state, .retransmits = pcb->retries, .probes = pcb->persist_probes,
        .backoff = pcb->backoff, .opt_timestamps = pcb->ts_ok, .opt_sack = pcb->sack_ok, .opt_wscale = pcb->ws_ok, .opt_ecn = pcb->ecn_ok,
        .opt_syn_data = (pcb->fo & TCP_FO_TAKEN) != 0,
        .snd_wscale = pcb->snd_wscale, .rcv_wscale = pcb->rcv_wscale, .rto_us = pcb->rto_us,
        .ato_us = (uint32_t)(TCP_DELACK_NS / NET_NS_PER_US), .snd_mss = pcb->mss, .rcv_mss = pcb->rcv_mss,
        .unacked_bytes = pcb->snd_nxt - pcb->snd_una, .sacked_bytes = pcb->sacked_bytes, .lost_bytes = pcb->lost_bytes,
        .retrans_segments = segs, .total_retrans = pcb->total_retrans, .pmtu = tcp_path_mtu(pcb), .rcv_ssthresh = pcb->opts.rcvbuf,
        .rtt_us = pcb->srtt_us, .rttvar_us = pcb->rttvar_us, .snd_ssthresh_bytes = pcb->ssthresh, .snd_cwnd_bytes = pcb->cwnd,
        .advmss = pcb->adv_mss, .reordering = pcb->reordering_seen, .rcv_space = pcb->rcv_space,
        .min_rtt_us = pcb->min_rtt_us == UINT32_MAX ? 0 : pcb->min_rtt_us, .notsent_bytes = tcp_unsent(pcb),
        .snd_wnd = pcb->snd_wnd, .rcv_wnd = seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0,
        .send_queue_bytes = pcb->snd_head ? pcb->write_seq - pcb->snd_una : 0, .receive_queue_bytes = pcb->rcv_bytes,
        .bytes_acked = pcb->bytes_acked, .bytes_received = pcb->bytes_received, .bytes_sent = pcb->bytes_sent,
        .bytes_retrans = pcb->bytes_retrans, .segs_out = pcb->segs_out, .segs_in = pcb->segs_in, .pacing_rate = pcb->opts.pacing_rate,
        .memory_bytes = sizeof *pcb + pcb->snd_true + pcb->rcv_true + all * sizeof(struct tcp_seg),
        .congestion = tcp_cc_table[pcb->opts.cc]->name,
    };
}

void tcp_each(struct net_stack *ns, void (*visit)(struct tcp_pcb *, void *), void *ctx)
{
    for (struct tcp_pcb *pcb = ns->pcbs, *next; pcb; pcb = next) {
        next = pcb->all_next;
        visit(pcb, ctx);
    }
}

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[] = {
        [TCP_ESTABLISHED] = "ESTAB", [TCP_SYN_SENT] = "SYN-SENT", [TCP_SYN_RCVD] = "SYN-RECV", [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
        [TCP_FIN_WAIT_2] = "FIN-WAIT-2", [TCP_TIME_WAIT] = "TIME-WAIT", [TCP_CLOSED] = "CLOSED", [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [TCP_LAST_ACK] = "LAST-ACK", [TCP_LISTEN] = "LISTEN", [TCP_CLOSING] = "CLOSING",
    };
    return (unsigned)state < sizeof names / sizeof *names && names[state] ? names[state] : "?";
}
