/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/dispatch.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/trap.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/mm.h"
#include "libpoxis/calls.h"
#include "libpoxis/debug.h"
#include "libpoxis/facts.h"
#include "libpoxis/files/files.h"
#include "libpoxis/fork.h"
#include "libpoxis/futex.h"
#include "libpoxis/process.h"
#include "libpoxis/share.h"
#include "libpoxis/signal.h"
#include "libpoxis/slot.h"
#include "libpoxis/time.h"
#include "libpoxis/user.h"

#define ROWS 512u
#define NR_EXIT       60u
#define NR_EXIT_GROUP 231u

static struct sys_row table[ROWS] = {
#define PORTED(nr, n, f) [nr] = { .name = #n, .kind = SYS_PORTED, .fn = f },
#define LOCAL(nr, n, f, a) [nr] = { .name = #n, .kind = SYS_PORTED, .fn = f, .args = a },
#define DELEGATED(nr, n, a) [nr] = { .name = #n, .kind = SYS_DELEGATED, .args = a },
#define REFUSED(nr, n, e, why) [nr] = { .name = #n, .kind = SYS_REFUSED, .error = -(e), .reason = why },
#include "libpoxis/syscalls.def"
#undef PORTED
#undef LOCAL
#undef DELEGATED
#undef REFUSED
};

static inline void args_of(const struct regs *r, uint64_t arg[6])
{
	arg[0] = r->rdi;
	arg[1] = r->rsi;
	arg[2] = r->rdx;
	arg[3] = r->r10;
	arg[4] = r->r8;
	arg[5] = r->r9;
}

/* "f o2 v": one word an argument. */
static void parse_args(struct sys_row *row)
{
	const char *a = row->args;

	for (uint32_t i = 0; i < 6 && *a; i++) {
		uint8_t kind = (uint8_t)*a++;
		uint32_t number = 0;

		while (*a >= '0' && *a <= '9')
			number = number * 10 + (uint32_t)(*a++ - '0');
		if (kind == 'D')
			row->opens = true;
		else if (kind == 'F' || kind == 'P' || kind == 'B' || kind == 'M' || kind == 'E' || kind == 'A')
			row->file[row->file_count++] = (struct sys_arg){
				.index = (uint8_t)i, .kind = kind, .length_arg = (uint8_t)number,
			};
		else if (kind != 'v' && kind != 'f' && kind != 'p')
			row->memory[row->memory_count++] = (struct sys_arg){
				.index = (uint8_t)i, .kind = kind, .length_arg = (uint8_t)number,
				.bytes = (uint16_t)number,
			};
		while (*a == ' ')
			a++;
	}
}

void dispatch_init(void)
{
	for (uint32_t i = 0; i < ROWS; i++)
		if (table[i].args)
			parse_args(&table[i]);
}

/* Most of a buffer that is made present before the call; what lies behind comes
 * by the host's faults, as the call may not reach it. */
#define POPULATE_MOST (8ul << 20)

static void populate(struct mm *mm, uint64_t at, uint64_t bytes, uint32_t access)
{
	/* What Linux shares it has itself. */
	if (unlikely(share_any(mm, at, bytes)))
		return;
	/* A bad pointer is Linux's to find: it answers EFAULT or a short count. */
	mm_populate(mm, at, MIN(bytes, POPULATE_MOST), access);
}

static void populate_vector(struct mm *mm, uint64_t at, uint64_t count, uint32_t access)
{
	for (uint64_t i = 0; i < count && i < 1024; i++) {
		uint64_t v[2];          /* struct iovec */

		if (user_read(v, at + i * sizeof(v), sizeof(v)))
			return;
		populate(mm, v[0], v[1], access);
	}
}

/* One call of the program in Linux; what a signal does to it is decided on the
 * way back to user mode. */
int64_t dispatch_linux(struct thread *t, uint32_t nr, const uint64_t arg[6])
{
	_Static_assert(ERESTART == OTR_AGAIN && ERESTART_ALWAYS == OTR_NOT_MADE, "the proxy's answers are ours");
	int64_t ret;

	if (unlikely(t->mask_behind))
		signal_settle(t);
	/* The count first: a signal that comes later is seen by the twin, which
	 * answers -OTR_NOT_MADE, and -OTR_AGAIN where Linux would restart the call. */
	t->slot->shared->sig_done = atomic_load(&t->slot->signals_taken);
	/* A sender here queues first and looks at this then: one of both sees the other. */
	atomic_store(&t->in_linux, true);
	ret = likely(!thread_interrupted(t)) ? slot_call(t->slot, nr, arg) : -ERESTART_ALWAYS;
	atomic_store_explicit(&t->in_linux, false, memory_order_release);
	return likely(ret != -OTR_NEED_FACTS) ? ret : facts_tell(t);
}

