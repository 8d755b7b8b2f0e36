/* SPDX-License-Identifier: BSD-2-Clause */
/* Membarrier, rseq, getcpu, affinity. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>
static long mb(int c, int f)
{
	long r = syscall(SYS_membarrier, c, f, 0);
	return r < 0 ? -errno : r;
}
static volatile int go = 1;
static void *spin(void *a)
{
	while (go)
		;
	return 0;
}
int main(void)
{
	pthread_t t[3];
	cpu_set_t s;
	int i;
	printf("query %ld\n", mb(0, 0) & 511);
	printf("early %ld\n", mb(8, 0));
	printf("reg %ld\n", mb(16, 0));
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], 0, spin, 0);
	for (i = 0; i < 100; i++)
		if (mb(8, 0))
			puts("bad");
	printf("core %ld %ld %ld\n", mb(64, 0), mb(32, 0), mb(1, 0));
	printf("bad %ld %ld\n", mb(9999, 0), mb(8, 5));
	go = 0;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], 0);
	struct rseq *r = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	printf("rseq %d %d\n", __rseq_size >= 20, (int)r->cpu_id >= 0);
	for (i = 0; i < 2; i++) {
		CPU_ZERO(&s);
		CPU_SET(i, &s);
		sched_setaffinity(0, sizeof(s), &s);
		sched_yield();
		printf("cpu %d %d\n", sched_getcpu(), r->cpu_id);
	}
	sched_getaffinity(0, sizeof(s), &s);
	printf("count %d\n", CPU_COUNT(&s));
	printf("again %ld\n", syscall(SYS_rseq, r, 32, 0, 0x53053053) < 0 ? (long)errno : 0);
	return 0;
}
