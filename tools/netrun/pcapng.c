/* SPDX-License-Identifier: BSD-2-Clause */
/* A NIC that writes what passes it to a pcap-ng file (draft-ietf-opsawg-pcapng). */
#include "tools/netrun/netrun.h"

#include <stdlib.h>
#include <time.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define LINKTYPE_ETHERNET 1u

struct capture {
    struct net_nic nic;
    struct net_nic *below;
    FILE *out;
};

static void word(FILE *out, uint32_t v) { fwrite(&v, 4, 1, out); }

static void record(struct capture *c, const struct pbuf *pb)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t us = (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
    uint32_t padded = (pb->total + 3) & ~3u, size = 32 + padded;
    word(c->out, BLOCK_PACKET);
    word(c->out, size);
    word(c->out, 0);
    word(c->out, (uint32_t)(us >> 32));
    word(c->out, (uint32_t)us);
    word(c->out, pb->total);
    word(c->out, pb->total);
    for (const struct pbuf *p = pb; p; p = p->next)
        fwrite(p->data, 1, p->len, c->out);
    fwrite("\0\0\0", 1, padded - pb->total, c->out);
    word(c->out, size);
}

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct capture *c = nic->priv;
    c->below->pools = nic->pools;
    unsigned n = c->below->ops->rx_burst(c->below, out, max);
    for (unsigned k = 0; k < n; k++)
        record(c, out[k]);
    return n;
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct capture *c = nic->priv;
    for (unsigned k = 0; k < count; k++)
        pbuf_get(frames[k]);
    unsigned n = c->below->ops->tx_burst(c->below, frames, count);
    for (unsigned k = 0; k < count; k++) {
        if (k < n)
            record(c, frames[k]);
        pbuf_put(frames[k]);
    }
    return n;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

struct net_nic *netrun_capture(struct net_nic *below, FILE *out)
{
    struct capture *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->nic = *below;
    c->nic.ops = &ops;
    c->nic.priv = c;
    c->below = below;
    c->out = out;
    static const uint32_t section[] = { BLOCK_SECTION, 28, 0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX, 28 };
    static const uint32_t interface[] = { BLOCK_INTERFACE, 20, LINKTYPE_ETHERNET, 0, 20 };
    fwrite(section, sizeof section, 1, out);
    fwrite(interface, sizeof interface, 1, out);
    return &c->nic;
}
