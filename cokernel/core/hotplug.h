/* SPDX-License-Identifier: BSD-2-Clause */
/* Resources that come and go while the co-kernel runs. In the control thread. */
#ifndef COKERNEL_CORE_HOTPLUG_H
#define COKERNEL_CORE_HOTPLUG_H

#include "cokernel/lib/types.h"

int hotplug_memory_add(paddr_t start, uint64_t bytes, uint32_t node);
/* -EBUSY while any page is in use; -EPERM for the boot range. */
int hotplug_memory_remove(paddr_t start, uint64_t bytes);
/* Prepares; the host may start the CPU then. */
int hotplug_cpu_add(uint32_t index, uint32_t apic_id, uint32_t node, uint32_t linux_cpu);
/* Moves its threads away and parks it; -EBUSY for the last one and where a
 * thread may run nowhere else. */
int hotplug_cpu_remove(uint32_t index);
/* Ends all programs, then all CPUs; answers the message `cookie` itself as its
 * last act and does not return, unless programs do not end: -ETIMEDOUT. */
int hotplug_shutdown(uint32_t cookie);
/* On the CPU itself, from sched_interrupt(): park if asked to. */
void hotplug_cpu_poll(void);

#endif
