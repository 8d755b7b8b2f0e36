/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/cksum.h"

#include "cokernel/net/pbuf.h"

#if defined(__x86_64__)
static inline uint64_t add_blocks(uint64_t sum, const uint8_t *p, size_t blocks)
{
    /* lea and dec leave the carry flag alone, so one chain runs through the loop. */
    __asm__("clc\n"
            "1:\n\t"
            "adcq (%[p]), %[sum]\n\tadcq 8(%[p]), %[sum]\n\t"
            "adcq 16(%[p]), %[sum]\n\tadcq 24(%[p]), %[sum]\n\t"
            "adcq 32(%[p]), %[sum]\n\tadcq 40(%[p]), %[sum]\n\t"
            "adcq 48(%[p]), %[sum]\n\tadcq 56(%[p]), %[sum]\n\t"
            "lea 64(%[p]), %[p]\n\tdec %[n]\n\tjnz 1b\n\t"
            "adcq $0, %[sum]"
            : [sum] "+r"(sum), [p] "+r"(p), [n] "+r"(blocks)
            :
            : "cc", "memory");
    return sum;
}
#else
static inline uint64_t add_blocks(uint64_t sum, const uint8_t *p, size_t blocks)
{
    for (; blocks; blocks--, p += 64)
        for (int i = 0; i < 64; i += 8)
            sum = cksum_add64(sum, load64(p + i));
    return sum;
}
#endif

uint64_t cksum_add(uint64_t sum, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (n >= 64) {
        sum = add_blocks(sum, p, n / 64);
        p += n & ~(size_t)63;
        n &= 63;
    }
    if (n & 32) {
        sum = cksum_add64(cksum_add64(sum, load64(p)), load64(p + 8));
        sum = cksum_add64(cksum_add64(sum, load64(p + 16)), load64(p + 24));
        p += 32;
    }
    if (n & 16) {
        sum = cksum_add64(cksum_add64(sum, load64(p)), load64(p + 8));
        p += 16;
    }
    if (n & 8) {
        sum = cksum_add64(sum, load64(p));
        p += 8;
    }
    if (n & 7) {
        uint64_t tail = 0;
        if (n & 4) {
            tail = load32(p);
            p += 4;
        }
        if (n & 2) {
            tail += load16(p);
            p += 2;
        }
        if (n & 1)
            tail += *p;
        sum = cksum_add64(sum, tail);
    }
    return sum;
}

uint64_t cksum_pbuf(uint64_t sum, const struct pbuf *pb, uint32_t offset, uint32_t bytes)
{
    size_t done = 0;
    for (; pb && bytes; pb = pb->next) {
        if (offset >= pb->len) {
            offset -= pb->len;
            continue;
        }
        uint32_t n = net_min(pb->len - offset, bytes);
        sum = cksum_add_at(sum, done, pb->data + offset, n);
        done += n;
        bytes -= n;
        offset = 0;
    }
    return sum;
}
