/* SPDX-License-Identifier: BSD-2-Clause */
/* A NIC that mistreats the frames of the NIC below it, both ways, by seed. */
#include "tools/netrun/netrun.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 4096u

struct held {
    struct held *next;
    struct pbuf *pb;
    uint64_t at_ns;
};

struct lane { /* one direction, by time */
    struct held *head;
    uint64_t busy_until_ns;
    uint32_t count, burst_left;
};

struct impaired {
    struct net_nic nic;
    struct net_nic *below;
    struct netrun_impairment how;
    uint64_t rng;
    struct lane rx, tx;
};

static uint64_t draw(struct impaired *im)
{
    uint64_t z = im->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static bool chance(struct impaired *im, double p) { return p > 0 && (double)(draw(im) >> 11) / 9007199254740992.0 < p; }

static void hold(struct lane *lane, struct pbuf *pb, uint64_t at_ns)
{
    struct held *h = malloc(sizeof *h), **at = &lane->head;
    if (!h || lane->count >= QUEUE_MAX) {
        free(h);
        pbuf_put(pb);
        return;
    }
    *h = (struct held){ .pb = pb, .at_ns = at_ns };
    while (*at && (*at)->at_ns <= at_ns)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
    lane->count++;
}

static struct pbuf *flat_copy(struct impaired *im, struct pbuf *pb)
{
    static uint8_t bytes[65600];
    uint32_t n = pbuf_copy_out(pb, 0, bytes, sizeof bytes);
    struct pbuf *copy = pbuf_copy_in(im->nic.pools, bytes, n, 0);
    if (copy)
        copy->flags = pb->flags;
    return copy;
}

static void enter(struct impaired *im, struct lane *lane, struct pbuf *pb)
{
    const struct netrun_impairment *how = &im->how;
    uint64_t now = netrun_now_ns(), at = now;
    if (lane->burst_left || chance(im, how->loss)) {
        lane->burst_left = lane->burst_left ? lane->burst_left - 1 : how->burst;
        pbuf_put(pb);
        return;
    }
    if (how->rate_kbit) {
        lane->busy_until_ns = net_max(lane->busy_until_ns, now) + pb->total * 8000000ull / how->rate_kbit;
        at = lane->busy_until_ns;
    }
    at += how->delay_us * 1000;
    if (how->jitter_us)
        at += draw(im) % (how->jitter_us * 1000);
    if (chance(im, how->reorder))
        at += how->delay_us * 500 + 1000000;
    /* ARP and ND live by the link's CRC, so a corrupted frame is one of TCP or UDP. */
    bool ip4 = pb->total > 34 && pb->data[12] == 8 && pb->data[13] == 0;
    if (ip4 && chance(im, how->corrupt)) {
        struct pbuf *copy = flat_copy(im, pb);
        if (copy) {
            copy->flags &= (uint8_t)~PBUF_CSUM_GOOD;
            uint64_t bit = draw(im) % ((net_min(copy->len, copy->total) - 34u) * 8u);
            copy->data[34 + bit / 8] ^= (uint8_t)(1u << bit % 8);
            pbuf_put(pb);
            pb = copy;
        }
    }
    if (chance(im, how->duplicate)) {
        struct pbuf *copy = flat_copy(im, pb);
        if (copy)
            hold(lane, copy, at);
    }
    hold(lane, pb, at);
}

static unsigned leave(struct lane *lane, struct pbuf **out, unsigned max)
{
    uint64_t now = netrun_now_ns();
    unsigned n = 0;
    while (n < max && lane->head && lane->head->at_ns <= now) {
        struct held *h = lane->head;
        lane->head = h->next;
        lane->count--;
        out[n++] = h->pb;
        free(h);
    }
    return n;
}

static void push_down(struct impaired *im)
{
    struct pbuf *frames[NET_BURST];
    unsigned n = leave(&im->tx, frames, NET_BURST), sent = im->below->ops->tx_burst(im->below, frames, n);
    for (; sent < n; sent++)
        hold(&im->tx, frames[sent], 0);
}

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct impaired *im = nic->priv;
    struct pbuf *frames[NET_BURST];
    im->below->pools = nic->pools;
    push_down(im);
    unsigned n = im->below->ops->rx_burst(im->below, frames, NET_BURST);
    for (unsigned k = 0; k < n; k++)
        enter(im, &im->rx, frames[k]);
    return leave(&im->rx, out, max);
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct impaired *im = nic->priv;
    for (unsigned k = 0; k < count; k++)
        enter(im, &im->tx, frames[k]);
    push_down(im);
    return count;
}

static const struct net_nic_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

struct net_nic *netrun_impair(struct net_nic *below, const struct netrun_impairment *how)
{
    struct impaired *im = calloc(1, sizeof *im);
    if (!im)
        return NULL;
    im->nic = *below;
    im->nic.ops = &ops;
    im->nic.priv = im;
    im->nic.offloads &= NIC_TX_CHAIN; /* it needs real frames with real checksums */
    im->below = below;
    im->how = *how;
    im->rng = how->seed;
    return &im->nic;
}

uint64_t netrun_impair_next_ns(struct net_nic *nic)
{
    struct impaired *im = nic->priv;
    if (nic->ops != &ops)
        return UINT64_MAX;
    return net_min(im->rx.head ? im->rx.head->at_ns : UINT64_MAX, im->tx.head ? im->tx.head->at_ns : UINT64_MAX);
}

bool netrun_impair_parse(const char *text, struct netrun_impairment *out)
{
    char copy[256], *save = NULL;
    *out = (struct netrun_impairment){ .seed = 1 };
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(word, '='), *unit;
        if (!eq)
            return false;
        *eq = 0;
        double v = strtod(eq + 1, &unit);
        if (unit == eq + 1 || v < 0)
            return false;
        double share = *unit == '%' ? v / 100 : v, us = strcmp(unit, "s") == 0 ? v * 1e6 : strcmp(unit, "us") == 0 ? v : v * 1e3;
        double kbit = strcmp(unit, "gbit") == 0 ? v * 1e6 : strcmp(unit, "kbit") == 0 ? v : v * 1e3;
        if (strcmp(word, "loss") == 0) out->loss = share;
        else if (strcmp(word, "dup") == 0) out->duplicate = share;
        else if (strcmp(word, "corrupt") == 0) out->corrupt = share;
        else if (strcmp(word, "reorder") == 0) out->reorder = share;
        else if (strcmp(word, "delay") == 0) out->delay_us = (uint64_t)us;
        else if (strcmp(word, "jitter") == 0) out->jitter_us = (uint64_t)us;
        else if (strcmp(word, "rate") == 0) out->rate_kbit = (uint64_t)kbit;
        else if (strcmp(word, "burst") == 0) out->burst = (uint32_t)v;
        else if (strcmp(word, "seed") == 0) out->seed = (uint64_t)v;
        else return false;
    }
    return true;
}
