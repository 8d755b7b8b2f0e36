/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways to break the protocol, chosen by a word of the command line and begun
 * when the first message or ping arrives, so that the boot itself succeeds.
 */
#include "tests/images/stub/stub.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t noise(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void forever(void)
{
	for (;;)
		__asm__ volatile("sti; hlt");
}

/* Random words over everything the host reads, its own header aside. */
static void scribble(void)
{
	uint64_t *at = (uint64_t *)stub_boot, words = stub_boot->shared_bytes / 8;

	for (;;) {
		for (int i = 0; i < 10000; i++)
			at[512 + noise() % (words - 512)] = noise();
		stub_ring_host();
	}
}

static void flood(int message)
{
	struct otr_msg m = { .type = OTR_MSG_REPLY, .cookie = 0xdeadbeef };

	for (;;) {
		if (message)
			stub_send(&m);
		else
			stub_ring_host();
	}
}

static void all_wakes(void)
{
	struct otr_wake *w = stub_area(OTR_AREA_WAKE_C2H);
	struct otr_boot_area *a = (void *)((uint8_t *)stub_boot + stub_boot->area_offset);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < stub_boot->area_count; i++)
		if (a[i].type == OTR_AREA_WAKE_C2H)
			bytes = a[i].bytes;
	for (int n = 0; n < 100; n++) {
		__builtin_memset(w, 0xff, bytes);
		stub_ring_host();
	}
}

static void send(uint16_t type, uint64_t arg0, uint64_t arg1)
{
	struct otr_msg m = { .type = type, .arg = { arg0, arg1 } };

	stub_send(&m);
}

void hostile_begin(void)
{
	struct otr_ring *c2h = stub_area(OTR_AREA_C2H), *h2c = stub_area(OTR_AREA_H2C);
	struct otr_bytes *log = stub_area(OTR_AREA_LOG);
	static int begun;

	if (begun++)
		return;
	if (stub_option("hostile-tail")) {
		c2h->tail += 100000;
		stub_ring_host();
		forever();
	}
	if (stub_option("hostile-head")) {
		h2c->head -= 12345;
		forever();
	}
	if (stub_option("hostile-type"))
		send(4711, 0, 0);
	if (stub_option("hostile-exit"))
		send(OTR_MSG_PROC_EXIT, 99, 0);
	if (stub_option("hostile-zap-hint"))
		send(OTR_MSG_ZAP, 99, 0);
	if (stub_option("hostile-status")) {
		stub_status->state = 77;
		stub_ring_host();
	}
	if (stub_option("hostile-stopped")) {
		stub_status->state = OTR_CK_STOPPED;
		stub_ring_host();
	}
	if (stub_option("hostile-vector"))
		stub_status->doorbell_vector = 2;
	if (stub_option("hostile-log"))
		log->head = ~0ull;
	if (stub_option("hostile-wakes"))
		all_wakes();
	if (stub_option("hostile-flood"))
		flood(0);
	if (stub_option("hostile-messages"))
		flood(1);
	if (stub_option("hostile-scribble"))
		scribble();
}
