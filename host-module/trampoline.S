/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Start-up code of a partition's CPU, copied by cpu.c into the borrowed page
 * under 640 KiB: real mode straight to long mode, then the initial page table
 * and the image's entry. The host fills the data at the end (struct
 * otr_trampoline_data of cpu.c) in the copy; nothing here is relocated, all
 * addresses are offsets into the page.
 */
#include <linux/linkage.h>

#define AT(sym) ((sym) - otr_trampoline_start)

	.section .rodata, "a"
	.balign 16
	.globl otr_trampoline_start
otr_trampoline_start:
	.code16
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	xorl	%ebx, %ebx
	movw	%ax, %bx
	shll	$4, %ebx			/* physical address of this page */
	lgdtl	AT(gdt_pointer)
	movl	$0x60, %eax			/* CR4: PAE, MCE */
	movl	%eax, %cr4
	movl	AT(low_root), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER: LME, NXE */
	movl	$0x900, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010033, %eax		/* CR0: PG, WP, NE, ET, MP, PE; caches on */
	movl	%eax, %cr0
	ljmpl	*AT(long_pointer)

	.code64
long_mode:
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movq	AT(root)(%rbx), %rax
	movq	%rax, %cr3			/* maps this page as well */
	movq	AT(boot_header)(%rbx), %rdi
	movq	AT(cpu_index)(%rbx), %rsi
	movq	AT(entry)(%rbx), %rax
	jmpq	*%rax

	.balign 8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* 64-bit code, accessed */
	.balign 8
	.globl otr_trampoline_data
otr_trampoline_data:
root:		.quad	0
entry:		.quad	0
boot_header:	.quad	0
cpu_index:	.quad	0
low_root:	.long	0
long_pointer:	.long	AT(long_mode)		/* the host adds the page's address */
		.word	8
gdt_pointer:	.word	15
		.long	AT(gdt)			/* likewise */
	.globl otr_trampoline_end
otr_trampoline_end:
