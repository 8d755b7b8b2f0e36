/* SPDX-License-Identifier: BSD-2-Clause */
/* The vDSO as the co-kernel carries it; libpoxis/vdso.c copies it to pages. */
	.section .rodata
	.balign 16
	.globl vdso_image, vdso_image_end
vdso_image:
	.incbin OTR_VDSO
vdso_image_end:
	.section .note.GNU-stack, "", @progbits
