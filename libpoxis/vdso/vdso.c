/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shared object that every program has mapped: calls that need no kernel. It
 * runs in ring 3. The page before it is the host's clock page (abi/status.h), so
 * that the answers are those of Linux's own clocks, and what cannot be answered
 * from it, any other clock or any clock while Linux does not use the TSC, becomes
 * the system call.
 */
#include "abi/status.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) __attribute__((weak, alias("__vdso_" #name), visibility("default")))

#define NSEC_PER_SEC 1000000000ull
#define SEQ_TRIES 1000u         /* the host may be stopped while it writes */

enum {
	SYS_GETTIMEOFDAY = 96, SYS_TIME = 201, SYS_CLOCK_GETTIME = 228, SYS_CLOCK_GETRES = 229,
	SYS_GETCPU = 309,
};

struct timespec { int64_t sec, nsec; };
struct timeval { int64_t sec, usec; };

extern const volatile struct otr_clock otr_clock_page HIDDEN;

int __vdso_clock_gettime(int id, struct timespec *t);
int __vdso_clock_getres(int id, struct timespec *t);
int __vdso_gettimeofday(struct timeval *t, void *zone);
int64_t __vdso_time(int64_t *t);
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);
int clock_gettime(int id, struct timespec *t);
int clock_getres(int id, struct timespec *t);
int gettimeofday(struct timeval *t, void *zone);
int64_t time(int64_t *t);
long getcpu(unsigned *cpu, unsigned *node, void *unused);

static long call(long nr, uint64_t a, uint64_t b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(0ul)
			 : "rcx", "r11", "memory");
	return ret;
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#define INLINE static inline __attribute__((always_inline))

static int among(unsigned id, unsigned set)
{
	return id < OTR_CLOCK_BASES && set >> id & 1;
}

/* 1: *t is the time of clock `id`, which has a base; `coarse` and `scale` are its. */
INLINE int read_clock(unsigned id, unsigned scale, int coarse, struct timespec *t)
{
	const volatile struct otr_clock *c = &otr_clock_page;

	for (unsigned i = 0; i < SEQ_TRIES; i++) {
		uint32_t seq = c->seq;
		uint64_t delta = 0, ns;
		int64_t sec;

		/* x86 loads are in order; the compiler must keep them so. Pairs with
		 * publish() in host-module/clock.c. */
		__asm__ volatile("" : : : "memory");
		if (!coarse) {
			delta = tsc() - c->cycle_last;
			if ((int64_t)delta < 0)         /* another core's TSC may lag */
				delta = 0;
		}
		ns = (delta * c->scale[scale].mult + c->base[id].ns) >> (c->scale[scale].shift & 63);
		sec = c->base[id].sec;
		if (c->mode != OTR_CLOCK_TSC)
			return 0;
		__asm__ volatile("" : : : "memory");
		if (__builtin_expect(!(seq & 1) && c->seq == seq, 1)) {
			if (__builtin_expect(ns >= 4 * NSEC_PER_SEC, 0)) {
				sec += (int64_t)(ns / NSEC_PER_SEC);
				ns %= NSEC_PER_SEC;
			}
			/* Rarely more than once round; a division costs more. */
			while (ns >= NSEC_PER_SEC) {
				ns -= NSEC_PER_SEC;
				sec++;
			}
			t->sec = sec;
			t->nsec = (int64_t)ns;
			return 1;
		}
		__builtin_ia32_pause();
	}
	return 0;
}

static __attribute__((noinline)) int other_clock(unsigned id, struct timespec *t)
{
	if (among(id, OTR_CLOCKS_COARSE) && read_clock(id, 0, 1, t))
		return 0;
	if (id == OTR_CLOCK_MONOTONIC_RAW && read_clock(id, 1, 0, t))
		return 0;
	return (int)call(SYS_CLOCK_GETTIME, id, (uintptr_t)t);
}

EXPORT int __vdso_clock_gettime(int id, struct timespec *t)
{
	if (among((unsigned)id, OTR_CLOCKS_FINE & ~(1u << OTR_CLOCK_MONOTONIC_RAW)) &&
	    read_clock((unsigned)id, 0, 0, t))
		return 0;
	return other_clock((unsigned)id, t);
}

EXPORT int __vdso_clock_getres(int id, struct timespec *t)
{
	if (!among((unsigned)id, OTR_CLOCKS_FINE) || otr_clock_page.mode != OTR_CLOCK_TSC)
		return (int)call(SYS_CLOCK_GETRES, (uint64_t)id, (uintptr_t)t);
	if (t) {
		t->sec = 0;
		t->nsec = 1;
	}
	return 0;
}

EXPORT int __vdso_gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;

	if (zone || !read_clock(OTR_CLOCK_REALTIME, 0, 0, &now))
		return (int)call(SYS_GETTIMEOFDAY, (uintptr_t)t, (uintptr_t)zone);
	if (t) {
		t->sec = now.sec;
		t->usec = now.nsec / 1000;
	}
	return 0;
}

EXPORT int64_t __vdso_time(int64_t *t)
{
	struct timespec now;

	if (!read_clock(OTR_CLOCK_REALTIME, 0, 1, &now))
		return call(SYS_TIME, (uintptr_t)t, 0);
	if (t)
		*t = now.sec;
	return now.sec;
}

/* The co-kernel keeps index and node in TSC_AUX; there is no vDSO without rdtscp. */
EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	uint32_t low, high, aux;

	(void)unused;
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	if (cpu)
		*cpu = aux & 0xfff;
	if (node)
		*node = aux >> 12;
	return 0;
}

int clock_gettime(int id, struct timespec *t) ALIAS(clock_gettime);
int clock_getres(int id, struct timespec *t) ALIAS(clock_getres);
int gettimeofday(struct timeval *t, void *zone) ALIAS(gettimeofday);
int64_t time(int64_t *t) ALIAS(time);
long getcpu(unsigned *cpu, unsigned *node, void *unused) ALIAS(getcpu);
