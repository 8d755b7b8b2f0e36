/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's own stack as the one under test: sockets of this process behind a TAP
 * device, whose other end is this process as well. One thread does everything,
 * so that on one CPU a tick count around work() holds the whole way: a frame is
 * written to the device, the kernel takes it up to the socket in the same call,
 * the socket is read and written, and the answer lies at the device's other end.
 * What the device and the entries to the kernel cost is measured apart
 * (bench_dut.overhead_ticks), to be subtracted.
 * Needs root and tun; brings its device into the caller's network namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "tools/netbench/bench.h"

#define QUEUE 16384u /* more than the TAP device holds, each of whose frames may be acknowledged */
#define FRAME 2048u
#define READ_BYTES 262144u

struct conn { int fd; uint8_t kind, asked; }; /* kind: an index of ports[] */

static const uint16_t ports[] = { BENCH_ECHO, BENCH_DISCARD, BENCH_SOURCE };
static int tap, listeners[3];
static struct { uint16_t bytes; uint8_t data[FRAME]; } rx[QUEUE];
static unsigned rx_count;
static struct conn conns[65536]; /* by the peer's port; fd 0 is none */
static uint8_t buffer[READ_BYTES];
static uint64_t writes, calls;   /* frames handed to the device, other system calls, within work() */
static uint64_t write_ticks, call_ticks;

static void die(const char *what)
{
    fprintf(stderr, "netbench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void set_address(int s, struct ifreq *r, unsigned long request, uint32_t address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
    memcpy(&r->ifr_addr, &in, sizeof in);
    if (ioctl(s, request, r) < 0)
        die("address of the TAP device");
}

static void open_tap(void)
{
    struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0)
        die("/dev/net/tun");
    if (ioctl(tap, TUNSETIFF, &r) < 0)
        die("TUNSETIFF");
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, bench_dut_mac, 6);
    if (ioctl(s, SIOCSIFHWADDR, &r) < 0)
        die("SIOCSIFHWADDR");
    set_address(s, &r, SIOCSIFADDR, BENCH_DUT_IP);
    set_address(s, &r, SIOCSIFNETMASK, 0xff000000);
    r.ifr_qlen = 10000;
    if (ioctl(s, SIOCSIFTXQLEN, &r) < 0)
        die("SIOCSIFTXQLEN");
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
        die("SIOCSIFFLAGS");
    close(s);
}

/* What a frame costs that Linux drops as soon as it sees its type, and a call that does nothing. */
static void measure_overhead(void)
{
    uint8_t f[60] = { 0 };
    memcpy(f, bench_dut_mac, 6);
    memcpy(f + 6, bench_peer_mac, 6);
    f[12] = 0x88, f[13] = 0xb5; /* local experimental (IEEE 802) */
    write_ticks = call_ticks = UINT64_MAX;
    for (unsigned k = 0; k < 1000; k++) {
        uint64_t a = bench_ticks();
        if (write(tap, f, sizeof f) < 0)
            die("write to the TAP device");
        uint64_t b = bench_ticks();
        write_ticks = b - a < write_ticks ? b - a : write_ticks;
        a = bench_ticks();
        syscall(SYS_getppid);
        b = bench_ticks();
        call_ticks = b - a < call_ticks ? b - a : call_ticks;
    }
}

static void init(bool tso)
{
    struct rlimit files = { 70000, 70000 };
    setrlimit(RLIMIT_NOFILE, &files);
    open_tap();
    for (unsigned k = 0; k < 3; k++) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(ports[k]), .sin_addr.s_addr = htonl(BENCH_DUT_IP) };
        int on = 1;
        listeners[k] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(listeners[k], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(listeners[k], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited */
        if (bind(listeners[k], (struct sockaddr *)&in, sizeof in) < 0 || listen(listeners[k], 4096) < 0)
            die("listen");
    }
    measure_overhead();
}

static void prepare(const uint8_t *frame, size_t bytes)
{
    if (rx_count == QUEUE || bytes > FRAME)
        return; /* lost, as in any full queue; the peer sends again */
    memcpy(rx[rx_count].data, frame, bytes);
    rx[rx_count++].bytes = (uint16_t)bytes;
}

static void finish(struct conn *c)
{
    close(c->fd);
    calls++;
    c->fd = 0;
}

static void fill(struct conn *c)
{
    ssize_t n;
    do {
        n = send(c->fd, buffer, sizeof buffer, 0);
        calls++;
    } while (n == sizeof buffer);
}

/* A frame of this connection has gone in: does what its program would. */
static void serve(struct conn *c, bool data)
{
    if (ports[c->kind] == BENCH_SOURCE && c->asked)
        fill(c);
    if (!data)
        return;
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    calls++;
    if (n > 0 && ports[c->kind] == BENCH_SOURCE) {
        c->asked = 1;
        fill(c);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        finish(c);
    } else if (n > 0 && ports[c->kind] == BENCH_ECHO) {
        if (send(c->fd, buffer, (size_t)n, 0) != n)
            die("send");
        calls++;
    }
}

static unsigned kind_of(uint16_t port)
{
    unsigned k = 0;
    while (k < 2 && ports[k] != port)
        k++;
    return k;
}

static void work(void)
{
    static uint16_t touched[QUEUE];
    unsigned count = 0;
    for (unsigned k = 0; k < rx_count; k++) {
        const uint8_t *f = rx[k].data;
        if (write(tap, f, rx[k].bytes) < 0 && errno != EAGAIN)
            die("write to the TAP device");
        writes++;
        if (f[12] != 8 || f[13] != 0 || f[23] != 6)
            continue;
        uint16_t from = (uint16_t)(f[34] << 8 | f[35]), to = (uint16_t)(f[36] << 8 | f[37]);
        size_t headers = 34 + (f[46] >> 4) * 4u, ip_bytes = 14 + (size_t)(f[16] << 8 | f[17]);
        struct conn *c = &conns[from];
        if (!c->fd && !(f[47] & 2)) { /* the handshake's last segment */
            int fd = accept4(listeners[kind_of(to)], NULL, NULL, SOCK_NONBLOCK);
            calls++;
            if (fd < 0)
                continue;
            *c = (struct conn){ .fd = fd, .kind = (uint8_t)kind_of(to) };
        }
        bool data = ip_bytes > headers || (f[47] & 1);
        /* Once for what lies together, as after epoll_wait(). */
        if (c->fd && (data || ports[c->kind] == BENCH_SOURCE) && !(count && touched[count - 1] == from))
            touched[count++] = from;
    }
    rx_count = 0;
    for (unsigned k = 0; k < count; k++)
        if (conns[touched[k]].fd)
            serve(&conns[touched[k]], ports[conns[touched[k]].kind] != BENCH_SOURCE || !conns[touched[k]].asked);
}

static bool due(void) { return rx_count; }

static void collect(void (*take)(const uint8_t *, size_t))
{
    static uint8_t flat[66000];
    ssize_t n;
    while ((n = read(tap, flat, sizeof flat)) > 0)
        take(flat, (size_t)n);
}

static uint64_t memory_bytes(void) { return 0; }

static uint64_t overhead_ticks(void)
{
    uint64_t ticks = writes * write_ticks + calls * call_ticks;
    writes = calls = 0;
    return ticks;
}

const struct bench_dut bench_linux = { "linux", init, prepare, work, due, collect, memory_bytes, overhead_ticks, NULL };
