/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread: one call after another, and the way back from what they break. */
#include "apps/fuzz/fuzz.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void one_call(struct worker *w)
{
	uint64_t a[6];
	uint32_t nr = wheel_count ? wheel[rnd(w, wheel_count)] : SYS_getpid, which = 0;
	uint64_t turn = rnd(w, 400);
	const char *args = rows[nr].args;
	long ret;

	for (; which < SPECIALS && turn >= special[which].often; which++)
		turn -= special[which].often;
	switch (which) {
	case 0: play_sigreturn(w); break;
	case 1: play_instruction(w); return;
	case 2: (void)play_clone(w); return;
	case 3: (void)play_fork(w); return;
	case 4: nr = (uint32_t)number(w); args = 0; break;
	default:
		if (!rnd(w, 16000))
			CALL(SYS_exit);
		if (!rnd(w, 16000))
			leave(0);
	}
	if (is_never(nr))
		return;
	if (!rnd(w, 3))
		fill_scratch(w);
	for (uint32_t i = 0; i < 6; i++) {
		a[i] = argument(w, args && *args ? *args : 'v');
		if (args && *args)
			args++;
	}
	/* One's own code, stack and signal handlers, mostly, must live on. */
	if ((nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_mmap || nr == SYS_mremap || nr == SYS_pkey_mprotect ||
	     nr == SYS_madvise) && rnd(w, 32)) {
		if (a[0] - ARENA >= ARENA_BYTES)
			a[0] = ARENA + 0x100000;
		if (a[1] > ARENA + ARENA_BYTES - a[0])
			a[1] = ARENA + ARENA_BYTES - a[0];
		if (nr == SYS_mremap && a[4] - ARENA >= ARENA_BYTES)
			a[3] &= ~2ul;
	}
	if (nr == SYS_rt_sigaction && rnd(w, 32))
		a[0] = SIGUSR2 + rnd(w, 2) * 30;
	if (nr == SYS_arch_prctl)
		a[0] = rnd(w, 3) ? 0x1001 + rnd(w, 16) : number(w);
	ret = call6((long)nr, a);
	atomic_fetch_add_explicit(ret < 0 && ret >= -4095 ? &stats->bad : &stats->good, 1, memory_order_relaxed);
}

/* The way back from a fault, which calls bend. */
static void mend(struct worker *w)
{
	stack_t stack = { .ss_sp = w + 1, .ss_size = HOME_BYTES - sizeof(*w) };
	uint64_t none = 0;

	CALL(SYS_sigaltstack, (uintptr_t)&stack, 0);
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&none, 0, 8);
}

void play(struct worker *w, uint32_t count)
{
	volatile uint32_t i;

	for (i = 0; i < count; i++) {
		atomic_fetch_add(&w->calls, 1);
		if (__builtin_setjmp(w->back)) {
			mend(w);
			continue;
		}
		if (i % 4 == 3)
			mend(w);
		one_call(w);
	}
	atomic_fetch_add(&stats->calls, count);
}

void *thread_main(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&all_there))
		usleep(1000);
	w->tid = (int32_t)syscall(SYS_gettid);
	mend(w);
	play(w, call_count);
	atomic_store(&w->tid, 0);
	return 0;
}
