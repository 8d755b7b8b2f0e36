/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/dhcp4.h"

#include "cokernel/net/stack.h"
#include "cokernel/net/udp.h"

#define CLIENT_PORT 68u
#define SERVER_PORT 67u
#define FIXED_BYTES 236u
#define COOKIE 0x63825363u /* RFC 2131 3 */
#define REPLY_MIN (FIXED_BYTES + 4u)

enum message { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };
enum option { OPT_PAD = 0, OPT_MASK = 1, OPT_ROUTER = 3, OPT_DNS = 6, OPT_REQUESTED = 50, OPT_LEASE = 51, OPT_TYPE = 53, OPT_SERVER = 54,
              OPT_PARAMETERS = 55, OPT_T1 = 58, OPT_T2 = 59, OPT_CLIENT_ID = 61, OPT_END = 255 };
enum state { INIT, SELECTING, REQUESTING, CHECKING, BOUND, RENEWING, REBINDING };

/* RFC 2131 4.1: 4 s, doubled up to 64 s, each plus or minus a second. */
#define RETRY_MIN_NS (4 * NET_NS_PER_S)
#define RETRY_MAX 4u
#define DECLINED_WAIT_NS (10 * NET_NS_PER_S) /* 3.1 step 5 */

struct dhcp4 {
    struct net_iface *iface;
    struct net_stack *ns;
    struct udp_pcb *udp;
    struct net_timer timer;
    enum state state;
    uint32_t xid, tries;
    uint64_t begun_ns;
    bool configured; /* the address of `lease` is on the interface */
    struct dhcp4 *next;
    struct dhcp4_lease lease, offer;
    void (*changed)(void *ctx, const struct dhcp4_lease *lease);
    void *ctx;
};

static uint8_t *put_option(uint8_t *p, uint8_t code, const void *data, uint8_t n)
{
    p[0] = code;
    p[1] = n;
    net_copy(p + 2, data, n);
    return p + 2 + n;
}

static void send(struct dhcp4 *d, enum message type)
{
    static const uint8_t wanted[] = { OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_LEASE, OPT_T1, OPT_T2 };
    struct net_stack *ns = d->ns;
    struct net_addr to = net_addr_v4(0xffffffff);
    struct pbuf *pb = pbuf_alloc_large(&ns->pools, PBUF_HEADROOM);
    if (!pb)
        return;
    uint8_t *h = pbuf_extend(pb, 300), *p = h + FIXED_BYTES, kind = (uint8_t)type; /* 300: the BOOTP minimum */
    net_zero(h, 300);
    h[0] = 1;
    h[1] = 1;
    h[2] = 6;
    put_be32(h + 4, d->xid);
    put_be16(h + 8, (uint16_t)((ns->now_ns - d->begun_ns) / NET_NS_PER_S));
    bool has_address = d->state == RENEWING || d->state == REBINDING;
    if (has_address)
        store32(h + 12, d->lease.addr.w[3]);
    net_copy(h + 28, d->iface->mac.b, 6);
    put_be32(p, COOKIE);
    p = put_option(p + 4, OPT_TYPE, &kind, 1);
    uint8_t id[7] = { 1 };
    net_copy(id + 1, d->iface->mac.b, 6);
    p = put_option(p, OPT_CLIENT_ID, id, 7);
    if (type == DECLINE || (type == REQUEST && !has_address)) {
        p = put_option(p, OPT_REQUESTED, &d->offer.addr.w[3], 4);
        p = put_option(p, OPT_SERVER, &d->offer.server.w[3], 4);
    }
    if (type != DECLINE)
        p = put_option(p, OPT_PARAMETERS, wanted, sizeof wanted);
    *p = OPT_END;
    if (d->state == RENEWING)
        to = d->lease.server;
    d->udp->unconfigured = d->iface->unconfigured = !has_address;
    d->udp->local = has_address ? d->lease.addr : net_addr_v4(0);
    udp_send(d->udp, pb, &to, SERVER_PORT);
}

static void arm(struct dhcp4 *d, uint64_t at_ns) { net_timer_arm(&d->ns->wheel, &d->timer, at_ns); }

static void arm_retry(struct dhcp4 *d)
{
    uint64_t wait = RETRY_MIN_NS << net_min(d->tries, RETRY_MAX);
    d->tries++;
    arm(d, d->ns->now_ns + wait - NET_NS_PER_S + net_random(d->ns) % (2 * NET_NS_PER_S));
}

