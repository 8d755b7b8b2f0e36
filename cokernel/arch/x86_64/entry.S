/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries into the kernel and the way between threads. Interrupts stay off from
 * entry to exit. GS is the kernel's (struct cpu) in the kernel and the
 * program's outside; an entry from user mode swaps it, by CS, except NMI,
 * machine check and double fault, which may come between the two and look at
 * the MSR instead.
 */
#define CPU_KERNEL_RSP 8
#define CPU_USER_RSP   16
#define MITIGATE_MDS_CLEAR (1 << 6)     /* OTR_MITIGATE_MDS_CLEAR */

	.macro PUSH_GPRS
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	push %rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	.endm

	.macro POP_GPRS
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rax
	pop %rcx
	pop %rdx
	pop %rsi
	pop %rdi
	.endm

	/* Nothing of the program's registers is left to speculate with. */
	.macro CLEAR_GPRS
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %ebx, %ebx
	xor %ebp, %ebp
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
	.endm

	/* Last before a return to the program: buffers that it could sample are
	 * cleared (Intel, "Microarchitectural Data Sampling", VERW). */
	.macro CLEAR_BUFFERS
5501:	verw mitigate_selector(%rip)
5502:	.pushsection .rodata.alternative, "a"
5503:	.byte 0x0f, 0x1f, 0x80, 0, 0, 0, 0  /* nopl, 7 bytes */
5504:	.popsection
	.pushsection .alternatives, "a"
	.quad 5501b, 5503b, MITIGATE_MDS_CLEAR
	.long 5502b - 5501b, 5504b - 5503b
	.popsection
	.endm

	.section .rodata
mitigate_selector:
	.word 0x18                  /* SEL_KERNEL_DS: any writable data segment */

	.text
	.globl syscall_entry
syscall_entry:
	swapgs
	mov %rsp, %gs:CPU_USER_RSP
	mov %gs:CPU_KERNEL_RSP, %rsp
	push $0x2b
	push %gs:CPU_USER_RSP
	push %r11
	push $0x33
	push %rcx
	push %rax                   /* error: the call's number */
	push $0x100                 /* REGS_VECTOR_SYSCALL */
	PUSH_GPRS
	CLEAR_GPRS
	mov %rsp, %rdi
	call syscall_dispatch       /* (regs); true: registers allow sysret */
	test %al, %al
	jz return_iret
	POP_GPRS
	/* rcx = rip and r11 = rflags were checked to hold. */
	add $16, %rsp
	mov 24(%rsp), %rsp
	swapgs
	CLEAR_BUFFERS
	sysretq

	.globl return_iret
return_iret:
	testb $3, 144(%rsp)         /* regs.cs */
	jz 1f
	POP_GPRS
	add $16, %rsp
	swapgs
	CLEAR_BUFFERS
	.globl return_iret_insn
return_iret_insn:
	iretq
1:	POP_GPRS
	add $16, %rsp
	iretq

	/* trap_common: on the stack an error code and the vector. */
trap_common:
	cld
	clac                        /* the program may have set AC */
	PUSH_GPRS
	testb $3, 144(%rsp)
	jz 1f
	swapgs
1:	lfence                  /* neither way is taken on the other's GS */
	CLEAR_GPRS
	mov %rsp, %rdi
	call trap_dispatch          /* (regs) */
	jmp return_iret

	/* NMI, machine check, double fault: own stacks, GS unknown. rbx tells
	 * whether to swap back. */
trap_paranoid:
	cld
	PUSH_GPRS
	mov $0xc0000101, %ecx       /* GS base: the kernel's is negative */
	rdmsr
	xor %ebx, %ebx
	test %edx, %edx
	js 1f
	swapgs
	inc %ebx
1:	lfence
	mov %rsp, %rdi
	call trap_paranoid_dispatch
	test %ebx, %ebx
	jz 2f
	swapgs
2:	POP_GPRS
	add $16, %rsp
	iretq

	.macro STUB n
	.align 16
	.if \n == 8 || \n == 10 || \n == 11 || \n == 12 || \n == 13 || \n == 14 || \n == 17 || \n == 21 || \n == 29 || \n == 30
	.else
	push $0
	.endif
	push $\n
	.if \n == 2 || \n == 8 || \n == 18
	jmp trap_paranoid
	.else
	jmp trap_common
	.endif
	.endm

	.align 16
	.globl trap_stubs
trap_stubs:                         /* 16 bytes each */
	.altmacro
	.set n, 0
	.rept 256
	STUB %n
	.set n, n + 1
	.endr
	.noaltmacro

	/* arch_switch_stack(uint64_t *save_rsp, uint64_t load_rsp) */
	.globl arch_switch_stack
arch_switch_stack:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret

	/* First return of a new thread's stack: r12 function, r13 argument. */
	.globl thread_trampoline
thread_trampoline:
	call sched_finish_switch
	mov %r13, %rdi
	call *%r12
	ud2

	/* Leaves for user mode with the frame at rdi. */
	.globl enter_user
enter_user:
	mov %rdi, %rsp
	jmp return_iret

	/* size_t user_copy(void *to, const void *from, size_t bytes)
	 * Returns the bytes that were not copied; faults are fixed up. */
	.globl user_copy
user_copy:
	mov %rdx, %rcx
	shr $3, %rcx
	and $7, %edx
	stac
.Lcopy_words:
	rep movsq
	mov %edx, %ecx
.Lcopy_bytes:
	rep movsb
.Lcopied:
	clac
	mov %rcx, %rax
	ret
.Lcopy_words_fault:
	lea (%rdx, %rcx, 8), %rcx
	jmp .Lcopied

	/* int user_cas32(uint32_t *at, uint32_t *old, uint32_t new): 0, or 1 on a
	 * fault; *old becomes what was there. */
	.globl user_cas32
user_cas32:
	mov (%rsi), %eax
	stac
.Lcas:
	lock cmpxchg %edx, (%rdi)
	clac
	mov %eax, (%rsi)
	xor %eax, %eax
	ret
.Lcas_fault:
	clac
	mov $1, %eax
	ret

	.section .extable, "a"
	.quad .Lcopy_words, .Lcopy_words_fault
	.quad .Lcopy_bytes, .Lcopied
	.quad .Lcas, .Lcas_fault
	.section .note.GNU-stack, "", @progbits
