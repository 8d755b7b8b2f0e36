/* SPDX-License-Identifier: BSD-2-Clause */
/* Ported calls; each takes the caller's registers and returns Linux's result. */
#ifndef LIBPOXIS_CALLS_H
#define LIBPOXIS_CALLS_H

#include "cokernel/arch/x86_64/regs.h"

/* memory.c */
int64_t sys_mmap(struct regs *r);
int64_t sys_munmap(struct regs *r);
int64_t sys_mprotect(struct regs *r);
int64_t sys_pkey_mprotect(struct regs *r);
int64_t sys_mremap(struct regs *r);
int64_t sys_brk(struct regs *r);

/* advise.c */
int64_t sys_madvise(struct regs *r);
int64_t sys_mincore(struct regs *r);
int64_t sys_mlock(struct regs *r);
int64_t sys_mlock2(struct regs *r);
int64_t sys_munlock(struct regs *r);
int64_t sys_mlockall(struct regs *r);
int64_t sys_munlockall(struct regs *r);
int64_t sys_msync(struct regs *r);

/* numa.c */
int64_t sys_mbind(struct regs *r);
int64_t sys_set_mempolicy(struct regs *r);
int64_t sys_get_mempolicy(struct regs *r);

/* limits.c */
int64_t sys_setrlimit(struct regs *r);
int64_t sys_prlimit64(struct regs *r);

/* share.c */
int64_t sys_shmat(struct regs *r);
int64_t sys_shmdt(struct regs *r);

/* threads.c */
int64_t sys_clone(struct regs *r);
int64_t sys_clone3(struct regs *r);
int64_t sys_fork(struct regs *r);
int64_t sys_vfork(struct regs *r);
int64_t sys_exit(struct regs *r);
int64_t sys_exit_group(struct regs *r);
int64_t sys_set_tid_address(struct regs *r);
int64_t sys_arch_prctl(struct regs *r);
int64_t sys_prctl(struct regs *r);
int64_t sys_getpid(struct regs *r);
int64_t sys_gettid(struct regs *r);
int64_t sys_getcpu(struct regs *r);
int64_t sys_sched_yield(struct regs *r);
int64_t sys_sched_getaffinity(struct regs *r);
int64_t sys_sched_setaffinity(struct regs *r);

/* robust.c */
int64_t sys_set_robust_list(struct regs *r);
int64_t sys_get_robust_list(struct regs *r);

/* usage.c */
int64_t sys_getrusage(struct regs *r);
int64_t sys_times(struct regs *r);
int64_t sys_wait4(struct regs *r);
int64_t sys_waitid(struct regs *r);

/* cputimer.c */
int64_t sys_getitimer(struct regs *r);
int64_t sys_setitimer(struct regs *r);

/* posixtimer.c */
int64_t sys_timer_create(struct regs *r);
int64_t sys_timer_settime(struct regs *r);
int64_t sys_timer_gettime(struct regs *r);
int64_t sys_timer_getoverrun(struct regs *r);
int64_t sys_timer_delete(struct regs *r);

/* barrier.c */
int64_t sys_membarrier(struct regs *r);

/* rseq.c */
int64_t sys_rseq(struct regs *r);

#endif
