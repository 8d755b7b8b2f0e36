/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/arch/x86_64/fpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/hotplug.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "cokernel/sched/thread.h"

/*
 * Fair sharing of a CPU: each thread has a virtual time, what it has run; the
 * queue is ordered by it and the least goes first. A thread that slept comes back
 * at most SLEEPER_NS behind the others: it does not collect time while asleep,
 * yet goes first when it wakes, which is what one that waits for calls wants.
 * Virtual times are those of one CPU; a thread that moves takes its distance to
 * the CPU's floor (the least of its threads) along.
 */
#define SLICE_NS   4000000ull   /* how long a thread keeps a CPU that others want */
#define SLEEPER_NS 2000000ull
#define GRAIN_NS    500000ull   /* a woken thread so much behind takes the CPU at once */
#define FLOOR_START (1ull << 40)
#define IDLE_OFFSET 0ull        /* of cpu->run_offset: nothing of virtual time runs */

extern void thread_trampoline(void);

/* ---- Making and freeing ---- */

static void timeout_fired(struct timer *t)
{
	thread_unpark(container_of(t, struct thread, timeout));
}

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
	struct thread *t = kmem_zalloc(sizeof(*t));
	uint64_t *sp;

	if (!t)
		return NULL;
	t->stack_top = kvm_stack_alloc();
	if (!t->stack_top) {
		kmem_free(t);
		return NULL;
	}
	/* Above, room for a user thread's registers; below, what
	 * arch_switch_stack() pops: r15 r14 r13 r12 rbx rbp, return. */
	sp = (uint64_t *)thread_regs(t);
	*--sp = 0;
	*--sp = 0;
	*--sp = (uint64_t)thread_trampoline;
	*--sp = 0;
	*--sp = 0;
	*--sp = (uint64_t)fn;
	*--sp = (uint64_t)arg;
	*--sp = 0;
	*--sp = 0;
	t->rsp = (uint64_t)sp;
	t->timeout.fn = timeout_fired;
	t->cpu = this_cpu();
	list_init(&t->process_link);
	list_init(&t->futex_link);
	list_init(&t->signals);
	t->altstack[1] = 2;             /* SS_DISABLE */
	memset(&t->affinity, 0xff, sizeof(t->affinity));
	return t;
}

void thread_set_argument(struct thread *t, void *arg)
{
	/* r13 in the frame that thread_create() made. */
	((uint64_t *)t->rsp)[2] = (uint64_t)arg;
}

int thread_make_user(struct thread *t, struct mm *mm)
{
	t->fpu = fpu_alloc();
	if (!t->fpu)
		return -ENOMEM;
	t->mm = mm;
	return 0;
}

void thread_free(struct thread *t)
{
	kmem_free(t->fpu);
	kvm_stack_free(t->stack_top);
	kmem_free(t);
}

/* ---- Queues ---- */

/* By its affinity, or because no CPU of that is left. */
static bool may_run(const struct thread *t, const struct cpu *c)
{
	if (likely(cpumask_test(&t->affinity, c->index)))
		return true;
	for (uint32_t w = 0; w < CPU_WORDS; w++)
		if (t->affinity.word[w] & load_relaxed(&cpu_online_mask.word[w]))
			return false;
	return true;
}

static bool cpu_is_idle(struct cpu *c)
{
	return load_relaxed(&c->current) == c->idle && !load_relaxed(&c->run_count);
}

/* The last CPU if it is free, else another free one, else the last. */
static struct cpu *choose_cpu(struct thread *t)
{
	struct cpu *last = t->cpu, *least = NULL;
	bool last_allowed = cpumask_test(&cpu_online_mask, last->index) && may_run(t, last);

