/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network interface of Linux as a NIC, by a packet socket: we are another
 * host behind it, with an address of our own. Every frame travels behind a
 * virtio_net_hdr, because what Linux itself sends there may lack its checksum
 * or be as large as 64 KiB.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/netrun/netrun.h"

int netrun_packet_open(struct netrun_tap *tap, const char *name, uint32_t mtu, bool offload)
{
    const int on = 1;
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name) };
    struct packet_mreq every = { .mr_ifindex = to.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
    tap->fd = to.sll_ifindex ? socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (tap->fd < 0 || setsockopt(tap->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0 ||
        setsockopt(tap->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
        setsockopt(tap->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &every, sizeof every) < 0 || bind(tap->fd, (struct sockaddr *)&to, sizeof to) < 0) {
        int err = errno;
        fprintf(stderr, "netrun: cannot use the interface %s: %s; it must exist, and packet sockets need CAP_NET_RAW\n", name, strerror(err));
        if (tap->fd >= 0)
            close(tap->fd);
        return -err;
    }
    tap->vnet = true;
    tap->nic = (struct net_nic){ .ops = &netrun_fd_ops, .priv = tap, .mtu = mtu, .offloads = NIC_TX_CHAIN | NIC_RX_CSUM,
                                 .mac = { { 0x02, 0x6f, 0x74, 0x72, 0, 2 } } };
    if (offload)
        tap->nic.offloads |= NIC_TX_CSUM | NIC_TX_TSO;
    return 0;
}
