/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scoreboard: what is outstanding, in sequence order and in the order it
 * was last sent, and what SACK says of it (RFC 2018, 2883, 6675 with bytes).
 */
#include "cokernel/net/tcp_internal.h"

static void time_unlink(struct tcp_pcb *pcb, struct tcp_seg *s)
{
    if (s->tprev)
        s->tprev->tnext = s->tnext;
    else
        pcb->time_head = s->tnext;
    if (s->tnext)
        s->tnext->tprev = s->tprev;
    else
        pcb->time_tail = s->tprev;
}

static bool on_time_list(const struct tcp_seg *s) { return !(s->flags & (SEG_SACKED | SEG_LOST)); }

struct tcp_seg *tcp_seg_new(struct tcp_pcb *pcb, uint32_t seq, uint32_t end, uint16_t flags, struct pbuf *pb)
{
    struct tcp_seg *s = net_slab_get(&pcb->ns->tcp_segs);
    if (!s)
        return NULL;
    *s = (struct tcp_seg){ .prev = pcb->rtx_tail, .tprev = pcb->time_tail, .pb = pb, .sent_ns = pcb->ns->now_ns, .seq = seq, .end = end,
                           .flags = flags };
    if (pcb->rtx_tail)
        pcb->rtx_tail->next = s;
    else
        pcb->rtx_head = s;
    pcb->rtx_tail = s;
    if (pcb->time_tail)
        pcb->time_tail->tnext = s;
    else
        pcb->time_head = s;
    pcb->time_tail = s;
    return s;
}

void tcp_seg_free(struct tcp_pcb *pcb, struct tcp_seg *s)
{
    uint32_t n = s->end - s->seq;
    if (s->flags & SEG_SACKED)
        pcb->sacked_bytes -= n;
    if (s->flags & SEG_LOST)
        pcb->lost_bytes -= n;
    if (on_time_list(s))
        time_unlink(pcb, s);
    if (s->prev)
        s->prev->next = s->next;
    else
        pcb->rtx_head = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        pcb->rtx_tail = s->prev;
    if (pcb->lost_hint == s)
        pcb->lost_hint = s->next;
    if (pcb->sack_hint == s)
        pcb->sack_hint = NULL;
    net_slab_put(&pcb->ns->tcp_segs, s);
}

int tcp_seg_split(struct tcp_pcb *pcb, struct tcp_seg *s, uint32_t seq)
{
    struct tcp_seg *b = net_slab_get(&pcb->ns->tcp_segs);
    if (!b)
        return -NET_ENOMEM;
    *b = *s;
    b->seq = seq;
    b->flags &= (uint16_t)~SEG_SYN;
    while (b->pb && seq_le(b->pb->seq + b->pb->len, seq) && b->pb->link)
        b->pb = b->pb->link;
    s->end = seq;
    s->flags &= (uint16_t)~SEG_FIN;
    b->prev = s;
    if (s->next)
        s->next->prev = b;
    else
        pcb->rtx_tail = b;
    s->next = b;
    if (on_time_list(s)) {
        b->tprev = s;
        if (s->tnext)
            s->tnext->tprev = b;
        else
            pcb->time_tail = b;
        s->tnext = b;
    }
    return 0;
}

void tcp_seg_sent(struct tcp_pcb *pcb, struct tcp_seg *s)
{
    if (s->flags & SEG_LOST) {
        pcb->lost_bytes -= s->end - s->seq;
        s->flags &= (uint16_t)~SEG_LOST;
    } else {
        time_unlink(pcb, s);
    }
    if (net_unlikely(s->flags & SEG_PROBE) && pcb->plp_out)
        tcp_plp_inconclusive(pcb);
    s->flags = (uint16_t)((s->flags | SEG_RETRANS) & ~SEG_PROBE);
    pcb->retrans_out = 1;
    pcb->retrans_high = pcb->snd_nxt;
    s->sent_ns = pcb->ns->now_ns;
    s->tnext = NULL;
    s->tprev = pcb->time_tail;
    if (pcb->time_tail)
        pcb->time_tail->tnext = s;
    else
        pcb->time_head = s;
    pcb->time_tail = s;
}

