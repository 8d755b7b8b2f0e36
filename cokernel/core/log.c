/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/log.h"
#include "cokernel/arch/x86_64/serial.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/format.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/string.h"

static struct spinlock lock;
static bool lock_broken;
static struct otr_bytes *ring;
static uint64_t ring_bytes;     /* our own copy of its capacity */
static uint64_t ring_head;

void log_init(void)
{
	uint64_t bytes;

	ring = boot_area(OTR_AREA_LOG, &bytes);
	if (!ring)
		return;
	ring_bytes = ring->bytes;
	if (ring_bytes & (ring_bytes - 1) || ring_bytes + sizeof(*ring) > bytes)
		ring = NULL;
	else
		ring_head = ring->head;
}

static void ring_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		ring->data[(ring_head + i) & (ring_bytes - 1)] = (uint8_t)text[i];
	ring_head += bytes;
	store_release(&ring->head, ring_head);
}

static void emit(int level, const char *fmt, va_list args)
{
	char line[512];
	uint64_t us = clock_uptime_ns() / 1000;
	size_t n;

	n = format(line, sizeof(line), "<%d>[%5lu.%06lu] ", level, us / 1000000, us % 1000000);
	n += format_v(line + n, sizeof(line) - n, fmt, args);
	n = MIN(n, sizeof(line) - 2);
	line[n++] = '\n';
	if (!lock_broken)
		spin_lock(&lock);
	if (ring)
		ring_write(line, n);
	else
		serial_write(line, n);
	if (!lock_broken)
		spin_unlock(&lock);
}

void log_line(int level, const char *fmt, ...)
{
	va_list args;

	if (level > (int)boot_info.log_level)
		return;
	va_start(args, fmt);
	emit(level, fmt, args);
	va_end(args);
}

void log_break_lock(void)
{
	lock_broken = true;
}
