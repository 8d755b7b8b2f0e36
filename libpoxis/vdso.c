/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/vdso.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/phys.h"

extern const uint8_t vdso_image[], vdso_image_end[];

static struct fixed_pages *pages;   /* the clock page, then the image */

void vdso_init(void)
{
	const void *clock = boot_area(OTR_AREA_CLOCK, NULL);
	uint64_t bytes = (uint64_t)(vdso_image_end - vdso_image);
	uint32_t count = (uint32_t)(ALIGN_UP(bytes, PAGE_SIZE) >> PAGE_SHIFT);
	struct fixed_pages *p;

	if (!clock || !cpu_features.rdtscp || (uint64_t)clock & (PAGE_SIZE - 1))
		return;
	p = kmem_zalloc(sizeof(*p) + (count + 1) * sizeof(p->frame[0]));
	if (!p)
		panic("no memory for the vDSO");
	p->count = count + 1;
	p->frame[0] = virt_to_phys(clock);
	for (uint32_t i = 0; i < count; i++) {
		struct page *page = page_alloc_zeroed(0);

		if (!page)
			panic("no memory for the vDSO");
		memcpy(page_to_virt(page), vdso_image + i * PAGE_SIZE, MIN(PAGE_SIZE, bytes - i * PAGE_SIZE));
		p->frame[i + 1] = page_to_phys(page);
	}
	pages = p;
}

uint64_t vdso_map(struct mm *mm)
{
	struct area clock = { .prot = MM_READ, .flags = MM_NOHUGE, .fixed = pages };
	struct area text = { .prot = MM_READ | MM_EXEC, .flags = MM_NOHUGE, .fixed = pages, .offset = PAGE_SIZE };
	int64_t at;

	if (!pages)
		return 0;
	at = mm_map_area(mm, 0, pages->count * PAGE_SIZE, &clock, 0);
	if (at < 0)
		return 0;
	at = mm_map_area(mm, (uint64_t)at + PAGE_SIZE, (pages->count - 1) * PAGE_SIZE, &text, MM_FIXED);
	return at < 0 ? 0 : (uint64_t)at;
}
