/* SPDX-License-Identifier: BSD-2-Clause */
/* What is not called like any other: clone and fork, signal frames, instructions. No libc here: fuzz.h. */
#include "apps/fuzz/fuzz.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

__attribute__((noreturn)) void leave(int status)
{
	for (;;)
		CALL(SYS_exit_group, (uint64_t)status);
}

/* The child does nothing but end: it may have no stack, or ours. */
static long clone_and_exit(long nr, const uint64_t a[5])
{
	register uint64_t r10 asm("r10") = a[3], r8 asm("r8") = a[4];
	long ret;

	asm volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%edi, %%edi\n\tmov $60, %%eax\n\tsyscall\n\tud2\n1:"
		     : "=a"(ret) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return ret;
}

long play_clone(struct worker *w)
{
	static const uint64_t flags[] = {
		CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_VFORK, CLONE_PARENT, CLONE_THREAD, CLONE_SYSVSEM,
		CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_PIDFD, CLONE_IO,
	};
	uint64_t f = rnd(w, 3) ? CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM : SIGCHLD;
	uint64_t top = SCRATCH(w->number) + SCRATCH_BYTES;

	for (uint64_t n = rnd(w, 4); n; n--)
		f ^= flags[rnd(w, sizeof(flags) / sizeof(flags[0]))];
	if (!rnd(w, 8))
		f ^= 1ul << rnd(w, 40);
	/* Without a stack of its own a child that shares memory would step on ours. */
	if (rnd(w, 2)) {
		uint64_t *c = (uint64_t *)SCRATCH(w->number);

		memcpy(c, (uint64_t[11]){ f & ~0xfful, pointer(w), pointer(w), pointer(w), rnd(w, 2) ? SIGCHLD : number(w), ARENA,
					  top - ARENA, pointer(w), 0, 0, rnd(w, 16) ? 0 : number(w) }, 88);
		if (f & CLONE_THREAD && rnd(w, 4))
			c[4] = 0;
		return clone_and_exit(SYS_clone3, (uint64_t[5]){ rnd(w, 8) ? (uintptr_t)c : pointer(w),
								 rnd(w, 4) ? 88 : number(w) });
	}
	return clone_and_exit(SYS_clone, (uint64_t[5]){ f, rnd(w, 6) ? top : 0, pointer(w), pointer(w), pointer(w) });
}

long play_fork(struct worker *w)
{
	static const char nop[] = "--nop";
	const char *argv[] = { "fuzz", nop, 0 };
	long ret;

	if (w->depth > 1 || rnd(w, 3) == 0)
		return clone_and_exit(SYS_vfork, (uint64_t[5]){ 0 });
	ret = CALL(SYS_fork);
	if (ret)
		return ret;
	w->depth++;
	w->random = mix(w->random + 1);
	switch (rnd(w, 4)) {
	case 0:
		CALL(SYS_execve, (uintptr_t)"/proc/self/exe", (uintptr_t)argv, 0);
		break;
	case 1:
		break;
	default:
		play(w, 12);
	}
	leave(0);
}

/* What a handler returns to, instead of to where it was: found by the signal stack. */
__attribute__((noreturn, noinline)) static void go_back(void)
{
	struct worker *w = (struct worker *)((uintptr_t)__builtin_frame_address(0) & ~(HOME_BYTES - 1));

	if (w->magic != MAGIC)
		leave(3);
	__builtin_longjmp(w->back, 1);
}

