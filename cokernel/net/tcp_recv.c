/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive side: in-order queue, out-of-order islands, window, SACK blocks. */
#include "cokernel/net/tcp_internal.h"

/* Small segments are copied behind each other, so that they do not pin a buffer each; larger ones are worth theirs. */
#define MERGE_BYTES (PBUF_LARGE_BYTES / 2)

#define PRESSED_SEGMENTS 4u

void tcp_rcv_init(struct tcp_pcb *pcb) { pcb->rcv_mss = net_min(pcb->adv_mss, TCP_MSS_DEFAULT4); }

static void island_free(struct tcp_pcb *pcb, struct tcp_island *i)
{
    tcp_free_parts(i->head);
    pcb->rcv_true -= i->true_bytes;
    pcb->island_count--;
    net_slab_put(&pcb->ns->tcp_islands, i);
}

void tcp_rcv_free(struct tcp_pcb *pcb)
{
    while (pcb->islands) {
        struct tcp_island *i = pcb->islands;
        pcb->islands = i->next;
        island_free(pcb, i);
    }
    tcp_free_parts(pcb->rcv_head);
    pcb->rcv_head = pcb->rcv_tail = NULL;
    pcb->rcv_bytes = pcb->rcv_true = 0;
}

/* What the buffers may pin: payload plus its overhead, which MERGE_BYTES keeps under 2.25 times, so that
 * nobody who stays inside the window is refused. */
static uint32_t true_limit(const struct tcp_pcb *pcb) { return 2 * pcb->opts.rcvbuf + pcb->opts.rcvbuf / 4 + (64u << 10); }

/* Appends pb to a queue; returns the bytes of memory it adds. */
static inline uint32_t append(struct pbuf **head, struct pbuf **tail, struct pbuf *pb)
{
    struct pbuf *t = *tail;
    if (*head && pb->total <= MERGE_BYTES && !t->next && pbuf_exclusive(t) && pbuf_tailroom(t) >= pb->total) {
        uint32_t n = pb->total;
        pbuf_copy_out(pb, 0, pbuf_extend(t, n), n);
        pbuf_put(pb);
        return 0;
    }
    pb->link = NULL;
    if (*head)
        t->link = pb;
    else
        *head = pb;
    *tail = pb;
    return pbuf_true_bytes(pb);
}

static inline void deliver(struct tcp_pcb *pcb, struct pbuf *pb)
{
    uint32_t n = pb->total;
    pcb->rcv_true += append(&pcb->rcv_head, &pcb->rcv_tail, pb);
    pcb->rcv_bytes += n;
    pcb->rcv_nxt += n;
    pcb->bytes_received += n;
}

/* Islands that the in-order point has reached. */
static void drain_islands(struct tcp_pcb *pcb)
{
    struct tcp_island *i;
    while ((i = pcb->islands) && seq_le(i->start, pcb->rcv_nxt)) {
        pcb->islands = i->next;
        pcb->rcv_true -= i->true_bytes;
        uint32_t at = i->start;
        for (struct pbuf *pb = i->head, *next; pb; pb = next) {
            next = pb->link;
            uint32_t n = pb->total, skip = seq_lt(at, pcb->rcv_nxt) ? net_min(pcb->rcv_nxt - at, n) : 0;
            at += n;
            if (skip == n)
                pbuf_put(pb);
            else
                deliver(pcb, skip ? pbuf_advance(pb, skip) : pb);
        }
        pcb->island_count--;
        net_slab_put(&pcb->ns->tcp_islands, i);
    }
}

/* Nothing can follow a FIN; a peer that sends it has lost it. */
static void drop_behind_fin(struct tcp_pcb *pcb)
{
    for (struct tcp_island **at = &pcb->islands; *at;) {
        struct tcp_island *i = *at;
        if (seq_le(i->end, pcb->fin_seq)) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        island_free(pcb, i);
    }
}

static void note_dsack(struct tcp_pcb *pcb, uint32_t start, uint32_t end)
{
    if (!pcb->sack_ok)
        return;
    pcb->dsack = (struct tcp_sack){ start, end };
    pcb->dsack_valid = 1;
    pcb->ns->counters.tcp_dsack_out++;
}

/* Frees the island furthest away; RFC 2018 8 allows it, but it is reneging and a last resort. */
static bool prune(struct tcp_pcb *pcb, uint32_t beyond)
{
    struct tcp_island **at = &pcb->islands;
    if (!*at)
        return false;
    while ((*at)->next)
        at = &(*at)->next;
    if (seq_le((*at)->start, beyond))
        return false;
    struct tcp_island *i = *at;
    *at = NULL;
    island_free(pcb, i);
    pcb->ns->counters.tcp_ooo_pruned++;
    return true;
}

