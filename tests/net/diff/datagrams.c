/* SPDX-License-Identifier: BSD-2-Clause */
/* A script about one UDP socket: what it does, what its peer sends, and what goes wrong in between. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/diff/linux.h"
#include "tests/net/diff/worlds.h"

#define DATAGRAM_MOST 70000u           /* more than any may have */

static const struct envelope plain;

/* What it told last, as sockets have it. */
static int64_t own_error(struct script *s)
{
    int e = s->udp_pcb->ep.error;
    s->udp_pcb->ep.error = 0;
    return e;
}

static void open_both(struct script *s, bool any)
{
    struct net_addr at = address_of_us(s);
    struct sockaddr_storage to;
    if (any)
        at = s->v6 || s->dual ? (struct net_addr){ 0 } : net_addr_v4(0);
    bool six = s->v6 || s->dual;
    s->fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || (six && !diff_linux_dual(s->fd, false)))
        die("a socket");
    socklen_t n = diff_sockaddr(&to, &at, s->port, six);
    s->seen[LINUX].result = bind(s->fd, (struct sockaddr *)&to, n) < 0 ? -errno : 0;
    s->udp_pcb = udp_open(own.ns);
    if (!s->udp_pcb)
        die("the stack's endpoint");
    s->seen[OWN].result = udp_bind(s->udp_pcb, &at, s->port);
    s->what = any ? "bind" : "bind to an address";
}

static void connect_udp(struct script *s, bool second)
{
    struct net_addr to = from_address(s, &(struct envelope){ .from = second ? FROM_SECOND : FROM_PEER });
    struct sockaddr_storage name;
    socklen_t n = diff_sockaddr(&name, &to, PEER_PORT, s->v6 || s->dual);
    s->seen[LINUX].result = connect(s->fd, (struct sockaddr *)&name, n) < 0 ? -errno : 0;
    s->seen[OWN].result = udp_connect(s->udp_pcb, &to, PEER_PORT);
    s->connected |= s->seen[OWN].result == 0;
    s->what = second ? "connect to the other address" : "connect";
}

/* port -1: to whom it is connected. */
static void send_udp(struct script *s, uint32_t bytes, int port, bool second)
{
    static uint8_t buf[DATAGRAM_MOST];
    struct net_addr to = from_address(s, &(struct envelope){ .from = second ? FROM_SECOND : FROM_PEER });
    struct sockaddr_storage name;
    socklen_t n = diff_sockaddr(&name, &to, (uint16_t)port, s->v6 || s->dual);
    for (uint32_t k = 0; k < bytes; k++)
        buf[k] = (uint8_t)(k * 7 + s->rng);
    ssize_t sent = sendto(s->fd, buf, bytes, MSG_NOSIGNAL, port < 0 ? NULL : (struct sockaddr *)&name, port < 0 ? 0 : n);
    s->seen[LINUX].result = sent < 0 ? -errno : sent;
    /* An error that waits is told instead of sending what could be sent. */
    uint32_t most = s->v6 ? 65527 : 65507;
    bool can = bytes <= most && (port < 0 ? s->connected : port > 0);
    int64_t e = can ? own_error(s) : 0;
    if (e) {
        s->seen[OWN].result = -e;
        return;
    }
    struct pbuf *pb = pbuf_copy_in(net_stack_pools(own.ns), buf, bytes, 0);
    int err = pb ? udp_send(s->udp_pcb, pb, port < 0 ? NULL : &to, port < 0 ? 0 : (uint16_t)port) : -NET_ENOBUFS;
    s->seen[OWN].result = err < 0 ? err : (int64_t)bytes;
}

