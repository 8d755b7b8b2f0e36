/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP (Debian's liblwip) through its raw interface, without its threads. */
#include "tools/netbench/bench.h"

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <malloc.h>
#include <netif/ethernet.h>
#include <string.h>

#define QUEUE 32768u

static struct netif netif;
static struct pbuf *rx[QUEUE], *tx[QUEUE];
static unsigned rx_head, rx_tail, tx_count;

static err_t link_output(struct netif *n, struct pbuf *p)
{
    if (tx_count == QUEUE)
        return ERR_BUF;
    pbuf_ref(p);
    tx[tx_count++] = p;
    return ERR_OK;
}

static err_t netif_up(struct netif *n)
{
    n->hwaddr_len = 6;
    memcpy(n->hwaddr, bench_dut_mac, 6);
    n->mtu = 1500;
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    n->output = etharp_output;
    n->linkoutput = link_output;
    return ERR_OK;
}

static err_t echo(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    if (!p) {
        tcp_close(pcb);
        return ERR_OK;
    }
    for (struct pbuf *q = p; q; q = q->next)
        tcp_write(pcb, q->payload, q->len, TCP_WRITE_FLAG_COPY);
    tcp_recved(pcb, p->tot_len);
    tcp_output(pcb);
    pbuf_free(p);
    return ERR_OK;
}

static err_t discard(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    if (!p) {
        tcp_close(pcb);
        return ERR_OK;
    }
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static void fill(struct tcp_pcb *pcb)
{
    static const uint8_t block[65536];
    uint16_t n;
    while ((n = tcp_sndbuf(pcb)) && tcp_write(pcb, block, LWIP_MIN(n, 16 * 1460), 0) == ERR_OK) /* by reference */
        ;
    tcp_output(pcb);
}

static err_t sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    fill(pcb);
    return ERR_OK;
}

/* The source begins when it is asked. */
static err_t asked(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    discard(arg, pcb, p, err);
    if (p) {
        tcp_sent(pcb, sent);
        fill(pcb);
    }
    return ERR_OK;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    uint16_t port = (uint16_t)(uintptr_t)arg;
    tcp_nagle_disable(pcb);
    tcp_recv(pcb, port == BENCH_ECHO ? echo : port == BENCH_SOURCE ? asked : discard);
    return ERR_OK;
}

static void init(bool tso)
{
    static const uint16_t ports[] = { BENCH_ECHO, BENCH_DISCARD, BENCH_SOURCE };
    ip4_addr_t addr, mask, gw;
    lwip_init();
    IP4_ADDR(&addr, 10, 0, 0, 1);
    IP4_ADDR(&mask, 255, 0, 0, 0);
    IP4_ADDR(&gw, 10, 0, 0, 2);
    netif_add(&netif, &addr, &mask, &gw, NULL, netif_up, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    for (unsigned k = 0; k < 3; k++) {
        struct tcp_pcb *pcb = tcp_new();
        tcp_bind(pcb, IP4_ADDR_ANY, ports[k]);
        pcb = tcp_listen_with_backlog(pcb, 255);
        tcp_arg(pcb, (void *)(uintptr_t)ports[k]);
        tcp_accept(pcb, accepted);
    }
}

static void prepare(const uint8_t *frame, size_t bytes)
{
    /* Not PBUF_POOL: as Debian builds it, pbuf_take() writes past the end of a pool buffer. */
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (uint16_t)bytes, PBUF_RAM);
    pbuf_take(p, frame, (uint16_t)bytes);
    rx[rx_tail++ % QUEUE] = p;
}

static void work(void)
{
    while (rx_head != rx_tail)
        netif.input(rx[rx_head++ % QUEUE], &netif);
    sys_check_timeouts();
}

static bool due(void) { return rx_head != rx_tail || sys_timeouts_sleeptime() == 0; }

static void collect(void (*take)(const uint8_t *, size_t))
{
    static uint8_t flat[2048];
    for (unsigned k = 0; k < tx_count; k++) {
        uint16_t n = pbuf_copy_partial(tx[k], flat, sizeof flat, 0);
        pbuf_free(tx[k]);
        take(flat, n);
    }
    tx_count = 0;
}

static uint64_t memory_bytes(void) { return mallinfo2().uordblks; }

const struct bench_dut bench_lwip = { "lwip", init, prepare, work, due, collect, memory_bytes, NULL, NULL };
