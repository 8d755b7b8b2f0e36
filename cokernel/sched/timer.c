/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/sched/timer.h"
#include "cokernel/arch/x86_64/apic.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/clock.h"
#include "cokernel/lib/atomic.h"

void timer_rearm(void)
{
	struct cpu *c = this_cpu();
	struct tree_node *first;
	uint64_t at = c->slice_end_ns, now;

	spin_lock(&c->timer_lock);
	first = tree_first(&c->timers);
	if (first && (!at || first->key < at))
		at = first->key;
	spin_unlock(&c->timer_lock);
	if (at == c->timer_armed_ns)
		return;
	c->timer_armed_ns = at;
	if (!at) {
		apic_timer_arm(0);
		return;
	}
	now = clock_uptime_ns();
	apic_timer_arm(at > now ? at - now : 1);
}

void timer_start(struct timer *t, uint64_t deadline_ns)
{
	struct cpu *c = this_cpu();

	spin_lock(&c->timer_lock);
	store_release(&t->cpu, c);
	tree_insert(&c->timers, &t->node, MAX(deadline_ns, 1ul));
	spin_unlock(&c->timer_lock);
	timer_rearm();
}

/* The CPU whose tree t is in, locked; NULL if it is in none. */
static struct cpu *lock_owner(struct timer *t)
{
	for (;;) {
		struct cpu *c = load_acquire(&t->cpu);

		if (!c)
			return NULL;
		spin_lock(&c->timer_lock);
		if (load_relaxed(&t->cpu) == c)
			return c;
		spin_unlock(&c->timer_lock);
	}
}

void timer_cancel(struct timer *t)
{
	struct cpu *c = lock_owner(t);

	if (!c)
		return;
	tree_remove(&c->timers, &t->node);
	t->cpu = NULL;
	spin_unlock(&c->timer_lock);
	/* An early interrupt there finds nothing due and arms again. */
}

void timer_interrupt(void)
{
	struct cpu *c = this_cpu();

	c->timer_armed_ns = 0;
	spin_lock(&c->timer_lock);
	for (;;) {
		struct tree_node *n = tree_first(&c->timers);
		struct timer *t;

		if (!n || n->key > clock_uptime_ns())
			break;
		t = container_of(n, struct timer, node);
		tree_remove(&c->timers, n);
		/* fn runs under the lock, so that timer_cancel() waits for it. */
		t->fn(t);
		t->cpu = NULL;
	}
	spin_unlock(&c->timer_lock);
	timer_rearm();
}

/* Two that evacuate to each other would wait for each other otherwise. */
static void lock_both(struct cpu *a, struct cpu *b)
{
	spin_lock(a < b ? &a->timer_lock : &b->timer_lock);
	spin_lock(a < b ? &b->timer_lock : &a->timer_lock);
}

void timer_evacuate(struct cpu *to)
{
	struct cpu *c = this_cpu();
	struct tree_node *n;

	do {
		/* Both, as timer_cancel() must find each timer in one of the trees. */
		lock_both(c, to);
		n = tree_first(&c->timers);
		if (n) {
			tree_remove(&c->timers, n);
			store_release(&container_of(n, struct timer, node)->cpu, to);
			tree_insert(&to->timers, n, n->key);
		}
		spin_unlock(&to->timer_lock);
		spin_unlock(&c->timer_lock);
	} while (n);
	atomic_store(&to->timer_changed, true);
	cpu_kick(to);
	timer_rearm();
}
