/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"

struct cpu *cpu_table[CPUS_MOST];
struct cpumask cpu_online_mask;
uint32_t cpu_online_count;
struct cpu_features cpu_features;

extern uint8_t trap_stubs[];
extern void syscall_entry(void);

struct idt_gate {
	uint16_t offset0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset1;
	uint32_t offset2;
	uint32_t reserved;
};

static struct idt_gate idt[256] aligned_(16);

struct table_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* XCR0 bits that programs get: x87, SSE, AVX, AVX-512 (three). */
#define SERVED_PINGS_MOST 60u   /* about a minute */
#define XCR0_WANTED 0xe7ull

int cpu_features_detect(const char **what)
{
	struct cpuid one = cpuid(1, 0), seven = cpuid(7, 0), ext = cpuid(0x80000001, 0);
	struct cpu_features *f = &cpu_features;

	*what = !(ext.d & (1u << 20)) ? "NX" :
		!(seven.b & (1u << 7)) ? "SMEP" :
		!(seven.b & (1u << 20)) ? "SMAP" : NULL;
	if (*what)
		return -ENODEV;
	f->hwcap = one.d;
	f->tsc_deadline = one.c & (1u << 24);
	f->xsave = one.c & (1u << 26);
	f->fsgsbase = seven.b & (1u << 0);
	f->umip = seven.c & (1u << 2);
	f->page_1g = ext.d & (1u << 26);
	f->rdtscp = ext.d & (1u << 27);
	f->x2apic = rdmsr(MSR_APIC_BASE) & MSR_APIC_BASE_X2;
	f->xsave_bytes = 512;
	if (f->xsave) {
		struct cpuid d = cpuid(0xd, 0);

		f->xcr0 = (d.a | (uint64_t)d.d << 32) & XCR0_WANTED;
		f->xsaveopt = cpuid(0xd, 1).a & 1;
		/* Sum of the areas in standard format; what XCR0 enables lies
		 * below the end of its last component. */
		f->xsave_bytes = 576;
		for (uint32_t i = 2; i < 63; i++) {
			struct cpuid part;

			if (!(f->xcr0 >> i & 1))
				continue;
			part = cpuid(0xd, i);
			f->xsave_bytes = MAX(f->xsave_bytes, part.a + part.b);
		}
	}
	return 0;
}

void cpu_init_idt(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)(trap_stubs + i * 16);
		uint8_t ist = i == 8 ? IST_DOUBLE_FAULT : i == 2 ? IST_NMI :
			      i == 18 ? IST_MACHINE_CHECK : 0;
		/* int3 and into may be called by programs. */
		uint8_t dpl = i == 3 || i == 4 ? 3 : 0;

		idt[i] = (struct idt_gate){
			.offset0 = (uint16_t)at, .offset1 = (uint16_t)(at >> 16),
			.offset2 = (uint32_t)(at >> 32), .selector = SEL_KERNEL_CS,
			.ist = ist, .type = (uint8_t)(0x8e | dpl << 5),
		};
	}
}

static void load_segments(struct cpu *c)
{
	struct table_ptr gdt_ptr = { sizeof(c->gdt) - 1, (uint64_t)c->gdt };
	struct table_ptr idt_ptr = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t tss = (uint64_t)&c->tss;

	c->gdt[1] = 0x00cf9b000000ffff;     /* 0x08 kernel, 32 bits */
	c->gdt[2] = 0x00af9b000000ffff;     /* 0x10 kernel code */
	c->gdt[3] = 0x00cf93000000ffff;     /* 0x18 kernel data */
	c->gdt[4] = 0x00cffb000000ffff;     /* 0x20 user, 32 bits */
	c->gdt[5] = 0x00cff3000000ffff;     /* 0x28 user data */
	c->gdt[6] = 0x00affb000000ffff;     /* 0x30 user code */
	c->gdt[8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
		    (tss >> 24 & 0xff) << 56;
	c->gdt[9] = tss >> 32;
	c->tss.iomap = sizeof(c->tss);
	for (uint32_t i = 0; i < 3; i++)
		c->tss.ist[i] = (uint64_t)c->ist_stacks[i] + IST_STACK_BYTES;
	__asm__ volatile(
		"lgdt %0\n\t"
		"lidt %1\n\t"
		"pushq %2\n\t"
		"lea 1f(%%rip), %%rax\n\t"
		"pushq %%rax\n\t"
		"lretq\n"
		"1:\tmov %3, %%eax\n\t"
		"mov %%eax, %%ds\n\t"
		"mov %%eax, %%es\n\t"
		"mov %%eax, %%ss\n\t"
		"xor %%eax, %%eax\n\t"
		"mov %%eax, %%fs\n\t"
		"mov %%eax, %%gs\n\t"
		"mov %4, %%eax\n\t"
		"ltr %%ax"
		: : "m"(gdt_ptr), "m"(idt_ptr), "i"(SEL_KERNEL_CS), "i"(SEL_KERNEL_DS),
		    "i"(SEL_TSS) : "rax", "memory");
}

void cpu_init_early(struct cpu *c)
{
	uint64_t cr4;

	c->self = c;
	load_segments(c);
	wrmsr(MSR_GS_BASE, (uint64_t)c);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
	if (!c->page_cache[0].next) {
		list_init(&c->page_cache[0]);
		list_init(&c->page_cache[1]);
	}

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_WP);
	cr4 = read_cr4() | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_SMEP |
	      CR4_SMAP | CR4_DE;
	if (cpu_features.xsave)
		cr4 |= CR4_OSXSAVE;
	if (cpu_features.fsgsbase)
		cr4 |= CR4_FSGSBASE;
	if (cpu_features.umip)
		cr4 |= CR4_UMIP;
	write_cr4(cr4);
	if (cpu_features.xsave)
		__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)cpu_features.xcr0),
				 "d"((uint32_t)(cpu_features.xcr0 >> 32)));
	__asm__ volatile("fninit");

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
	wrmsr(MSR_STAR, 0x23ull << 48 | (uint64_t)SEL_KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SFMASK, RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC |
			  RFLAGS_IOPL | RFLAGS_CF);
	/* What rdtscp and rdpid show a program: the index, as getcpu(2) does. */
	if (cpu_features.rdtscp)
		wrmsr(MSR_TSC_AUX, c->index | (uint64_t)c->node << 12);
}

