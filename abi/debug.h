/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a debugger and a core file see of a program: its threads with their
 * registers, and its areas. The layouts of pages that the co-kernel fills: the
 * mailbox for the proxy that writes a core file (OTR_CALL_CORE), a page of its own
 * for a debugger (OTR_MSG_DEBUG).
 */
#ifndef ABI_DEBUG_H
#define ABI_DEBUG_H

#include "abi/types.h"

/* Registers in the order of Linux's struct user_regs_struct. orig_rax: the number of
 * the call the thread is in or returns from, all ones elsewhere. */
struct otr_user_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi, orig_rax;
	uint64_t rip, cs, rflags, rsp, ss;
	uint64_t fs_base, gs_base, ds, es, fs, gs;
};
OTR_ASSERT_SIZE(struct otr_user_regs, 216);

/* Where a thread is. */
#define OTR_THREAD_RUNS   0u    /* or could run */
#define OTR_THREAD_IN_CALL 1u   /* waits in the kernel; its registers cannot be written */
#define OTR_THREAD_HELD   2u    /* at the border of user mode */

/* A thread; all by the co-kernel, but regs and fpu also by a debugger that sets them. */
#define OTR_THREAD_FPU 3784u
struct otr_thread_state {
	uint32_t tid;
	uint32_t where;             /* OTR_THREAD_* */
	uint32_t signal;            /* the signal, or event of OTR_EVENT_*, that stopped it; 0: none */
	int32_t  code;              /* siginfo: si_code, si_errno, the rest as it lies */
	int32_t  error;
	uint32_t fpu_bytes;         /* of fpu that count */
	uint64_t fields[4];
	uint64_t sigmask;
	uint64_t run_ns;            /* CPU time */
	uint64_t xcr0;              /* 0: fpu is in FXSAVE's format, else XSAVE's */
	uint64_t reserved;
	struct otr_user_regs regs;
	uint64_t sp_start;          /* of the program: the stack pointer it was started with */
	uint8_t  fpu[OTR_THREAD_FPU];
};
OTR_ASSERT_SIZE(struct otr_thread_state, 4096);
OTR_ASSERT_AT(struct otr_thread_state, fpu, 312);

/* An area, or a piece of the last area that has pages. */
#define OTR_AREA_SHARED   1u    /* memory of Linux's, mapped by the proxy too */
#define OTR_AREA_NAMED    2u    /* with OTR_AREA_SHARED: of a file */
#define OTR_AREA_DONTDUMP 4u
#define OTR_AREA_FIXED    8u    /* the vDSO and its data */
#define OTR_AREA_PRESENT 16u    /* not an area: pages of it that are there */
struct otr_core_area {
	uint64_t start;
	uint64_t end;
	uint32_t prot;              /* OTR_PROT_* */
	uint32_t flags;             /* OTR_AREA_* */
	uint32_t file;              /* private pages come from this file; 0: they are fresh */
	uint32_t reserved;
	uint64_t offset;            /* of start in the file */
};
OTR_ASSERT_SIZE(struct otr_core_area, 40);

#define OTR_CORE_AREAS 100u
struct otr_core_areas {
	uint32_t count;
	uint32_t reserved;
	struct otr_core_area area[OTR_CORE_AREAS];
};
OTR_ASSERT_SIZE(struct otr_core_areas, 4008);

#endif
