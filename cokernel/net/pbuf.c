/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/pbuf.h"

#define PBUF_CHUNK_BYTES (64u << 10)

void pbuf_pools_init(struct pbuf_pools *pools, struct net_mem *mem)
{
    net_slab_init(&pools->small, mem, PBUF_SMALL_BYTES, PBUF_CHUNK_BYTES, 0);
    net_slab_init(&pools->medium, mem, PBUF_MEDIUM_BYTES, PBUF_CHUNK_BYTES, 0);
    net_slab_init(&pools->large, mem, PBUF_LARGE_BYTES, PBUF_CHUNK_BYTES, 0);
    pools->small.share = pools->medium.share = NET_SHARE_HEADERS;
    pools->large.share = NET_SHARE_PACKETS;
    mem->packets = &pools->large;
}

void pbuf_pools_fini(struct pbuf_pools *pools)
{
    net_slab_fini(&pools->small);
    net_slab_fini(&pools->medium);
    net_slab_fini(&pools->large);
}

static inline struct pbuf *init(struct pbuf *pb, struct pbuf_pools *pools, uint8_t kind, uint32_t bytes, uint32_t headroom)
{
    pb->next = pb->link = NULL;
    pb->base = (uint8_t *)pb + PBUF_DESC_BYTES;
    pb->data = pb->base + headroom;
    pb->root = pb;
    pb->len = pb->total = 0;
    pb->refs = 1;
    pb->room = bytes - PBUF_DESC_BYTES;
    pb->flags = 0;
    pb->pools = pools;
    pb->kind = kind;
    return pb;
}

struct pbuf *pbuf_alloc_small(struct pbuf_pools *pools, uint32_t headroom)
{
    struct pbuf *pb = net_slab_get(&pools->small);
    return net_likely(pb != NULL) ? init(pb, pools, PBUF_SMALL, PBUF_SMALL_BYTES, headroom) : pbuf_alloc_medium(pools, headroom);
}

struct pbuf *pbuf_alloc_medium(struct pbuf_pools *pools, uint32_t headroom)
{
    struct pbuf *pb = net_slab_get(&pools->medium);
    return net_likely(pb != NULL) ? init(pb, pools, PBUF_MEDIUM, PBUF_MEDIUM_BYTES, headroom) : pbuf_alloc_large(pools, headroom);
}

struct pbuf *pbuf_alloc_large(struct pbuf_pools *pools, uint32_t headroom)
{
    struct pbuf *pb = net_slab_get(&pools->large);
    return pb ? init(pb, pools, PBUF_LARGE, PBUF_LARGE_BYTES, headroom) : NULL;
}

struct pbuf *pbuf_view(struct pbuf_pools *pools, struct pbuf *of, uint32_t offset, uint32_t len)
{
    struct pbuf *pb = net_slab_get(&pools->small);
    if (!pb)
        return NULL;
    pb->next = pb->link = NULL;
    pb->base = pb->data = of->data + offset;
    pb->root = pbuf_get(of->root);
    pb->len = pb->total = pb->room = len;
    pb->refs = 1;
    pb->flags = 0;
    pb->pools = pools;
    pb->kind = PBUF_VIEW;
    return pb;
}

struct pbuf *pbuf_foreign(struct pbuf_pools *pools, void *storage, uint32_t len, void (*release)(void *, void *), void *ctx)
{
    struct pbuf *pb = net_slab_get(&pools->small);
    if (!pb)
        return NULL;
    init(pb, pools, PBUF_FOREIGN, PBUF_SMALL_BYTES, 0);
    pb->base = pb->data = storage;
    pb->len = pb->total = pb->room = len;
    pb->release = release;
    pb->release_ctx = ctx;
    return pb;
}

/* Views count in their owner's refs as well, so a packet whose storage is still
 * looked at keeps its whole chain until the last view goes. */
void pbuf_free(struct pbuf *pb)
{
    if (net_likely(pb->kind == PBUF_LARGE && !pb->next)) {
        net_slab_put(&pb->pools->large, pb);
        return;
    }
    while (pb) {
        struct pbuf *next = pb->next, *root = pb->root;
        struct pbuf_pools *pools = pb->pools;
        switch (pb->kind) {
        case PBUF_LARGE:
            net_slab_put(&pools->large, pb);
            break;
        case PBUF_MEDIUM:
            net_slab_put(&pools->medium, pb);
            break;
        case PBUF_FOREIGN:
            pb->release(pb->release_ctx, pb->base);
            net_slab_put(&pools->small, pb);
            break;
        case PBUF_VIEW:
            net_slab_put(&pools->small, pb);
            pbuf_put(root);
            break;
        default:
            net_slab_put(&pools->small, pb);
        }
        if (!next || --next->refs)
            return;
        pb = next;
    }
}

struct pbuf *pbuf_copy_in(struct pbuf_pools *pools, const void *data, uint32_t len, uint32_t headroom)
{
    struct pbuf *head = NULL, *tail = NULL;
    const uint8_t *from = data;
    uint32_t left = len;
    do {
        struct pbuf *pb = left + headroom <= PBUF_SMALL_BYTES - PBUF_DESC_BYTES ? pbuf_alloc_small(pools, headroom)
                                                                              : pbuf_alloc_large(pools, headroom);
        if (!pb) {
            if (head)
                pbuf_put(head);
            return NULL;
        }
        uint32_t n = net_min(left, pbuf_tailroom(pb));
        net_copy(pbuf_extend(pb, n), from, n);
        from += n;
        left -= n;
        headroom = 0;
        if (tail)
            tail->next = pb;
        else
            head = pb;
        tail = pb;
    } while (left);
    head->total = len;
    return head;
}

