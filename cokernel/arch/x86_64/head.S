/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two ways into the image. _start: the host's boot protocol (abi/boot.h),
 * long mode already, for the first CPU and every later one. pvh_start: alone
 * under `qemu -kernel`, 32-bit protected mode without paging (Xen's PVH ABI,
 * docs/misc/pvh.pandoc); it makes page tables like the host's and falls into
 * pvh_main, which makes up the boot header.
 */
#define KERNEL_BASE 0xffffffff80000000

	.section .note.Xen, "a"
	.align 4
	.long 4, 4, 18              /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_start - KERNEL_BASE

	.section .note.outrigger, "a"
	.align 4
	.long 10, 4, 1              /* the ABI version that this image speaks */
	.asciz "Outrigger"
	.align 4
	.long 6                     /* OTR_ABI_VERSION, checked in cokernel/core/boot.c */

	.section .text.head, "ax"
	.code64
	.globl _start
_start:
	cld
	xor %ebp, %ebp
	test %esi, %esi
	jnz 1f
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, boot_tsc_entry(%rip)
	lea boot_stack_end(%rip), %rsp
	push $0
	jmp boot_main               /* (header, index) */
1:	/* Another CPU: onto the kernel's page table and its own stack. */
	mov ap_root(%rip), %rax
	mov %rax, %cr3
	mov ap_stack(%rip), %rsp
	push $0
	mov %esi, %edi
	jmp ap_main                 /* (index) */

	.code32
	.globl pvh_start
pvh_start:
	cld
	mov %ebx, %esi              /* hvm_start_info */
	mov $(pvh_stack_end - KERNEL_BASE), %esp
	/* PD: 512 times 2 MiB from 0; PDPT entry 0 and 510; PML4 0, 256, 511. */
	mov $(pvh_pd - KERNEL_BASE), %edi
	mov $0x83, %eax
	mov $512, %ecx
1:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	mov $(pvh_pd - KERNEL_BASE + 3), %eax
	mov %eax, pvh_pdpt - KERNEL_BASE
	mov %eax, pvh_pdpt - KERNEL_BASE + 510 * 8
	mov $(pvh_pdpt - KERNEL_BASE + 3), %eax
	mov %eax, pvh_pml4 - KERNEL_BASE
	mov %eax, pvh_pml4 - KERNEL_BASE + 256 * 8
	mov %eax, pvh_pml4 - KERNEL_BASE + 511 * 8
	mov $(pvh_pml4 - KERNEL_BASE), %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x60, %eax              /* PAE, MCE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax             /* LME, NXE */
	wrmsr
	mov %cr0, %eax
	or $0x80010001, %eax        /* PG, WP, PE */
	mov %eax, %cr0
	lgdt pvh_gdt_ptr - KERNEL_BASE
	ljmp $8, $(1f - KERNEL_BASE)
	.code64
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	movabs $2f, %rax
	jmp *%rax
2:	lea pvh_stack_end(%rip), %rsp
	mov %esi, %edi
	xor %ebp, %ebp
	push $0
	jmp pvh_main                /* (physical address of hvm_start_info) */

	.section .rodata
	.align 8
pvh_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
pvh_gdt_ptr:
	.word . - pvh_gdt - 1
	.quad pvh_gdt - KERNEL_BASE

	.section .bss
	.align 4096
pvh_pml4: .skip 4096
pvh_pdpt: .skip 4096
pvh_pd:   .skip 4096
	.skip 8192
pvh_stack_end:
	.globl boot_stack, boot_stack_end
boot_stack:
	.skip 16384
boot_stack_end:

	.data
	.align 8
	.globl boot_tsc_entry, ap_root, ap_stack
boot_tsc_entry: .quad 0
ap_root:        .quad 0     /* physical address of the kernel's root table */
ap_stack:       .quad 0     /* top of the next CPU's first stack */
	.section .note.GNU-stack, "", @progbits