static void unconfigure(struct dhcp4 *d)
{
    struct net_addr any = net_addr_v4(0);
    if (!d->configured)
        return;
    d->configured = false;
    net_iface_del_addr(d->iface, &d->lease.addr);
    if (!net_addr_is_any(&d->lease.gateway))
        net_route_del(d->ns, &any, 0, &d->lease.gateway);
    d->changed(d->ctx, NULL);
}

static void restart(struct dhcp4 *d)
{
    unconfigure(d);
    d->state = SELECTING;
    d->tries = 0;
    d->xid = (uint32_t)net_random(d->ns);
    d->begun_ns = d->ns->now_ns;
    send(d, DISCOVER);
    arm_retry(d);
}

static void bound(struct dhcp4 *d, bool news)
{
    d->lease = d->offer;
    d->state = BOUND;
    d->iface->unconfigured = 0;
    d->tries = 0;
    arm(d, d->lease.renew_ns);
    if (news)
        d->changed(d->ctx, &d->lease);
}

/* Whether somebody on the link holds the address that we were given (RFC 2131 4.4.1, RFC 5227). */
static void settled(void *ctx, bool ours)
{
    struct dhcp4 *d = ctx;
    struct net_addr any = net_addr_v4(0);
    if (d->state != CHECKING)
        return;
    if (ours) {
        d->configured = true;
        if (!net_addr_is_any(&d->offer.gateway))
            net_route_add(d->ns, &any, 0, &d->offer.gateway, d->iface, 100);
        bound(d, true);
        return;
    }
    d->ns->counters.dhcp_declined++;
    send(d, DECLINE);
    net_iface_del_addr(d->iface, &d->offer.addr);
    d->state = INIT;
    arm(d, d->ns->now_ns + DECLINED_WAIT_NS);
}

static void configure(struct dhcp4 *d)
{
    struct dhcp4_lease *l = &d->offer;
    if (d->configured && net_addr_eq(&d->lease.addr, &l->addr) && net_addr_eq(&d->lease.gateway, &l->gateway)) {
        bound(d, false);
        return;
    }
    unconfigure(d);
    d->state = CHECKING;
    net_timer_cancel(&d->ns->wheel, &d->timer); /* probing has its own */
    if (net_iface_add_addr(d->iface, &l->addr, l->prefix_bits, true) < 0) {
        restart(d); /* the interface has it already, or no room for it */
        return;
    }
    struct net_ifaddr *ifa = net_iface_find_addr(d->iface, &l->addr);
    ifa->settled = settled;
    ifa->settled_ctx = d;
}

static void fire(struct net_timer *t)
{
    struct dhcp4 *d = net_container_of(t, struct dhcp4, timer);
    uint64_t now = d->ns->now_ns;
    switch (d->state) {
    case INIT:
    case CHECKING:
        restart(d);
        return;
    case REQUESTING:
        if (d->tries >= 5) {
            restart(d);
            return;
        }
        send(d, REQUEST);
        arm_retry(d);
        return;
    case BOUND:
    case RENEWING:
    case REBINDING: {
        if (now >= d->lease.expire_ns) {
            restart(d);
            return;
        }
        if (d->state == BOUND)
            d->xid = (uint32_t)net_random(d->ns);
        d->state = now >= d->lease.rebind_ns ? REBINDING : RENEWING;
        send(d, REQUEST);
        /* RFC 2131 4.4.5: half of what is left, at least a minute. */
        uint64_t end = d->state == RENEWING ? d->lease.rebind_ns : d->lease.expire_ns;
        arm(d, net_min(end, now + net_max((end - now) / 2, 60 * NET_NS_PER_S)));
        return;
    }
    default:
        send(d, DISCOVER);
        arm_retry(d);
    }
}

static unsigned mask_bits(uint32_t mask) { return mask ? 32u - (unsigned)__builtin_ctz(mask) : 0; }