void tcp_seg_mark_lost(struct tcp_pcb *pcb, struct tcp_seg *s)
{
    if (s->flags & (SEG_SACKED | SEG_LOST))
        return;
    time_unlink(pcb, s);
    s->flags |= SEG_LOST;
    pcb->lost_bytes += s->end - s->seq;
    pcb->ns->counters.tcp_lost_marked++;
    if (!pcb->lost_hint || seq_lt(s->seq, pcb->lost_hint->seq))
        pcb->lost_hint = s;
}

/* After a spurious detection: what is marked is in flight after all. */
void tcp_seg_unmark_lost(struct tcp_pcb *pcb)
{
    struct tcp_seg *last = NULL;
    for (struct tcp_seg *s = pcb->rtx_head; s; s = s->next) {
        if (!(s->flags & SEG_LOST))
            continue;
        s->flags &= (uint16_t)~SEG_LOST;
        pcb->lost_bytes -= s->end - s->seq;
        /* Back by time: usually right behind the one before, which keeps this linear. */
        struct tcp_seg *before = last && last->sent_ns <= s->sent_ns ? last : NULL;
        struct tcp_seg *at = before ? before->tnext : pcb->time_head;
        while (at && at->sent_ns <= s->sent_ns) {
            before = at;
            at = at->tnext;
        }
        s->tprev = before;
        s->tnext = at;
        if (before)
            before->tnext = s;
        else
            pcb->time_head = s;
        if (at)
            at->tprev = s;
        else
            pcb->time_tail = s;
        last = s;
    }
    pcb->lost_hint = NULL;
}

/* RFC 8985 6.2 steps 1 to 3. */
void tcp_seg_delivered(struct tcp_pcb *pcb, struct tcp_seg *s, struct tcp_ack_news *news)
{
    uint64_t now = pcb->ns->now_ns;
    uint32_t n = s->end - s->seq, rtt_us = tcp_elapsed_us(now, s->sent_ns);
    news->delivered += n;
    pcb->delivered += n;
    pcb->plp_seen = net_max(pcb->plp_seen, net_min(n, pcb->mss));
    if (net_unlikely(pcb->plp_doubt) && n >= net_min(pcb->plp_doubt, pcb->mss))
        pcb->plp_doubt = 0;
    if (net_unlikely(s->flags & SEG_PROBE))
        tcp_plp_delivered(pcb);
    if (s->flags & SEG_RETRANS) {
        news->retrans_acked = 1;
        if (pcb->min_rtt_us != UINT32_MAX && rtt_us < pcb->min_rtt_us)
            return; /* too soon for the retransmission: it was the original */
    } else {
        if (seq_le(s->end, pcb->high_seq))
            news->orig_delivered = 1;
        if (pcb->rack_valid && seq_lt(s->seq, pcb->rack_fack) && !pcb->reordering_seen)
            pcb->reordering_seen = 1;
    }
    if (!pcb->rack_valid || seq_gt(s->end, pcb->rack_fack))
        pcb->rack_fack = s->end;
    if (!pcb->rack_valid || s->sent_ns > pcb->rack_sent_ns || (s->sent_ns == pcb->rack_sent_ns && seq_gt(s->end, pcb->rack_end))) {
        pcb->rack_valid = 1;
        pcb->rack_sent_ns = s->sent_ns;
        pcb->rack_end = s->end;
        pcb->rack_rtt_us = rtt_us;
    }
}

static void mark_sacked(struct tcp_pcb *pcb, struct tcp_seg *s, struct tcp_ack_news *news)
{
    uint32_t n = s->end - s->seq;
    tcp_seg_delivered(pcb, s, news);
    if (s->flags & SEG_LOST) {
        pcb->lost_bytes -= n;
        s->flags &= (uint16_t)~SEG_LOST;
    } else {
        time_unlink(pcb, s);
    }
    s->flags |= SEG_SACKED;
    pcb->sacked_bytes += n;
    news->newly_sacked += n;
}

/* Only whole segments count, and a burst is split only where its segments begin: a peer that names
 * single bytes must not make us keep an entry for each of them. */