static void plain_flags(void)
{
	/* Not trap, direction, nested task or alignment check; clear of the red zone. */
	asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x44500, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

void fault(int sig, siginfo_t *info, void *context)
{
	plain_flags();
	atomic_fetch_add(&stats->faults, 1);
	go_back();
}

/* Gets a thread out of a call; the first one leaves its frame. */
void poke(int sig, siginfo_t *info, void *context)
{
	struct worker *w = (struct worker *)((uintptr_t)__builtin_frame_address(0) & ~(HOME_BYTES - 1));
	ucontext_t *uc = context;

	plain_flags();
	if (w->magic == MAGIC && !w->have_frame) {
		memcpy(w->frame, uc, 304);
		if (uc->uc_mcontext.fpregs)
			memcpy(w->frame + 304 + 16, uc->uc_mcontext.fpregs, 832);
		w->have_frame = true;
	}
}

__attribute__((noreturn, noinline)) static void sigreturn_from(uint64_t frame)
{
	asm volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" :: "r"(frame) : "memory");
	__builtin_unreachable();
}

void play_sigreturn(struct worker *w)
{
	uint8_t *at = (uint8_t *)SCRATCH(w->number) + 0x1000;
	ucontext_t *uc = (ucontext_t *)at;
	greg_t *r = uc->uc_mcontext.gregs;

	fill_scratch(w);
	if (!w->have_frame || !rnd(w, 8))
		sigreturn_from(rnd(w, 2) ? (uintptr_t)at : pointer(w));
	memcpy(at, w->frame, sizeof(w->frame));
	/* To a place that is right, unless this goes wrong, too. */
	r[REG_RIP] = (greg_t)(uintptr_t)go_back;
	r[REG_RSP] = (greg_t)((uintptr_t)w + HOME_BYTES - 264);
	uc->uc_mcontext.fpregs = (void *)(at + 320);
	for (uint64_t n = rnd(w, 4) + 1; n; n--) {
		switch (rnd(w, 8)) {
		case 0: r[REG_RIP] = (greg_t)pointer(w); break;
		case 1: r[REG_RSP] = (greg_t)pointer(w); break;
		case 2: r[REG_CSGSFS] = (greg_t)rnd64(w); break;
		case 3: r[REG_EFL] = (greg_t)rnd64(w); break;
		case 4: uc->uc_mcontext.fpregs = (void *)pointer(w); break;
		case 5: at[320 + rnd(w, 832)] = (uint8_t)rnd64(w); break;
		case 6: ((uint64_t *)(at + 320 + 512))[rnd(w, 8)] = number(w); break;	/* the XSAVE header */
		default: ((uint64_t *)at)[rnd(w, 38)] = number(w);
		}
	}
	uc->uc_sigmask = (sigset_t){ 0 };
	sigreturn_from((uintptr_t)at);
}

/* An instruction that faults, or must not matter. */
void play_instruction(struct worker *w)
{
	uint64_t p = pointer(w), n = number(w);

	switch (rnd(w, 22)) {
	case 0: asm volatile("ud2"); break;
	case 1: asm volatile("int3"); break;
	case 2: asm volatile("hlt"); break;
	case 3: asm volatile("cli"); break;
	case 4: asm volatile("int $0x80" :: "a"(20) : "memory"); break;
	case 5: asm volatile("int $0x2" ::: "memory"); break;
	case 6: asm volatile("int $0xfb" ::: "memory"); break;
	case 7: asm volatile("mov %0, %%rsp\n\tpush %%rax\n\tud2" :: "r"(p) : "memory"); break;
	case 8: asm volatile("jmp *%0" :: "r"(p)); break;
	case 9: asm volatile("xor %%edx, %%edx\n\tdivl %%edx" ::: "rax", "rdx"); break;
	case 10: asm volatile("lea -128(%%rsp), %%rsp\n\tpush %0\n\tpopfq\n\tlea 128(%%rsp), %%rsp" :: "r"(n) : "memory", "cc"); break;
	case 11: asm volatile("mov %0, %%ds" :: "r"((uint32_t)n)); break;
	case 12: asm volatile("mov %0, %%fs" :: "r"((uint32_t)n)); break;
	case 13: asm volatile("mov %0, %%ss" :: "r"((uint32_t)n)); break;
	case 14: asm volatile("out %%al, $0x80" ::: "memory"); break;
	case 15: asm volatile("rdmsr" :: "c"((uint32_t)n) : "rax", "rdx"); break;
	case 16: asm volatile("xrstor (%0)" :: "r"(p), "a"(-1), "d"(-1) : "memory"); break;
	case 17: asm volatile("fxrstor (%0)" :: "r"(p & ~15ul) : "memory"); break;
	case 18: asm volatile("wrgsbase %0" :: "r"(p)); break;
	case 19: asm volatile("sysenter" ::: "memory"); break;
	case 20: asm volatile("iretq" ::: "memory"); break;
	default: asm volatile("movq %0, (%1)" :: "r"(n), "r"(p) : "memory");
	}
	plain_flags();
}
