/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SYN cookies (RFC 4987 3.6): without memory for a half-open connection, its
 * state goes to the peer and comes back. The sequence number carries a keyed
 * hash, the time and the segment size; window scale, SACK and ECN hide in the
 * low bits of the time stamp that the peer echoes.
 */
#include "cokernel/net/tcp_internal.h"

#define PERIOD_NS (64 * NET_NS_PER_S)
#define PERIODS_VALID 2u
_Static_assert(PERIODS_VALID * PERIOD_NS == TCP_COOKIE_NS, "what others are told");
#define COUNT_BITS 5u
#define MSS_BITS 3u
#define MAC_SHIFT (COUNT_BITS + MSS_BITS)
#define TS_BITS 6u
#define TS_WSCALE_NONE 15u

static const uint16_t mss_table[1 << MSS_BITS] = { 216, 536, 1024, 1220, 1300, 1440, 1460, 8960 };

struct mac_input { struct net_addr local, remote; uint16_t local_port, remote_port; uint32_t irs; uint64_t low; };
_Static_assert(sizeof(struct mac_input) == 48, "no padding, every byte of which would be hashed");

static uint32_t make(struct net_stack *ns, const struct net_flow_key *k, uint32_t irs, uint32_t count, uint32_t mss_index)
{
    struct mac_input in = { k->local, k->remote, k->local_port, k->remote_port, irs, count << MSS_BITS | mss_index };
    uint32_t mac = (uint32_t)siphash24(&ns->cookie_key, &in, sizeof in);
    return mac << MAC_SHIFT | (count & ((1u << COUNT_BITS) - 1)) << MSS_BITS | mss_index;
}

void tcp_cookie_send(struct tcp_listener *l, const struct tcp_in *in, const struct net_flow_key *key)
{
    struct net_stack *ns = l->ns;
    uint16_t mss = in->has_mss ? in->mss : net_addr_is_v4(&key->remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    uint32_t index = (1u << MSS_BITS) - 1;
    while (index && mss_table[index] > mss)
        index--;
    struct tcp_handshake hs = { .key = *key, .irs = in->seq, .ts_recent = in->tsval, .ts_ok = in->has_ts };
    hs.iss = make(ns, key, in->seq, (uint32_t)(ns->now_ns / PERIOD_NS), index);
    if (in->has_ts) { /* without time stamps no other option survives */
        hs.sack_ok = in->sack_ok;
        hs.ws_ok = in->has_wscale;
        hs.rcv_wscale = hs.ws_ok ? tcp_choose_wscale(&l->opts) : 0;
        hs.ecn_ok = l->opts.ecn && (in->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
        uint32_t bits = (hs.ws_ok ? in->wscale : TS_WSCALE_NONE) | (uint32_t)hs.sack_ok << 4 | (uint32_t)hs.ecn_ok << 5;
        uint32_t offset = tcp_ts_offset(ns, key), now = tcp_ts_now(ns, offset);
        uint32_t ts = (now & ~((1u << TS_BITS) - 1)) | bits;
        if (seq_gt(ts, now)) /* never ahead of what later segments carry */
            ts -= 1u << TS_BITS;
        hs.ts_offset = offset + (ts - now);
    }
    ns->cookie_until_ns = ns->now_ns + PERIODS_VALID * PERIOD_NS;
    ns->counters.tcp_cookies_sent++;
    tcp_synack(ns, &hs, &l->opts, &(struct net_path){ 0 });
}

bool tcp_cookie_check(struct net_stack *ns, const struct tcp_in *in, const struct net_flow_key *key, struct tcp_handshake *hs)
{
    if (ns->now_ns > ns->cookie_until_ns)
        return false; /* none was sent lately, so none can be valid */
    uint32_t cookie = in->ack - 1, irs = in->seq - 1, now = (uint32_t)(ns->now_ns / PERIOD_NS);
    uint32_t index = cookie & ((1u << MSS_BITS) - 1);
    bool ok = false;
    for (uint32_t age = 0; age < PERIODS_VALID; age++)
        ok |= cookie == make(ns, key, irs, now - age, index);
    if (!ok) {
        ns->counters.tcp_cookies_bad++;
        return false;
    }
    ns->counters.tcp_cookies_ok++;
    *hs = (struct tcp_handshake){ .key = *key, .hash = in->hash, .iss = cookie, .irs = irs, .mss = mss_table[index], .wnd = in->wnd };
    hs->ts_offset = tcp_ts_offset(ns, key);
    if (in->has_ts) {
        uint32_t wscale = in->tsecr & 15;
        hs->ts_ok = 1;
        hs->ts_recent = in->tsval;
        hs->sack_ok = in->tsecr >> 4 & 1;
        hs->ecn_ok = in->tsecr >> 5 & 1;
        hs->ws_ok = wscale != TS_WSCALE_NONE;
        hs->snd_wscale = hs->ws_ok ? (uint8_t)net_min(wscale, TCP_WSCALE_MAX) : 0;
    }
    return true;
}
