/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signal frames that cannot be read or written; prints the same on Linux and on a
 * co-kernel. `frames race` returns from frames whose vector state is bad and reaches
 * into pages of a file that are not there yet, while other threads use the CPUs:
 * nothing is printed, whatever becomes of them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define KERNEL_UCONTEXT 304	/* of ucontext_t what the kernel knows */
#define LEGACY          512	/* bytes before the header of the vector state */

static sigjmp_buf back;
static volatile int got, code;
static char frame[8192] __attribute__((aligned(64)));
static uint32_t state_bytes = 576;

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	got = sig;
	code = info->si_code;
	siglongjmp(back, 1);
}

/* A frame that is right, and how long its vector state is. */
static void keep_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *fp = (char *)uc->uc_mcontext.fpregs;

	memcpy(&state_bytes, fp + 464 + 16, 4);	/* fp_software.state_bytes */
	memcpy(frame, uc, KERNEL_UCONTEXT);
	memcpy(frame + 1024, fp, state_bytes + 4 < sizeof(frame) - 1024 ? state_bytes + 4 : 576);
}

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&a.sa_mask);
	sigaction(sig, &a, NULL);
}

__attribute__((noreturn, noinline)) static void sigreturn_from(const void *at)
{
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" : : "r"(at) : "memory");
	__builtin_unreachable();
}

static void landed(void)
{
	siglongjmp(back, 2);
}

static ucontext_t *good_frame(void *fp)
{
	static char stack[65536];
	ucontext_t *uc = (ucontext_t *)frame;

	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)landed;
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)(stack + sizeof(stack) - 1024 - 8);
	uc->uc_mcontext.fpregs = fp;
	return uc;
}

static void tell(const char *what)
{
	printf("%s: signal %d, code %d\n", what, got, code);
	got = code = 0;
}

/* A child that blocks SIGSEGV and returns from nowhere. */
static void blocked(void)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGSEGV);
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigreturn_from((void *)4096);
	}
	waitpid(child, &status, 0);
	printf("blocked: status %#x\n", status & 0x7f);
}

static void compare(void)
{
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int how;

	munmap(hole + 4096, 4096);
	how = sigsetjmp(back, 1);
	if (!how)
		sigreturn_from(good_frame(frame + 1024));
	printf("a good frame: %d\n", how);
	if (!sigsetjmp(back, 1))
		sigreturn_from((void *)4096);
	tell("no frame");
	if (!sigsetjmp(back, 1))
		sigreturn_from((void *)0x8000000000000000ul);
	tell("a frame that is no address");
	if (!sigsetjmp(back, 1))
		sigreturn_from(hole + 4096 - 64);
	tell("half a frame");
	if (!sigsetjmp(back, 1))
		sigreturn_from(good_frame(hole + 4096));
	tell("no vector state");
	/* A handler without a stack: SIGSEGV instead, whose has one. */
	if (!sigsetjmp(back, 1))
		__asm__ volatile("mov $64, %%esp\n\tud2" : : : "memory");
	tell("a handler without a stack");
	blocked();
}

/* ---- The race ---- */

static atomic_int stop;

static void *busy(void *arg)
{
	volatile double x = 1;

	while (!atomic_load(&stop)) {
		x = x * 1.5 + 1;
		sched_yield();
	}
	return NULL;
}

static void race(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, busy, NULL);
	for (volatile int i = 0; i < 200; i++) {
		char *at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *fp = at + 4096 - LEGACY - 64;

		/* The header ends where the page does; of all that may fault, something. */
		mmap(at + 4096, 8192, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
		memcpy(fp, frame + 1024, LEGACY);
		memset(fp + 24, 0xff, 4);
		memset(fp + LEGACY, 0xff, 64);
		if (!sigsetjmp(back, 1))
			sigreturn_from(good_frame(fp));
		munmap(at, 3 * 4096);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	static char alternate[65536];

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof(alternate) }, NULL);
	install(SIGSEGV, on_fault, SA_ONSTACK);
	install(SIGILL, on_fault, 0);
	install(SIGUSR1, keep_frame, 0);
	raise(SIGUSR1);
	if (argc > 1 && !strcmp(argv[1], "race"))
		race();
	else
		compare();
	return 0;
}