int64_t dispatch_delegate(struct regs *r)
{
	struct thread *t = current_thread();
	const struct sys_row *row = &table[r->error];
	uint64_t arg[6];
	int64_t ret;

	/* Without this gcc computes the row's address at each use: 10 instructions a call. */
	__asm__("" : "+r"(row));
	args_of(r, arg);
	if (unlikely(row->file_count)) {
		ret = files_before(t, row, arg);
		if (unlikely(ret))
			return ret;
	}
	for (uint32_t i = 0; i < row->memory_count; i++) {
		const struct sys_arg *a = &row->memory[i];
		uint64_t at = arg[a->index];

		if (!at)
			continue;
		switch (a->kind) {
		case 'i':
			populate(t->mm, at, arg[a->length_arg], MM_READ);
			break;
		case 'o':
			populate(t->mm, at, arg[a->length_arg], MM_WRITE);
			break;
		case 'I':
			populate(t->mm, at, a->bytes, MM_READ);
			break;
		case 'O':
			populate(t->mm, at, a->bytes, MM_WRITE);
			break;
		case 's':
			populate(t->mm, at, 1, MM_READ);
			break;
		case 'V':
			populate_vector(t->mm, at, arg[a->length_arg], MM_READ);
			break;
		case 'W':
			populate_vector(t->mm, at, arg[a->length_arg], MM_WRITE);
			break;
		default:
			break;
		}
	}
	ret = dispatch_linux(t, (uint32_t)r->error, arg);
	return row->opens ? files_opened(t, ret) : ret;
}

int64_t dispatch_refuse(struct regs *r, int error, const char *reason)
{
	struct process *p = current_thread()->process;
	uint32_t nr = (uint32_t)MIN(r->error, (uint64_t)ROWS - 1), bit = 1u << (nr % 32);

	if (!(atomic_fetch_or(&p->refused_reported[nr / 32], bit) & bit))
		log_warn("%s[%u]: %s refused (errno %d): %s", p->comm, p->pid,
			 table[nr].name ? table[nr].name : "unknown call", -error, reason);
	return error;
}

static int64_t slow(struct regs *r)
{
	const struct sys_row *row;

	if (r->error >= ROWS || table[r->error].kind == SYS_UNKNOWN)
		return dispatch_refuse(r, -ENOSYS, "there is no row for it");
	row = &table[r->error];
	if (row->kind == SYS_REFUSED)
		return dispatch_refuse(r, row->error, row->reason);
	return dispatch_delegate(r);
}

static inline __attribute__((always_inline)) int64_t call(struct regs *r)
{
	uint64_t nr = r->error;

	if (likely(nr < ROWS && table[nr].kind == SYS_PORTED))
		return table[nr].fn(r);
	return slow(r);
}

/* Tells the thread's twin before and after; both may fail, when the program ends. */
static __attribute__((noinline, cold)) int64_t traced(struct thread *t, struct regs *r)
{
	uint64_t arg[6], nr = MIN(r->error, (uint64_t)ROWS), from;
	uint32_t calls;
	int64_t ret;

	args_of(r, arg);
	if (t->process->trace & OTR_EXEC_TRACE || nr == NR_EXIT || nr == NR_EXIT_GROUP)
		slot_call(t->slot, OTR_CALL_TRACE + (uint32_t)nr, arg);
	calls = t->slot->calls;
	from = clock_uptime_ns();
	ret = call(r);
	slot_call(t->slot, OTR_CALL_TRACED, (uint64_t[6]){
		(uint64_t)ret, clock_uptime_ns() - from,
		nr < ROWS && table[nr].kind == SYS_REFUSED ? 2 : t->slot->calls != calls, nr });
	return ret;
}

bool syscall_dispatch(struct regs *r)
{
	struct thread *t = current_thread();

	this_cpu()->status->syscall_count++;
	r->rax = (uint64_t)(likely(!t->traced) ? call(r) : traced(t, r));
	/* Somebody may wait for this CPU, and interrupts were off. */
	if (unlikely(atomic_load_explicit(&this_cpu()->resched, memory_order_relaxed)))
		sched_interrupt();
	trap_user_return(r);
	/* Interrupted by a signal that no handler took: from the start again. */
	if (unlikely(signal_restarts((int64_t)r->rax) && r->vector == REGS_VECTOR_SYSCALL)) {
		r->rip -= 2;
		r->rax = r->error;
	}
	if (likely(r->rcx == r->rip && r->r11 == r->rflags && !(r->rflags & RFLAGS_TF)))
		return true;
	if (r->rflags & RFLAGS_TF) {
		debug_step_call(t, r);
		trap_user_return(r);
	}
	return false;
}
