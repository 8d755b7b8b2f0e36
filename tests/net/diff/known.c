/* SPDX-License-Identifier: BSD-2-Clause */
/* Differences between Linux and the stack that are meant. docs/tcp.md has the same list. */
#include "tests/net/diff/diff.h"

#include <string.h>

#define LIMIT_NS (650 * NET_NS_PER_MS) /* both answer once in half a second; a step takes up to 120 ms */

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static const char *about_udp(const struct script *s, const char *field)
{
    bool received = is(field, "result") && is(s->what, "receive");
    if (s->jumbo && (received || is(s->what, NO_LENGTH)))
        return "Linux takes UDP over IPv6 that says it has no length; that is for jumbograms (RFC 2675 4)";
    if (s->nobody && received)
        return "Linux takes datagrams from ::, which is nobody's address (RFC 4291 2.5.2)";
    if (s->padded && (received || is(s->around, LONG_PADDING)))
        return "Linux drops what has more padding than aligns anything (RFC 4942 2.1.9.5 leaves it open)";
    if (is(s->around, END_OF_OPTIONS) && is(field, "what they hold"))
        return "Linux clears what follows the end of options, in what ICMP quotes as well";
    return NULL;
}

static const char *about_sending(const struct script *s, const struct seen *a, const struct seen *b)
{
    if (s->shut)
        return "a shut window is probed at other times, with one byte here";
    if (b->sent == a->sent + 1 && b->fin && !a->fin)
        return "a FIN without data does not wait for the congestion window";
    if (!(s->options & 2)) /* then the peer's 500 are 500 bytes */
        return "a small part of the largest window is used after a while (RFC 9293 3.8.6.2.1), in Linux by what fits or by the probe timer";
    uint32_t less = net_min(a->sent, b->sent);
    if (s->active && b->syn & 2)
        return "both opened at once: a FIN goes after the handshake (RFC 9293 3.10.4)";
    if (less <= s->written && (a->sent <= s->written + 1 && b->sent <= s->written + 1) && less - s->peer_acked + 60 >= net_min((uint32_t)s->mss, 1460u))
        return "the congestion window is counted in bytes here, in packets there";
    return NULL;
}

static const char *about_results(const struct script *s, const struct seen *b)
{
    if (is(s->what, "write") && (b->state == TCP_SYN_SENT || b->state == TCP_SYN_RCVD))
        return "what is written before the handshake is done is queued";
    return NULL;
}

/* Behind its FIN a peer has nothing to say (RFC 9293 3.10.7.4: ignore it). */
static const char *about_the_peers_fin(const struct script *s, const char *field, const struct seen *a, const struct seen *b)
{
    bool data = s->last_end != s->last_seq;
    if (!s->fin_seen)
        return NULL;
    if (is(field, "reset") && a->rst && !b->rst && data && s->last_end > s->fin_at)
        return "Linux resets data that reaches behind the peer's FIN, the stack acknowledges again what it has";
    if (is(field, "acknowledged") && s->last_fin && a->acked == s->last_end + 1 && b->acked == s->fin_at + 1)
        return "in Linux a later FIN counts as well, and what lies before it";
    if (is(field, "acknowledged") && (int32_t)(a->acked - (s->fin_at + 1)) > 0 && (int32_t)(b->acked - (s->fin_at + 1)) <= 0)
        return "in Linux data that came before a FIN counts although it reaches behind it, and the FIN is forgotten";
    if (is(field, "state") && data && s->last_end > s->fin_at && (int32_t)(a->acked - s->last_end) >= 0 && b->acked == s->fin_at + 1)
        return "in Linux data takes the place of a FIN that came before it, behind a gap";
    if (is(field, "answered") && s->acked_before == s->fin_at + 1 && s->last_seq > s->fin_at && (data || s->last_fin) && !a->answers && b->answers)
        return "Linux does not answer what begins behind the peer's FIN";
    return NULL;
}

const char *known_reason(const struct script *s, const char *field)
{
    const struct seen *a = &s->seen[LINUX], *b = &s->seen[OWN];
    const char *why = NULL;
    if (s->udp)
        return about_udp(s, field);
    if (s->syn_icmp && a->state == TCP_CLOSED && b->state == TCP_SYN_SENT && is(field, "state"))
        return "Linux ends an attempt to connect for any ICMP error, the stack for none that may pass (RFC 1122 4.2.3.9)";
    if (s->frag_time && is(field, "result") && is(s->what, "error") && b->result == NET_EHOSTUNREACH && !a->result)
        return "Linux does not tell of fragments that did not come together (RFC 1122 3.2.2.4)";
    if (s->too_big && is(field, "options") && a->options == b->options && a->mss != b->mss)
        return "the MSS announced is by the path's MTU: here as it was at first, in Linux as the route has it now";
    if (is(field, "sent") || is(field, "fin"))
        why = about_sending(s, a, b);
    if (is(field, "result"))
        why = about_results(s, b);
    if (why)
        return why;
    why = about_the_peers_fin(s, field, a, b);
    if (why)
        return why;
    if (is(field, "acknowledged") && is(s->what, "very old ack") && a->acked > b->acked)
        return "Linux's fast path does not look at how old an ACK is (RFC 5961 5.2)";
    if (s->active && b->syn & 2 && (is(field, "answered") || is(field, "state")))
        return "both opened at once: a FIN goes after the handshake, and a SYN again has the SYN-ACK again";
    if (s->closed && b->fin && s->peer_acked == b->sent && (is(field, "reset") || is(field, "answered")))
        return "Linux keeps less of an orphan in FIN-WAIT-2: what does not fit it resets or ignores; the stack challenges it (RFC 5961)";
    if (s->closed && b->fin && s->peer_acked == b->sent && is(field, "acknowledged") && is(s->what, "syn in the window") && a->acked == s->last_seq + 1)
        return "in Linux a SYN takes the place of an orphan in FIN-WAIT-2, too";
    if (is(field, "answered") && (is(s->what, "ack of what was not sent") || is(s->what, "very old ack")) && s->fin_seen && a->state == TCP_CLOSED && b->answers)
        return "in TIME-WAIT Linux does not look at what an ACK acknowledges";
    if (is(field, "answered") && is(s->what, "ack of what was not sent") && !a->answers && b->answers)
        return "until 6.18 Linux drops what acknowledges what was not sent without the answer that RFC 9293 3.10.7.4 asks for";
    enum world silent = a->answers ? OWN : LINUX;
    if (is(field, "answered") && s->answered_ns[silent] && s->step_ns - s->answered_ns[silent] < LIMIT_NS)
        return "the limits on such answers count differently (RFC 5961 7 leaves them open)";
    return NULL;
}
