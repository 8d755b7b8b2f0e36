/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket locks. The co-kernel runs with interrupts off (they are taken in user
 * mode and in the idle loop only), so a lock needs no interrupt variant. While
 * it waits, a CPU serves requests of other CPUs that must not wait for it, TLB
 * shoot-downs above all (arch_poll), so a holder may wait for such an answer.
 */
#ifndef COKERNEL_LIB_SPINLOCK_H
#define COKERNEL_LIB_SPINLOCK_H

#include "cokernel/lib/types.h"

struct spinlock {
	_Atomic uint32_t next;
	_Atomic uint32_t owner;
};

/* Serves what other CPUs ask of this one; defined by the architecture. */
void arch_poll(void);

static inline void spin_lock(struct spinlock *l)
{
	uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	while (unlikely(atomic_load_explicit(&l->owner, memory_order_acquire) != ticket))
		arch_poll();
}

static inline void spin_unlock(struct spinlock *l)
{
	uint32_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);

	atomic_store_explicit(&l->owner, owner + 1, memory_order_release);
}

static inline bool spin_is_locked(struct spinlock *l)
{
	return atomic_load_explicit(&l->owner, memory_order_relaxed) !=
	       atomic_load_explicit(&l->next, memory_order_relaxed);
}

#endif