	if (last_allowed && cpu_is_idle(last))
		return last;
	for (uint32_t w = 0; w < CPU_WORDS; w++) {
		uint64_t bits = load_relaxed(&cpu_online_mask.word[w]);

		for (; bits; bits &= bits - 1) {
			struct cpu *c = cpu_table[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			if (!may_run(t, c))
				continue;
			if (cpu_is_idle(c))
				return c;
			if (!least || c->run_count < least->run_count)
				least = c;
		}
	}
	return last_allowed ? last : least ? least : this_cpu();
}

/* The least virtual time of the CPU's threads now, at least what it was; run_lock. */
static uint64_t raise_floor(struct cpu *c)
{
	uint64_t offset = load_relaxed(&c->run_offset), least = UINT64_MAX;
	struct tree_node *first = tree_first(&c->run_queue);

	if (first)
		least = first->key;
	if (offset != IDLE_OFFSET)
		least = MIN(least, clock_uptime_ns() + offset);
	if (least != UINT64_MAX && least > c->run_floor)
		store_relaxed(&c->run_floor, least);
	return c->run_floor;
}

/* Makes the thread's virtual time one of CPU c's. */
static void carry_over(struct thread *t, struct cpu *c)
{
	if (t->vtime_cpu != c)
		t->vtime += load_relaxed(&c->run_floor) -
			    (t->vtime_cpu ? load_relaxed(&t->vtime_cpu->run_floor) : 0);
	t->vtime_cpu = c;
}

static void enqueue(struct thread *t)
{
	struct cpu *c = choose_cpu(t);
	uint64_t least;

	spin_lock(&c->run_lock);
	t->cpu = c;
	carry_over(t, c);
	least = raise_floor(c) - SLEEPER_NS;
	if ((int64_t)(t->vtime - least) < 0)
		t->vtime = least;
	tree_insert(&c->run_queue, &t->run_node, t->vtime);
	store_relaxed(&c->run_count, c->run_count + 1);
	spin_unlock(&c->run_lock);
	atomic_store(&c->resched, true);
	cpu_kick(c);
}

static void dequeue(struct cpu *c, struct thread *t)
{
	raise_floor(c);
	tree_remove(&c->run_queue, &t->run_node);
	store_relaxed(&c->run_count, c->run_count - 1);
}

static struct thread *take_from(struct cpu *c, struct cpu *for_cpu)
{
	struct thread *found = NULL;
	struct tree_node *n;

	if (!load_relaxed(&c->run_count))
		return NULL;
	spin_lock(&c->run_lock);
	for (n = tree_first(&c->run_queue); n; n = tree_next(n)) {
		found = container_of(n, struct thread, run_node);
		if (may_run(found, for_cpu))
			break;
	}
	if (n) {
		dequeue(c, found);
		carry_over(found, for_cpu);
		found->cpu = for_cpu;
	} else {
		found = NULL;
	}
	spin_unlock(&c->run_lock);
	return found;
}

/* Queues those elsewhere that may no longer run here. */
static void send_away(struct cpu *c)
{
	struct tree_node *n;

	do {
		spin_lock(&c->run_lock);
		for (n = tree_first(&c->run_queue); n; n = tree_next(n))
			if (!may_run(container_of(n, struct thread, run_node), c))
				break;
		if (n)
			dequeue(c, container_of(n, struct thread, run_node));
		spin_unlock(&c->run_lock);
		if (n)
			enqueue(container_of(n, struct thread, run_node));
	} while (n);
}

static struct thread *steal(struct cpu *me)
{
	struct thread *t = NULL;

	for (uint32_t w = 0; w < CPU_WORDS && !t; w++) {
		uint64_t bits = load_relaxed(&cpu_online_mask.word[w]);

		for (; bits && !t; bits &= bits - 1) {
			struct cpu *c = cpu_table[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			if (c != me)
				t = take_from(c, me);
		}
	}
	return t;
}

/* ---- Switching ---- */

static void save_user(struct thread *t)
{
	if (!t->fpu)
		return;
	fpu_save(t);
	if (cpu_features.fsgsbase) {
		__asm__ volatile("rdfsbase %0" : "=r"(t->fs_base));
		t->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	}
}

static void restore_user(struct thread *t)
{
	if (!t->fpu)
		return;
	fpu_restore(t);
	if (cpu_features.fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(t->fs_base));
	else
		wrmsr(MSR_FS_BASE, t->fs_base);
	wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
}

void sched_finish_switch(void)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->prev;

