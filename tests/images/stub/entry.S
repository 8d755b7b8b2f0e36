/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stub image's entry and its interrupt stubs. State on entry: abi/boot.h.
 * Each CPU takes its stack by its index, loads the GDT and the IDT that CPU 0
 * has filled, and goes to stub_main(boot, index).
 */
#include "tests/images/stub/stub_limits.h"

	.section .note.outrigger, "a", @note
	.balign 4
	.long	2f - 1f, 4f - 3f, 1
1:	.asciz	"Outrigger"
2:	.balign 4
3:	.long	STUB_ABI_VERSION
4:	.balign 4

	.text
	.globl stub_entry
stub_entry:
	cmpq	$STUB_CPUS, %rsi
	jae	park
	movq	%rsi, %rax
	incq	%rax
	shlq	$STUB_STACK_SHIFT, %rax
	leaq	stub_stacks(%rip), %rsp
	addq	%rax, %rsp
	lgdt	gdt_pointer(%rip)
	pushq	$8
	leaq	1f(%rip), %rax
	pushq	%rax
	lretq
1:	xorl	%eax, %eax
	movl	%eax, %ss
	xorl	%ebp, %ebp
	testq	%rsi, %rsi
	jnz	2f
	movq	%rdi, %rbx
	call	stub_idt_fill
	movq	%rbx, %rdi
	xorl	%esi, %esi
2:	lidt	idt_pointer(%rip)
	call	stub_main
park:	cli
	hlt
	jmp	park

	.balign 16
	.globl stub_vectors
stub_vectors:				/* 16 bytes each */
	.set	i, 0
	.rept	256
	.balign 16
	.if	!((i == 8) || ((i >= 10) && (i <= 14)) || (i == 17) || (i == 21))
	pushq	$0			/* no error code on the stack */
	.endif
	pushq	$i
	jmp	stub_common
	.set	i, i + 1
	.endr

	.balign 16
stub_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	72(%rsp), %rdi		/* vector */
	movq	88(%rsp), %rsi		/* rip */
	cld
	call	stub_interrupt
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.data
	.balign 16
gdt:	.quad	0
	.quad	0x00af9b000000ffff
gdt_pointer:
	.word	15
	.quad	gdt
	.balign 8
idt_pointer:
	.word	4095
	.quad	stub_idt

	.bss
	.balign 4096
	.globl stub_idt
stub_idt: .skip 4096
	.globl stub_stacks
stub_stacks: .skip STUB_CPUS << STUB_STACK_SHIFT
