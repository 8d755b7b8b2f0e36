/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Indirect branches of the C code (-mindirect-branch=thunk-extern): a return
 * trampoline whose speculation ends in a loop (Intel, "Retpoline: A Branch Target
 * Injection Mitigation"), or a plain jump where Linux needs none either.
 */
#define MITIGATE_RETPOLINE (1 << 2)     /* OTR_MITIGATE_RETPOLINE */

	.macro THUNK reg
	.globl __x86_indirect_thunk_\reg
	.type __x86_indirect_thunk_\reg, @function
	.balign 32
__x86_indirect_thunk_\reg:
	call 2f
1:	pause
	lfence
	jmp 1b
2:	mov %\reg, (%rsp)
	ret
3:	.size __x86_indirect_thunk_\reg, . - __x86_indirect_thunk_\reg
	.pushsection .rodata.alternative, "a"
4:	jmp *%\reg
	int3
5:	.popsection
	.pushsection .alternatives, "a"
	.quad __x86_indirect_thunk_\reg, 4b, MITIGATE_RETPOLINE
	.long 3b - __x86_indirect_thunk_\reg, 5b - 4b
	.popsection
	.endm

	.text
	.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	THUNK \reg
	.endr

	/* Fills the return stack buffer with entries that lead into a trap, so
	 * that no return is predicted from what another program left there. */
	.globl mitigate_fill_returns
mitigate_fill_returns:
	mov $16, %ecx
1:	call 2f
	int3
2:	call 3f
	int3
3:	add $16, %rsp
	dec %ecx
	jnz 1b
	lfence
	ret
	.section .note.GNU-stack, "", @progbits
