/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image alone under a PVH loader: makes up the boot header that the host
 * would have written, out of hvm_start_info (Xen's public/arch-x86/hvm/
 * start_info.h), and goes on as if a host had booted it. One CPU, the RAM range
 * that holds the image, log on the serial port.
 */
#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/lib/string.h"

#define START_MAGIC 0x336ec578u
#define MAP_RAM 1u

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};

struct memmap_entry {
	uint64_t start, bytes;
	uint32_t type, reserved;
};

#define MOST_RANGES 16u
#define MOST_CMDLINE 1024u

static struct {
	struct otr_boot head;
	struct otr_boot_cpu cpu;
	struct otr_boot_range range[MOST_RANGES];
	struct otr_boot_area area[2];
	char cmdline[MOST_CMDLINE];
	struct {
		struct otr_status status;
		struct otr_cpu_status cpu;
		struct otr_cpu_control control;
		struct otr_cpu_regs regs;
	} status aligned_(64);
} made aligned_(4096);

extern char image_start[], image_end[];

/* The whole image lies at VA_IMAGE + physical address. */
static uint64_t image_phys(const void *p)
{
	return (uint64_t)p - VA_IMAGE;
}

/* TSC ticks a millisecond, by channel 2 of the PIT (Intel 8254: 1193182 Hz). */
static uint64_t calibrate_tsc(void)
{
	const uint32_t ticks = 11932;   /* 10 ms */
	uint64_t start;

	outb(0x61, (uint8_t)((inb(0x61) & ~0x02u) | 0x01u));
	outb(0x43, 0xb0);
	outb(0x42, ticks & 0xff);
	outb(0x42, ticks >> 8);
	start = rdtsc_ordered();
	for (uint32_t i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
		;
	return (rdtsc_ordered() - start) / 10;
}

static void take_range(uint64_t start, uint64_t bytes)
{
	uint64_t end = ALIGN_DOWN(start + bytes, LARGE_SIZE);
	uint64_t first = image_phys(image_start), at = made.head.range_count;

	start = ALIGN_UP(MAX(start, first), LARGE_SIZE);
	if (start >= end || at == MOST_RANGES)
		return;
	/* The early direct map reaches 1 GiB; the image's range comes first. */
	if (start <= first && first < end && at) {
		made.range[at] = made.range[0];
		at = 0;
	}
	made.range[at] = (struct otr_boot_range){ .start = start, .bytes = end - start };
	made.head.range_count++;
}

noreturn_ void pvh_main(uint32_t start_info_phys)
{
	const struct start_info *s = phys_to_virt(PADDR(start_info_phys));
	const struct memmap_entry *m = phys_to_virt(PADDR(s->memmap));
	struct otr_boot *b = &made.head;

	boot_info.flags = OTR_BOOT_STANDALONE;  /* for serial_write() */
	boot_tsc_entry = rdtsc();
	if (s->magic != START_MAGIC)
		halt_forever();
	for (uint32_t i = 0; i < s->memmap_count; i++)
		if (m[i].type == MAP_RAM)
			take_range(m[i].start, m[i].bytes);
	if (s->cmdline)
		str_copy(made.cmdline, phys_to_virt(PADDR(s->cmdline)), sizeof(made.cmdline));
	made.area[0] = (struct otr_boot_area){
		.type = OTR_AREA_STATUS, .phys = image_phys(&made.status), .bytes = sizeof(made.status),
	};
	*b = (struct otr_boot){
		.magic = OTR_BOOT_MAGIC, .version = OTR_ABI_VERSION, .size = sizeof(made),
		.shared_phys = image_phys(&made), .shared_bytes = sizeof(made),
		.image_phys = image_phys(image_start), .image_virt = (uint64_t)image_start,
		.image_bytes = (uint64_t)(image_end - image_start),
		.free_phys = ALIGN_UP(image_phys(image_end), PAGE_SIZE),
		.direct_base = VA_DIRECT, .tsc_khz = calibrate_tsc(), .lapic_phys = 0xfee00000,
		.tsc_at_load = boot_tsc_entry,
		.flags = OTR_BOOT_STANDALONE, .log_level = 7,
		.cpu_offset = offsetof(typeof(made), cpu), .cpu_count = 1, .cpu_limit = 1,
		.range_offset = offsetof(typeof(made), range), .range_count = b->range_count,
		.area_offset = offsetof(typeof(made), area), .area_count = 1,
		.cmdline_offset = offsetof(typeof(made), cmdline), .cmdline_bytes = MOST_CMDLINE,
		.name = "standalone",
	};
	made.cpu.apic_id = cpuid(1, 0).b >> 24;
	boot_main(phys_to_virt(PADDR(image_phys(&made))), 0);
}
