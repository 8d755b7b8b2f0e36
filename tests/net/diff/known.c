/* SPDX-License-Identifier: BSD-2-Clause */
/* Differences between Linux and the stack that are meant. docs/tcp.md has the same list. */
#include "tests/net/diff/diff.h"

#include <string.h>

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static const char *about_sending(const struct script *s, const struct seen *a, const struct seen *b)
{
    if (s->shut)
        return "a shut window is probed at other times, with one byte here";
    if (b->sent == a->sent + 1 && b->fin && !a->fin)
        return "a FIN without data does not wait for the congestion window";
    if (!(s->options & 2)) /* then the peer's 500 are 500 bytes */
        return "a small part of the largest window is used after a while (RFC 9293 3.8.6.2.1), in Linux at once";
    uint32_t less = net_min(a->sent, b->sent);
    if (s->active && b->syn & 2)
        return "both opened at once: a FIN goes after the handshake (RFC 9293 3.10.4)";
    if (less <= s->written && (a->sent <= s->written + 1 && b->sent <= s->written + 1) && less - s->peer_acked + 60 >= net_min((uint32_t)s->mss, 1460u))
        return "the congestion window is counted in bytes here, in packets there";
    return NULL;
}

static const char *about_results(const struct script *s, const struct seen *b)
{
    if (b->state == TCP_CLOSED && b->result < 0 && s->pcb && b->result == -s->pcb->ep.error)
        return "the error stays; that sockets tell it once is for what stands above";
    if (is(s->what, "write") && (b->state == TCP_SYN_SENT || b->state == TCP_SYN_RCVD))
        return "what is written before the handshake is done is queued";
    return NULL;
}

const char *known_reason(const struct script *s, const char *field)
{
    const struct seen *a = &s->seen[LINUX], *b = &s->seen[OWN];
    const char *why = NULL;
    if (is(field, "sent") || is(field, "fin"))
        why = about_sending(s, a, b);
    if (is(field, "result"))
        why = about_results(s, b);
    if (why)
        return why;
    if (s->fin_seen && (is(field, "answered") || is(field, "reset") || is(field, "state") || is(field, "acknowledged")))
        return "behind its own FIN a peer has nothing to say: Linux resets data and takes or ignores more FINs, the stack acknowledges again";
    if (is(field, "acknowledged") && is(s->what, "very old ack") && a->acked > b->acked)
        return "Linux's fast path does not look at how old an ACK is (RFC 5961 5.2)";
    if (s->active && b->syn & 2 && (is(field, "answered") || is(field, "state")))
        return "both opened at once: a FIN goes after the handshake, and a SYN again has the SYN-ACK again";
    if (s->closed && b->fin && (is(field, "reset") || is(field, "answered")))
        return "Linux keeps less of an orphan in FIN-WAIT-2: what does not fit it resets or ignores; the stack challenges it (RFC 5961)";
    if (is(field, "answered") && (s->answered || a->state == TCP_CLOSED))
        return "the limits on such answers count differently (RFC 5961 7 leaves them open)";
    return NULL;
}
