/* SPDX-License-Identifier: BSD-2-Clause */
/* Mmap, mprotect, mremap, madvise, brk, faults with address and code. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static sigjmp_buf j;
static volatile int sig, code;
static void *volatile at;
static void h(int s, siginfo_t *i, void *u)
{
	sig = s;
	code = i->si_code;
	at = i->si_addr;
	siglongjmp(j, 1);
}
#define TRY(what, x)                                                                                         \
	do {                                                                                                 \
		sig = 0;                                                                                     \
		if (!sigsetjmp(j, 1)) {                                                                      \
			x;                                                                                   \
		}                                                                                            \
		printf("%s %d %d %d\n", what, sig, code, sig ? at == (void *)a : 0);                         \
	} while (0)
int main(void)
{
	struct sigaction sa = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &sa, 0);
	sigaction(SIGBUS, &sa, 0);
	sigaction(SIGFPE, &sa, 0);
	sigaction(SIGILL, &sa, 0);
	sigaction(SIGTRAP, &sa, 0);
	setvbuf(stdout, 0, _IONBF, 0);
	volatile char *a = mmap(0, 3 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b;
	a[0] = 1;
	a[(3 << 20) - 1] = 2;
	TRY("fine", a[5] = 1);
	mprotect((void *)a, 4096, PROT_READ);
	TRY("ro", a[0] = 1);
	mprotect((void *)a, 4096, 0);
	TRY("none", (void)a[0]);
	mprotect((void *)a, 4096, 3);
	printf("kept %d\n", a[0]);
	munmap((void *)a, 4096);
	TRY("unmapped", a[0] = 1);
	a += 4096;
	b = mremap((void *)a, (3 << 20) - 4096, 8 << 20, MREMAP_MAYMOVE);
	printf("moved %d %d\n", b != MAP_FAILED, b[(3 << 20) - 4097]);
	madvise((void *)b, 1 << 20, MADV_DONTNEED);
	printf("zero %d\n", b[100]);
	a = b;
	TRY("null", a = 0; *(volatile char *)0 = 1);
	a = b;
	printf("bad %d\n",
	       mmap((void *)1, 4096, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno
												      : 0);
	printf("zero %d\n", mmap(0, 0, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0);
	printf("huge %d\n",
	       mmap(0, 1ul << 47, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0);
	char *k = sbrk(0);
	sbrk(100000);
	k[50000] = 7;
	printf("brk %d %d\n", k[50000], (int)((char *)sbrk(0) - k));
	sbrk(-100000);
	printf("badfd %d\n", mmap(0, 4096, 1, MAP_PRIVATE, 99, 0) == MAP_FAILED ? errno : 0);
	printf("noreplace %d\n", mmap((void *)b, 4096, 3, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS,
				      -1, 0) == MAP_FAILED
				     ? errno
				     : 0);
	sig = 0;
	if (!sigsetjmp(j, 1)) {
		volatile int z = 0;
		z = 1 / z;
	}
	printf("fpe %d %d\n", sig, code);
	sig = 0;
	if (!sigsetjmp(j, 1))
		__builtin_trap();
	printf("ill %d %d\n", sig, code);
	sig = 0;
	if (!sigsetjmp(j, 1))
		__asm__("int3");
	printf("trap %d %d\n", sig, code);
	sig = 0;
	if (!sigsetjmp(j, 1))
		*(volatile char *)0xdead000000000000 = 1;
	printf("noncanonical %d %d %d\n", sig, code, at == 0);
	sig = 0;
	if (!sigsetjmp(j, 1))
		((void (*)(void))b)();
	printf("nx %d %d\n", sig, code);
	printf("mlock %d %d\n", mlock((void *)b, 4096), munlock((void *)b, 4096));
	printf("msync %d\n", msync((void *)b, 4096, MS_SYNC));
	printf("%d\n", (int)write(1, (void *)8, 5));
	printf("%d\n", errno);
	return 0;
}
