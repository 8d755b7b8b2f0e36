/* SPDX-License-Identifier: BSD-2-Clause */
/* Ordered accesses to plain words, above all those of abi/ structures, which
 * carry no _Atomic because two compilers share them. */
#ifndef COKERNEL_LIB_ATOMIC_H
#define COKERNEL_LIB_ATOMIC_H

#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_xchg(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or(p, v)     __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_and(p, v)    __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define atomic_add(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define atomic_sub(p, v)    __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define fence_full()        __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* True if *p was `old` and is now `new`. */
#define atomic_cas(p, old, new) ({ \
	__auto_type old_ = (old); \
	__atomic_compare_exchange_n((p), &old_, (new), false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); })

#endif
