/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: interprocessor interrupts and the one-shot timer. */
#ifndef COKERNEL_ARCH_APIC_H
#define COKERNEL_ARCH_APIC_H

#include "cokernel/lib/types.h"

/* Maps the registers where they are memory (xAPIC); once, before the rest. */
int apic_map(paddr_t registers);
/* Enables the calling CPU's APIC with our vectors. */
void apic_init_cpu(void);
/* Finds the timer's rate by the TSC, unless khz says it. */
void apic_timer_calibrate(uint64_t khz, uint64_t tsc_khz);
void apic_eoi(void);
void apic_send(uint32_t apic_id, uint32_t vector);
/* Raw: what the host published as its doorbell. */
void apic_send_raw(uint32_t dest, uint32_t icr_low);
/* Arms the timer `ns` from now (at least 1), or stops it for 0. */
void apic_timer_arm(uint64_t ns);

#endif
