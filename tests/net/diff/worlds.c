/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux behind a TAP device in a network namespace, the stack in this process, and what a peer sees of both. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/diff/linux.h"
#include "tests/net/diff/worlds.h"

struct script scripts[PARALLEL];
unsigned script_count;
int listen_fd;
struct own own;

static int tap;

static const uint8_t OWN_MAC[6] = { 2, 0, 0, 0, 0, 1 }, PEER_MAC[6] = { 2, 0, 0, 0, 0, 2 };

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct script *script_of(uint16_t peer_port, uint16_t own_port)
{
    for (unsigned k = 0; k < script_count; k++) {
        struct script *s = &scripts[k];
        if (s->active ? peer_port == PEER_PORT && (own_port == s->port) : peer_port == s->port)
            return s;
    }
    return NULL;
}

static void observe(enum world w, const uint8_t *f, uint32_t len)
{
    const uint8_t *ip = f + 14, *t = ip + 20;
    if (len < 54 || get_be16(f + 12) != ETH_TYPE_IP4 || ip[0] != 0x45 || ip[9] != IP_PROTO_TCP)
        return;
    struct script *s = script_of(get_be16(t + 2), get_be16(t));
    if (!s)
        return;
    struct seen *o = &s->seen[w];
    uint32_t seq = get_be32(t + 4), ack = get_be32(t + 8), header = (t[12] >> 4) * 4u;
    uint32_t n = get_be16(ip + 2) - 20u - header;
    uint16_t flags = t[13];
    o->answers += !n && !(flags & (TCP_SYN | TCP_FIN)); /* what timers send carries something */
    if (flags & TCP_SYN) {
        o->iss = seq;
        o->have_iss = true;
        o->syn |= flags & TCP_ACK ? 2 : 1;
        for (const uint8_t *p = t + 20; p < t + header && *p; p += *p == 1 ? 1 : p[1]) {
            o->mss = *p == 2 ? get_be16(p + 2) : o->mss;
            o->options |= *p == 2 ? 1 : *p == 3 ? 2 : *p == 4 ? 4 : *p == 8 ? 8 : *p == 1 ? 0 : 128;
        }
    }
    for (const uint8_t *p = t + 20; p < t + header && *p; p += *p == 1 ? 1 : p[1])
        if (*p == 8)
            o->tsval = get_be32(p + 2);
    if (flags & TCP_RST) {
        o->rst++;
        o->rst_flags = (uint8_t)flags;
        o->rst_seq = o->have_iss && seq ? seq - o->iss : seq; /* 0 where there is no connection: RFC 9293 3.10.7.1 */
        o->rst_ack = flags & TCP_ACK ? ack - PEER_ISS : 0;
        return;
    }
    uint32_t end = seq - o->iss + n + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
    if (o->have_iss && (int32_t)(end - o->sent) > 0)
        o->sent = end;
    if ((flags & TCP_ACK) && (!o->acked || (int32_t)(ack - PEER_ISS - o->acked) > 0))
        o->acked = ack - PEER_ISS;
    o->fin |= flags & TCP_FIN;
    for (uint32_t k = 0; k < n && o->have_iss; k++) /* the stream, wherever it is */
        if (t[header + k] != pattern(seq - o->iss - 1 + k))
            o->wrong++;
}

void linux_collect(void)
{
    uint8_t f[2048];
    for (ssize_t n; (n = read(tap, f, sizeof f)) > 0;)
        observe(LINUX, f, (uint32_t)n);
}

static unsigned own_rx(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    unsigned n = net_min(own.inbox_count, max);
    memcpy(out, own.inbox, n * sizeof *out);
    memmove(own.inbox, own.inbox + n, (own.inbox_count - n) * sizeof *out);
    own.inbox_count -= n;
    return n;
}

static unsigned own_tx(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    uint8_t f[2048];
    for (unsigned k = 0; k < count; k++) {
        observe(OWN, f, pbuf_copy_out(frames[k], 0, f, sizeof f));
        pbuf_put(frames[k]);
    }
    return count;
}

void own_run(void)
{
    unsigned events;
    for (int k = 0; k < 2; k++) {
        net_stack_poll(own.ns);
        while (net_event_next(own.ns, &events))
            ;
        net_stack_flush(own.ns);
    }
}

static void *pages_alloc(void *ctx, size_t n) { return aligned_alloc(4096, n); }
static void pages_free(void *ctx, void *p, size_t n) { free(p); }
static uint64_t clock_now(void *ctx) { return now_ns(); }
static void randomness(void *ctx, void *out, size_t n)
{
    for (uint8_t *p = out; n--; p++)
        *p = (uint8_t)rand();
}
static const struct net_nic_ops own_ops = { .rx_burst = own_rx, .tx_burst = own_tx };

void own_setup(void)
{
    struct net_addr us = net_addr_v4(0x0a090001), peer = net_addr_v4(0x0a090002), any = net_addr_v4(0);
    struct net_mac mac;
    int err;
    own.env = (struct net_env){ .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = clock_now, .random = randomness };
    own.nic = (struct net_nic){ .ops = &own_ops, .mtu = 1500, .offloads = NIC_TX_CHAIN };
    memcpy(own.nic.mac.b, OWN_MAC, 6);
    memcpy(mac.b, PEER_MAC, 6);
    own.ns = net_stack_create(&(struct net_config){ .env = &own.env });
    struct net_iface *iface = net_iface_add(own.ns, &own.nic, "diff");
    net_iface_add_addr(iface, &us, 24, false);
    neigh_learn(own.ns, iface, &peer, &mac, true, true, true);
    own.listener = tcp_listen(own.ns, &any, PORT, 1024, &err);
    tcp_listener_set(own.listener, TCP_OPT_CONGESTION, TCP_CC_NEWRENO);
}

static void own_send(const uint8_t *f, uint32_t len)
{
    if (own.inbox_count == 256)
        own_run();
    own.inbox[own.inbox_count++] = pbuf_copy_in(net_stack_pools(own.ns), f, len, 0);
    own_run();
}

/* Not possible here: the caller skips. */
static void cannot_begin(const char *what)
{
    fprintf(stderr, "net-diff: %s: %s\n", what, strerror(errno));
    exit(77);
}

void linux_setup(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    if (unshare(CLONE_NEWNET) < 0)
        cannot_begin("a network namespace");
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strcpy(ifr.ifr_name, "tap0");
    if (tap < 0 || ioctl(tap, TUNSETIFF, &ifr) < 0)
        cannot_begin("a TAP device");
    if (system("ip link set lo up && ip link set tap0 address 02:00:00:00:00:01 && ip addr add 10.9.0.1/24 dev tap0 && ip link set tap0 up && "
               "ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev tap0 nud permanent && "
               "sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1 net.ipv4.tcp_fastopen=0") != 0)
        cannot_begin("setting up tap0");
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (diff_linux_reno(listen_fd) < 0 || bind(listen_fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(listen_fd, 1024) < 0)
        cannot_begin("a listening socket");
}

void frame_to(enum world w, const uint8_t *f, uint32_t len)
{
    if (w == OWN)
        own_send(f, len);
    else if (write(tap, f, len) < 0)
        die("writing to tap0");
}

/* The frame's first 12 bytes. */
void put_macs(uint8_t *f)
{
    memcpy(f, OWN_MAC, 6);
    memcpy(f + 6, PEER_MAC, 6);
}

void die(const char *what)
{
    fprintf(stderr, "net-diff: %s: %s\n", what, strerror(errno));
    exit(2);
}
