/* SPDX-License-Identifier: BSD-2-Clause */
/* The co-kernel's basic types and helpers; every header may include it. */
#ifndef COKERNEL_LIB_TYPES_H
#define COKERNEL_LIB_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A physical address. Arithmetic goes through .v, on purpose. */
typedef struct { uint64_t v; } paddr_t;
#define PADDR(x) ((paddr_t){ (uint64_t)(x) })

/* An address in a program: never dereferenced, only given to uaccess.h. */
typedef uint64_t uaddr_t;

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define LARGE_SHIFT 21
#define LARGE_SIZE (1ul << LARGE_SHIFT)
#define HUGE_SHIFT 30
#define HUGE_SIZE  (1ul << HUGE_SHIFT)

#define ALIGN_DOWN(x, a) ((x) & ~((typeof(x))(a) - 1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + ((typeof(x))(a) - 1), a)
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define MAX(a, b) ({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ > b_ ? a_ : b_; })

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noreturn_   __attribute__((noreturn))
#define printf_(f, a) __attribute__((format(printf, f, a)))
#define aligned_(n) __attribute__((aligned(n)))

#endif
