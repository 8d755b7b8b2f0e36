/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/mitigate.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/format.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/phys.h"

#define MSR_PRED_CMD   0x49     /* Intel SDM volume 4, table 2-2 */
#define PRED_CMD_IBPB  1u
#define SPEC_IBRS      (1u << 0)
#define SPEC_STIBP     (1u << 1)
#define SPEC_SSBD      (1u << 2)

/* Code that stays when the machine needs one of `mask`, and is replaced otherwise. */
struct alternative {
	uint64_t at;
	uint64_t other;
	uint64_t mask;              /* OTR_MITIGATE_* */
	uint32_t bytes;
	uint32_t other_bytes;       /* the rest is filled with int3 */
};

extern const struct alternative alternatives_start[], alternatives_end[];
extern void mitigate_fill_returns(void);

static uint32_t spec_ctrl;          /* IA32_SPEC_CTRL of every CPU; 0: leave it alone */
static bool barrier, fill_returns;

/* What this CPU can do, by Intel's and AMD's bits (AMD APM volume 3, Fn8000_0008). */
static bool has(uint32_t intel_edx_bit, uint32_t amd_ebx_bit)
{
	return cpuid(7, 0).d >> intel_edx_bit & 1 || cpuid(0x80000008, 0).b >> amd_ebx_bit & 1;
}

/* The text is mapped read-only, its frames are in the direct map too. */
static void *writable(uint64_t at)
{
	return phys_to_virt(PADDR(boot_info.image_phys + (at - boot_info.image_virt)));
}

static void patch(void)
{
	const struct alternative *a;

	for (a = alternatives_start; a < alternatives_end; a++) {
		uint8_t *to = writable(a->at);

		if (boot_info.mitigations & a->mask)
			continue;
		memcpy(to, (const void *)a->other, a->other_bytes);
		memset(to + a->other_bytes, 0xcc, a->bytes - a->other_bytes);
	}
	cpuid(0, 0);    /* serialises: the new code is fetched from here on */
}

static void report(void)
{
	static const struct { uint64_t bit; const char *name; } names[] = {
		{ OTR_MITIGATE_RETPOLINE, " retpolines" }, { OTR_MITIGATE_IBRS, " IBRS" },
		{ OTR_MITIGATE_IBPB, " IBPB" }, { OTR_MITIGATE_STIBP, " STIBP" },
		{ OTR_MITIGATE_SSBD, " SSBD" }, { OTR_MITIGATE_MDS_CLEAR, " buffer clearing" },
		{ OTR_MITIGATE_SWAPGS, " swapgs fences" },
	};
	char text[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (boot_info.mitigations & names[i].bit)
			used += (size_t)format(text + used, sizeof(text) - used, "%s", names[i].name);
	log_info("mitigations:%s", used ? text : " none needed");
	if (boot_info.mitigations & OTR_MITIGATE_PTI)
		log_warn("this processor has Meltdown: programs could read the co-kernel's memory");
	if (boot_info.mitigations & OTR_MITIGATE_L1TF)
		log_warn("this processor has L1TF: programs could read memory of the partition");
}

void mitigate_init(void)
{
	uint64_t m = boot_info.mitigations;

	patch();
	if (m & OTR_MITIGATE_IBRS && has(26, 14))
		spec_ctrl |= SPEC_IBRS;
	if (m & OTR_MITIGATE_STIBP && has(27, 15))
		spec_ctrl |= SPEC_STIBP;
	if (m & OTR_MITIGATE_SSBD && has(31, 24))
		spec_ctrl |= SPEC_SSBD;
	barrier = m & OTR_MITIGATE_IBPB && has(26, 12);
	fill_returns = m & (OTR_MITIGATE_RETPOLINE | OTR_MITIGATE_IBRS | OTR_MITIGATE_IBPB);
	mitigate_init_cpu();
	report();
}

void mitigate_init_cpu(void)
{
	if (spec_ctrl)
		wrmsr(MSR_SPEC_CTRL, spec_ctrl);
}

void mitigate_switch(void)
{
	if (barrier)
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	if (fill_returns)
		mitigate_fill_returns();
}