	c->prev = NULL;
	if (!prev || prev == c->idle)
		return;
	if (prev->dead) {
		if (c->fpu_owner == prev)
			c->fpu_owner = NULL;
		thread_free(prev);
	} else if (prev->requeue) {
		prev->requeue = false;
		enqueue(prev);
	} else {
		uint32_t parking = PARK_PARKING;

		if (!atomic_compare_exchange_strong(&prev->park, &parking, PARK_PARKED))
			enqueue(prev);
	}
}

/* Its slice is over. Pairs with usage_thread_ns(). */
static void account(struct thread *t, uint64_t now)
{
	store_release(&t->run_seq, t->run_seq + 1);
	store_release(&t->run_ns, t->run_ns + (now - t->slice_start_ns));
	store_release(&t->slice_start_ns, now);
	store_release(&t->run_seq, t->run_seq + 1);
}

static void switch_to(struct cpu *c, struct thread *next)
{
	struct thread *prev = c->current;
	uint64_t now = clock_uptime_ns();

	if (c->run_offset != IDLE_OFFSET) {
		prev->vtime = now + c->run_offset;
		if (!load_relaxed(&c->run_count) && prev->vtime > c->run_floor)
			store_relaxed(&c->run_floor, prev->vtime);  /* it was alone */
	}
	store_relaxed(&c->run_offset, next == c->idle ? IDLE_OFFSET : next->vtime - now);
	account(prev, now);
	save_user(prev);
	c->prev = prev;
	store_release(&next->slice_start_ns, now);
	store_release(&c->current, next);
	c->kernel_rsp = (uint64_t)next->stack_top;
	c->tss.rsp[0] = (uint64_t)next->stack_top;
	if (next->mm && next->mm != c->mm)
		mm_switch(next->mm);
	restore_user(next);
	if (next->rseq)
		atomic_fetch_or_explicit(&next->work, WORK_RSEQ, memory_order_relaxed);
	c->status->switch_count++;
	c->status->current_pid = next->pid;
	c->status->current_tid = next->tid;
	arch_switch_stack(&prev->rsp, next->rsp);
	sched_finish_switch();
}

/* Gives the CPU to the next thread; the current one has said how it waits
 * (park, requeue or dead). Returns when it runs again. */
static void schedule(void)
{
	struct cpu *c = this_cpu();
	struct thread *me = c->current, *next = take_from(c, c);

	atomic_store_explicit(&c->resched, false, memory_order_relaxed);
	if (!next && !(me->requeue || me == c->idle))
		next = steal(c);
	if (!next && me == c->idle)
		next = steal(c);
	if (!next) {
		if (me->requeue || me == c->idle) {
			me->requeue = false;
			return;
		}
		next = c->idle;
	}
	switch_to(c, next);
}

/* A slice runs only while somebody waits for the CPU. */
static void slice_update(struct cpu *c)
{
	c->slice_end_ns = load_relaxed(&c->run_count) && c->current != c->idle ?
			  c->current->slice_start_ns + SLICE_NS : 0;
	timer_rearm();
}

/* Another thread should run: this one has had its slice, or a thread that has run
 * so much less woke up. */
static bool overdue(struct cpu *c)
{
	uint64_t now = clock_uptime_ns(), mine = now + c->run_offset, least = mine;
	struct tree_node *first;

	spin_lock(&c->run_lock);
	first = tree_first(&c->run_queue);
	if (first)
		least = first->key;
	spin_unlock(&c->run_lock);
	if (mine > least + GRAIN_NS)
		return true;
	if (now - c->current->slice_start_ns < SLICE_NS)
		return false;
	if (mine >= least)
		return true;
	c->current->slice_start_ns = now;   /* the others have had more: go on */
	return false;
}

void sched_interrupt(void)
{
	struct cpu *c = this_cpu();

	if (atomic_exchange(&c->timer_changed, false))
		c->timer_armed_ns = 1;
	atomic_store_explicit(&c->resched, false, memory_order_relaxed);
	if (unlikely(atomic_load_explicit(&c->misplaced, memory_order_relaxed)) &&
	    atomic_exchange(&c->misplaced, false))
		send_away(c);
	if (unlikely(c->current != c->idle &&
		     !(cpumask_test(&cpu_online_mask, c->index) && may_run(c->current, c)))) {
		sched_migrate();    /* or the CPU is to park */
		return;
	}
	if (c->current != c->idle && load_relaxed(&c->run_count) && overdue(c)) {
		c->current->requeue = true;
		schedule();
		c = this_cpu();
	}
	slice_update(c);
}

void sched_yield(void)
{
	struct cpu *c = this_cpu();
	uint64_t now = clock_uptime_ns();
	struct tree_node *last;

	if (!load_relaxed(&c->run_count))
		return;
	spin_lock(&c->run_lock);
	last = tree_last(&c->run_queue);
	if (last && last->key > now + c->run_offset)
		store_relaxed(&c->run_offset, last->key - now);
	spin_unlock(&c->run_lock);
	c->current->requeue = true;
	schedule();
	slice_update(this_cpu());
}

void sched_migrate(void)
{
	struct cpu *c = this_cpu();
	struct thread *me = c->current, *next;

	me->requeue = true;
	next = take_from(c, c);
	switch_to(c, next ? next : c->idle);
	slice_update(this_cpu());
}

/* ---- Parking ---- */

void thread_park(void)
{
	struct thread *t = current_thread();
	uint32_t running = PARK_RUNNING;

	if (atomic_compare_exchange_strong(&t->park, &running, PARK_PARKING)) {
		schedule();
		slice_update(this_cpu());
	}
	atomic_exchange(&t->park, PARK_RUNNING);
}

int thread_park_until(uint64_t deadline_ns)
{
	struct thread *t = current_thread();

	if (!deadline_ns) {
		thread_park();
		return 0;
	}
	if (clock_uptime_ns() >= deadline_ns)
		return -ETIMEDOUT;
	timer_start(&t->timeout, deadline_ns);
	thread_park();
	timer_cancel(&t->timeout);
	return clock_uptime_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

void thread_unpark(struct thread *t)
{
	if (atomic_exchange(&t->park, PARK_TOKEN) == PARK_PARKED)
		enqueue(t);
}

void thread_notify(struct thread *t, uint32_t work)
{
	struct cpu *c;

	atomic_fetch_or(&t->work, work);
	thread_unpark(t);
	c = load_relaxed(&t->cpu);
	if (load_relaxed(&c->current) == t)
		cpu_kick(c);
}

void thread_set_affinity(struct thread *t, const struct cpumask *mask)
{
	struct cpu *c;

	t->affinity = *mask;
	fence_full();
	c = load_relaxed(&t->cpu);
	atomic_store(&c->misplaced, true);
	atomic_store(&c->resched, true);
	cpu_kick(c);
}

void thread_start(struct thread *t)
{
	enqueue(t);
}

noreturn_ void thread_exit(void)
{
	current_thread()->dead = true;
	schedule();
	panic("a dead thread ran");
}

/* ---- CPUs ---- */

void sched_init_cpu(void)
{
	struct cpu *c = this_cpu();

	c->idle = c->current;
	c->run_offset = IDLE_OFFSET;
	c->run_floor = MAX(c->run_floor, FLOOR_START);
	cpumask_set(&cpu_online_mask, c->index);
	__atomic_fetch_add(&cpu_online_count, 1, __ATOMIC_SEQ_CST);
	atomic_store(&c->online, true);
}

noreturn_ void sched_idle(void)
{
	for (;;) {
		struct cpu *c = this_cpu();

		hotplug_cpu_poll();
		schedule();
		slice_update(c);
		/* What is left may not run here; its affinity changed meanwhile. */
		if (unlikely(load_relaxed(&c->run_count)))
			send_away(c);
		/* A kick between the check and hlt is taken after sti;hlt began. */
		if (!load_relaxed(&c->run_count) && !atomic_load(&c->resched)) {
			uint64_t from = clock_uptime_ns();

			__asm__ volatile("sti; hlt; cli" : : : "memory");
			c->status->idle_ns += clock_uptime_ns() - from;
		}
	}
}

void sched_evacuate(void)
{
	struct cpu *c = this_cpu();
	struct tree_node *n;

	cpumask_clear(&cpu_online_mask, c->index);
	__atomic_fetch_sub(&cpu_online_count, 1, __ATOMIC_SEQ_CST);
	atomic_store(&c->online, false);
	for (;;) {
		spin_lock(&c->run_lock);
		n = tree_first(&c->run_queue);
		if (n) {
			tree_remove(&c->run_queue, n);
			store_relaxed(&c->run_count, c->run_count - 1);
		}
		spin_unlock(&c->run_lock);
		if (!n)
			break;
		enqueue(container_of(n, struct thread, run_node));
	}
}
