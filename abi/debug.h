/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a debugger and a core file see of a program: its threads with their
 * registers, and its areas. The layouts of pages that the co-kernel fills: the
 * mailbox for the proxy that writes a core file (OTR_CALL_CORE), a page of its own
 * for a debugger (OTR_MSG_DEBUG), which only host and co-kernel see.
 */
#ifndef ABI_DEBUG_H
#define ABI_DEBUG_H

#include "abi/call.h"
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

/*
 * Debugging (OTR_IOC_DEBUG, OTR_MSG_DEBUG). A debugger is told of a stop by an event
 * and asks for the rest. Threads are held and let go all together or one by one; a
 * thread that a signal stopped only with the signal that it is to get. All that a
 * debugger changed but registers and memory is undone when it leaves, or dies.
 */
#define OTR_DEBUG_HOLD    1u    /* hold all threads. Result 1: none runs any more; else ask again */
#define OTR_DEBUG_THREAD  2u    /* arg0 tid: the next thread above it, into data. Result: its tid, 0: none */
#define OTR_DEBUG_SET     3u    /* arg0 tid, arg1 OTR_SET_*: from data. -EBUSY: it waits in a call */
#define OTR_DEBUG_RESUME  4u    /* data has a struct otr_debug_resume. Result 1: a thread was stopped
                                   by a signal that the list does not know of */
#define OTR_DEBUG_BREAK   5u    /* arg0 address: an int3 there. Result: the byte that was there. -EAGAIN:
                                   read the page first; -EEXIST, -ENOSPC, -EFAULT */
#define OTR_DEBUG_UNBREAK 6u    /* arg0 address: no more. -ENOENT */
#define OTR_DEBUG_PASS    7u    /* arg0: signals the debugger need not see, bit number - 1 */
#define OTR_DEBUG_EVENT   8u    /* the host's. Result 0: nothing new, 1: a thread stopped, 2: the program
                                   is over, arg0 how as of wait(2) */
#define OTR_DEBUG_KILL    9u    /* end it by SIGKILL */
#define OTR_DEBUG_ATTACH 16u    /* of OTR_MSG_DEBUG only: hold it, for a debugger; -EBUSY */
#define OTR_DEBUG_DETACH 17u

#define OTR_SET_REGS 1u
#define OTR_SET_FPU  2u
#define OTR_DEBUG_BREAKS 256u

/* si_code of a SIGTRAP that tells of no signal: execve has replaced the program. */
#define OTR_CODE_EXEC 0x4000
#define OTR_CODE_BREAK 0x4001   /* a breakpoint of the debugger's, the instruction still to come */
#define OTR_CODE_STEP 2         /* Linux's TRAP_TRACE */

#define OTR_RESUME_HOLD 0u
#define OTR_RESUME_GO   1u
#define OTR_RESUME_STEP 2u      /* one instruction */
#define OTR_RESUME_THREADS 254u
struct otr_debug_resume {
	uint32_t count;
	uint32_t others;            /* OTR_RESUME_HOLD, _GO: threads that are not in the list */
	uint32_t reserved[6];
	struct {
		uint32_t tid;
		uint32_t how;       /* OTR_RESUME_* */
		uint32_t signal;    /* it gets this, in place of one that stopped it; 0: none */
		uint32_t reserved;
	} thread[OTR_RESUME_THREADS];
};
OTR_ASSERT_SIZE(struct otr_debug_resume, 4096);

#define OTR_CORE_AREAS 100u
/* With pieces of the last area that have pages. */
struct otr_core_areas {
	uint32_t count;
	uint32_t reserved;
	struct otr_area area[OTR_CORE_AREAS];
};
OTR_ASSERT_SIZE(struct otr_core_areas, 4008);

#endif
