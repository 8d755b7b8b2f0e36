/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet buffers. A packet is a chain of parts; a part is a view of bytes in
 * some storage: its own (behind the descriptor), another part's (a view made
 * by pbuf_view()), or foreign memory with a release callback. Storage lives
 * until its last reference is put, so a program may put a buffer that a
 * device still reads (free protection): the device holds its own reference.
 *
 * One instance owns its pools; a buffer goes back to the pool it came from
 * and is never shared between instances.
 */
#ifndef NET_PBUF_H
#define NET_PBUF_H

#include "cokernel/net/net_addr.h"
#include "cokernel/net/net_mem.h"

#define PBUF_DESC_BYTES 128u
#define PBUF_SMALL_BYTES 256u   /* descriptor included: headers, ACKs */
#define PBUF_MEDIUM_BYTES 512u  /* a small message behind its headers */
#define PBUF_LARGE_BYTES 2048u  /* a 1514-byte frame with headroom */
#define PBUF_HEADROOM 128u      /* Ethernet 18, IPv6 40 with options, TCP 60 */

enum pbuf_flag {
    PBUF_CSUM_GOOD = 1,     /* rx: the device checked the layer-4 checksum */
    PBUF_CSUM_PARTIAL = 2,  /* tx: fill in from csum_start at csum_offset; rx: peer did not, and need not */
    PBUF_TSO = 4,           /* tx: cut at gso_size */
    PBUF_BROADCAST = 8,     /* rx: link-layer group address */
    PBUF_APPENDABLE = 16,   /* made by tcp_write(): its tail room may be filled */
    PBUF_HASHED = 32,       /* rx: seq holds the hash of the TCP flow */
};

enum pbuf_kind { PBUF_SMALL, PBUF_MEDIUM, PBUF_LARGE, PBUF_VIEW, PBUF_FOREIGN };

struct pbuf_pools;
struct net_iface;

struct pbuf {
    struct pbuf *next;  /* next part of this packet */
    struct pbuf *link;  /* next packet in a queue */
    uint8_t *data;
    struct pbuf *root;  /* owner of the storage; itself unless a view */
    struct pbuf_pools *pools;
    uint32_t len;       /* of this part */
    uint32_t total;     /* of the packet; first part only */
    uint32_t refs;
    uint32_t seq;       /* TCP queues: sequence number of data[0] */
    uint8_t flags;      /* enum pbuf_flag */
    uint8_t kind;
    uint16_t gso_size;
    uint16_t csum_start;  /* from data */
    uint16_t csum_offset; /* from csum_start */
    /* second cache line: not needed to queue, acknowledge or free */
    uint8_t *base;            /* [base, base + room) is what this part may use */
    struct net_iface *iface;  /* rx: where it came in */
    struct net_addr addr;     /* datagrams: the peer */
    uint32_t room;
    uint32_t rss_bucket;
    uint16_t port;
    uint16_t vlan_tci;
    uint8_t tos, ttl;
    uint8_t pad[2];
    void (*release)(void *ctx, void *storage); /* foreign storage only */
    void *release_ctx;
};
_Static_assert(sizeof(struct pbuf) <= PBUF_DESC_BYTES, "descriptor fits its slot");
_Static_assert(offsetof(struct pbuf, base) == 64, "the first cache line is all that most of the path touches");

struct pbuf_pools {
    struct net_slab small, medium, large;
};

void pbuf_pools_init(struct pbuf_pools *pools, struct net_mem *mem);
void pbuf_pools_fini(struct pbuf_pools *pools);

/* An empty buffer with `headroom` before data, a larger one if there is none of that size; NULL if out of memory. */
struct pbuf *pbuf_alloc_small(struct pbuf_pools *pools, uint32_t headroom);
struct pbuf *pbuf_alloc_medium(struct pbuf_pools *pools, uint32_t headroom);
struct pbuf *pbuf_alloc_large(struct pbuf_pools *pools, uint32_t headroom);
/* A view of bytes [offset, offset + len) of one part. Holds the storage, not the part. */
struct pbuf *pbuf_view(struct pbuf_pools *pools, struct pbuf *of, uint32_t offset, uint32_t len);
/* Foreign memory: release(ctx, storage) runs when the last reference goes. */
struct pbuf *pbuf_foreign(struct pbuf_pools *pools, void *storage, uint32_t len, void (*release)(void *, void *), void *ctx);

