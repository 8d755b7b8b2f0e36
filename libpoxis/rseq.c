/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/rseq.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/process.h"
#include "libpoxis/user.h"

/* uapi/linux/rseq.h */
struct rseq {
	uint32_t cpu_id_start, cpu_id;
	uint64_t sequence;          /* struct sequence, or 0 */
	uint32_t flags, node_id, mm_cid, end;
};
_Static_assert(sizeof(struct rseq) == 32, "Linux's layout");

struct sequence {
	uint32_t version, flags;
	uint64_t start, commit_offset, abort;
};

#define FLAG_UNREGISTER 1u
#define CPU_UNINITIALIZED UINT32_MAX

static int write_cpu(const struct thread *t, uint32_t cpu, uint32_t node)
{
	uint32_t start = cpu == CPU_UNINITIALIZED ? 0 : cpu;

	return user_write(t->rseq + offsetof(struct rseq, cpu_id_start), &start, 4) ||
	       user_write(t->rseq + offsetof(struct rseq, cpu_id), &cpu, 4) ||
	       user_write(t->rseq + offsetof(struct rseq, node_id), &node, 4) ||
	       /* As many ids as CPUs: no two threads that run share one. */
	       user_write(t->rseq + offsetof(struct rseq, mm_cid), &start, 4) ? -EFAULT : 0;
}

/* Leaves the sequence that r->rip is in, if it is in one. */
static int leave_sequence(struct thread *t, struct regs *r)
{
	struct sequence s;
	uint64_t at, none = 0;
	uint32_t signature;

	if (user_read(&at, t->rseq + offsetof(struct rseq, sequence), sizeof(at)))
		return -EFAULT;
	if (!at)
		return 0;
	if (user_read(&s, at, sizeof(s)) || s.version || s.start >= OTR_USER_END ||
	    s.commit_offset > OTR_USER_END || s.abort >= OTR_USER_END || s.abort < sizeof(signature) ||
	    s.abort - s.start < s.commit_offset)
		return -EINVAL;
	if (user_read(&signature, s.abort - sizeof(signature), sizeof(signature)) ||
	    signature != t->rseq_signature)
		return -EINVAL;
	if (user_write(t->rseq + offsetof(struct rseq, sequence), &none, sizeof(none)))
		return -EFAULT;
	if (r->rip - s.start < s.commit_offset)
		r->rip = s.abort;
	return 0;
}

void rseq_resume(struct thread *t, struct regs *r)
{
	struct cpu *c = this_cpu();

	atomic_fetch_and(&t->work, ~WORK_RSEQ);
	if (!t->rseq)
		return;
	if (leave_sequence(t, r) || (t->rseq_cpu != c->index && write_cpu(t, c->index, c->node))) {
		t->rseq = 0;
		signal_fault(t, r, SIGSEGV, 0x80, 0);
	}
	t->rseq_cpu = c->index;
}

int64_t sys_rseq(struct regs *r)
{
	struct thread *t = current_thread();
	uint32_t bytes = (uint32_t)r->rsi, flags = (uint32_t)r->rdx, signature = (uint32_t)r->r10;

	if (flags & FLAG_UNREGISTER) {
		if (flags != FLAG_UNREGISTER || !t->rseq || t->rseq != r->rdi || bytes != t->rseq_bytes)
			return -EINVAL;
		if (signature != t->rseq_signature)
			return -EPERM;
		if (write_cpu(t, CPU_UNINITIALIZED, 0))
			return -EFAULT;
		t->rseq = 0;
		return 0;
	}
	if (flags)
		return -EINVAL;
	if (t->rseq) {
		if (t->rseq != r->rdi || bytes != t->rseq_bytes)
			return -EINVAL;
		return signature != t->rseq_signature ? -EPERM : -EBUSY;
	}
	if (bytes < sizeof(struct rseq) || r->rdi & (sizeof(struct rseq) - 1))
		return -EINVAL;
	if (!user_range_ok(r->rdi, bytes))
		return -EFAULT;
	t->rseq = r->rdi;
	t->rseq_bytes = bytes;
	t->rseq_signature = signature;
	t->rseq_cpu = CPU_UNINITIALIZED;
	atomic_fetch_or(&t->work, WORK_RSEQ);
	return 0;
}
