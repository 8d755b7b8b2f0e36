/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/netrun/netrun.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cokernel/net/dhcp4.h"
#include "cokernel/net/nd.h"
#include "cokernel/net/route.h"

static const char USAGE[] =
    "usage: netrun [options] COMMAND\n"
    "  serve                 echo 7, discard 9, source 19, HTTP 80 (GET / and /bytes/N)\n"
    "  connect ADDR PORT     join stdin and stdout to a connection\n"
    "  listen PORT           the same for the first connection that comes\n"
    "  get ADDR PORT PATH    HTTP GET, body to stdout\n"
    "  dhcp                  get an address by DHCP, print it, go on serving\n"
    "options:\n"
    "  --tap NAME            TAP device (default tap0); it must exist\n"
    "  --packet NAME         instead of a TAP: an interface of Linux, by a packet socket\n"
    "  --addr ADDR/BITS      an address of ours; may be repeated\n"
    "  --gateway ADDR        default route\n"
    "  --probe               probe addresses before using them\n"
    "  --slaac               IPv6 link-local address and autoconfiguration\n"
    "  --mtu N               default 1500\n"
    "  --offload             checksums and segmentation by the device\n"
    "  --impair LIST         loss=1%,dup=1%,reorder=5%,corrupt=1%,delay=10ms,jitter=1ms,rate=10mbit,burst=3,seed=1\n"
    "  --pcap FILE           capture to a pcap-ng file\n"
    "  --state FILE          write the state there on SIGUSR1 and at the end\n"
    "  --json                state as JSON\n"
    "  --times N             get: so many, one after the other\n"
    "  --fast-open           get: the request goes with the SYN (RFC 7413) if the server has given a cookie\n"
    "  --memory MIB\n";

static volatile sig_atomic_t stop, show;

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        show = 1;
    else
        stop = 1;
}

struct options {
    const char *tap, *state, *pcap;
    struct net_addr addrs[8], gateway;
    unsigned bits[8], addr_count;
    uint32_t mtu;
    uint64_t memory_bytes;
    unsigned times;
    bool packet, probe, slaac, offload, json, impaired, fast_open;
    struct netrun_impairment impairment;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "netrun: %s: %s\n", what, why);
    exit(1);
}

static void parse_addr(struct options *o, char *text)
{
    char *slash = strchr(text, '/');
    if (!slash || o->addr_count == 8)
        die(text, "write an address as ADDR/BITS, at most eight of them");
    *slash = 0;
    if (net_addr_parse(text, &o->addrs[o->addr_count]) < 0)
        die(text, "not an address");
    o->bits[o->addr_count++] = (unsigned)atoi(slash + 1);
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        { "tap", 1, 0, 't' }, { "packet", 1, 0, 'P' }, { "addr", 1, 0, 'a' }, { "gateway", 1, 0, 'g' }, { "probe", 0, 0, 'p' }, { "slaac", 0, 0, 's' },
        { "mtu", 1, 0, 'm' }, { "offload", 0, 0, 'o' }, { "impair", 1, 0, 'i' }, { "pcap", 1, 0, 'c' }, { "state", 1, 0, 'S' },
        { "json", 0, 0, 'j' }, { "memory", 1, 0, 'M' }, { "times", 1, 0, 'T' }, { "fast-open", 0, 0, 'F' },
        { "help", 0, 0, 'h' }, { 0 } };
    int c;
    while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
        switch (c) {
        case 't': o->tap = optarg; break;
        case 'P': o->tap = optarg; o->packet = true; break;
        case 'a': parse_addr(o, optarg); break;
        case 'g':
            if (net_addr_parse(optarg, &o->gateway) < 0)
                die(optarg, "not an address");
            break;
        case 'p': o->probe = true; break;
        case 's': o->slaac = true; break;
        case 'm': o->mtu = (uint32_t)atoi(optarg); break;
        case 'o': o->offload = true; break;
        case 'i':
            if (!netrun_impair_parse(optarg, &o->impairment))
                die(optarg, "not a list of impairments; see --help");
            o->impaired = true;
            break;
        case 'c': o->pcap = optarg; break;
        case 'S': o->state = optarg; break;
        case 'j': o->json = true; break;
        case 'M': o->memory_bytes = strtoull(optarg, NULL, 0) << 20; break;
        case 'T': o->times = (unsigned)atoi(optarg); break;
        case 'F': o->fast_open = true; break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: fputs(USAGE, stderr); exit(1);
        }
    }
    if (optind == argc) {
        fputs(USAGE, stderr);
        exit(1);
    }
    if (!o->times)
        die("--times", "must be 1 or more");
    if (o->mtu < 576 || o->mtu > 65535)
        die("--mtu", "must be between 576 and 65535");
}

static void write_state(struct net_stack *ns, const struct options *o)
{
    FILE *f = o->state ? fopen(o->state, "w") : stderr;
    if (!f)
        return;
    if (o->json)
        netrun_state_json(ns, f);
    else
        netrun_state_text(ns, f);
    if (o->state)
        fclose(f);
}

