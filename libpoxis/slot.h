/* SPDX-License-Identifier: BSD-2-Clause */
/* The co-kernel's end of the delegation slots (abi/call.h). */
#ifndef LIBPOXIS_SLOT_H
#define LIBPOXIS_SLOT_H

#include "abi/call.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/types.h"

struct process;
struct thread;

struct slot {
	struct otr_slot *shared;    /* the proxy can write it: never trusted */
	uint32_t number;
	uint32_t tid;               /* of the twin, as the host says */
	struct spinlock lock;
	struct thread *caller;      /* whom to wake, under lock */
	struct list link;           /* in the process's free list */
	bool kept;                  /* there, for its tid: others first */
	struct process *process;
	uint64_t twin_mask;         /* the twin's signal mask, as far as we set it */
	uint64_t wanted_mask;       /* what it is to be: sigmask.c; process->lock */
	_Atomic uint32_t signals_taken; /* that the twin forwarded */
	uint32_t calls;             /* that went to Linux; the caller's */
};

/* Makes the 32 slots of a page of the contexts area; -EINVAL, -EEXIST, -ENOMEM. */
int slot_page_add(uint64_t page, struct process *p, struct slot **first);
void slot_page_remove(uint64_t page);

/* Posts a call for the current thread and waits for its end: the result, or
 * -EINTR when the thread is being killed meanwhile. */
int64_t slot_call(struct slot *s, uint32_t nr, const uint64_t arg[6]);
/* Makes Linux call `nr` for the current thread, again if a signal got between.
 * For calls of our own that no signal may interrupt. */
int64_t slot_call_always(struct slot *s, uint32_t nr, const uint64_t arg[6]);
/* Posts a request to the proxy and does not wait for its end. */
void slot_post(struct slot *s, uint32_t nr, uint64_t arg0);
/* No call is under way. */
bool slot_is_idle(const struct slot *s);
/* From the doorbell: the host says that the call of this slot is done. */
void slot_wake_caller(uint32_t number);
/* By number, NULL if its page was not given; valid while its process is. */
struct slot *slot_find(uint32_t number);
void slot_init(void);

#endif
