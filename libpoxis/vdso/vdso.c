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
	CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_MONOTONIC_RAW = 4,
	CLOCK_REALTIME_COARSE = 5, CLOCK_MONOTONIC_COARSE = 6, CLOCK_BOOTTIME = 7, CLOCK_TAI = 11,
	KNOWN = 1 << CLOCK_REALTIME | 1 << CLOCK_MONOTONIC | 1 << CLOCK_MONOTONIC_RAW |
		1 << CLOCK_REALTIME_COARSE | 1 << CLOCK_MONOTONIC_COARSE | 1 << CLOCK_BOOTTIME |
		1 << CLOCK_TAI,
	COARSE = 1 << CLOCK_REALTIME_COARSE | 1 << CLOCK_MONOTONIC_COARSE,
	FROM_MONO = 1 << CLOCK_MONOTONIC | 1 << CLOCK_MONOTONIC_COARSE | 1 << CLOCK_BOOTTIME,
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

/* What the clock page says of one clock at one moment: seconds, and nanoseconds
 * that may be more than a second. */
struct reading {
	int64_t sec;
	uint64_t ns;
};

static int read_once(unsigned bit, struct reading *r)
{
	const volatile struct otr_clock *c = &otr_clock_page;
	uint64_t now = tsc(), last = c->cycle_last, delta = now > last ? now - last : 0;

	if (c->mode != OTR_CLOCK_TSC)
		return 0;
	if (bit & 1 << CLOCK_MONOTONIC_RAW) {
		r->sec = (int64_t)c->raw_sec;
		r->ns = (delta * c->raw_mult + c->raw_nsec) >> (c->raw_shift & 63);
		return 1;
	}
	if (bit & COARSE)
		delta = 0;
	r->sec = (int64_t)c->wall_sec;
	r->ns = (delta * c->mult + c->xtime_nsec) >> (c->shift & 63);
	if (bit & FROM_MONO) {
		r->sec += c->wall_to_mono_sec;
		r->ns += c->wall_to_mono_nsec;
	}
	if (bit & 1 << CLOCK_BOOTTIME)
		r->ns += c->boot_ns;
	if (bit & 1 << CLOCK_TAI)
		r->sec += c->tai_sec;
	return 1;
}

/* 1: *t is the time of clock `id`. */
static int read_clock(int id, struct timespec *t)
{
	unsigned bit = (unsigned)id < 32 ? 1u << id & KNOWN : 0;
	struct reading r;

	if (!bit)
		return 0;
	for (unsigned i = 0; i < SEQ_TRIES; i++) {
		uint32_t seq = otr_clock_page.seq;

		/* x86 loads are in order; the compiler must keep them so. Pairs with
		 * publish() in host-module/clock.c. */
		__asm__ volatile("" : : : "memory");
		if (!(seq & 1)) {
			if (!read_once(bit, &r))
				return 0;
			__asm__ volatile("" : : : "memory");
			if (otr_clock_page.seq == seq) {
				/* Rarely more than once round; a division costs more. */
				while (r.ns >= NSEC_PER_SEC && r.ns < 16 * NSEC_PER_SEC) {
					r.ns -= NSEC_PER_SEC;
					r.sec++;
				}
				t->sec = r.sec + (int64_t)(r.ns / NSEC_PER_SEC);
				t->nsec = (int64_t)(r.ns % NSEC_PER_SEC);
				return 1;
			}
		}
		__builtin_ia32_pause();
	}
	return 0;
}

EXPORT int __vdso_clock_gettime(int id, struct timespec *t)
{
	struct timespec now;

	if (!read_clock(id, &now))
		return (int)call(SYS_CLOCK_GETTIME, (uint64_t)id, (uintptr_t)t);
	*t = now;
	return 0;
}

EXPORT int __vdso_clock_getres(int id, struct timespec *t)
{
	unsigned bit = (unsigned)id < 32 ? 1u << id & KNOWN & ~(unsigned)COARSE : 0;

	if (!bit || otr_clock_page.mode != OTR_CLOCK_TSC)
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

	if (zone || !read_clock(CLOCK_REALTIME, &now))
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

	if (!read_clock(CLOCK_REALTIME, &now))
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