struct cpu *cpu_create(uint32_t index, uint32_t apic_id, uint32_t node, uint32_t linux_cpu)
{
	struct cpu *c;

	if (index >= CPUS_MOST || index >= boot_info.cpu_limit)
		return NULL;
	c = cpu_table[index];
	if (!c) {
		c = kmem_zalloc(sizeof(*c));
		if (!c)
			return NULL;
		list_init(&c->page_cache[0]);
		list_init(&c->page_cache[1]);
	}
	c->self = c;
	c->index = index;
	c->apic_id = apic_id;
	c->node = node;
	c->linux_cpu = linux_cpu;
	c->status = boot_cpu_status(index);
	c->control = boot_cpu_control(index);
	c->saved_regs = boot_cpu_regs(index);
	store_release(&cpu_table[index], c);
	return c;
}

/* ---- Cross calls ---- */

static void xcall_serve(struct cpu *me)
{
	if (!atomic_load_explicit(&me->xcall_any, memory_order_relaxed) ||
	    !atomic_exchange(&me->xcall_any, false))
		return;
	for (uint32_t w = 0; w < CPU_WORDS; w++) {
		uint64_t bits;

		if (!atomic_load_explicit(&me->xcall_from[w], memory_order_relaxed))
			continue;
		bits = atomic_exchange(&me->xcall_from[w], 0);
		for (; bits; bits &= bits - 1) {
			struct cpu *from = cpu_table[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			from->xcall_fn(from->xcall_arg);
			atomic_fetch_sub(&from->xcall_left, 1);
		}
	}
}

void arch_poll(void)
{
	arch_serve();
	cpu_pause();
}

void arch_serve(void)
{
	struct cpu *c = this_cpu();

	xcall_serve(c);
	if (likely(!c->control))
		return;
	if (unlikely(load_relaxed(&c->control->ping) != c->status->ping_ack) && c->served_pings < SERVED_PINGS_MOST) {
		c->served_pings++;
		store_release(&c->status->ping_ack, load_relaxed(&c->control->ping));
	}
}

void xcall(const struct cpumask *mask, void (*fn)(void *arg), void *arg)
{
	struct cpu *me = this_cpu();
	struct cpumask to = { 0 };
	uint32_t count = 0;

	for (uint32_t w = 0; w < CPU_WORDS; w++) {
		to.word[w] = load_acquire(&mask->word[w]);
		if (w == me->index / 64)
			to.word[w] &= ~(1ull << (me->index % 64));
		for (uint64_t bits = to.word[w]; bits; bits &= bits - 1)
			count++;
	}
	if (!count)
		return;
	me->xcall_fn = fn;
	me->xcall_arg = arg;
	atomic_store(&me->xcall_left, count);
	for (uint32_t w = 0; w < CPU_WORDS; w++)
		for (uint64_t bits = to.word[w]; bits; bits &= bits - 1) {
			struct cpu *c = cpu_table[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			atomic_fetch_or(&c->xcall_from[me->index / 64], 1ull << (me->index % 64));
			if (!atomic_exchange(&c->xcall_any, true))
				apic_send(c->apic_id, VECTOR_POLL);
		}
	/* Bounded by the peers' liveness: one that never answers is found by the
	 * host's pings, which end the partition. */
	while (atomic_load(&me->xcall_left))
		arch_poll();
}

void cpu_kick(struct cpu *c)
{
	if (c != this_cpu())
		apic_send(c->apic_id, VECTOR_POLL);
}
