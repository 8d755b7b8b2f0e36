/* SPDX-License-Identifier: BSD-2-Clause */
/* Text forms of addresses. */
#include "cokernel/net/net_addr.h"

#include "cokernel/net/net_errno.h"

static char *put_dec(char *p, unsigned v)
{
    if (v >= 100)
        *p++ = (char)('0' + v / 100);
    if (v >= 10)
        *p++ = (char)('0' + v / 10 % 10);
    *p++ = (char)('0' + v % 10);
    return p;
}

static char *put_hex(char *p, unsigned v)
{
    bool started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned d = v >> shift & 15;
        if (d || started || shift == 0) {
            *p++ = "0123456789abcdef"[d];
            started = true;
        }
    }
    return p;
}

unsigned net_addr_format(const struct net_addr *a, char *out)
{
    char *p = out;
    if (net_addr_is_v4(a)) {
        for (int i = 12; i < 16; i++) {
            if (i > 12)
                *p++ = '.';
            p = put_dec(p, a->b[i]);
        }
        *p = 0;
        return (unsigned)(p - out);
    }
    /* RFC 5952 4.2: the longest run of at least two zero groups becomes "::". */
    int best = -1, best_len = 1;
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && get_be16(a->b + 2 * (i + n)) == 0)
            n++;
        if (n > best_len) {
            best = i;
            best_len = n;
        }
        if (n)
            i += n - 1;
    }
    for (int i = 0; i < 8;) {
        if (i == best) {
            *p++ = ':';
            *p++ = ':';
            i += best_len;
            continue;
        }
        if (i && p[-1] != ':')
            *p++ = ':';
        p = put_hex(p, get_be16(a->b + 2 * i));
        i++;
    }
    *p = 0;
    return (unsigned)(p - out);
}

static int parse_v4(const char *s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        while (*s >= '0' && *s <= '9' && digits < 3) {
            v = v * 10 + (unsigned)(*s++ - '0');
            digits++;
        }
        if (!digits || v > 255 || *s != (i < 3 ? '.' : 0))
            return -NET_EINVAL;
        out[i] = (uint8_t)v;
        s++;
    }
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int net_addr_parse(const char *s, struct net_addr *out)
{
    uint8_t v4[4], head[16] = { 0 };
    if (parse_v4(s, v4) == 0) {
        *out = net_addr_v4_raw(load32(v4));
        return 0;
    }
    int n = 0, gap = -1;
    if (s[0] == ':' && s[1] == ':') {
        gap = 0;
        s += 2;
    }
    while (*s) {
        if (n == 8)
            return -NET_EINVAL;
        if (n <= 6 && parse_v4(s, head + 2 * n) == 0) {
            n += 2;
            break;
        }
        unsigned v = 0;
        int digits = 0, d;
        while (digits < 4 && (d = hex_digit(*s)) >= 0) {
            v = v << 4 | (unsigned)d;
            digits++;
            s++;
        }
        if (!digits)
            return -NET_EINVAL;
        put_be16(head + 2 * n++, (uint16_t)v);
        if (!*s)
            break;
        if (*s++ != ':')
            return -NET_EINVAL;
        if (*s == ':') {
            if (gap >= 0)
                return -NET_EINVAL;
            gap = n;
            s++;
        } else if (!*s) {
            return -NET_EINVAL;
        }
    }
    if (n > 8 || (gap < 0 && n != 8) || (gap >= 0 && n == 8))
        return -NET_EINVAL;
    net_zero(out->b, 16);
    if (gap < 0)
        gap = n;
    net_copy(out->b, head, 2 * (size_t)gap);
    net_copy(out->b + 16 - 2 * (n - gap), head + 2 * gap, 2 * (size_t)(n - gap));
    return 0;
}
