/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/mm/kvm.h"

/* Register offsets (SDM 3, table 11-1); in x2APIC mode MSR 0x800 + offset/16. */
#define APIC_TPR       0x080
#define APIC_EOI       0x0b0
#define APIC_SVR       0x0f0
#define APIC_ESR       0x280
#define APIC_ICR       0x300
#define APIC_ICR_HIGH  0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PERF  0x340
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE  0x3e0

#define SVR_ENABLE   (1u << 8)
#define LVT_MASKED   (1u << 16)
#define LVT_DEADLINE (2u << 17)
#define ICR_BUSY     (1u << 12)
#define ICR_ASSERT   (1u << 14)
#define DIVIDE_BY_1  0xbu

static uint8_t *registers;
static uint64_t timer_khz;      /* ticks a millisecond */
static uint64_t deadline_khz;   /* TSC's, when the timer counts that */

static uint32_t apic_read(uint32_t reg)
{
	if (cpu_features.x2apic)
		return (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
	return mmio_read32(registers + reg);
}

static void apic_write(uint32_t reg, uint32_t v)
{
	if (cpu_features.x2apic)
		wrmsr(MSR_X2APIC + reg / 16, v);
	else
		mmio_write32(registers + reg, v);
}

int apic_map(paddr_t at)
{
	if (cpu_features.x2apic)
		return 0;
	registers = kvm_map_mmio(at, PAGE_SIZE);
	return registers ? 0 : -1;
}

void apic_init_cpu(void)
{
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_THERMAL, LVT_MASKED);
	apic_write(APIC_LVT_PERF, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_MASKED);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (deadline_khz ? LVT_DEADLINE : 0));
}

void apic_timer_calibrate(uint64_t khz, uint64_t tsc_khz)
{
	uint64_t start, ticks;

	if (cpu_features.tsc_deadline) {
		deadline_khz = tsc_khz;
		return;
	}
	timer_khz = khz;
	if (khz)
		return;
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	start = rdtsc_ordered();
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	while (rdtsc_ordered() - start < 2 * tsc_khz)
		cpu_pause();
	ticks = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
	timer_khz = MAX(ticks * tsc_khz / (rdtsc_ordered() - start), 1ul);
	apic_write(APIC_TIMER_INITIAL, 0);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send_raw(uint32_t dest, uint32_t icr_low)
{
	if (cpu_features.x2apic) {
		/* The MSR write does not order earlier stores (SDM 3, 11.12.3). */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)dest << 32 | icr_low);
		return;
	}
	for (uint32_t i = 0; i < 100000 && apic_read(APIC_ICR) & ICR_BUSY; i++)
		cpu_pause();
	apic_write(APIC_ICR_HIGH, dest << 24);
	apic_write(APIC_ICR, icr_low);
}

void apic_send(uint32_t apic_id, uint32_t vector)
{
	apic_send_raw(apic_id, ICR_ASSERT | vector);
}

void apic_timer_arm(uint64_t ns)
{
	uint64_t ticks;

	if (deadline_khz) {
		wrmsr(MSR_TSC_DEADLINE, ns ? rdtsc() + MIN(ns, 1ul << 40) * deadline_khz / 1000000 : 0);
		return;
	}
	/* A deadline beyond 32 bits is reached in steps: the timer's handler
	 * finds nothing due and arms again. */
	ticks = ns ? MIN(ns, 1ul << 34) * timer_khz / 1000000 + 1 : 0;
	apic_write(APIC_TIMER_INITIAL, (uint32_t)MIN(ticks, (uint64_t)UINT32_MAX));
}
