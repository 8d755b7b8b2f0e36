/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/boot.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/string.h"

/* head.S writes the number into the image's note. */
_Static_assert(OTR_ABI_VERSION == 6, "change .note.outrigger in head.S too");

struct otr_boot boot_info;
static const struct otr_boot *header_at;    /* in the direct map */

#define CMDLINE_MOST 4096u
static char cmdline[CMDLINE_MOST];

static const void *at_offset(uint32_t offset)
{
	return (const uint8_t *)header_at + offset;
}

static bool table_fits(uint32_t offset, uint64_t count, size_t each)
{
	return offset >= sizeof(struct otr_boot) && offset <= boot_info.size &&
	       count <= (boot_info.size - offset) / each;
}

static const char *complaint(void)
{
	const struct otr_boot *b = &boot_info;

	if (b->magic != OTR_BOOT_MAGIC)
		return "the boot header has a wrong magic number";
	if (b->version != OTR_ABI_VERSION)
		return "the host module speaks another ABI version: install module and image of one release";
	if (b->size < sizeof(*b) || b->size > b->shared_bytes)
		return "the boot header has an impossible size";
	if (b->direct_base != VA_DIRECT)
		return "the direct map is not where this image needs it";
	if (!table_fits(b->cpu_offset, b->cpu_count, sizeof(struct otr_boot_cpu)) ||
	    !table_fits(b->range_offset, b->range_count, sizeof(struct otr_boot_range)) ||
	    !table_fits(b->area_offset, b->area_count, sizeof(struct otr_boot_area)) ||
	    !table_fits(b->cmdline_offset, b->cmdline_bytes, 1))
		return "a table of the boot header lies outside it";
	if (!b->cpu_count || !b->range_count || b->cpu_count > b->cpu_limit)
		return "the boot header lists no CPU or no memory";
	if (b->cpu_count > CPUS_MOST)
		return "more CPUs than this image can use (1024)";
	return NULL;
}

void boot_accept(const struct otr_boot *header)
{
	const char *why;

	header_at = header;
	memcpy(&boot_info, header, sizeof(boot_info));
	why = complaint();
	if (why) {
		/* The status area may still be found if its table can be trusted
		 * that far; otherwise the host sees only silence. */
		struct otr_status *s = boot_info.magic == OTR_BOOT_MAGIC ? boot_status() : NULL;

		if (s) {
			str_copy(s->reason, why, sizeof(s->reason));
			s->version = OTR_ABI_VERSION;
			s->magic = OTR_STATUS_MAGIC;
			store_release(&s->state, OTR_CK_REFUSED);
		}
		halt_forever();
	}
	str_copy(cmdline, at_offset(boot_info.cmdline_offset),
		 MIN((size_t)CMDLINE_MOST, (size_t)boot_info.cmdline_bytes + 1));
}

const struct otr_boot_cpu *boot_cpu_entry(uint32_t index)
{
	return (const struct otr_boot_cpu *)at_offset(boot_info.cpu_offset) + index;
}

const struct otr_boot_range *boot_range_entry(uint32_t index)
{
	return (const struct otr_boot_range *)at_offset(boot_info.range_offset) + index;
}

void *boot_area(uint32_t type, uint64_t *bytes)
{
	const struct otr_boot_area *a = at_offset(boot_info.area_offset);

	for (uint32_t i = 0; i < boot_info.area_count; i++, a++)
		if (a->type == type) {
			if (bytes)
				*bytes = a->bytes;
			return phys_to_virt(PADDR(a->phys));
		}
	return NULL;
}

struct otr_status *boot_status(void)
{
	return boot_area(OTR_AREA_STATUS, NULL);
}

struct otr_cpu_status *boot_cpu_status(uint32_t index)
{
	return (struct otr_cpu_status *)(boot_status() + 1) + index;
}

const struct otr_cpu_control *boot_cpu_control(uint32_t index)
{
	return (const struct otr_cpu_control *)boot_cpu_status(boot_info.cpu_limit) + index;
}

struct otr_cpu_regs *boot_cpu_regs(uint32_t index)
{
	return (struct otr_cpu_regs *)boot_cpu_control(boot_info.cpu_limit) + index;
}

const char *boot_option(const char *name, char *to, size_t room)
{
	size_t want = strlen(name);
	const char *at = cmdline;

	while (*at) {
		size_t n = 0;

		while (*at == ' ')
			at++;
		while (at[n] && at[n] != ' ')
			n++;
		if (n >= want && !strncmp(at, name, want) && (n == want || at[want] == '=')) {
			size_t skip = n == want ? n : want + 1;

			str_copy(to, at + skip, MIN(room, n - skip + 1));
			return to;
		}
		at += n;
	}
	return NULL;
}