/* Fills in what a reply offers. Returns the message type, 0 if it is not for us. */
static unsigned parse(struct dhcp4 *d, const uint8_t *p, uint32_t n, struct dhcp4_lease *l)
{
    uint32_t lease_s = 0, t1 = 0, t2 = 0;
    unsigned type = 0;
    if (n < REPLY_MIN || p[0] != 2 || p[1] != 1 || p[2] != 6 || get_be32(p + 4) != d->xid || !net_same(p + 28, d->iface->mac.b, 6) ||
        get_be32(p + FIXED_BYTES) != COOKIE)
        return 0;
    *l = (struct dhcp4_lease){ .addr = net_addr_v4_raw(load32(p + 16)), .gateway = net_addr_v4(0), .server = net_addr_v4(0), .prefix_bits = 24 };
    for (uint32_t i = REPLY_MIN; i < n && p[i] != OPT_END;) {
        if (p[i] == OPT_PAD) {
            i++;
            continue;
        }
        if (i + 2 > n || i + 2 + p[i + 1] > n)
            return 0;
        const uint8_t *v = p + i + 2;
        unsigned len = p[i + 1];
        switch (p[i]) {
        case OPT_TYPE: type = len == 1 ? v[0] : 0; break;
        case OPT_MASK: l->prefix_bits = len == 4 ? mask_bits(get_be32(v)) : 24; break;
        case OPT_ROUTER: if (len >= 4) l->gateway = net_addr_v4_raw(load32(v)); break;
        case OPT_SERVER: if (len == 4) l->server = net_addr_v4_raw(load32(v)); break;
        case OPT_LEASE: if (len == 4) lease_s = get_be32(v); break;
        case OPT_T1: if (len == 4) t1 = get_be32(v); break;
        case OPT_T2: if (len == 4) t2 = get_be32(v); break;
        case OPT_DNS:
            for (unsigned k = 0; k < 3 && 4 * k + 4 <= len; k++)
                l->dns[k] = net_addr_v4_raw(load32(v + 4 * k));
            break;
        }
        i += 2 + len;
    }
    if (type == ACK || type == OFFER) {
        uint8_t first = l->addr.b[12];
        if (!lease_s || net_addr_is_any(&l->addr) || net_addr_is_any(&l->server) || first == 127 || first >= 224)
            return 0;
        if (!t1 || t1 >= lease_s) /* RFC 2131 4.4.5 */
            t1 = lease_s / 2;
        if (!t2 || t2 >= lease_s || t2 < t1)
            t2 = (uint32_t)((uint64_t)lease_s * 7 / 8);
        bool forever = lease_s == UINT32_MAX;
        l->bound_ns = d->ns->now_ns;
        l->renew_ns = forever ? UINT64_MAX / 2 : d->ns->now_ns + t1 * NET_NS_PER_S;
        l->rebind_ns = forever ? UINT64_MAX / 2 : d->ns->now_ns + t2 * NET_NS_PER_S;
        l->expire_ns = forever ? UINT64_MAX / 2 : d->ns->now_ns + lease_s * NET_NS_PER_S;
    }
    return type;
}

static void input(struct dhcp4 *d, const uint8_t *p, uint32_t n)
{
    struct dhcp4_lease l;
    unsigned type = parse(d, p, n, &l);
    if (type == OFFER && d->state == SELECTING) {
        d->offer = l;
        d->state = REQUESTING;
        d->tries = 0;
        send(d, REQUEST);
        arm_retry(d);
    } else if (type == ACK && (d->state == REQUESTING || d->state == RENEWING || d->state == REBINDING)) {
        d->offer = l;
        configure(d);
    } else if (type == NAK && (d->state == REQUESTING || d->state == RENEWING || d->state == REBINDING)) {
        restart(d);
    }
}

static void received(struct udp_pcb *u)
{
    struct dhcp4 *d = u->handler_ctx;
    struct pbuf *pb;
    uint8_t bytes[1024];
    while ((pb = udp_recv(u))) {
        uint32_t n = pb->port == SERVER_PORT ? pbuf_copy_out(pb, 0, bytes, sizeof bytes) : 0;
        pbuf_put(pb);
        input(d, bytes, n);
    }
}

struct dhcp4 *dhcp4_start(struct net_iface *iface, void (*changed)(void *, const struct dhcp4_lease *), void *ctx)
{
    struct net_stack *ns = iface->stack;
    struct net_addr any = net_addr_v4(0);
    struct dhcp4 *d = net_mem_alloc(&ns->mem, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dhcp4){ .iface = iface, .ns = ns, .timer.fire = fire, .changed = changed, .ctx = ctx };
    d->udp = udp_open(ns);
    if (!d->udp)
        goto free_client;
    d->udp->iface = iface;
    d->udp->broadcast = 1;
    d->udp->unconfigured = 1;
    d->udp->handler = received;
    d->udp->handler_ctx = d;
    if (udp_bind(d->udp, &any, CLIENT_PORT) < 0)
        goto close_udp;
    d->next = ns->dhcps;
    ns->dhcps = d;
    restart(d);
    return d;

close_udp:
    udp_close(d->udp);
free_client:
    net_mem_free(&ns->mem, d, sizeof *d);
    return NULL;
}

void dhcp4_fini(struct net_stack *ns)
{
    while (ns->dhcps) {
        struct dhcp4 *d = ns->dhcps;
        ns->dhcps = d->next;
        net_timer_cancel(&ns->wheel, &d->timer);
        net_mem_free(&ns->mem, d, sizeof *d);
    }
}
