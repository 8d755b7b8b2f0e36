/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/fpu.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"

#define FCW_DEFAULT   0x037f    /* SDM 1, 8.1.5: all exceptions masked */
#define MXCSR_DEFAULT 0x1f80    /* SDM 1, 10.2.3 */

void fpu_reset(void *state)
{
	memset(state, 0, cpu_features.xsave_bytes);
	*(uint16_t *)state = FCW_DEFAULT;
	*(uint32_t *)((char *)state + 24) = MXCSR_DEFAULT;
	/* XSTATE_BV: x87 and SSE come from the legacy area, the rest initial. */
	if (cpu_features.xsave)
		*(uint64_t *)((char *)state + 512) = 3;
}

void *fpu_alloc(void)
{
	void *state = kmem_alloc(cpu_features.xsave_bytes);

	if (state)
		fpu_reset(state);
	return state;
}

void fpu_save(struct thread *t)
{
	uint32_t lo = (uint32_t)cpu_features.xcr0, hi = (uint32_t)(cpu_features.xcr0 >> 32);

	if (cpu_features.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(t->fpu), "a"(lo), "d"(hi) : "memory");
	else if (cpu_features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(t->fpu), "a"(lo), "d"(hi) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(t->fpu) : "memory");
	t->fpu_cpu = this_cpu();
}

void fpu_restore(struct thread *t)
{
	struct cpu *c = this_cpu();
	uint32_t lo = (uint32_t)cpu_features.xcr0, hi = (uint32_t)(cpu_features.xcr0 >> 32);

	if (c->fpu_owner == t && t->fpu_cpu == c)
		return;
	if (cpu_features.xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(t->fpu), "a"(lo), "d"(hi) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(t->fpu) : "memory");
	c->fpu_owner = t;
	t->fpu_cpu = c;
}
