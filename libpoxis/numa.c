/* SPDX-License-Identifier: BSD-2-Clause */
/* NUMA policy of threads and of areas. It decides where new pages come from;
 * pages that are there stay. */
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/calls.h"
#include "libpoxis/user.h"

enum {
	MPOL_F_NODE = 1, MPOL_F_ADDR = 2, MPOL_F_MEMS_ALLOWED = 4,
	MPOL_F_STATIC_NODES = 1 << 15, MPOL_F_RELATIVE_NODES = 1 << 14,
	MPOL_MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES,
	MPOL_MF_VALID = 7,
	MASK_BITS_MOST = 32768,     /* of a program's mask: a page, as in Linux */
};

/* The program's mask of `bits` bits (one less, as Linux counts them). */
static int read_nodes(uaddr_t at, uint64_t bits, uint64_t *nodes)
{
	uint64_t word;

	*nodes = 0;
	if (!at || !bits || !--bits)
		return 0;
	if (bits > MASK_BITS_MOST)
		return -EINVAL;
	for (uint64_t i = 0; i * 64 < bits; i++) {
		if (user_read(&word, at + i * 8, sizeof(word)))
			return -EFAULT;
		if (bits - i * 64 < 64)
			word &= (1ull << (bits - i * 64)) - 1;
		if (i && word)
			return -EINVAL;
		if (!i)
			*nodes = word;
	}
	return 0;
}

static int write_nodes(uaddr_t at, uint64_t bits, uint64_t nodes)
{
	uint64_t zero = 0, bytes = ALIGN_UP(bits ? bits - 1 : 0, 64) / 8;

	if (!at || !bytes)
		return 0;
	if (bits > MASK_BITS_MOST)
		return -EINVAL;
	for (uint64_t i = 0; i < bytes; i += 8)
		if (user_write(at + i, i ? &zero : &nodes, 8))
			return -EFAULT;
	return 0;
}

/* What mode and mask say; the rules are Linux's. */
static int make(uint64_t how, uaddr_t mask, uint64_t bits, struct policy *p)
{
	uint64_t nodes;
	int err = read_nodes(mask, bits, &nodes);

	*p = (struct policy){ .mode = (uint16_t)(how & ~(uint64_t)MPOL_MODE_FLAGS & 0xffff),
			      .flags = (uint16_t)(how & MPOL_MODE_FLAGS) };
	if (how & ~0xffffull || p->mode > POLICY_PREFERRED_MANY || p->flags == MPOL_MODE_FLAGS)
		return -EINVAL;
	if (err)
		return err;
	if (p->mode == POLICY_DEFAULT || p->mode == POLICY_LOCAL)
		return nodes || (p->mode == POLICY_LOCAL && p->flags) ? -EINVAL : 0;
	if (!nodes && p->mode == POLICY_PREFERRED && !p->flags) {
		p->mode = POLICY_LOCAL;
		return 0;
	}
	p->nodes = nodes & phys_nodes();
	return p->nodes ? 0 : -EINVAL;
}

int64_t sys_set_mempolicy(struct regs *r)
{
	struct policy p;
	int err = make(r->rdi, r->rsi, r->rdx, &p);

	if (!err)
		current_thread()->policy = p;
	return err;
}

int64_t sys_mbind(struct regs *r)
{
	uint64_t bytes = ALIGN_UP(r->rsi, PAGE_SIZE);
	struct policy p;
	int err;

	if (r->rdi & (PAGE_SIZE - 1) || r->r9 & ~(uint64_t)MPOL_MF_VALID || r->rdi + bytes < r->rdi)
		return -EINVAL;
	err = make(r->rdx, r->r10, r->r8, &p);
	if (err || !bytes)
		return err;
	err = mm_set_policy(current_thread()->mm, r->rdi, bytes, &p);
	return err == -ENOMEM && mm_covered(current_thread()->mm, r->rdi, bytes) ? -EFAULT : err;
}

/* The node of the page at va, which is brought in. */
static int64_t node_of(uint64_t va)
{
	struct mm *mm = current_thread()->mm;
	int err = mm_populate(mm, va, 1, MM_READ);

	return err ? -EFAULT : mm_node_of(mm, va);
}

int64_t sys_get_mempolicy(struct regs *r)
{
	struct thread *t = current_thread();
	uint64_t flags = r->r8;
	struct policy p = t->policy;
	uint32_t mode;
	int64_t node;

	if (flags & ~7ull)
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED)
		return flags & ~(uint64_t)MPOL_F_MEMS_ALLOWED ? -EINVAL :
		       write_nodes(r->rsi, r->rdx, phys_nodes());
	if (flags & MPOL_F_ADDR) {
		if (mm_get_policy(t->mm, r->r10, &p))
			return -EFAULT;
	} else if (r->r10) {
		return -EINVAL;
	}
	mode = p.mode | p.flags;
	if (flags & MPOL_F_NODE) {
		if (flags & MPOL_F_ADDR)
			node = node_of(r->r10);
		else
			node = p.mode == POLICY_INTERLEAVE ? __builtin_ctzll(p.nodes) : -EINVAL;
		if (node < 0)
			return node;
		mode = (uint32_t)node;
	}
	if (r->rdi && user_write(r->rdi, &mode, sizeof(mode)))
		return -EFAULT;
	return write_nodes(r->rsi, r->rdx, p.nodes);
}
