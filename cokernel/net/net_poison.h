/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells AddressSanitizer, where it watches, that a pooled object is free. */
#ifndef NET_POISON_H
#define NET_POISON_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NET_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define NET_ASAN 1
#endif

#if defined(NET_ASAN)
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
static inline void net_poison(void *p, size_t n) { __asan_poison_memory_region(p, n); }
static inline void net_unpoison(void *p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
static inline void net_poison(void *p, size_t n) { (void)p; (void)n; }
static inline void net_unpoison(void *p, size_t n) { (void)p; (void)n; }
#endif

#endif
