/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/serial.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"

#define COM1 0x3f8
#define LSR_THR_EMPTY 0x20

void serial_write(const char *text, size_t bytes)
{
	if (!(boot_info.flags & OTR_BOOT_STANDALONE))
		return;
	for (; bytes; bytes--, text++) {
		for (int i = 0; i < 100000 && !(inb(COM1 + 5) & LSR_THR_EMPTY); i++)
			cpu_pause();
		outb(COM1, (uint8_t)*text);
	}
}

noreturn_ void serial_exit(uint8_t code)
{
	if (boot_info.flags & OTR_BOOT_STANDALONE)
		outb(0xf4, code);
	halt_forever();
}