uint32_t pbuf_copy_out(const struct pbuf *pb, uint32_t offset, void *out, uint32_t len)
{
    uint8_t *to = out;
    uint32_t done = 0;
    for (; pb && done < len; pb = pb->next) {
        if (offset >= pb->len) {
            offset -= pb->len;
            continue;
        }
        uint32_t n = net_min(pb->len - offset, len - done);
        net_copy(to + done, pb->data + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

struct pbuf *pbuf_pull_slow(struct pbuf *pb, uint32_t len)
{
    struct pbuf *head = NULL;
    if (len > pb->total || len > PBUF_LARGE_BYTES - PBUF_DESC_BYTES || !(head = pbuf_alloc_large(pb->pools, 0))) {
        pbuf_put(pb);
        return NULL;
    }
    pbuf_copy_out(pb, 0, pbuf_extend(head, len), len);
    head->total = pb->total;
    head->flags = pb->flags;
    head->seq = pb->seq;
    head->gso_size = pb->gso_size;
    head->iface = pb->iface;
    head->rss_bucket = pb->rss_bucket;
    head->vlan_tci = pb->vlan_tci;
    /* What remains hangs behind as views, so that a shared packet stays as it is. */
    struct pbuf *tail = head;
    for (struct pbuf *part = pb; part; part = part->next) {
        if (len >= part->len) {
            len -= part->len;
            continue;
        }
        struct pbuf *v = pbuf_view(pb->pools, part, len, part->len - len);
        len = 0;
        if (!v) {
            pbuf_put(head);
            pbuf_put(pb);
            return NULL;
        }
        tail->next = v;
        tail = v;
    }
    pbuf_put(pb);
    return head;
}

void pbuf_append(struct pbuf *pb, struct pbuf *tail)
{
    struct pbuf *last = pb;
    while (last->next)
        last = last->next;
    last->next = tail;
    pb->total += tail->total;
}

void pbuf_trim_slow(struct pbuf *pb, uint32_t total)
{
    pb->total = total;
    while (total > pb->len) {
        total -= pb->len;
        pb = pb->next;
    }
    pb->len = total;
    if (pb->next) {
        pbuf_put(pb->next);
        pb->next = NULL;
    }
}

struct pbuf *pbuf_advance(struct pbuf *pb, uint32_t n)
{
    while (n >= pb->len && pb->next) {
        struct pbuf *next = pb->next;
        n -= pb->len;
        next->total = pb->total - pb->len;
        next->link = pb->link;
        next->seq = pb->seq + pb->len;
        next->flags = pb->flags;
        next->iface = pb->iface;
        pb->next = NULL;
        pbuf_put(pb);
        pb = next;
    }
    pb->seq += n;
    pbuf_drop(pb, n);
    return pb;
}

uint32_t pbuf_true_bytes_slow(const struct pbuf *pb)
{
    uint32_t bytes = 0;
    for (; pb; pb = pb->next) {
        uint32_t own = pb->kind == PBUF_LARGE ? PBUF_LARGE_BYTES : pb->kind == PBUF_MEDIUM ? PBUF_MEDIUM_BYTES : PBUF_SMALL_BYTES;
        if (pb->kind == PBUF_VIEW && pb->root->kind == PBUF_LARGE)
            own += PBUF_LARGE_BYTES;
        else if (pb->kind == PBUF_VIEW && pb->root->kind == PBUF_MEDIUM)
            own += PBUF_MEDIUM_BYTES;
        else if (pb->kind == PBUF_FOREIGN)
            own += pb->room;
        bytes += own;
    }
    return bytes;
}

struct pbuf *pbuf_shrink(struct pbuf *pb)
{
    uint32_t n = pb->total;
    bool small = n <= PBUF_SMALL_BYTES - PBUF_DESC_BYTES;
    if (n > PBUF_MEDIUM_BYTES - PBUF_DESC_BYTES || pbuf_true_bytes(pb) <= (small ? PBUF_SMALL_BYTES : PBUF_MEDIUM_BYTES))
        return pb;
    struct pbuf *copy = small ? pbuf_alloc_small(pb->pools, 0) : pbuf_alloc_medium(pb->pools, 0);
    if (!copy)
        return pb;
    if (pbuf_true_bytes(copy) >= pbuf_true_bytes(pb)) { /* there were no small ones */
        pbuf_put(copy);
        return pb;
    }
    pbuf_copy_out(pb, 0, pbuf_extend(copy, n), n);
    copy->flags = pb->flags;
    copy->seq = pb->seq;
    copy->iface = pb->iface;
    pbuf_put(pb);
    return copy;
}

void pbuf_queue_flush(struct pbuf_queue *q)
{
    struct pbuf *pb;
    while ((pb = pbuf_queue_pop(q)))
        pbuf_put(pb);
}