/* Joins the next island to i if they touch now. */
static void join_next(struct tcp_pcb *pcb, struct tcp_island *i)
{
    struct tcp_island *n = i->next;
    if (!n || n->start != i->end)
        return;
    i->tail->link = n->head;
    i->tail = n->tail;
    i->end = n->end;
    i->true_bytes += n->true_bytes;
    i->next = n->next;
    pcb->island_count--;
    net_slab_put(&pcb->ns->tcp_islands, n);
}

/* pb holds [seq, end), beyond rcv_nxt and within the window. */
static void insert_out_of_order(struct tcp_pcb *pcb, struct pbuf *pb, uint32_t seq, uint32_t end)
{
    struct tcp_island **at = &pcb->islands, *before = NULL;
    struct net_stack *ns = pcb->ns;
    ns->counters.tcp_out_of_order++;
    while (*at && seq_lt((*at)->end, seq)) {
        before = *at;
        at = &before->next;
    }
    if (*at && seq_le((*at)->start, seq)) { /* begins inside or right behind it */
        uint32_t known = (*at)->end - seq;
        if (seq_le(end, (*at)->end)) {
            (*at)->stamp = ++pcb->island_stamp;
            note_dsack(pcb, seq, end);
            pbuf_put(pb);
            return;
        }
        if (known) {
            note_dsack(pcb, seq, seq + known);
            pb = pbuf_advance(pb, known);
            seq += known;
        }
        before = *at;
        at = &before->next;
    }
    while (*at && seq_le((*at)->end, end)) { /* swallows the island whole */
        struct tcp_island *i = *at;
        *at = i->next;
        island_free(pcb, i);
    }
    if (*at && seq_gt(end, (*at)->start)) {
        end = (*at)->start;
        pbuf_trim(pb, end - seq);
    }
    if (before && before->end == seq) {
        uint32_t added = append(&before->head, &before->tail, pb);
        before->true_bytes += added;
        pcb->rcv_true += added;
        before->end = end;
    } else {
        struct tcp_island *i = net_slab_get(&ns->tcp_islands);
        if (!i) {
            ns->counters.memory_refused++;
            pbuf_put(pb);
            return;
        }
        pb->link = NULL;
        *i = (struct tcp_island){ .next = *at, .head = pb, .tail = pb, .start = seq, .end = end, .true_bytes = pbuf_true_bytes(pb) };
        *at = i;
        pcb->rcv_true += i->true_bytes;
        pcb->island_count++;
        before = i;
    }
    before->stamp = ++pcb->island_stamp;
    join_next(pcb, before);
}

static void fin_input(struct tcp_pcb *pcb)
{
    while (pcb->islands) { /* beyond the end: nobody can ever read it */
        struct tcp_island *i = pcb->islands;
        pcb->islands = i->next;
        island_free(pcb, i);
    }
    pcb->rcv_nxt++;
    pcb->rcv_adv = seq_max(pcb->rcv_adv, pcb->rcv_nxt);
    pcb->fin_received = 1;
    pcb->ack_now = 1;
    tcp_post(pcb, NET_EV_READABLE | NET_EV_PEER_FIN);
    switch (pcb->state) {
    case TCP_SYN_RCVD:
    case TCP_ESTABLISHED:
        pcb->state = TCP_CLOSE_WAIT;
        break;
    case TCP_FIN_WAIT_1:
        pcb->state = TCP_CLOSING; /* our FIN is not acknowledged, else it would be FIN_WAIT_2 */
        break;
    case TCP_FIN_WAIT_2:
        tcp_enter_timewait(pcb); /* may free pcb */
        return;
    }
    tcp_mark_dirty(pcb);
}

static inline void schedule_ack(struct tcp_pcb *pcb)
{
    /* RFC 9293 3.8.6.3: at least every second full-sized segment, within 500 ms. */
    if (pcb->rcv_nxt - pcb->rcv_wup >= 2 * pcb->rcv_mss || pcb->quickacks || pcb->islands)
        pcb->ack_now = 1;
    if (!pcb->ack_now) {
        if (pcb->deadlines[TCP_T_DELACK])
            return;
        pcb->deadlines[TCP_T_DELACK] = pcb->ns->now_ns + TCP_DELACK_NS; /* the flush sets the timer, unless an answer goes along */
    }
    tcp_mark_dirty(pcb);
}

void tcp_data_in_order(struct tcp_pcb *pcb, struct tcp_in *in)
{
    if (in->len > pcb->rcv_mss)
        pcb->rcv_mss = net_min(in->len, pcb->adv_mss);
    deliver(pcb, in->pb);
    in->pb = NULL;
    tcp_post(pcb, NET_EV_READABLE);
    schedule_ack(pcb);
}

