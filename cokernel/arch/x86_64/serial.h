/* SPDX-License-Identifier: BSD-2-Clause */
/* COM1, for the image that runs alone under PVH. A co-kernel beside Linux never
 * touches it. */
#ifndef COKERNEL_ARCH_SERIAL_H
#define COKERNEL_ARCH_SERIAL_H

#include "cokernel/lib/types.h"

void serial_write(const char *text, size_t bytes);
/* Ends QEMU through its isa-debug-exit device at 0xf4. */
noreturn_ void serial_exit(uint8_t code);

#endif
