/* SPDX-License-Identifier: BSD-2-Clause */
/* The least image with a PVH entry: a line to the serial port, then VERDICT to
 * QEMU's debug-exit port. The note is Xen's XEN_ELFNOTE_PHYS32_ENTRY (18). */
        .section .note.pvh, "a", @note
        .long 4, 4, 18
        .asciz "Xen"
        .long start

        .text
        .code32
        .globl start
start:
        cld
        mov $message, %esi
1:      lodsb
        test %al, %al
        jz 2f
        mov $0x3f8, %dx
        outb %al, %dx
        jmp 1b
2:      mov $VERDICT, %al
        mov $0xf4, %dx
        outb %al, %dx
3:      hlt
        jmp 3b
message:
        .asciz "an image alone\n"
        .section .note.GNU-stack, "", @progbits