void tcp_fin_in_order(struct tcp_pcb *pcb)
{
    pcb->fin_known = 1;
    pcb->fin_seq = pcb->rcv_nxt;
    fin_input(pcb);
}

void tcp_data_input(struct tcp_pcb *pcb, struct tcp_in *in)
{
    struct net_stack *ns = pcb->ns;
    struct pbuf *pb = in->pb;
    uint32_t seq = in->seq, end = seq + in->len;
    bool fin = in->flags & TCP_FIN;
    if (pcb->fin_received) { /* nothing can follow a FIN: RFC 9293 3.10.7.4 eighth */
        pcb->ack_now = 1;
        tcp_mark_dirty(pcb);
        return;
    }
    if (net_unlikely(seq_lt(seq, pcb->rcv_nxt))) {
        uint32_t known = pcb->rcv_nxt - seq;
        pcb->ack_now = 1;
        if (known >= in->len && !(fin && known == in->len)) {
            ns->counters.tcp_duplicate++;
            if (in->len)
                note_dsack(pcb, seq, seq_gt(end, pcb->rcv_nxt) ? pcb->rcv_nxt : end);
            tcp_mark_dirty(pcb);
            return;
        }
        if (in->len) {
            note_dsack(pcb, seq, pcb->rcv_nxt);
            pb = known < in->len ? pbuf_advance(pb, known) : pb;
        }
        seq += known;
    }
    if (net_unlikely(seq_gt(end, pcb->rcv_adv))) {
        ns->counters.tcp_out_of_window++;
        fin = false;
        pcb->ack_now = 1;
        if (seq_ge(seq, pcb->rcv_adv)) {
            tcp_mark_dirty(pcb);
            in->pb = pb;
            return;
        }
        end = pcb->rcv_adv;
        pbuf_trim(pb, end - seq);
    }
    if (net_unlikely(pcb->fin_known) && seq_gt(end, pcb->fin_seq)) {
        fin = false;
        pcb->ack_now = 1;
        if (seq_ge(seq, pcb->fin_seq)) {
            tcp_mark_dirty(pcb);
            in->pb = pb;
            return;
        }
        end = pcb->fin_seq;
        pbuf_trim(pb, end - seq);
    }
    if (fin) {
        pcb->fin_known = 1;
        pcb->fin_seq = end;
        drop_behind_fin(pcb);
    }
    uint32_t len = end - seq;
    /* RFC 9293 3.10.4, RFC 2525 2.17: nobody will ever read it, nor what must be there in front of a FIN. */
    if (net_unlikely(pcb->user_gone) && (len || (fin && end != pcb->rcv_nxt))) {
        tcp_reset_for(ns, &pcb->flow.key, in); /* with the number that the peer waits for, whatever we have sent since */
        in->pb = NULL;
        pbuf_put(pb);
        tcp_pcb_done(pcb, NET_ECONNRESET);
        return;
    }
    if (len) {
        in->pb = NULL;
        if (net_unlikely(pcb->rcv_true > true_limit(pcb)))
            while (pcb->rcv_true > true_limit(pcb) && prune(pcb, seq))
                ;
        bool pressed = net_mem_pressed(&ns->mem);
        if (net_unlikely(pcb->rcv_true > true_limit(pcb) ||
                         (pressed && (pcb->rcv_true > pcb->opts.rcvbuf || seq != pcb->rcv_nxt || net_mem_full(&ns->mem))))) {
            ns->counters.memory_refused++;
            pcb->ack_now = 1;
            tcp_mark_dirty(pcb);
            pbuf_put(pb);
            return;
        }
        if (net_unlikely(pressed))
            pb = pbuf_shrink(pb);
        if (len > pcb->rcv_mss)
            pcb->rcv_mss = net_min(len, pcb->adv_mss);
        if (net_likely(seq == pcb->rcv_nxt)) {
            deliver(pcb, pb);
            if (net_unlikely(pcb->islands != NULL)) {
                pcb->ack_now = 1; /* RFC 9293 3.8.6.3, RFC 5681 4.2: fills a gap */
                drain_islands(pcb);
            }
            tcp_post(pcb, NET_EV_READABLE);
        } else {
            insert_out_of_order(pcb, pb, seq, end);
            while (pcb->island_count > TCP_ISLANDS && prune(pcb, pcb->rcv_nxt))
                ;
            pcb->ack_now = 1; /* RFC 5681 4.2: at once */
        }
    }
    if (net_unlikely(pcb->fin_known && pcb->rcv_nxt == pcb->fin_seq)) {
        fin_input(pcb); /* may free pcb */
        return;
    }
    schedule_ack(pcb);
}

