// SPDX-License-Identifier: GPL-2.0
/*
 * Lays out a partition's boot range before each boot, in the order of
 * abi/boot.h: shared region, image, initial page tables, free memory; and
 * writes the boot header. Everything is computed from the host's own books.
 */
#include <linux/cpu.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tsc.h>

#include "outrigger.h"

#define DIRECT_BASE 0xffff800000000000ull
#define BROADCAST_VECTORS 0xe0u
#define MIN_BOOT_BYTES (8ull << 20)

/* Bump allocation inside the shared region, page by page. */
struct layout {
	u64 at;                      /* bytes from the start of the region */
	u32 area_count;
	struct otr_boot_area area[16];
};

static u64 place(struct layout *l, u32 type, u64 phys, u64 bytes)
{
	u64 offset = l->at;

	l->area[l->area_count++] = (struct otr_boot_area){
		.type = type, .phys = phys + offset, .bytes = PAGE_ALIGN(bytes),
	};
	l->at += PAGE_ALIGN(bytes);
	return offset;
}

static const struct otr_span *boot_span(struct otr_partition *p)
{
	struct otr_spans *s = rcu_dereference_protected(p->spans, lockdep_is_held(&p->op_lock));
	const struct otr_span *best = NULL;
	u32 i;

	for (i = 0; s && i < s->count; i++)
		if (!best || s->span[i].end - s->span[i].start > best->end - best->start)
			best = &s->span[i];
	return best;
}

static u32 cpu_count(struct otr_partition *p)
{
	struct otr_cpu *c;
	u32 n = 0;

	list_for_each_entry(c, &p->cpus, link)
		n++;
	return n;
}

static u32 context_pages(struct otr_partition *p)
{
	struct otr_spans *s = rcu_dereference_protected(p->spans, lockdep_is_held(&p->op_lock));
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < s->count; i++)
		bytes += s->span[i].end - s->span[i].start;
	return clamp_t(u64, bytes / (64 << 10), 64, 4096) & ~1u;
}

/* Places all areas and fills sh; nothing is written yet but zeroes. */
static void place_areas(struct otr_partition *p, struct otr_shared *sh, struct layout *l,
			u64 header_bytes)
{
	void *base = __va(sh->phys);
	u64 ring = sizeof(struct otr_ring) + OTR_RING_COUNT * sizeof(struct otr_msg);
	u64 wake = sizeof(struct otr_wake) + sh->ctx_pages * OTR_SLOTS_PER_PAGE / 8;
	u64 status = sizeof(struct otr_status) + (u64)sh->cpu_limit *
		     (sizeof(struct otr_cpu_status) + sizeof(struct otr_cpu_control) +
		      sizeof(struct otr_cpu_regs));
	u64 contexts;

	l->at = PAGE_ALIGN(header_bytes);
	sh->boot = base;
	sh->status = base + place(l, OTR_AREA_STATUS, sh->phys, status);
	sh->cpu_status = (void *)(sh->status + 1);
	sh->cpu_control = (void *)(sh->cpu_status + sh->cpu_limit);
	sh->cpu_regs = (void *)(sh->cpu_control + sh->cpu_limit);
	sh->clock = base + place(l, OTR_AREA_CLOCK, sh->phys, sizeof(struct otr_clock));
	sh->h2c = base + place(l, OTR_AREA_H2C, sh->phys, ring);
	sh->c2h = base + place(l, OTR_AREA_C2H, sh->phys, ring);
	sh->log = base + place(l, OTR_AREA_LOG, sh->phys, sizeof(struct otr_bytes) + OTR_LOG_BYTES);
	sh->console = base + place(l, OTR_AREA_CONSOLE, sh->phys,
				   sizeof(struct otr_bytes) + OTR_CONSOLE_BYTES);
	sh->input = base + place(l, OTR_AREA_INPUT, sh->phys,
				 sizeof(struct otr_bytes) + OTR_INPUT_BYTES);
	sh->wake_h2c = base + place(l, OTR_AREA_WAKE_H2C, sh->phys, wake);
	sh->wake_c2h = base + place(l, OTR_AREA_WAKE_C2H, sh->phys, wake);
	contexts = place(l, OTR_AREA_CONTEXTS, sh->phys, (u64)sh->ctx_pages * PAGE_SIZE);
	sh->contexts = base + contexts;
	sh->contexts_phys = sh->phys + contexts;
	sh->doorbell = base + place(l, OTR_AREA_DOORBELL, sh->phys, sizeof(struct otr_doorbell));
	sh->versions = base + place(l, OTR_AREA_VERSIONS, sh->phys, OTR_VERSIONS * sizeof(u32));
	sh->bytes = l->at;
}

