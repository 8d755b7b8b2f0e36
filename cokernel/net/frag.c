/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/frag.h"

#include "cokernel/net/stack.h"

static void release(struct net_stack *ns, struct frag_datagram *d)
{
    net_timer_cancel(&ns->wheel, &d->timer);
    pbuf_queue_flush(&d->pieces);
    ns->frags.true_bytes -= d->true_bytes;
    d->true_bytes = 0;
    d->used = 0;
}

static void expire(struct net_timer *t)
{
    struct frag_datagram *d = net_container_of(t, struct frag_datagram, timer);
    d->stack->counters.frag_timeout++;
    if (d->head_bytes && d->pieces.head) { /* RFC 1122 3.3.2, RFC 8200 4.5: if its first part has come */
        struct net_rx rx = { .iface = d->iface, .pb = d->pieces.head, .src = d->key.src, .dst = d->key.dst, .ip = d->head,
                             .ip_bytes = d->head_bytes, .proto = d->key.proto, .group = d->group };
        icmp_reject(d->stack, &rx, NET_REJECT_FRAG_TIME);
    }
    release(d->stack, d);
}

void frag_init(struct net_stack *ns)
{
    for (unsigned i = 0; i < FRAG_DATAGRAMS; i++)
        ns->frags.slots[i].stack = ns;
}

void frag_fini(struct net_stack *ns)
{
    for (unsigned i = 0; i < FRAG_DATAGRAMS; i++)
        if (ns->frags.slots[i].used)
            release(ns, &ns->frags.slots[i]);
}

static bool key_eq(const struct frag_key *a, const struct frag_key *b)
{
    return a->id == b->id && a->proto == b->proto && net_addr_eq(&a->src, &b->src) && net_addr_eq(&a->dst, &b->dst);
}

/* An existing datagram, a free slot, or the oldest one's. */
static struct frag_datagram *find(struct net_stack *ns, const struct frag_key *key)
{
    struct frag_datagram *best = NULL;
    for (unsigned i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &ns->frags.slots[i];
        if (d->used && key_eq(&d->key, key))
            return d;
        if (!best || (best->used && (!d->used || d->timer.tick < best->timer.tick)))
            best = d;
    }
    if (best->used) {
        ns->counters.frag_dropped++;
        release(ns, best);
    }
    best->key = *key;
    best->pieces = (struct pbuf_queue){ 0 };
    best->got_bytes = best->total_bytes = 0;
    best->used = 1;
    best->dead = best->head_bytes = 0;
    best->timer.fire = expire;
    net_timer_arm(&ns->wheel, &best->timer, ns->now_ns + FRAG_TIMEOUT_NS);
    return best;
}

/* RFC 5722: a datagram with overlapping fragments is dropped whole, those still to come included. */
static void poison(struct net_stack *ns, struct frag_datagram *d)
{
    ns->counters.frag_overlap++;
    pbuf_queue_flush(&d->pieces);
    ns->frags.true_bytes -= d->true_bytes;
    d->true_bytes = 0;
    d->dead = 1;
}

static void make_room(struct net_stack *ns, struct frag_datagram *keep, uint32_t bytes)
{
    while (ns->frags.true_bytes + bytes > FRAG_STORE_BYTES) {
        struct frag_datagram *oldest = NULL;
        for (unsigned i = 0; i < FRAG_DATAGRAMS; i++) {
            struct frag_datagram *d = &ns->frags.slots[i];
            if (d->used && d != keep && d->true_bytes && (!oldest || d->timer.tick < oldest->timer.tick))
                oldest = d;
        }
        if (!oldest)
            return;
        ns->counters.frag_dropped++;
        release(ns, oldest);
    }
}

/* In order of offset. False if it overlaps; a byte-exact repetition of a piece is merely old. */
static bool insert(struct frag_datagram *d, struct pbuf *pb, bool *repeated)
{
    struct pbuf **at = &d->pieces.head, *before = NULL;
    while (*at && (*at)->seq < pb->seq) {
        before = *at;
        at = &(*at)->link;
    }
    if (*at && (*at)->seq == pb->seq && (*at)->total == pb->total) {
        *repeated = true;
        return true;
    }
    if ((before && before->seq + before->total > pb->seq) || (*at && pb->seq + pb->total > (*at)->seq))
        return false;
    pb->link = *at;
    *at = pb;
    if (!pb->link)
        d->pieces.tail = pb;
    d->pieces.count++;
    return true;
}

static struct pbuf *assemble(struct net_stack *ns, struct frag_datagram *d)
{
    struct pbuf *whole = pbuf_queue_pop(&d->pieces), *last = whole, *pb;
    while ((pb = pbuf_queue_pop(&d->pieces))) {
        while (last->next)
            last = last->next;
        last->next = pb;
        last = pb;
    }
    whole->total = d->total_bytes;
    whole->flags &= (uint8_t)~PBUF_CSUM_GOOD;
    release(ns, d);
    ns->counters.frag_done++;
    return whole;
}

bool frag_add(struct net_stack *ns, const struct frag_key *key, struct net_rx *rx, uint32_t offset, bool more)
{
    struct pbuf *pb = rx->pb;
    uint32_t end = offset + pb->total, true_bytes = pbuf_true_bytes(pb);
    bool repeated = false;
    ns->counters.frag_in++;
    struct frag_datagram *d = find(ns, key);
    if (d->dead)
        goto drop;
    /* RFC 8200 4.5: all but the last are multiples of 8; none reaches past 64 KiB. */
    if (!pb->total || end > 65535 || (more && pb->total % 8) || d->pieces.count >= FRAG_PIECES ||
        (d->total_bytes && (end > d->total_bytes || (!more && end != d->total_bytes))) ||
        (!more && d->pieces.head && d->pieces.tail->seq + d->pieces.tail->total > end)) {
        poison(ns, d);
        goto drop;
    }
    make_room(ns, d, true_bytes);
    if (ns->frags.true_bytes + true_bytes > FRAG_STORE_BYTES)
        goto drop;
    pb->seq = offset;
    if (!insert(d, pb, &repeated)) {
        poison(ns, d);
        goto drop;
    }
    if (repeated)
        goto drop;
    d->true_bytes += true_bytes;
    ns->frags.true_bytes += true_bytes;
    d->got_bytes += pb->total;
    if (!offset && rx->ip && rx->ip_bytes <= FRAG_HEAD_BYTES) {
        net_move(d->head, rx->ip, rx->ip_bytes);
        d->head_bytes = (uint8_t)rx->ip_bytes;
        d->iface = rx->iface;
        d->group = rx->group;
    }
    if (!more)
        d->total_bytes = end;
    if (!d->total_bytes || d->got_bytes != d->total_bytes)
        return false;
    rx->ip = d->head_bytes ? d->head : NULL;
    rx->ip_bytes = d->head_bytes;
    rx->pb = assemble(ns, d);
    return true;
drop:
    ns->counters.frag_dropped++;
    pbuf_put(pb);
    return false;
}