uint16_t tcp_window_field(struct tcp_pcb *pcb, bool syn)
{
    uint32_t space = pcb->opts.rcvbuf > pcb->rcv_bytes ? pcb->opts.rcvbuf - pcb->rcv_bytes : 0;
    uint32_t edge = pcb->rcv_nxt + space, step = net_min(pcb->rcv_mss, pcb->opts.rcvbuf / 2);
    unsigned scale = syn ? 0 : pcb->rcv_wscale;
    if (net_unlikely(net_mem_pressed(&pcb->ns->mem)) && !syn) {
        /* A few segments for whoever reads what comes, so that it goes on; nothing more for others. */
        uint32_t few = pcb->rcv_nxt + net_min(space, PRESSED_SEGMENTS * pcb->rcv_mss);
        edge = pcb->rcv_bytes || net_mem_full(&pcb->ns->mem) ? pcb->rcv_adv : seq_max(few, pcb->rcv_adv);
    }
    /* RFC 9293 3.8.6.2.2: no small steps; 3.8.6: the right edge never moves left. */
    if (seq_lt(edge, pcb->rcv_adv + step))
        edge = pcb->rcv_adv;
    uint32_t wnd = seq_gt(edge, pcb->rcv_nxt) ? edge - pcb->rcv_nxt : 0;
    /* Rounded up, so that the edge stays where it is; but not for ever: an edge that a rounding moved on again and
     * again would leave the buffer behind. RFC 7323 2.4 has peers expect one that rounding moves back. */
    bool creeping = pcb->rcv_bytes + wnd > pcb->opts.rcvbuf + pcb->opts.rcvbuf / 16;
    uint32_t field = net_min((wnd + (creeping ? 0 : (1u << scale) - 1)) >> scale, 65535u);
    pcb->rcv_adv = seq_max(pcb->rcv_adv, pcb->rcv_nxt + (field << scale));
    return (uint16_t)field;
}

/* Dynamic right-sizing (Fisk and Feng, 2001), as Linux does it. */
static void tune(struct tcp_pcb *pcb, uint32_t bytes)
{
    uint64_t now = pcb->ns->now_ns;
    uint64_t rtt_ns = net_max(pcb->srtt_us, 1000u) * NET_NS_PER_US;
    pcb->rcv_copied += bytes;
    if (now - pcb->rcv_space_ns < rtt_ns)
        return;
    if (pcb->rcv_copied > pcb->rcv_space && !pcb->opts.rcvbuf_locked && !net_mem_pressed(&pcb->ns->mem)) {
        uint64_t want = 2ull * pcb->rcv_copied + 16 * pcb->adv_mss;
        want += want * (pcb->rcv_copied - pcb->rcv_space) / pcb->rcv_space; /* the sender doubles in slow start */
        pcb->opts.rcvbuf = (uint32_t)net_min(net_max(want, (uint64_t)pcb->opts.rcvbuf), (uint64_t)TCP_RCVBUF_MAX);
        pcb->rcv_space = pcb->rcv_copied;
    }
    pcb->rcv_copied = 0;
    pcb->rcv_space_ns = now;
}

void tcp_window_freed(struct tcp_pcb *pcb, uint32_t bytes)
{
    if (pcb->state == TCP_CLOSED || pcb->fin_received)
        return;
    tune(pcb, bytes);
    uint32_t space = pcb->opts.rcvbuf > pcb->rcv_bytes ? pcb->opts.rcvbuf - pcb->rcv_bytes : 0;
    uint32_t edge = pcb->rcv_nxt + space;
    /* A window update is worth a segment of its own once it doubles what is left or was shut. */
    uint32_t left = seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0;
    if (seq_gt(edge, pcb->rcv_adv) && space >= 2 * left && edge - pcb->rcv_adv >= net_min(2 * pcb->rcv_mss, pcb->opts.rcvbuf / 2)) {
        pcb->ack_now = 1;
        tcp_mark_dirty(pcb);
    }
}

/* RFC 2018 4: the block that holds the newest segment first, then the more recent ones; RFC 2883: a D-SACK before all. */
unsigned tcp_build_sacks(struct tcp_pcb *pcb, struct tcp_sack out[4], unsigned room)
{
    unsigned n = 0, first = 0;
    uint32_t stamps[4];
    if (pcb->dsack_valid)
        out[n++] = pcb->dsack;
    first = n;
    for (struct tcp_island *i = pcb->islands; i; i = i->next) {
        unsigned at = n < room ? n++ : room;
        while (at > first && (at == room || seq_lt(stamps[at - 1], i->stamp))) {
            if (at == room && seq_ge(stamps[at - 1], i->stamp))
                break;
            if (at < room) {
                out[at] = out[at - 1];
                stamps[at] = stamps[at - 1];
            }
            at--;
        }
        if (at < room) {
            out[at] = (struct tcp_sack){ i->start, i->end };
            stamps[at] = i->stamp;
        }
    }
    return n;
}
