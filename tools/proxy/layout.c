/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a program goes in [64 KiB, 32 TiB):
 *   as linked       a program that is not position independent, its heap behind
 *   1 to 16 TiB     a position independent program, its heap behind
 *   31 to 32 TiB    the stack; below it the dynamic loader, and downwards from there
 *                   what is mapped, so that all of it shares page tables
 * Each at random, unless the caller switched randomisation off (setarch -R).
 */
#include <errno.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "tools/proxy/proxy.h"

#define TIB (1ull << 40)
#define GIB (1ull << 30)
#define MIB (1ull << 20)
#define MIB2 (2 * MIB)

#define EXE_LOW      (1 * TIB)
#define EXE_HIGH     (15 * TIB)    /* + at most 1 TiB of span: 16 TiB */
#define FIXED_END    (17 * TIB)    /* of what is not position independent */
#define STACK_TOP    (OTR_USER_END - MIB2)
#define STACK_RANDOM (64 * GIB)    /* of its end */
#define STACK_LEAST  (128ull << 10)
#define STACK_MOST   (1 * GIB)
#define GAP          (256 * MIB)   /* below the stack, nothing is mapped there */
#define MMAP_RANDOM  (512 * GIB)
#define BRK_RANDOM   (32 * MIB)    /* as Linux */

static bool randomized;

/* A multiple of step in [0, range). */
static uint64_t pick(uint64_t range, uint64_t step)
{
	uint64_t r = 0;

	if (!randomized || getrandom(&r, sizeof(r), 0) != sizeof(r))
		return 0;
	return r % (range / step) * step;
}

static uint64_t page_down(uint64_t x)
{
	return x & ~(uint64_t)(OTR_PAGE_SIZE - 1);
}

static uint64_t page_up(uint64_t x)
{
	return page_down(x + OTR_PAGE_SIZE - 1);
}

static uint64_t base_of(const struct elf_file *e, uint64_t low, uint64_t high)
{
	uint64_t step = e->align > MIB2 ? e->align : MIB2;

	if (!e->pie)
		return 0;
	low = (low + step - 1) & ~(step - 1);
	return low + pick(high - low, step) - (e->low & ~(step - 1));
}

/* Below *top, which becomes where it starts. Its span is bounded (elf.c). */
static void place_below(struct loaded_file *f, uint64_t *top)
{
	uint64_t step = f->elf.align > MIB2 ? f->elf.align : MIB2;
	uint64_t start = (*top - (f->elf.high - f->elf.low)) & ~(step - 1);

	f->base = start - (f->elf.low & ~(step - 1));
	if (f->base + f->elf.high > *top)
		f->base -= step;
	*top = (f->base + f->elf.low) & ~(MIB2 - 1);
}

/* A segment's pages up to `end`. */
static int add(struct outrigger *o, struct otr_exec *x, uint32_t from, const struct elf_segment *s,
	       uint64_t base, uint64_t end)
{
	uint64_t start = page_down(s->start), before = s->start - start;

	if (start >= end)
		return 0;
	if (x->segment_count == OTR_EXEC_SEGMENTS)
		return outrigger_fail(o, -ENOEXEC, "the program and its loader have more than %u segments",
				      OTR_EXEC_SEGMENTS);
	x->segment[x->segment_count++] = (struct otr_exec_segment){
		.start = base + start, .end = base + end, .prot = s->prot,
		.from = s->file_bytes ? from : OTR_SEGMENT_ZERO, .offset = s->offset - before,
		/* The page in which the file's part ends shows more of the file,
		 * unless the segment goes on with zeroes. */
		.file_bytes = s->start + s->file_bytes == s->end ? UINT64_MAX :
			      before + s->file_bytes < end - start ? before + s->file_bytes : end - start,
	};
	if (!s->file_bytes)
		x->segment[x->segment_count - 1].offset = x->segment[x->segment_count - 1].file_bytes = 0;
	return 0;
}

/* Pages of a file's segments. A page with bytes of two belongs to the later
 * one, as Linux's second mapping would replace the first. */
static int add_file(struct outrigger *o, struct otr_exec *x, uint32_t from, const struct loaded_file *f)
{
	const struct elf_segment *s = f->elf.segment;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < f->elf.segment_count && !ret; i++) {
		uint64_t end = page_up(s[i].end);

		if (i + 1 < f->elf.segment_count && page_down(s[i + 1].start) < end)
			end = page_down(s[i + 1].start);
		ret = add(o, x, from, &s[i], f->base, end);
	}
	return ret;
}

static uint64_t stack_bytes(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_STACK, &r))
		return 8 * MIB;
	if (r.rlim_cur > STACK_MOST)
		return STACK_MOST;
	return r.rlim_cur < STACK_LEAST ? STACK_LEAST : page_down(r.rlim_cur);
}

static int check_fixed(struct outrigger *o, const struct program *p)
{
	const struct elf_file *e = &p->exe.elf;

	if (!e->pie && e->high > FIXED_END)
		return outrigger_fail(o, -ENOEXEC, "%s is linked at %#lx; programs that are not position independent end below %#llx",
				      p->path, e->low, FIXED_END);
	if (p->interpreter.fd >= 0 && !p->interpreter.elf.pie)
		return outrigger_fail(o, -ENOEXEC, "%s has the dynamic loader %s, which is not position independent",
				      p->path, e->interpreter);
	return 0;
}

int program_layout(struct outrigger *o, struct program *p)
{
	struct otr_exec *x = &p->exec;
	struct loaded_file *start = p->interpreter.fd >= 0 ? &p->interpreter : &p->exe;
	uint64_t end;
	int ret = check_fixed(o, p);

	if (ret)
		return ret;
	randomized = !(personality(0xffffffff) & ADDR_NO_RANDOMIZE);
	memset(x, 0, sizeof(*x));
	x->version = OTR_ABI_VERSION;
	p->exe.base = base_of(&p->exe.elf, EXE_LOW, EXE_HIGH);
	ret = add_file(o, x, OTR_SEGMENT_EXE, &p->exe);
	x->stack_end = STACK_TOP - pick(STACK_RANDOM, OTR_PAGE_SIZE);
	x->stack_start = x->stack_end - stack_bytes();
	x->mmap_top = (x->stack_start - GAP - pick(MMAP_RANDOM, OTR_PAGE_SIZE)) & ~(MIB2 - 1);
	if (!ret && p->interpreter.fd >= 0) {
		place_below(&p->interpreter, &x->mmap_top);
		ret = add_file(o, x, OTR_SEGMENT_INTERPRETER, &p->interpreter);
	}
	if (ret)
		return ret;
	x->entry = start->base + start->elf.entry;
	end = p->exe.base + p->exe.elf.high;
	x->limit_as = limits_program(RLIMIT_AS);
	x->limit_data = limits_program(RLIMIT_DATA);
	x->brk = end + pick(BRK_RANDOM, OTR_PAGE_SIZE);
	p->stack_top = x->stack_end - pick(2 * OTR_PAGE_SIZE, 16);
	return 0;
}
