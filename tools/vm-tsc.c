/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prints how many thousand ticks a second this machine's time-stamp counter makes.
 * An emulated Linux that measures it while the emulator is starved may be wrong by
 * a factor; its clock then runs by that much too fast or too slow (tools/vm).
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <x86intrin.h>

#define SPAN_NS 200000000
#define TRIES 64

struct moment {
	int64_t ns;
	uint64_t ticks;
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Both clocks read as close together as it gets. */
static struct moment look(void)
{
	uint64_t least = UINT64_MAX, before, after;
	struct moment m = { 0 };

	for (int i = 0; i < TRIES; i++) {
		int64_t ns;

		before = __rdtsc();
		ns = now();
		after = __rdtsc();
		if (after - before < least) {
			least = after - before;
			m = (struct moment){ ns, before + (after - before) / 2 };
		}
	}
	return m;
}

int main(void)
{
	struct timespec span = { .tv_nsec = SPAN_NS };
	struct moment a = look(), b;

	nanosleep(&span, NULL);
	b = look();
	if (b.ns <= a.ns || b.ticks <= a.ticks)
		return 1;
	printf("%.0f\n", (double)(b.ticks - a.ticks) * 1e6 / (double)(b.ns - a.ns));
	return 0;
}