static void recv_udp(struct script *s)
{
    static uint8_t a[DATAGRAM_MOST], b[DATAGRAM_MOST];
    struct sockaddr_storage name;
    struct net_addr from;
    socklen_t n = sizeof name;
    ssize_t got = recvfrom(s->fd, a, sizeof a, 0, (struct sockaddr *)&name, &n);
    s->seen[LINUX].result = got < 0 ? -errno : got;
    int64_t e = own_error(s);
    struct pbuf *pb = e ? NULL : udp_recv(s->udp_pcb);
    s->seen[OWN].result = e ? -e : pb ? (int64_t)pb->total : -NET_EAGAIN;
    if (pb && got >= 0 && pb->total == (uint64_t)got) {
        uint16_t port = diff_net_addr(&name, &from);
        pbuf_copy_out(pb, 0, b, (uint32_t)got);
        s->seen[OWN].wrong += memcmp(a, b, (size_t)got) != 0 || port != pb->port || !net_addr_eq(&from, &pb->addr);
    }
    if (pb)
        pbuf_put(pb);
}

static void close_udp(struct script *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->udp_pcb)
        udp_close(s->udp_pcb);
    s->fd = -1;
    s->udp_pcb = NULL;
    s->closed = true;
    s->connected = false;
}

void udp_finish(struct script *s) { close_udp(s); }

struct datagram {
    uint32_t bytes;
    uint16_t from, to;
    int length;              /* what its header says more than there is */
    uint16_t flip;           /* of the checksum */
    bool no_checksum;
};

static void datagram_to_both(struct script *s, const struct datagram *d, const struct envelope *e)
{
    static uint8_t m[4096];
    put_be16(m, d->from);
    put_be16(m + 2, d->to);
    put_be16(m + 4, (uint16_t)(8 + (int)d->bytes + d->length));
    store16(m + 6, 0);
    for (uint32_t k = 0; k < d->bytes; k++)
        m[8 + k] = (uint8_t)below(s, 256);
    /* It is of what the header says is there. */
    uint32_t covered = d->length < 0 && 8 + (int)d->bytes + d->length >= 8 ? (uint32_t)(8 + (int)d->bytes + d->length) : 8 + d->bytes;
    uint16_t sum = message_checksum(s, e, IP_PROTO_UDP, m, covered);
    if (!d->no_checksum)
        store16(m + 6, (sum ? sum : 0xffff) ^ d->flip);
    for (enum world w = 0; w < WORLDS; w++)
        send_packet(s, w, IP_PROTO_UDP, m, 8 + d->bytes, e);
}

static uint32_t some_bytes(struct script *s) { return chance(s, 15) ? 0 : below(s, chance(s, 70) ? 200 : 1400); }

static void peer_udp(struct script *s)
{
    static const struct { const char *name; unsigned weight; } kinds[] = {
        { "a datagram", 24 }, { "an odd packet", 12 }, { "a datagram in fragments", 12 }, { "a datagram from another port", 4 },
        { "a datagram from the other address", 4 }, { "a datagram from nowhere", 4 }, { "a datagram to all", 4 }, { "a datagram to a stranger", 1 },
        { "a corrupt datagram", 3 }, { "a datagram without checksum", 3 }, { "a datagram that ends early", 3 }, { "a datagram beyond its packet", 2 },
        { NO_LENGTH, 2 }, { "a datagram shorter than its header", 2 }, { "a datagram to a closed port", 4 }, { "a ping", 3 },
        { "an odd ping", 3 }, { "a ping in fragments", 3 }, { "a datagram at its last hop", 1 },
    };
    static const enum from nowhere[] = { FROM_US, FROM_NOBODY, FROM_LOOPBACK, FROM_GROUP };
    unsigned total = 0, k = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        total += kinds[i].weight;
    for (unsigned at = below(s, total); at >= kinds[k].weight; k++)
        at -= kinds[k].weight;
    struct datagram d = { .bytes = some_bytes(s), .from = PEER_PORT, .to = s->port };
    struct envelope e = plain;
    s->what = kinds[k].name;
    switch (k) {
    case 1: e.odd = 1 + below(s, odd_count(s)); break;
    case 2: d.bytes = 100 + below(s, 3900); e.cuts = 3 + below(s, 4); e.order = below(s, ORDERS); break;
    case 3: d.from++; break;
    case 4: e.from = FROM_SECOND; break;
    case 5: e.from = nowhere[below(s, 4)]; break;
    case 6: e.to = TO_ALL; break;
    case 7: e.to = TO_STRANGER; break;
    case 8: d.flip = (uint16_t)(1u << below(s, 16)); break;
    case 9: d.no_checksum = true; break;
    case 10: d.length = -(int)below(s, d.bytes + 1); break;
    case 11: d.length = 1 + (int)below(s, 100); break;
    case 12: d.length = -8 - (int)d.bytes; s->jumbo |= s->v6; break;
    case 13: d.length = -1 - (int)d.bytes - (int)below(s, 7); break;
    case 14: d.to = CLOSED_PORT; break;
    case 16: e.odd = 1 + below(s, odd_count(s)); break;
    case 17: d.bytes = 100 + below(s, 3900); e.cuts = 3 + below(s, 4); e.order = below(s, ORDERS); break;
    case 18: e.ttl = 1; break;
    }
    s->padded |= s->v6 && e.odd && strcmp(odd_name(s, e.odd), LONG_PADDING) == 0;
    s->nobody |= s->v6 && e.from == FROM_NOBODY;
    s->around = e.cuts ? order_name(e.order) : e.from == FROM_US ? "from ourselves" : e.from == FROM_NOBODY ? "from nobody" :
                e.from == FROM_LOOPBACK ? "from the loopback" : e.from == FROM_GROUP ? "from a group" : odd_name(s, e.odd);
    if (k >= 15 && k <= 17)
        echo_to_both(s, d.bytes, &e);
    else
        datagram_to_both(s, &d, &e);
}

