/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot header as the rest of the co-kernel sees it: copied once, checked.
 * Pointers into the shared region are valid from boot_accept() on and never
 * change; only what abi/ says the host writes may change behind them.
 */
#ifndef COKERNEL_CORE_BOOT_H
#define COKERNEL_CORE_BOOT_H

#include "abi/boot.h"
#include "abi/chan.h"
#include "abi/status.h"
#include "cokernel/lib/types.h"

extern struct otr_boot boot_info;
extern uint64_t boot_tsc_entry;

/* Checks the header; a refusal is written to the status area, where there is
 * one, and does not return. */
void boot_accept(const struct otr_boot *header);

const struct otr_boot_cpu *boot_cpu_entry(uint32_t index);
const struct otr_boot_range *boot_range_entry(uint32_t index);
/* Start of an area, NULL if the host gave none; *bytes may be NULL. */
void *boot_area(uint32_t type, uint64_t *bytes);

struct otr_status *boot_status(void);
struct otr_cpu_status *boot_cpu_status(uint32_t index);
const struct otr_cpu_control *boot_cpu_control(uint32_t index);
struct otr_cpu_regs *boot_cpu_regs(uint32_t index);

/* The value of "name" or "name=value" on the command line: NULL if absent, ""
 * without a value; copied to `room` bytes at `to`. */
const char *boot_option(const char *name, char *to, size_t room);

/* Entries from head.S. */
noreturn_ void boot_main(const struct otr_boot *header, uint64_t index);
noreturn_ void ap_main(uint32_t index);
noreturn_ void pvh_main(uint32_t start_info_phys);

#endif
