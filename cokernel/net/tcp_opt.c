/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP options on the way in (RFC 9293 3.2, RFC 7323, RFC 2018). */
#include "cokernel/net/tcp_internal.h"

#define OPT_END 0u
#define OPT_NOP 1u
#define OPT_MSS 2u
#define OPT_WSCALE 3u
#define OPT_SACK_OK 4u
#define OPT_SACK 5u
#define OPT_TS 8u
#define OPT_FASTOPEN 34u /* RFC 7413 4.1.1 */

static void one(struct tcp_in *in, const uint8_t *p, unsigned n)
{
    bool syn = in->flags & TCP_SYN;
    switch (p[0]) {
    case OPT_MSS:
        if (n == 4 && syn) {
            in->has_mss = 1;
            in->mss = get_be16(p + 2);
        }
        break;
    case OPT_WSCALE:
        if (n == 3 && syn) {
            in->has_wscale = 1;
            in->wscale = (uint8_t)net_min((unsigned)p[2], TCP_WSCALE_MAX);
        }
        break;
    case OPT_SACK_OK:
        if (n == 2 && syn)
            in->sack_ok = 1;
        break;
    case OPT_SACK:
        if (n >= 10 && (n - 2) % 8 == 0 && !syn) {
            in->sack_count = (uint8_t)net_min((n - 2) / 8, 4u);
            for (unsigned k = 0; k < in->sack_count; k++)
                in->sacks[k] = (struct tcp_sack){ get_be32(p + 2 + 8 * k), get_be32(p + 6 + 8 * k) };
        }
        break;
    case OPT_TS:
        if (n == 10) {
            in->has_ts = 1;
            in->tsval = get_be32(p + 2);
            in->tsecr = get_be32(p + 6);
        }
        break;
    case OPT_FASTOPEN:
        if (syn && n % 2 == 0 && (n == 2 || (n >= 2 + TCP_FO_COOKIE_MIN && n <= 2 + TCP_FO_COOKIE_MAX))) {
            in->has_fo = 1;
            in->fo.bytes = (uint8_t)(n - 2);
            net_copy(in->fo.b, p + 2, n - 2);
        }
        break;
    }
}

bool tcp_parse_options_slow(struct tcp_in *in, const uint8_t *p, uint32_t bytes)
{
    const uint8_t *end = p + bytes;
    p += TCP_HEADER_BYTES;
    /* A SYN as Linux and we send it: MSS, SACK permitted, TS, NOP, window scale. */
    if ((in->flags & TCP_SYN) && end - p == 20 && load16(p) == net_bswap16(0x0204) && load32(p + 4) == net_bswap32(0x0402080a) &&
        (load32(p + 16) & net_bswap32(0xffffff00)) == net_bswap32(0x01030300)) {
        in->has_mss = in->sack_ok = in->has_ts = in->has_wscale = 1;
        in->mss = get_be16(p + 2);
        in->tsval = get_be32(p + 8);
        in->tsecr = get_be32(p + 12);
        in->wscale = (uint8_t)net_min((unsigned)p[19], TCP_WSCALE_MAX);
        return true;
    }
    while (p < end) {
        if (*p == OPT_END)
            break;
        if (*p == OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return false;
        one(in, p, p[1]);
        p += p[1];
    }
    return true;
}
