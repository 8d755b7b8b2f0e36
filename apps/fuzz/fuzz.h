/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the fuzzer; main.c says what it does. */
#ifndef APPS_FUZZ_H
#define APPS_FUZZ_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FIRST_UID   60000u
#define GID         65534u	/* nogroup, whose the partition is */
#define MAX_SLOTS   16u
#define MAX_THREADS 32u

/* What the calls play in, at an address that is the same each time. */
#define ARENA         0x200000000ul
#define ARENA_BYTES   (16ul << 20)
#define READ_ONLY     (ARENA + (8ul << 20))   /* a page, and one of no access behind it */
#define SHARED        (ARENA + (9ul << 20))   /* 64 KiB, shared */
#define FILE_MAP      (ARENA + (10ul << 20))  /* 4 pages of a file of 1.5 pages */
#define SCRATCH(n)    (ARENA + (n) * 0x10000ul) /* of a thread; the page behind is unmapped by some */
#define SCRATCH_BYTES 0x8000ul

/* ---- calls.c ---- */

#define ROWS 512
struct row {
	const char *name, *args;
	uint32_t weight;
};

struct special { const char *name; uint32_t often; };
#define SPECIALS 5
extern struct row rows[ROWS];
extern uint16_t wheel[8192];            /* numbers of calls, as often as they weigh */
extern uint32_t wheel_count;
extern struct special special[SPECIALS];

/* only: names with commas between, or NULL for all. */
void prepare_calls(const char *only);
bool is_never(uint64_t nr);

/* ---- a thread ---- */

#define MAGIC      0x6675747475627a7aul
#define HOME_BYTES 0x10000ul	/* of a worker and its signal stack, aligned to as much */

struct worker {
	uint64_t magic, random;
	uint32_t number, depth;
	void *back[5];			/* where a fault goes on */
	_Atomic uint32_t calls;
	_Atomic int32_t tid;
	bool have_frame;
	uint8_t frame[304 + 4096] __attribute__((aligned(64)));	/* a signal frame, to be mutilated */
};

struct stats {
	_Atomic uint64_t calls, good, bad, faults;
};

extern struct stats *stats;		/* shared with all children */
extern struct worker *workers[MAX_THREADS];
extern uint32_t thread_count, call_count, limit_ms;

static inline uint64_t mix(uint64_t x)		/* splitmix64 */
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
	return x ^ (x >> 31);
}

static inline uint64_t rnd64(struct worker *w)
{
	return mix(w->random += 0x9e3779b97f4a7c15ul);
}

static inline uint64_t rnd(struct worker *w, uint64_t below)
{
	return rnd64(w) % below;
}

/* No libc from here on: its errno lies in thread-local storage, and the base of that
 * is a thing that calls change. */
static inline long call6(long nr, const uint64_t a[6])
{
	register uint64_t r10 asm("r10") = a[3], r8 asm("r8") = a[4], r9 asm("r9") = a[5];
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

#define CALL(nr, ...) call6(nr, (const uint64_t[6]){ __VA_ARGS__ })

/* values.c; kinds of arguments are those of calls.c. */
uint64_t pointer(struct worker *w);
uint64_t number(struct worker *w);
uint64_t argument(struct worker *w, char kind);
void fill_scratch(struct worker *w);

/* special.c */
_Noreturn void leave(int status);
long play_clone(struct worker *w);
long play_fork(struct worker *w);
void play_sigreturn(struct worker *w);
void play_instruction(struct worker *w);
void fault(int sig, siginfo_t *info, void *context);
void poke(int sig, siginfo_t *info, void *context);

/* play.c */
void play(struct worker *w, uint32_t count);
extern atomic_int all_there;     /* threads play from then on */
void *thread_main(void *worker);

/* ---- seed.c ---- */

uint64_t now_ms(void);
/* Does not come back. */
void run_seed(uint64_t seed);

#endif
