/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/fuzz/audit.h"

#include <stdio.h>
#include <stdlib.h>

#include "cokernel/net/tcp_internal.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "audit: state %u, line %d: %s\n", pcb ? pcb->state : 0, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

static void audit_sent(const struct tcp_pcb *pcb)
{
    uint32_t sacked = 0, lost = 0, by_time = 0, listed = 0, at = pcb->snd_una, pinned = 0;
    const struct tcp_seg *before = NULL;
    for (const struct tcp_seg *s = pcb->rtx_head; s; before = s, s = s->next) {
        CHECK(s->prev == before);
        CHECK(s->seq == at && seq_lt(s->seq, s->end));
        at = s->end;
        sacked += s->flags & SEG_SACKED ? s->end - s->seq : 0;
        lost += s->flags & SEG_LOST ? s->end - s->seq : 0;
        CHECK((s->flags & (SEG_SACKED | SEG_LOST)) != (SEG_SACKED | SEG_LOST));
        by_time += !(s->flags & (SEG_SACKED | SEG_LOST));
        if (tcp_seg_payload(s)) { /* it finds its bytes in the queue */
            uint32_t first = s->seq + ((s->flags & SEG_SYN) ? 1 : 0);
            CHECK(s->pb && seq_le(s->pb->seq, first));
        }
    }
    CHECK(pcb->rtx_tail == before);
    CHECK(at == pcb->snd_nxt || !pcb->rtx_head);
    CHECK(pcb->rtx_head || pcb->snd_una == pcb->snd_nxt || pcb->state == TCP_CLOSED);
    CHECK(sacked == pcb->sacked_bytes && lost == pcb->lost_bytes);
    for (const struct tcp_seg *s = pcb->time_head; s; s = s->tnext) {
        CHECK(!(s->flags & (SEG_SACKED | SEG_LOST)));
        CHECK(!s->tnext || (s->tnext->tprev == s && s->sent_ns <= s->tnext->sent_ns));
        listed++;
    }
    CHECK(listed == by_time);
    for (const struct pbuf *p = pcb->snd_head; p; p = p->link) {
        pinned += pbuf_true_bytes(p);
        CHECK(!p->link || p->seq + p->len == p->link->seq);
        CHECK(p->link || p->seq + p->len == pcb->write_seq);
    }
    CHECK(pinned == pcb->snd_true);
    CHECK(!pcb->snd_cursor || seq_gt(pcb->snd_cursor->seq + pcb->snd_cursor->len, pcb->snd_nxt - pcb->fin_sent));
    CHECK(pcb->snd_cursor || pcb->fin_sent || pcb->snd_nxt == pcb->write_seq || pcb->state == TCP_CLOSED);
}

static void audit_received(const struct tcp_pcb *pcb)
{
    uint32_t bytes = 0, islands = 0, after = pcb->rcv_nxt;
    for (const struct pbuf *p = pcb->rcv_head; p; p = p->link) {
        bytes += p->total;
        CHECK(p->total);
    }
    CHECK(bytes == pcb->rcv_bytes);
    for (const struct tcp_island *i = pcb->islands; i; i = i->next) {
        uint32_t held = 0;
        CHECK(seq_gt(i->start, after) && seq_lt(i->start, i->end));
        for (const struct pbuf *p = i->head; p; p = p->link)
            held += p->total;
        CHECK(held == i->end - i->start);
        after = i->end;
        islands++;
    }
    CHECK(islands == pcb->island_count && islands <= TCP_ISLANDS);
    CHECK(pcb->state == TCP_CLOSED || pcb->state == TCP_SYN_SENT || seq_ge(pcb->rcv_adv, pcb->rcv_nxt - 1));
}

static void audit_timers(const struct tcp_pcb *pcb)
{
    uint64_t first = UINT64_MAX;
    for (unsigned k = 0; k < TCP_T_COUNT; k++)
        if (pcb->deadlines[k])
            first = net_min(first, pcb->deadlines[k]);
    CHECK(pcb->timer_tick == (net_timer_armed(&pcb->timer) ? pcb->timer.tick : 0));
    CHECK(pcb->unaccepted == (pcb->listener != NULL));
    if (pcb->state == TCP_CLOSED)
        return;
    /* Or it would never come, or too late. What is dirty is seen to by the next flush. */
    CHECK(first == UINT64_MAX || pcb->dirty || (net_timer_armed(&pcb->timer) && pcb->timer.tick <= net_max(first >> TIMER_TICK_SHIFT, pcb->ns->wheel.tick) + 1));
    /* What is outstanding is watched by something. */
    CHECK(!pcb->rtx_head || pcb->dirty || pcb->deadlines[TCP_T_RTX]);
    CHECK(pcb->deadlines[TCP_T_RTX] || pcb->rtx_mode == RTX_NONE);
}

void audit_tcp(struct net_stack *ns)
{
    const struct tcp_pcb *pcb = NULL;
    uint32_t syns = 0, all = 0;
    for (unsigned b = 0; b < NET_BOUND_BUCKETS; b++)
        for (const struct tcp_listener *l = ns->listeners[b]; l; l = l->next) {
            uint32_t waiting = 0, pending = 0;
            for (const struct tcp_pcb *p = l->accept_head; p; p = p->accept_next) {
                CHECK(p->listener == l);
                CHECK(p->accept_next || l->accept_tail == p);
                waiting++;
            }
            for (const struct tcp_pcb *p = ns->pcbs; p; p = p->all_next)
                pending += p->fo_listener == l;
            CHECK(waiting == l->accept_count && pending == l->fo_pending);
            syns += l->syn_count;
        }
    CHECK(syns == ns->syn_count && ns->tcp_syns.in_use == syns);
    CHECK(ns->tcp_timewaits.in_use == ns->timewait_count);
    for (pcb = ns->pcbs; pcb; pcb = pcb->all_next) {
        CHECK(pcb->in_table || pcb->state == TCP_CLOSED);
        audit_sent(pcb);
        audit_received(pcb);
        audit_timers(pcb);
        all++;
    }
    CHECK(all == ns->tcp_pcbs.in_use);
}