/* A chain of large buffers holding a copy; NULL if out of memory. */
struct pbuf *pbuf_copy_in(struct pbuf_pools *pools, const void *data, uint32_t len, uint32_t headroom);
/* Bytes [offset, offset + len) of a packet; returns what was there. */
uint32_t pbuf_copy_out(const struct pbuf *pb, uint32_t offset, void *out, uint32_t len);
/* A contiguous copy of the packet's first `len` bytes in its first part, without
 * changing the packet otherwise; NULL (packet put) if it has fewer or memory is short. */
struct pbuf *pbuf_pull_slow(struct pbuf *pb, uint32_t len);

void pbuf_free(struct pbuf *pb);

static inline struct pbuf *pbuf_get(struct pbuf *pb)
{
    pb->refs++;
    return pb;
}

/* Drops a reference to a packet; the last one frees every part. */
static inline void pbuf_put(struct pbuf *pb)
{
    if (--pb->refs == 0)
        pbuf_free(pb);
}

static inline struct pbuf *pbuf_pull(struct pbuf *pb, uint32_t len)
{
    return net_likely(pb->len >= len) ? pb : pbuf_pull_slow(pb, len);
}

static inline uint32_t pbuf_headroom(const struct pbuf *pb) { return (uint32_t)(pb->data - pb->base); }
static inline uint32_t pbuf_tailroom(const struct pbuf *pb) { return (uint32_t)(pb->base + pb->room - pb->data) - pb->len; }
/* Whether the bytes may be written: nobody else looks at the storage. */
static inline bool pbuf_exclusive(const struct pbuf *pb) { return pb->root == pb && pb->refs == 1; }

/* Opens n bytes in front; the caller knows there is room. */
static inline uint8_t *pbuf_push(struct pbuf *pb, uint32_t n)
{
    pb->data -= n;
    pb->len += n;
    pb->total += n;
    return pb->data;
}
/* Drops n <= pb->len bytes from the front. */
static inline void pbuf_drop(struct pbuf *pb, uint32_t n)
{
    pb->data += n;
    pb->len -= n;
    pb->total -= n;
}
/* Appends n bytes of room; the caller knows there is room and one part. */
static inline uint8_t *pbuf_extend(struct pbuf *pb, uint32_t n)
{
    uint8_t *at = pb->data + pb->len;
    pb->len += n;
    pb->total += n;
    return at;
}

/* Appends the chain `tail` to the packet. */
void pbuf_append(struct pbuf *pb, struct pbuf *tail);
void pbuf_trim_slow(struct pbuf *pb, uint32_t total);
/* Cuts the packet to its first `total` bytes. */
static inline void pbuf_trim(struct pbuf *pb, uint32_t total)
{
    if (net_unlikely(total < pb->total))
        pbuf_trim_slow(pb, total);
}
/* Drops bytes from the front of a chain whatever its parts; the head may be
 * replaced. Needs an exclusive packet. Returns the new head (never NULL). */
struct pbuf *pbuf_advance(struct pbuf *pb, uint32_t n);
/* The same bytes in a buffer of the size that they need, if that pins less memory and can be had; else pb itself. */
struct pbuf *pbuf_shrink(struct pbuf *pb);
uint32_t pbuf_true_bytes_slow(const struct pbuf *pb);
/* Bytes of memory that the packet pins. */
static inline uint32_t pbuf_true_bytes(const struct pbuf *pb)
{
    return net_likely(!pb->next && pb->kind == PBUF_LARGE) ? PBUF_LARGE_BYTES : pbuf_true_bytes_slow(pb);
}

struct pbuf_queue {
    struct pbuf *head, *tail;
    uint32_t count;
};

static inline void pbuf_queue_push(struct pbuf_queue *q, struct pbuf *pb)
{
    pb->link = NULL;
    if (q->head)
        q->tail->link = pb;
    else
        q->head = pb;
    q->tail = pb;
    q->count++;
}

static inline struct pbuf *pbuf_queue_pop(struct pbuf_queue *q)
{
    struct pbuf *pb = q->head;
    if (pb) {
        q->head = pb->link;
        q->count--;
    }
    return pb;
}

static inline void pbuf_queue_push_front(struct pbuf_queue *q, struct pbuf *pb)
{
    pb->link = q->head;
    if (!q->head)
        q->tail = pb;
    q->head = pb;
    q->count++;
}

void pbuf_queue_flush(struct pbuf_queue *q);

#endif