static void error_udp(struct script *s)
{
    struct quote q = { .proto = IP_PROTO_UDP, .from_port = s->port, .to_port = PEER_PORT, .seq = 100 };
    unsigned how = below(s, 8);
    q.to_port += how == 0;
    q.other_host = how == 1;
    q.other_source = how == 2;
    s->icmp = (int)below(s, error_count());
    s->what = error_name((unsigned)s->icmp);
    s->around = how == 0 ? "about another port" : how == 1 ? "about another host" : how == 2 ? "about another source" : "";
    error_to_both(s, (unsigned)s->icmp, &q);
    s->ask = chance(s, 60);
}

static void call_udp(struct script *s)
{
    unsigned k = below(s, 20);
    uint32_t n = some_bytes(s);
    if (k < 9) {
        recv_udp(s);
        s->what = "receive";
    } else if (k < 13) {
        if (chance(s, 30))
            n = chance(s, 20) ? 65490 + below(s, 45) : 1400 + below(s, 4000);
        send_udp(s, n, -1, false);
        s->what = n > 1400 ? "send much" : "send";
    } else if (k < 15) {
        send_udp(s, n, PEER_PORT, false);
        s->what = "send to the peer";
    } else if (k == 15) {
        send_udp(s, n, chance(s, 30) ? 0 : PEER_PORT + 1, chance(s, 50));
        s->what = "send to somebody";
    } else if (k < 18) {
        connect_udp(s, chance(s, 15));
    } else if (k == 18) {
        s->ask = true;
        recv_udp(s);
        s->what = "receive";
    } else if (chance(s, 30)) {
        close_udp(s);
        s->what = "close";
    }
}

void udp_step(struct script *s)
{
    bool ask = s->ask && s->udp_pcb;
    s->ask = false;
    s->around = "";
    s->icmp = -1;
    s->ip_id++;
    if (s->phase++ == 0) {
        open_both(s, chance(s, 70));
    } else if (s->phase == 2 && chance(s, 60)) {
        connect_udp(s, false);
    } else if (ask) {
        int e = 0;
        socklen_t n = sizeof e;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n);
        s->seen[LINUX].result = e;
        s->seen[OWN].result = own_error(s);
        s->what = "error";
    } else if (s->udp_pcb && chance(s, 45)) {
        call_udp(s);
    } else if (s->udp_pcb && chance(s, 25)) {
        error_udp(s);
    } else {
        peer_udp(s);
    }
}