static void init_areas(struct otr_shared *sh)
{
	sh->h2c->count = OTR_RING_COUNT;
	sh->c2h->count = OTR_RING_COUNT;
	sh->log->bytes = OTR_LOG_BYTES;
	sh->console->bytes = OTR_CONSOLE_BYTES;
	sh->input->bytes = OTR_INPUT_BYTES;
}

static u64 mitigations(void)
{
	u64 m = 0;

	if (cpu_mitigations_off())
		return 0;
	if (boot_cpu_has(X86_FEATURE_PTI))
		m |= OTR_MITIGATE_PTI;
	if (boot_cpu_has(X86_FEATURE_IBRS_ENHANCED) || boot_cpu_has(X86_FEATURE_KERNEL_IBRS))
		m |= OTR_MITIGATE_IBRS;
	if (boot_cpu_has(X86_FEATURE_RETPOLINE))
		m |= OTR_MITIGATE_RETPOLINE;
	if (boot_cpu_has(X86_FEATURE_USE_IBPB))
		m |= OTR_MITIGATE_IBPB;
	/* What Linux sets always; what a program may ask for with prctl is left out. */
	if (x86_spec_ctrl_base & SPEC_CTRL_STIBP)
		m |= OTR_MITIGATE_STIBP;
	if (x86_spec_ctrl_base & SPEC_CTRL_SSBD)
		m |= OTR_MITIGATE_SSBD;
	if (boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF))
		m |= OTR_MITIGATE_MDS_CLEAR;
	if (boot_cpu_has_bug(X86_BUG_L1TF))
		m |= OTR_MITIGATE_L1TF;
	if (boot_cpu_has(X86_FEATURE_FENCE_SWAPGS_USER))
		m |= OTR_MITIGATE_SWAPGS;
	return m;
}

/* The header's tables; returns where the next one goes. */
static u32 write_cpus(struct otr_partition *p, struct otr_boot *b, u32 at)
{
	struct otr_boot_cpu *to = (void *)b + at;
	struct otr_cpu *c;

	b->cpu_offset = at;
	list_for_each_entry(c, &p->cpus, link)
		to[b->cpu_count++] = (struct otr_boot_cpu){
			.apic_id = c->apic_id, .linux_cpu = c->linux_cpu,
			.node = c->node < 0 ? 0 : c->node, .hwp_request = c->hwp_request,
		};
	return at + b->cpu_count * sizeof(*to);
}

static u32 write_ranges(struct otr_partition *p, struct otr_boot *b, u32 at,
			const struct otr_span *first)
{
	struct otr_spans *s = rcu_dereference_protected(p->spans, lockdep_is_held(&p->op_lock));
	struct otr_boot_range *to = (void *)b + at;
	const struct otr_span *span;
	u32 i;

	b->range_offset = at;
	for (i = 0; i <= s->count; i++) {
		span = i ? &s->span[i - 1] : first;
		if (i && span == first)
			continue;
		to[b->range_count++] = (struct otr_boot_range){
			.start = span->start, .bytes = span->end - span->start,
			.node = span->node < 0 ? 0 : span->node,
		};
	}
	return at + b->range_count * sizeof(*to);
}

static void write_header(struct otr_partition *p, const struct layout *l,
			 const struct otr_span *span, const struct otr_tables *t, u64 image_phys)
{
	struct otr_shared *sh = &p->sh;
	struct otr_boot *b = sh->boot;
	u32 at = sizeof(*b);

	at = write_cpus(p, b, at);
	at = write_ranges(p, b, at, span);
	b->area_offset = at;
	b->area_count = l->area_count;
	memcpy((void *)b + at, l->area, l->area_count * sizeof(l->area[0]));
	at += l->area_count * sizeof(l->area[0]);
	b->cmdline_offset = at;
	b->cmdline_bytes = p->image->cmdline_bytes;
	memcpy((void *)b + at, p->image->cmdline, p->image->cmdline_bytes);
	at += p->image->cmdline_bytes;

	b->version = OTR_ABI_VERSION;
	b->size = at;
	b->boot_id = get_random_u64();
	b->shared_phys = sh->phys;
	b->shared_bytes = sh->bytes;
	b->image_phys = image_phys;
	b->image_virt = p->image->virt;
	b->image_bytes = p->image->bytes;
	b->table_phys = t->phys;
	b->table_bytes = t->used;
	b->free_phys = t->phys + t->used;
	b->direct_base = DIRECT_BASE;
	b->mitigations = mitigations();
	b->tsc_khz = tsc_khz;
	b->apic_khz = 0;	/* Linux does not export what it measured */
	b->lapic_phys = APIC_DEFAULT_PHYS_BASE;
	p->tsc_load = rdtsc_ordered();
	b->tsc_at_load = p->tsc_load;
	b->flags = (x2apic_enabled() ? OTR_BOOT_X2APIC : 0) |
		   (otr_clock_is_tsc() ? OTR_BOOT_CLOCK_TSC : 0);
	b->log_level = p->image->log_level;
	b->cpu_limit = sh->cpu_limit;
	b->doorbell_hint = BROADCAST_VECTORS;
	strscpy(b->name, p->name, sizeof(b->name));
	b->magic = OTR_BOOT_MAGIC;
}

