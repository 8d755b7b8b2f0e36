/* SPDX-License-Identifier: BSD-2-Clause */
/* The co-kernel's end of the channels to the host (abi/chan.h). */
#ifndef COKERNEL_IPC_HOST_H
#define COKERNEL_IPC_HOST_H

#include "abi/chan.h"
#include "cokernel/lib/types.h"

/* Finds the channels; starts the worker for messages that may wait. */
void host_init(void);
/* The doorbell interrupt, on any CPU: pings, woken callers, messages. */
void host_doorbell(void);
/* Rings Linux. */
void host_ring(void);
/* Sends one message; never fails, in order (it is kept back if the ring is full). */
void host_send(const struct otr_msg *m);
static inline void host_send3(uint16_t type, uint64_t a0, uint64_t a1, uint64_t a2)
{
	host_send(&(struct otr_msg){ .type = type, .arg = { a0, a1, a2 } });
}

/* Pages of OTR_AREA_CONTEXTS; NULL beyond its end. */
void *host_context_page(uint64_t number);

/* Sets the posted bit of a slot and rings. */
void host_wake_worker(uint32_t slot);

#endif