static void dhcp_done(void *ctx, const struct dhcp4_lease *lease)
{
    char text[46];
    if (!lease)
        return;
    net_addr_format(&lease->addr, text);
    printf("dhcp %s/%u\n", text, lease->prefix_bits);
    fflush(stdout);
}

static void start(struct net_stack *ns, struct net_iface *iface, const struct options *o, char **argv, int argc)
{
    struct net_addr addr;
    int err = 0;
    if (strcmp(argv[0], "serve") == 0 && argc == 1) {
        netrun_serve(ns);
    } else if (strcmp(argv[0], "dhcp") == 0 && argc == 1) {
        netrun_serve(ns);
        err = dhcp4_start(iface, dhcp_done, NULL) ? 0 : -NET_ENOMEM;
    } else if (strcmp(argv[0], "listen") == 0 && argc == 2) {
        err = netrun_pipe_start(ns, NULL, (uint16_t)atoi(argv[1]));
    } else if (strcmp(argv[0], "connect") == 0 && argc == 3 && net_addr_parse(argv[1], &addr) == 0) {
        err = netrun_pipe_start(ns, &addr, (uint16_t)atoi(argv[2]));
    } else if (strcmp(argv[0], "get") == 0 && argc == 4 && net_addr_parse(argv[1], &addr) == 0) {
        err = netrun_http_get(ns, &(struct netrun_get){ addr, (uint16_t)atoi(argv[2]), argv[3], o->times, o->fast_open });
    } else {
        fputs(USAGE, stderr);
        exit(1);
    }
    if (err < 0)
        die(argv[0], strerror(-err));
}

static void round_of_events(struct net_stack *ns)
{
    struct net_endpoint *ep;
    unsigned events;
    while ((ep = net_event_next(ns, &events))) {
        struct netrun_app *app = ep->user;
        if (app)
            app->event(app, ep, events);
    }
}

int main(int argc, char **argv)
{
    struct options o = { .tap = "tap0", .mtu = 1500, .times = 1 };
    struct netrun_tap tap = { 0 };
    FILE *pcap = NULL;
    parse_options(&o, argc, argv);
    if ((o.packet ? netrun_packet_open : netrun_tap_open)(&tap, o.tap, o.mtu, o.offload) < 0)
        return 1;
    struct net_nic *nic = &tap.nic, *impaired = NULL;
    if (o.pcap) {
        if (!(pcap = fopen(o.pcap, "w")))
            die(o.pcap, strerror(errno));
        nic = netrun_capture(nic, pcap);
    }
    if (o.impaired)
        nic = impaired = netrun_impair(nic, &o.impairment);
    struct net_config config = { .env = &netrun_env, .memory_bytes = o.memory_bytes };
    struct net_stack *ns = net_stack_create(&config);
    struct net_iface *iface = ns ? net_iface_add(ns, nic, o.tap) : NULL;
    if (!iface)
        die("start", "out of memory");
    for (unsigned k = 0; k < o.addr_count; k++)
        if (net_iface_add_addr(iface, &o.addrs[k], o.bits[k], o.probe) < 0)
            die("--addr", "not usable as an address of ours");
    struct net_addr any = net_addr_is_v4(&o.gateway) ? net_addr_v4(0) : (struct net_addr){ 0 };
    if (!net_addr_is_any(&o.gateway))
        net_route_add(ns, &any, 0, &o.gateway, iface, 0);
    if (o.slaac)
        nd_enable_slaac(iface);
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    net_stack_poll(ns);
    start(ns, iface, &o, argv + optind, argc - optind);

    int status = 0, input = -1;
    uint64_t leave_at = UINT64_MAX;
    while (!stop) {
        unsigned work = net_stack_poll(ns);
        round_of_events(ns);
        if (!netrun_client_tick(ns, &input, &status) && leave_at == UINT64_MAX)
            leave_at = netrun_now_ns() + 10 * NET_NS_PER_S; /* time to say goodbye */
        net_stack_flush(ns);
        if (leave_at != UINT64_MAX) {
            if (!netrun_open_connections(ns) || netrun_now_ns() > leave_at)
                break;
        }
        if (show) {
            show = 0;
            write_state(ns, &o);
        }
        if (work)
            continue;
        uint64_t now = netrun_now_ns(), next = net_min(net_stack_next_ns(ns), leave_at);
        if (impaired)
            next = net_min(next, netrun_impair_next_ns(impaired));
        uint64_t wait = next <= now ? 0 : next - now;
        if (next == 0 && tap.tx_full) /* the device is full: wait for it, not for ourselves */
            wait = NET_NS_PER_MS;
        struct pollfd fds[2] = { { tap.fd, POLLIN, 0 }, { input, POLLIN, 0 } };
        struct timespec ts = { (time_t)(wait / NET_NS_PER_S), (long)(wait % NET_NS_PER_S) };
        ppoll(fds, 2, next == UINT64_MAX ? NULL : &ts, NULL);
    }
    if (o.state)
        write_state(ns, &o);
    net_stack_destroy(ns);
    if (pcap)
        fclose(pcap);
    return status;
}
