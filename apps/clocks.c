/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clocks: a line for each of Linux's clocks, its number, how it was read (the C library's
 * way, by the vDSO, or the system call) and what it showed, in nanoseconds; the ids in one
 * order, so that two outputs can be laid side by side.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

int main(void)
{
	static const int ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
		CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI };
	struct timespec t;
	struct timeval v;

	for (unsigned i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		if (clock_gettime(ids[i], &t))
			return 1;
		printf("%d vdso %lld\n", ids[i], ns(t));
		if (syscall(SYS_clock_gettime, ids[i], &t))
			return 1;
		printf("%d call %lld\n", ids[i], ns(t));
		if (clock_getres(ids[i], &t))
			return 1;
		printf("%d resolution %lld\n", ids[i], ns(t));
	}
	if (gettimeofday(&v, NULL))
		return 1;
	printf("0 gettimeofday %lld\n", v.tv_sec * 1000000000ll + v.tv_usec * 1000ll);
	printf("0 time %lld\n", time(NULL) * 1000000000ll);
	return 0;
}
