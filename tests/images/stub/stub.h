/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stub image: the smallest kernel that obeys the boot protocol. It proves
 * the host module alone, and its files are the base of images that misbehave.
 *   stub.c   CPUs, interrupts, doorbells, messages, log
 *   hostile.c  breaks the protocol on demand
 *   proc.c   a make-believe process, to exercise contexts without a real kernel
 */
#ifndef STUB_H
#define STUB_H

#include "abi/boot.h"
#include "abi/call.h"
#include "abi/chan.h"
#include "abi/status.h"
#include "tests/images/stub/stub_limits.h"

#define ENOSYS_NEG ((uint64_t)-38)

extern struct otr_boot *stub_boot;
extern struct otr_status *stub_status;

void *stub_area(uint32_t type);
void *stub_direct(uint64_t phys);
void stub_log(const char *text);
void stub_log_number(const char *text, uint64_t value);
void stub_panic(const char *why);
/* Sends a message to the host and rings. */
void stub_send(const struct otr_msg *msg);
void stub_ring_host(void);
/* A zeroed page of free memory, or several 2 MiB aligned ones; 0: none left. */
uint64_t stub_page(void);
uint64_t stub_pages_2m(void);
/* Whether the command line has a word. */
int stub_option(const char *word);

/* proc.c; CPU 0 only. */
uint64_t proc_message(const struct otr_msg *m, struct otr_msg *reply);
void proc_poll(void);

/* hostile.c; CPU 0, each time it was woken. Does not come back if it is told to
 * misbehave for ever. */
void hostile_begin(void);

/* From entry.S, and called by it. */
void stub_idt_fill(void);
void stub_interrupt(uint64_t vector, uint64_t rip);
void stub_main(struct otr_boot *boot, uint64_t index);
extern const uint8_t stub_vectors[];
extern uint64_t stub_idt[];

static inline void stub_wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

#endif
