/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unaligned big-endian loads and stores, and the few memory functions that a
 * freestanding compiler emits calls to anyway.
 */
#ifndef NET_BYTES_H
#define NET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void net_copy(void *to, const void *from, size_t n) { __builtin_memcpy(to, from, n); }
static inline void net_move(void *to, const void *from, size_t n) { __builtin_memmove(to, from, n); }
static inline void net_zero(void *to, size_t n) { __builtin_memset(to, 0, n); }
static inline bool net_same(const void *a, const void *b, size_t n) { return __builtin_memcmp(a, b, n) == 0; }

static inline uint16_t net_bswap16(uint16_t v) { return __builtin_bswap16(v); }
static inline uint32_t net_bswap32(uint32_t v) { return __builtin_bswap32(v); }

static inline uint16_t load16(const void *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }
static inline uint32_t load32(const void *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
static inline uint64_t load64(const void *p) { uint64_t v; __builtin_memcpy(&v, p, 8); return v; }
static inline void store16(void *p, uint16_t v) { __builtin_memcpy(p, &v, 2); }
static inline void store32(void *p, uint32_t v) { __builtin_memcpy(p, &v, 4); }
static inline void store64(void *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }

static inline uint16_t get_be16(const void *p) { return net_bswap16(load16(p)); }
static inline uint32_t get_be32(const void *p) { return net_bswap32(load32(p)); }
static inline void put_be16(void *p, uint16_t v) { store16(p, net_bswap16(v)); }
static inline void put_be32(void *p, uint32_t v) { store32(p, net_bswap32(v)); }

#define NET_PASTE2(a, b) a##b
#define NET_PASTE(a, b) NET_PASTE2(a, b)
#define NET_PICK(a, op, b, x, y) ({ __typeof__(a) x = (a); __typeof__(b) y = (b); x op y ? x : y; })
/* Each argument is evaluated once; they nest. */
#define net_min(a, b) NET_PICK(a, <, b, NET_PASTE(left_, __COUNTER__), NET_PASTE(right_, __COUNTER__))
#define net_max(a, b) NET_PICK(a, >, b, NET_PASTE(left_, __COUNTER__), NET_PASTE(right_, __COUNTER__))
#define net_container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define net_likely(c) __builtin_expect(!!(c), 1)
#define net_unlikely(c) __builtin_expect(!!(c), 0)

#define NET_NS_PER_US 1000ull
#define NET_NS_PER_MS 1000000ull
#define NET_NS_PER_S 1000000000ull

#endif
