/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/process.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "libpoxis/debug.h"
#include "libpoxis/fork.h"
#include "libpoxis/futex.h"
#include "libpoxis/hold.h"
#include "libpoxis/mapfile.h"
#include "libpoxis/posixtimer.h"
#include "libpoxis/robust.h"
#include "libpoxis/rseq.h"
#include "libpoxis/share.h"
#include "libpoxis/slot.h"
#include "libpoxis/usage.h"
#include "libpoxis/user.h"
#include "libpoxis/vfork.h"

/* How long a new thread waits for a twin that the proxy said it made. */
#define TWIN_WAIT_NS 2000000000ull
#define TWIN_BATCH 4u
/* The tid of a thread for whose end nobody waited is used again after this many others,
 * as far as there are twins to be had: the program may still know it. */
#define TIDS_KEPT 16u

static struct tree processes;   /* under processes_lock */
static struct spinlock processes_lock;
static uint32_t count;

/* ---- Life ---- */

int process_create(const struct process_setup *s, struct process **out)
{
	struct process *p;
	int err = -ENOMEM;

	if (!s->private_page || !s->mailbox)
		return -EINVAL;
	p = process_find(s->context);
	if (p) {
		process_put(p);
		return -EEXIST;
	}
	p = kmem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct process){
		.refs = 1, .context = s->context, .pid = s->pid, .uid = s->uid,
		.private_page = s->private_page, .mailbox = s->mailbox,
	};
	list_init(&p->threads);
	list_init(&p->free_slots);
	list_init(&p->ended_children);
	cputimer_init(&p->cputimers);
	p->mm = mm_create(s->private_page);
	if (!p->mm)
		goto free_process;
	p->mm->context = s->context;
	p->mm->run_fetch = mapfile_fetch;
	p->mm->run_grant = share_grant;
	err = process_add_slots(p, s->slot_page);
	if (err)
		goto free_mm;
	spin_lock(&processes_lock);
	tree_insert(&processes, &p->node, p->context);
	boot_status()->process_count = ++count;
	spin_unlock(&processes_lock);
	*out = p;
	return 0;
free_mm:
	mm_destroy(p->mm);
free_process:
	kmem_free(p);
	return err;
}

struct process *process_find(uint32_t context)
{
	struct process *p = NULL;
	struct tree_node *n;

	spin_lock(&processes_lock);
	n = tree_floor(&processes, context);
	if (n && n->key == context) {
		p = container_of(n, struct process, node);
		atomic_fetch_add(&p->refs, 1);
	}
	spin_unlock(&processes_lock);
	return p;
}