static void mark_range(struct tcp_pcb *pcb, uint32_t start, uint32_t end, struct tcp_ack_news *news)
{
    struct tcp_seg *s = pcb->sack_hint && seq_le(pcb->sack_hint->seq, start) ? pcb->sack_hint : pcb->rtx_head;
    for (; s && seq_lt(s->seq, end); s = s->next) {
        if (seq_le(s->end, start) || (s->flags & SEG_SACKED))
            continue;
        if (seq_lt(s->seq, start)) {
            uint32_t skip = (start - s->seq + pcb->mss - 1) / pcb->mss * pcb->mss;
            if (skip < s->end - s->seq && tcp_seg_split(pcb, s, s->seq + skip) < 0)
                return;
            continue;
        }
        if (seq_gt(s->end, end)) {
            uint32_t keep = (end - s->seq) / pcb->mss * pcb->mss;
            if (!keep || tcp_seg_split(pcb, s, s->seq + keep) < 0)
                return;
        }
        mark_sacked(pcb, s, news);
        pcb->sack_hint = s;
    }
}

/* RFC 2883 4: the first block lies below the ACK or inside the second. */
static bool is_dsack(const struct tcp_in *in)
{
    const struct tcp_sack *a = &in->sacks[0], *b = &in->sacks[1];
    if (seq_le(a->end, in->ack))
        return true;
    return in->sack_count > 1 && seq_ge(a->start, b->start) && seq_le(a->end, b->end);
}

static void dsack_input(struct tcp_pcb *pcb, const struct tcp_sack *d, struct tcp_ack_news *news)
{
    /* Only what we may have sent in this lifetime of the sequence space. */
    if (!seq_lt(d->start, d->end) || seq_gt(d->end, pcb->snd_nxt) ||
        (seq_lt(d->start, pcb->snd_una) && pcb->snd_una - d->start > 2 * net_max(pcb->max_wnd, 65535u)))
        return;
    pcb->ns->counters.tcp_dsack_in++;
    news->dsack = 1;
    uint32_t n = d->end - d->start;
    if (pcb->undo_marker && seq_ge(d->start, pcb->undo_marker))
        pcb->undo_retrans -= net_min(n, pcb->undo_retrans);
    /* RFC 8985 6.2 step 4: grow the window for reordering, once a round trip. */
    if (seq_ge(pcb->snd_una, pcb->reo_round_end)) {
        pcb->reo_mult = (uint8_t)net_min(pcb->reo_mult + 1, 16);
        pcb->reo_persist = 16;
        pcb->reo_round_end = pcb->snd_nxt;
        pcb->reordering_seen = 1;
    }
}

void tcp_sack_input(struct tcp_pcb *pcb, const struct tcp_in *in, struct tcp_ack_news *news)
{
    unsigned first = 0;
    if (is_dsack(in)) {
        dsack_input(pcb, &in->sacks[0], news);
        first = 1;
    }
    struct tcp_sack kept[4];
    uint16_t kept_count = 0;
    for (unsigned k = first; k < in->sack_count; k++) {
        struct tcp_sack b = in->sacks[k];
        /* RFC 2018 5 and RFC 5961: only what is outstanding. */
        if (!seq_lt(b.start, b.end) || seq_le(b.end, pcb->snd_una) || seq_gt(b.end, pcb->snd_nxt) || seq_lt(b.start, pcb->snd_una))
            continue;
        kept[kept_count++] = b;
        bool known = false;
        for (unsigned c = 0; c < pcb->sack_cache_count; c++) {
            const struct tcp_sack *o = &pcb->sack_cache[c];
            if (o->start == b.start && seq_ge(o->end, b.end))
                known = true;
            else if (o->start == b.start && seq_gt(o->end, b.start))
                b.start = o->end; /* the block grew: look at the new part */
        }
        if (!known)
            mark_range(pcb, b.start, b.end, news);
    }
    net_copy(pcb->sack_cache, kept, sizeof kept[0] * kept_count);
    pcb->sack_cache_count = kept_count;
}

/* Reneging (RFC 2018 8): the receiver threw away what it had SACKed. */
void tcp_sack_forget(struct tcp_pcb *pcb)
{
    for (struct tcp_seg *s = pcb->rtx_head; s; s = s->next) {
        if (!(s->flags & SEG_SACKED))
            continue;
        s->flags = (uint16_t)((s->flags & ~SEG_SACKED) | SEG_LOST);
        pcb->sacked_bytes -= s->end - s->seq;
        pcb->lost_bytes += s->end - s->seq;
    }
    pcb->lost_hint = pcb->rtx_head;
    pcb->sack_hint = NULL;
    pcb->sack_cache_count = 0;
}
