/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * membarrier(2): all CPUs that run the program, or all of the partition, pass a
 * barrier by answering a cross call. Linux's CPUs run nothing of a program.
 */
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/process.h"

/* uapi/linux/membarrier.h */
enum {
	MB_QUERY = 0, MB_GLOBAL = 1, MB_GLOBAL_EXPEDITED = 2, MB_REGISTER_GLOBAL_EXPEDITED = 4,
	MB_PRIVATE_EXPEDITED = 8, MB_REGISTER_PRIVATE_EXPEDITED = 16, MB_SYNC_CORE = 32,
	MB_REGISTER_SYNC_CORE = 64, MB_RSEQ = 128, MB_REGISTER_RSEQ = 256, MB_GET_REGISTRATIONS = 512,
	MB_ALL = 511, MB_FLAG_CPU = 1,
};

/* The cross call itself is a full barrier; writing CR3 serializes (SDM 3, 9.3). */
static void serialize(void *arg)
{
	write_cr3(read_cr3());
}

static void abort_sequence(void *arg)
{
	struct thread *t = current_thread();

	if (t && t->mm == arg && t->rseq)
		atomic_fetch_or(&t->work, WORK_RSEQ);
}

static int64_t run(uint32_t cmd, int64_t cpu)
{
	struct thread *t = current_thread();
	struct cpumask one = { 0 };

	fence_full();
	if (cmd == MB_GLOBAL || cmd == MB_GLOBAL_EXPEDITED) {
		xcall(&cpu_online_mask, serialize, NULL);
		return 0;
	}
	if (cpu < 0) {
		xcall(&t->mm->cpus, cmd == MB_RSEQ ? abort_sequence : serialize, t->mm);
	} else if (cpu < CPU_WORDS * 64 && cpumask_test(&t->mm->cpus, (uint32_t)cpu)) {
		cpumask_set(&one, (uint32_t)cpu);
		xcall(&one, abort_sequence, t->mm);
	}
	if (cmd != MB_RSEQ)
		serialize(NULL);
	return 0;
}

int64_t sys_membarrier(struct regs *r)
{
	struct process *p = current_thread()->process;
	uint32_t cmd = (uint32_t)r->rdi, flags = (uint32_t)r->rsi;

	if (flags && !(cmd == MB_RSEQ && flags == MB_FLAG_CPU))
		return -EINVAL;
	switch (cmd) {
	case MB_QUERY:
		return MB_ALL;
	case MB_REGISTER_GLOBAL_EXPEDITED:
	case MB_REGISTER_PRIVATE_EXPEDITED:
	case MB_REGISTER_SYNC_CORE:
	case MB_REGISTER_RSEQ:
		atomic_fetch_or(&p->membarriers, cmd);
		return 0;
	case MB_PRIVATE_EXPEDITED:
	case MB_SYNC_CORE:
	case MB_RSEQ:
		/* The registration's bit is the next one. */
		if (!(atomic_load(&p->membarriers) & cmd << 1))
			return -EPERM;
		return run(cmd, flags ? (int64_t)(int32_t)r->rdx : -1);
	case MB_GLOBAL:
	case MB_GLOBAL_EXPEDITED:
		return run(cmd, -1);
	default:
		return -EINVAL;
	}
}