static int build_tables(struct otr_partition *p, struct otr_tables *t,
			const struct otr_span *span, u64 image_phys, u64 low_phys)
{
	const struct otr_image *img = p->image;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < img->segment_count; i++) {
		const struct otr_image_segment *s = &img->segment[i];
		u64 flags = (s->flags & OTR_SEG_WRITE ? OTR_PTE_W : 0) |
			    (s->flags & OTR_SEG_EXEC ? 0 : OTR_PTE_NX);

		ret = otr_tables_map(t, s->virt, image_phys + (s->virt - img->virt),
				     PAGE_ALIGN(s->mem_bytes), flags);
	}
	if (!ret)
		ret = otr_tables_map(t, DIRECT_BASE + span->start, span->start,
				     span->end - span->start, OTR_PTE_W | OTR_PTE_NX);
	if (!ret)
		ret = otr_tables_map(t, low_phys, low_phys, PAGE_SIZE, 0);
	return ret;
}

static void copy_image(const struct otr_image *img, u64 image_phys)
{
	u32 i;

	for (i = 0; i < img->segment_count; i++) {
		const struct otr_image_segment *s = &img->segment[i];

		memcpy(__va(image_phys + (s->virt - img->virt)),
		       (void *)(uintptr_t)s->data, s->file_bytes);
	}
}

static void zero_all(struct otr_partition *p)
{
	struct otr_spans *s = rcu_dereference_protected(p->spans, lockdep_is_held(&p->op_lock));
	u32 i;

	for (i = 0; i < s->count; i++)
		otr_memory_zero(s->span[i].start, s->span[i].end - s->span[i].start);
}

/* op_lock held, nothing runs in the partition. Fills p->sh and the memory. */
int otr_layout(struct otr_partition *p, struct otr_note *note)
{
	const struct otr_span *span = boot_span(p);
	struct otr_spans *s = rcu_dereference_protected(p->spans, lockdep_is_held(&p->op_lock));
	struct otr_shared sh = { 0 };
	struct layout l = { 0 };
	struct otr_tables t;
	u64 image_phys, span_bytes, need, header;
	int ret;

	if (!span)
		return otr_refuse(note, -ENOMEM, "%s has no memory; add some first", p->name);
	span_bytes = span->end - span->start;
	sh.phys = span->start;
	sh.cpu_limit = clamp_t(u32, max_t(u32, nr_cpu_ids, cpu_count(p)), 1, OTR_CPU_LIMIT_MAX);
	sh.ctx_pages = context_pages(p);
	header = sizeof(struct otr_boot) + cpu_count(p) * sizeof(struct otr_boot_cpu) +
		 s->count * sizeof(struct otr_boot_range) +
		 ARRAY_SIZE(l.area) * sizeof(struct otr_boot_area) + p->image->cmdline_bytes;
	place_areas(p, &sh, &l, header);
	image_phys = sh.phys + sh.bytes;
	t = (struct otr_tables){
		.phys = image_phys + p->image->bytes,
		/* root, start-up page, image, direct map; upper bounds */
		.limit = PAGE_SIZE * (1 + 3 + 4 + p->image->bytes / OTR_MIB2 +
				      4 + span_bytes / SZ_1G + span_bytes / (512ull * SZ_1G)),
	};
	need = t.phys + t.limit - span->start + MIN_BOOT_BYTES;
	if (need > span_bytes)
		return otr_refuse(note, -ENOMEM,
				  "the largest contiguous memory of %s has %llu MiB, this image needs %llu MiB",
				  p->name, span_bytes >> 20, DIV_ROUND_UP(need, SZ_1M));
	down_write(&p->shared_lock);
	p->shared_valid = false;
	up_write(&p->shared_lock);
	zero_all(p);
	copy_image(p->image, image_phys);
	ret = build_tables(p, &t, span, image_phys, otr_cpu_low_page());
	if (ret)
		return otr_refuse(note, ret, "the initial page tables do not fit");
	sh.root_phys = t.phys;
	sh.entry = p->image->entry;
	sh.boot_virt = DIRECT_BASE + sh.phys;
	init_areas(&sh);
	down_write(&p->shared_lock);
	p->sh = sh;
	write_header(p, &l, span, &t, image_phys);
	p->shared_valid = true;
	up_write(&p->shared_lock);
	return 0;
}
