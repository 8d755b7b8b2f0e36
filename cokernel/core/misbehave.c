/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/misbehave.h"
#include "abi/chan.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"

static uint64_t data_that_is_no_code[2] = { 0xc3c3c3c3c3c3c3c3ull, 0 };

/* Through a pointer that the compiler cannot see through: each level takes stack. */
static uint64_t recurse(uint64_t n);
static uint64_t (*volatile again)(uint64_t n) = recurse;

static uint64_t recurse(uint64_t n)
{
	volatile uint64_t frame[64];

	frame[n % 64] = n;
	return again(n + 1) + frame[n % 64];
}

int misbehave(uint32_t how)
{
	char value[8];

	if (!boot_option("test", value, sizeof(value)))
		return -EPERM;
	switch (how) {
	case OTR_TEST_PANIC:
		panic("a test asked for it");
	case OTR_TEST_STACK:
		return (int)recurse(1);
	case OTR_TEST_WILD:
		return *(volatile int *)0xffffb00012345678ull;
	case OTR_TEST_JUMP_DATA:
		((void (*)(void))(void *)data_that_is_no_code)();
		return 0;
	case OTR_TEST_HANG:
		for (;;)
			__asm__ volatile("cli; pause");
	default:
		return -EINVAL;
	}
}
