/* SPDX-License-Identifier: BSD-2-Clause */
/* A TAP device as a NIC. With offloads, each frame travels behind a virtio_net_hdr. */
#include "tools/netrun/netrun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cokernel/net/wire.h"

#define FRAME_MAX 65600u

static unsigned rx_burst(struct net_nic *nic, struct pbuf **out, unsigned max)
{
    struct netrun_tap *tap = nic->priv;
    static uint8_t big[FRAME_MAX];
    unsigned n = 0;
    while (n < max) {
        /* Ordinary frames land in their buffer at once; what does not fit goes on in `big`. */
        struct pbuf *pb = pbuf_alloc_large(nic->pools, 0);
        struct virtio_net_hdr v = { 0 };
        if (!pb)
            break;
        uint32_t room = pbuf_tailroom(pb);
        struct iovec iov[3] = { { &v, tap->vnet ? sizeof v : 0 }, { pb->data, room }, { big, sizeof big } };
        ssize_t got = readv(tap->fd, iov, 3);
        if (got < 0) {
            pbuf_put(pb);
            break;
        }
        uint32_t len = (uint32_t)got - (tap->vnet ? (uint32_t)sizeof v : 0);
        pbuf_extend(pb, net_min(len, room));
        if (len > room) {
            struct pbuf *rest = pbuf_copy_in(nic->pools, big, len - room, 0);
            if (!rest) {
                pbuf_put(pb);
                continue;
            }
            pbuf_append(pb, rest);
        }
        if (v.flags & (VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_NEEDS_CSUM))
            pb->flags |= PBUF_CSUM_GOOD;
        tap->rx_frames++;
        out[n++] = pb;
    }
    return n;
}

static bool send_one(struct netrun_tap *tap, struct pbuf *pb)
{
    struct virtio_net_hdr v = { 0 };
    struct iovec iov[64];
    int n = 0;
    if (tap->vnet) {
        if (pb->flags & PBUF_CSUM_PARTIAL) {
            v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            v.csum_start = pb->csum_start;
            v.csum_offset = pb->csum_offset;
        }
        if (pb->flags & PBUF_TSO) {
            v.gso_type = get_be16(pb->data + 12) == ETH_TYPE_IP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
            v.gso_size = pb->gso_size;
            v.hdr_len = (uint16_t)(pb->csum_start + (pb->data[pb->csum_start + 12] >> 4) * 4);
        }
        iov[n++] = (struct iovec){ &v, sizeof v };
    }
    for (struct pbuf *p = pb; p; p = p->next) {
        if (n == 64)
            return true; /* longer chains are not made: 64 KiB of whole parts fit */
        iov[n++] = (struct iovec){ p->data, p->len };
    }
    return writev(tap->fd, iov, n) >= 0 || errno != EAGAIN;
}

static unsigned tx_burst(struct net_nic *nic, struct pbuf **frames, unsigned count)
{
    struct netrun_tap *tap = nic->priv;
    for (unsigned k = 0; k < count; k++) {
        if (!send_one(tap, frames[k])) {
            tap->tx_full++;
            return k;
        }
        tap->tx_frames++;
        pbuf_put(frames[k]);
    }
    return count;
}

const struct net_nic_ops netrun_fd_ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

int netrun_tap_open(struct netrun_tap *tap, const char *name, uint32_t mtu, bool offload)
{
    struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (offload ? IFF_VNET_HDR : 0)) };
    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0 || ioctl(tap->fd, TUNSETIFF, &ifr) < 0) {
        int err = errno;
        fprintf(stderr, "netrun: cannot open TAP device %s: %s; create it with: ip tuntap add %s mode tap\n", name, strerror(err), name);
        return -err;
    }
    if (offload && ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0) {
        fprintf(stderr, "netrun: %s takes no checksum offload: %s; run without --offload\n", name, strerror(errno));
        return -EOPNOTSUPP;
    }
    tap->vnet = offload;
    tap->nic = (struct net_nic){ .ops = &netrun_fd_ops, .priv = tap, .mtu = mtu, .offloads = NIC_TX_CHAIN,
                                 .mac = { { 0x02, 0x6f, 0x74, 0x72, 0, 1 } } };
    if (offload)
        tap->nic.offloads |= NIC_TX_CSUM | NIC_TX_TSO | NIC_RX_CSUM;
    return 0;
}
