/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux behind a TAP device in a network namespace, and the stack in this process. */
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
int listen_fds[2];
struct own own;

static int tap;

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct script *script_of(uint16_t port)
{
    for (unsigned k = 0; k < script_count; k++)
        if (scripts[k].port == port)
            return &scripts[k];
    return NULL;
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

static const char *const routers[] = { "10.9.0.2", "fd00:9::2" };

void own_router_is_there(void)
{
    static const struct net_mac mac = { { 2, 0, 0, 0, 0, 2 } };
    for (unsigned k = 0; k < 2; k++) {
        struct net_addr router;
        net_addr_parse(routers[k], &router);
        neigh_learn(own.ns, own.ns->nics, &router, &mac, true, true, true);
    }
}

void own_setup(void)
{
    static const char *const ours[] = { "10.9.0.1", "fd00:9::1" };
    static const unsigned bits[] = { 24, 64 };
    int err;
    own.env = (struct net_env){ .pages_alloc = pages_alloc, .pages_free = pages_free, .now_ns = clock_now, .random = randomness };
    own.nic = (struct net_nic){ .ops = &own_ops, .mac = { { 2, 0, 0, 0, 0, 1 } }, .mtu = 1500, .offloads = NIC_TX_CHAIN };
    own.ns = net_stack_create(&(struct net_config){ .env = &own.env });
    struct net_iface *iface = net_iface_add(own.ns, &own.nic, "diff");
    for (unsigned k = 0; k < 2; k++) {
        struct net_addr us, gateway, any = k ? (struct net_addr){ 0 } : net_addr_v4(0);
        if (net_addr_parse(ours[k], &us) < 0 || net_addr_parse(routers[k], &gateway) < 0 || net_iface_add_addr(iface, &us, bits[k], false) < 0 ||
            net_route_add(own.ns, &any, 0, &gateway, iface, 0) < 0)
            die("the stack's addresses");
        own.listeners[k] = tcp_listen(own.ns, k ? &us : &any, PORT, 1024, &err);
        if (!own.listeners[k])
            die("the stack's listener");
        tcp_listener_set(own.listeners[k], TCP_OPT_CONGESTION, TCP_CC_NEWRENO);
    }
    own_router_is_there();
}

static void own_send(const uint8_t *f, uint32_t len)
{
    if (own.inbox_count == 256)
        own_run();
    own.ns->icmp_tokens = NET_ICMP_BURST; /* of all scripts together: no concern of one */
    own.ns->challenge_tokens = UINT32_MAX;
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
    struct sockaddr_in at4 = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    struct sockaddr_in6 at6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
    int yes = 1;
    if (unshare(CLONE_NEWNET) < 0)
        cannot_begin("a network namespace");
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strcpy(ifr.ifr_name, "tap0");
    if (tap < 0 || ioctl(tap, TUNSETIFF, &ifr) < 0)
        cannot_begin("a TAP device");
    /* Limits on ICMP and challenge ACKs would count packets of all scripts together. */
    if (system("sysctl -qew net.ipv4.tcp_challenge_ack_limit=2147483647; " /* not in a namespace before 6.1 */
               "sysctl -qw net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.tap0.accept_ra=0 net.ipv4.tcp_fastopen=0 net.ipv4.icmp_ratemask=0 "
               "net.ipv6.icmp.ratemask= && ip link set lo up && ip link set tap0 address 02:00:00:00:00:01 && "
               "ip addr add 10.9.0.1/24 brd + dev tap0 && ip addr add fd00:9::1/64 dev tap0 nodad && ip link set tap0 txqueuelen 4000 up && "
               "for a in 10.9.0.2 fd00:9::2; do ip neigh replace $a lladdr 02:00:00:00:00:02 dev tap0 nud permanent && "
               "ip route add default via $a dev tap0 || exit 1; done; "
               "for i in $(seq 50); do ip -6 route get fd00:10::1 >/dev/null 2>&1 && break; sleep 0.1; done") != 0)
        cannot_begin("setting up tap0");
    listen_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    listen_fds[1] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (setsockopt(listen_fds[1], IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) < 0 || bind(listen_fds[0], (struct sockaddr *)&at4, sizeof at4) < 0 ||
        bind(listen_fds[1], (struct sockaddr *)&at6, sizeof at6) < 0)
        cannot_begin("listening sockets");
    for (unsigned k = 0; k < 2; k++)
        if (diff_linux_reno(listen_fds[k]) < 0 || listen(listen_fds[k], 1024) < 0)
            cannot_begin("listening sockets");
}

void frame_to(enum world w, const uint8_t *f, uint32_t len)
{
    if (w == OWN)
        own_send(f, len);
    else if (write(tap, f, len) < 0)
        die("writing to tap0");
}

void die(const char *what)
{
    fprintf(stderr, "net-diff: %s: %s\n", what, strerror(errno));
    exit(2);
}