void process_put(struct process *p)
{
	if (atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	vfork_end(p);
	files_release(&p->files);
	mm_destroy(p->mm);
	for (uint32_t i = 0; i < p->slot_page_count; i++)
		slot_page_remove(p->slot_pages[i]);
	usage_free(p);
	posixtimer_free(p);
	kmem_free(p->debug);
	kmem_free(p->slot_pages);
	kmem_free(p);
}

int process_reap(uint32_t context)
{
	struct process *p = process_find(context);
	bool exited;

	if (!p)
		return -ESRCH;
	spin_lock(&p->lock);
	exited = p->exited;
	spin_unlock(&p->lock);
	if (!exited) {
		process_put(p);
		return -EBUSY;
	}
	spin_lock(&processes_lock);
	tree_remove(&processes, &p->node);
	boot_status()->process_count = --count;
	spin_unlock(&processes_lock);
	/* What it has of another's goes back while its requests can be seen. */
	vfork_end(p);
	/* Nothing in Linux maps a frame any more: no zap is waited for. */
	mm_detach(p->mm);
	process_put(p);
	process_put(p);
	kvm_stacks_trim();
	return 0;
}

uint32_t process_count(void)
{
	return load_relaxed(&count);
}

/* A free slot; one that is kept only if at least so many are. NULL. */
static struct slot *pop_slot(struct process *p, uint32_t kept_from)
{
	struct slot *s = NULL;

	spin_lock(&p->lock);
	if (!list_empty(&p->free_slots)) {
		s = list_first(&p->free_slots, struct slot, link);
		if (s->kept && p->kept_slots < kept_from)
			s = NULL;
	}
	if (s) {
		list_remove(&s->link);
		p->kept_slots -= s->kept;
	}
	spin_unlock(&p->lock);
	return s;
}

int process_start(struct process *p, uint64_t token)
{
	struct thread *t;
	int err;

	spin_lock(&p->lock);
	err = p->dying ? -ESRCH : p->started ? -EBUSY : list_empty(&p->free_slots) ? -EAGAIN : 0;
	if (!err)
		p->started = true;
	spin_unlock(&p->lock);
	if (err)
		return err;
	p->trace = load_relaxed(&p->mailbox->exec.flags) & (OTR_EXEC_TRACE | OTR_EXEC_COUNT);
	if (token) {
		err = fork_start(p, token);
		if (err)
			process_kill(p, SIGKILL);
		return err;
	}
	t = thread_create(exec_main, NULL);
	if (!t || thread_make_user(t, p->mm)) {
		if (t)
			thread_free(t);
		process_kill(p, SIGKILL);
		return -ENOMEM;
	}
	err = process_add_first(p, t);
	if (!err)
		err = process_start_thread(p, t);
	if (err)
		thread_free(t);
	return err;
}

uint64_t process_fork_token(struct process *p)
{
	return load_relaxed(&p->mailbox->exec.fork_token);
}

int process_add_first(struct process *p, struct thread *t)
{
	struct slot *s = pop_slot(p, 0);

	if (!s)
		return -EAGAIN;
	t->slot = s;
	t->tid = s->tid;
	return 0;
}

int process_start_thread(struct process *p, struct thread *t)
{
	spin_lock(&p->lock);
	if (p->dying) {
		spin_unlock(&p->lock);
		return -EINTR;
	}
	t->process = p;
	t->pid = p->pid;
	t->traced = p->trace;
	list_push_back(&p->threads, &t->process_link);
	p->thread_count++;
	__atomic_fetch_add(&boot_status()->thread_count, 1, __ATOMIC_RELAXED);
	if (atomic_load(&p->stopped))
		atomic_fetch_or(&t->work, WORK_STOP);
	if (p->holding) {
		t->held = true;
		atomic_fetch_or(&t->work, WORK_HOLD);
	}
	spin_unlock(&p->lock);
	spin_lock(&t->slot->lock);
	t->slot->caller = t;
	spin_unlock(&t->slot->lock);
	thread_start(t);
	return 0;
}

/* ---- Slots ---- */

int process_add_slots(struct process *p, uint64_t page)
{
	struct slot *first;
	uint64_t *list;
	int err = slot_page_add(page, p, &first);

	if (err)
		return err;
	spin_lock(&p->lock);
	list = kmem_alloc((p->slot_page_count + 1) * sizeof(*list));
	if (list) {
		memcpy(list, p->slot_pages, p->slot_page_count * sizeof(*list));
		list[p->slot_page_count++] = page;
		kmem_free(p->slot_pages);
		p->slot_pages = list;
	}
	spin_unlock(&p->lock);
	if (!list) {
		slot_page_remove(page);
		return -ENOMEM;
	}
	return 0;
}

int process_add_twin(struct process *p, uint32_t slot, uint32_t tid)
{
	struct slot *s = slot_find(slot);
	int err = -EINVAL;

	spin_lock(&p->lock);
	for (uint32_t i = 0; s && i < p->slot_page_count; i++)
		if (p->slot_pages[i] == slot / OTR_SLOTS_PER_PAGE && !s->tid && tid) {
			s->tid = tid;
			list_push_front(&p->free_slots, &s->link);
			err = 0;
		}
	spin_unlock(&p->lock);
	return err;
}

struct slot *process_take_slot(struct process *p)
{
	struct slot *s = pop_slot(p, TIDS_KEPT);
	uint64_t end;

	if (s)
		return s;
	if (slot_call(current_thread()->slot, OTR_CALL_TWINS, (uint64_t[6]){ TWIN_BATCH }) <= 0)
		return pop_slot(p, 0);
	/* The host announces the twins by messages, which may come after. */
	end = clock_uptime_ns() + TWIN_WAIT_NS;
	while (!(s = pop_slot(p, TIDS_KEPT)) && clock_uptime_ns() < end && !thread_killed(current_thread()))
		thread_park_until(MIN(end, clock_uptime_ns() + 200000));
	return s ? s : pop_slot(p, 0);
}

struct thread *process_find_thread(struct process *p, uint64_t tid)
{
	struct thread *t;

	list_for_each(t, &p->threads, process_link)
		if (t->tid == tid)
			return t;
	return NULL;
}

void process_leave_slot(struct process *p, struct slot *s, bool keep)
{
	/* The idle twin takes no signals. */
	slot_post(s, OTR_CALL_SIGMASK, UINT64_MAX);
	s->twin_mask = UINT64_MAX;
	process_return_slot(p, s, keep);
}

void process_become_leader(struct process *p, struct thread *t)
{
	struct slot *s, *found = NULL, *old = t->slot;

	if (t->tid == p->pid)
		return;
	spin_lock(&p->lock);
	list_for_each(s, &p->free_slots, link)
		if (s->tid == p->pid)
			found = s;
	if (found) {
		list_remove(&found->link);
		p->kept_slots -= found->kept;
	}
	spin_unlock(&p->lock);
	if (!found)
		return;
	spin_lock(&found->lock);
	found->caller = t;
	spin_unlock(&found->lock);
	spin_lock(&p->lock);
	t->slot = found;
	t->tid = found->tid;
	spin_unlock(&p->lock);
	process_leave_slot(p, old, false);
	signal_start_thread(t);
}

void process_return_slot(struct process *p, struct slot *s, bool keep)
{
	spin_lock(&s->lock);
	s->caller = NULL;
	spin_unlock(&s->lock);
	spin_lock(&p->lock);
	s->kept = keep;
	p->kept_slots += keep;
	if (keep)
		list_push_back(&p->free_slots, &s->link);
	else
		list_push_front(&p->free_slots, &s->link);
	spin_unlock(&p->lock);
}

/* ---- Ends ---- */

static void send_exit(struct process *p)
{
	usage_process_ended(p);
	log_debug("context %u (%s, pid %u) is over, status %#x", p->context, p->comm, p->pid,
		  p->exit_status);
	host_send3(OTR_MSG_PROC_EXIT, p->context, p->exit_status, 0);
}

void process_exit(struct process *p, uint32_t wait_status)
{
	struct thread *t;
	bool over = false;

	spin_lock(&p->lock);
	if (!p->dying) {
		p->dying = true;
		p->exit_status = wait_status;
		list_for_each(t, &p->threads, process_link)
			thread_notify(t, WORK_KILL);
		if (!p->thread_count && !p->exited)
			over = p->exited = true;
	}
	spin_unlock(&p->lock);
	if (over) {
		files_release(&p->files);
		vfork_release(p);
		send_exit(p);
	}
}

void process_kill(struct process *p, int signal)
{
	process_exit(p, (uint32_t)signal & 0x7f);
}

struct process *process_next(uint64_t *context)
{
	struct process *p = NULL;
	struct tree_node *n;

	spin_lock(&processes_lock);
	n = tree_ceiling(&processes, *context);
	if (n) {
		p = container_of(n, struct process, node);
		atomic_fetch_add(&p->refs, 1);
		*context = p->context + 1ull;
	}
	spin_unlock(&processes_lock);
	return p;
}

void process_kill_all(int signal)
{
	uint64_t context = 0;
	struct process *p;

	while ((p = process_next(&context))) {
		process_kill(p, signal);
		process_put(p);
	}
}

int process_evacuate_memory(paddr_t start, paddr_t end)
{
	uint64_t context = 0;
	struct process *p;
	int err = 0;

	while ((p = process_next(&context))) {
		int one = mm_evacuate(p->mm, start, end);

		process_put(p);
		err = err ? err : one;
	}
	return err;
}

noreturn_ void process_thread_exit(void)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	bool last, joined = false;

	robust_exit(t);
	if (t->clear_tid && !p->dying) {
		uint32_t zero = 0;

		if (!user_write(t->clear_tid, &zero, sizeof(zero)))
			joined = futex_wake_one(t->clear_tid);
	}
	/* After a kill the twin may still be in a call: then it is lost to us. */
	if (!thread_killed(t) || (!p->dying && slot_is_idle(t->slot))) {
		process_leave_slot(p, t->slot, !joined);
	} else {
		spin_lock(&t->slot->lock);
		t->slot->caller = NULL;
		spin_unlock(&t->slot->lock);
	}
	mm_leave();
	t->mm = NULL;
	spin_lock(&p->lock);
	/* While the process is not over for the host, which may then have it freed. */
	while (p->thread_count == 1 && p->cputimers.keeper) {
		spin_unlock(&p->lock);
		cputimer_end(p);
		spin_lock(&p->lock);
	}
	signal_free_all(t);
	posixtimer_thread_ends(p, t);
	list_remove(&t->process_link);
	p->ended_threads_ns += usage_thread_ns(t);
	last = --p->thread_count == 0;
	if (last) {
		p->dying = true;    /* by its last exit(2): the status is 0 */
		p->exited = true;
	}
	__atomic_fetch_sub(&boot_status()->thread_count, 1, __ATOMIC_RELAXED);
	spin_unlock(&p->lock);
	if (last) {
		files_release(&p->files);
		vfork_release(p);
		send_exit(p);
	}
	thread_exit();
}

/* ---- Stopping ---- */

void process_stop(struct process *p)
{
	struct thread *t;

	spin_lock(&p->lock);
	atomic_store(&p->stopped, true);
	list_for_each(t, &p->threads, process_link)
		thread_notify(t, WORK_STOP);
	spin_unlock(&p->lock);
}

void process_continue(struct process *p)
{
	struct thread *t;

	spin_lock(&p->lock);
	atomic_store(&p->stopped, false);
	list_for_each(t, &p->threads, process_link) {
		atomic_fetch_and(&t->work, ~WORK_STOP);
		thread_unpark(t);
	}
	spin_unlock(&p->lock);
}

void process_work(struct thread *t, struct regs *r)
{
	uint32_t work = atomic_load(&t->work);

	if (work & WORK_KILL)
		process_thread_exit();
	if (work & WORK_STOP)
		thread_park();
	if (work & WORK_HOLD)
		hold_here(t);
	if (work & WORK_CPUTIMER)
		cputimer_work(t);
	if (work & WORK_MASK)
		signal_settle(t);
	/* Before a handler's frame: its sequence is over. */
	if (work & (WORK_RSEQ | WORK_SIGNAL))
		rseq_resume(t, r);
	if (work & WORK_SIGNAL)
		signal_deliver(t, r);
	if (work & WORK_STEP)
		debug_step(t, r);
}

/* ---- Memory ---- */

void process_out_of_memory(struct process *p)
{
	log_warn("out of memory: killing %s[%u], %lu pages resident", p->comm, p->pid,
		 p->mm->resident_pages);
	process_kill(p, SIGKILL);
}
